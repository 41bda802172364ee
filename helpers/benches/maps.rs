//! What one operation on a map costs, in nanoseconds, called as helpers call it: through the
//! trait, with the key copied out of guest memory already.
//!
//! Every operation goes to pseudo-random keys of a table that fits into the cache. The best of
//! many short rounds counts, so that other work on the machine does not.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;
use ubpf_abi::Kernel;
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType};
use ubpf_vm::map::Map;
use ubpf_vm::mem::Cage;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

const ENTRIES: u32 = 1024;
const OPS: u32 = 1 << 12;
const ROUNDS: u32 = 400;
const CPU: Cpu = Cpu(0);

fn map(world: &World, map_type: MapType, key_size: u32, flags: u32) -> Arc<dyn Map> {
    let def = MapDef {
        name: "bench".into(),
        map_type: Ok(map_type),
        key_size,
        value_size: 8,
        max_entries: ENTRIES,
        flags: MapFlags(flags),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    };
    let registry = ubpf_helpers::linux();
    let definition = registry.map_type_def(map_type).expect("a type that is emulated");
    (definition.create)(world, &def).expect("a small map")
}

/// The `n`th key: for tries a full-length prefix.
fn key(map_type: MapType, key_size: u32, n: u32) -> Vec<u8> {
    let index = n % ENTRIES;
    let mut key: Vec<u8> = match map_type {
        MapType::LpmTrie => ((key_size - 4) * 8).to_le_bytes().to_vec(),
        _ => Vec::new(),
    };
    key.extend(index.to_le_bytes());
    key.resize(key_size as usize, 0);
    key
}

/// Nanoseconds of one call, the best of all rounds.
fn best(mut op: impl FnMut(usize)) -> f64 {
    let round = |_| {
        let start = Instant::now();
        let mut n = 1_usize;
        for _ in 0..OPS {
            n = n.wrapping_mul(5).wrapping_add(12_345) % ENTRIES as usize;
            op(n);
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(OPS)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn main() {
    let cage = Cage::new().expect("4 GiB of address space");
    let world = World::new(cage, Kernel::V6_18, 2, Box::new(()));
    let (zero_seed, no_prealloc) = (MapFlags::ZERO_SEED, MapFlags::NO_PREALLOC);
    println!("{:<28} {:>8} {:>8} {:>8} {:>14}", "map", "lookup", "miss", "update", "delete+insert");
    for (name, map_type, key_size, flags) in [
        ("array", MapType::Array, 4, 0),
        ("percpu_array", MapType::PercpuArray, 4, 0),
        ("hash, 4-byte keys", MapType::Hash, 4, 0),
        ("hash, 8-byte keys", MapType::Hash, 8, 0),
        ("hash, 16-byte keys", MapType::Hash, 16, 0),
        ("hash, 40-byte keys", MapType::Hash, 40, 0),
        ("hash, zero seed", MapType::Hash, 4, zero_seed),
        ("hash, no prealloc", MapType::Hash, 4, no_prealloc),
        ("percpu_hash", MapType::PercpuHash, 4, 0),
        ("lru_hash", MapType::LruHash, 4, 0),
        ("lru_percpu_hash", MapType::LruPercpuHash, 4, 0),
        ("lpm_trie", MapType::LpmTrie, 8, no_prealloc),
    ] {
        let map = map(&world, map_type, key_size, flags);
        let map = &*map;
        let keys: Vec<_> = (0..ENTRIES).map(|n| key(map_type, key_size, n)).collect();
        let mut absent = keys.clone();
        absent.iter_mut().for_each(|key| key[key_size as usize - 1] = 0xff);
        let value = [7; 8];
        for key in &keys {
            map.update(CPU, key, &value, 0).expect("room");
        }
        let update = best(|n| {
            black_box(map.update(CPU, black_box(&keys[n]), &value, 0)).expect("a present key");
        });
        let lookup = best(|n| {
            black_box(map.lookup(CPU, black_box(&keys[n])));
        });
        let miss = best(|n| {
            black_box(map.lookup(CPU, black_box(&absent[n])));
        });
        let replace = best(|n| {
            black_box(map.delete(CPU, black_box(&keys[n]))).ok();
            black_box(map.update(CPU, black_box(&keys[n]), &value, 0)).expect("room");
        });
        println!("{name:<28} {lookup:>8.1} {miss:>8.1} {update:>8.1} {replace:>14.1}");
    }
    shared(&world);
}

/// Two threads on the same hash table, each half look-ups and half updates.
fn shared(world: &World) {
    let map = map(world, MapType::Hash, 4, 0);
    let map = &*map;
    let keys: Vec<_> = (0..ENTRIES).map(|n| key(MapType::Hash, 4, n)).collect();
    let keys = &keys;
    for key in keys {
        map.update(CPU, key, &[0; 8], 0).expect("room");
    }
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|cpu| {
                scope.spawn(move || {
                    best(|n| {
                        black_box(map.lookup(Cpu(cpu), black_box(&keys[n])));
                        map.update(Cpu(cpu), black_box(&keys[n]), &[1; 8], 0)
                            .expect("a present key");
                    })
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).fold(0.0, f64::max)
    });
    println!("hash, two threads, lookup and update: {slowest:.1}");
}
