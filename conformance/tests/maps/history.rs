//! Random histories on small maps, by user space and by programs, in both.

use crate::twin::{Answer, ProgOp, Twin, def, ours};
use core::iter::successors;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::os::fd::{AsFd, AsRawFd};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapType};
use ubpf_conformance::kernel::KernelMap;
use ubpf_conformance::{kernel, skip_without_kernel};

const ZERO_SEED: u32 = MapFlags::ZERO_SEED;
const NO_PREALLOC: u32 = MapFlags::NO_PREALLOC;
const NO_COMMON_LRU: u32 = MapFlags::NO_COMMON_LRU;

/// One step of a history. Keys and values are numbers that the map's shape turns into bytes.
#[derive(Clone, Debug)]
enum Step {
    Prog { op: ProgOp, key: u32, value: u8, flags: u64 },
    Lookup { key: u32, flags: u64 },
    Update { key: u32, value: u8, flags: u64 },
    Delete { key: u32 },
    Take { key: u32, flags: u64 },
    NextKey { key: Option<u32> },
    Freeze,
}

fn flags() -> impl Strategy<Value = u64> {
    prop_oneof![12 => Just(0), 2 => Just(1), 2 => Just(2), 1 => Just(4), 1 => 0_u64..10]
}

fn steps(keys: u32, ops: &'static [ProgOp], len: usize) -> impl Strategy<Value = Vec<Step>> {
    let key = move || 0..keys;
    // A type that programs may do nothing with gets a lookup by user space instead.
    let prog = (any::<prop::sample::Index>(), key(), any::<u8>(), flags());
    let prog = prog.prop_map(move |(op, key, value, flags)| match ops {
        [] => Step::Lookup { key, flags },
        ops => Step::Prog { op: *op.get(ops), key, value, flags },
    });
    let step = prop_oneof![
        6 => prog,
        1 => (key(), flags()).prop_map(|(key, flags)| Step::Lookup { key, flags }),
        3 => (key(), any::<u8>(), flags())
            .prop_map(|(key, value, flags)| Step::Update { key, value, flags }),
        2 => key().prop_map(|key| Step::Delete { key }),
        1 => (key(), flags()).prop_map(|(key, flags)| Step::Take { key, flags }),
        1 => prop::option::of(key()).prop_map(|key| Step::NextKey { key }),
    ];
    // Seldom, and then for the rest of the history.
    let step = prop_oneof![200 => step, 1 => Just(Step::Freeze)];
    prop::collection::vec(step, 1..len)
}

/// How numbers become keys.
type KeyBytes = fn(&MapDef, u32) -> Vec<u8>;

/// The number, little-endian, and something behind it where there is room.
fn plain_key(def: &MapDef, key: u32) -> Vec<u8> {
    let bytes = key.to_le_bytes().into_iter().chain(std::iter::repeat(0x5a));
    bytes.take(def.key_size as usize).collect()
}

/// A prefix length, sometimes too long, and bits of which some lie behind the prefix.
fn prefix_key(def: &MapDef, key: u32) -> Vec<u8> {
    let mut bytes = (key % 18).to_le_bytes().to_vec();
    let bits = (key / 18).wrapping_mul(0x9e37_79b9).to_le_bytes();
    bytes.extend(bits.iter().cycle().take(def.key_size as usize - 4));
    bytes
}

/// One value as programs give it, or one for each CPU as user space does.
fn value_bytes(len: usize, value: u8) -> Vec<u8> {
    (0..len).map(|n| value.wrapping_add(n as u8)).collect()
}

/// A device, sometimes none or one that does not exist, or a queue length; no program.
fn target_bytes(len: usize, value: u8) -> Vec<u8> {
    let mut bytes =
        [0_u32, 1, 1, 1, 99, 0x0100, 20_000][usize::from(value) % 7].to_le_bytes().to_vec();
    bytes.resize(len, 0);
    bytes
}

fn user_value_bytes(def: &MapDef) -> usize {
    let one = def.value_size as usize;
    if def.map_type.is_ok_and(MapType::is_percpu) {
        one.next_multiple_of(8) * kernel::possible_cpus()
    } else {
        one
    }
}

fn user_value(def: &MapDef, value: u8) -> Vec<u8> {
    use MapType::*;
    match def.map_type {
        Ok(Devmap | DevmapHash | Cpumap) => target_bytes(user_value_bytes(def), value),
        // A descriptor that is none.
        Ok(ProgArray | CgroupArray | Xskmap) => u32::MAX.to_le_bytes().to_vec(),
        Ok(Sockmap | Sockhash | ReuseportSockarray) => {
            let mut none = (i32::MAX as u64).to_le_bytes().to_vec();
            none.truncate(def.value_size as usize);
            none
        }
        _ => value_bytes(user_value_bytes(def), value),
    }
}

fn truncated(value: Result<Vec<u8>, Errno>, len: usize) -> Answer {
    Answer::of(value.map(|mut value| {
        value.truncate(len);
        value
    }))
}

fn perform(twin: &Twin, key_bytes: KeyBytes, step: &Step) -> [Answer; 2] {
    let def = twin.kernel.def();
    let (ours, raw) = (&twin.ours, twin.kernel.raw());
    let key_of = |key| key_bytes(def, key);
    let user_bytes = user_value_bytes(def);
    let unit = |result: Result<(), Errno>| Answer::of(result.map(|()| Vec::new()));
    match *step {
        Step::Prog { op, key, value, flags } => {
            let value = value_bytes(def.value_size as usize, value);
            twin.prog(op, &key_of(key), &value, flags)
        }
        Step::Lookup { key, flags } => [
            Answer::of(ours.user_lookup(&key_of(key), flags)),
            truncated(raw.lookup(&key_of(key), flags), user_bytes),
        ],
        Step::Update { key, value, flags } => {
            let (key, value) = (key_of(key), user_value(def, value));
            [unit(ours.user_update(&key, &value, flags)), unit(raw.update(&key, &value, flags))]
        }
        Step::Delete { key } => {
            [unit(ours.user_delete(&key_of(key))), unit(raw.delete(&key_of(key)))]
        }
        Step::Take { key, flags } => [
            Answer::of(ours.user_take(&key_of(key), flags)),
            truncated(raw.take(&key_of(key), flags), user_bytes),
        ],
        Step::Freeze => [unit(ours.freeze()), unit(raw.freeze())],
        Step::NextKey { key } => {
            let key = key.map(key_of);
            [Answer::of(ours.next_key(key.as_deref())), Answer::of(raw.next_key(key.as_deref()))]
        }
    }
}

/// Keys and values of both, in order of iteration.
fn contents(twin: &Twin) -> [Vec<(Vec<u8>, Answer)>; 2] {
    let (ours, raw) = (&twin.ours, twin.kernel.raw());
    let bytes = user_value_bytes(twin.kernel.def());
    let own = successors(ours.next_key(None).ok(), |key| ours.next_key(Some(key)).ok());
    let own = own.map(|key| (key.clone(), Answer::of(ours.user_lookup(&key, 0)))).collect();
    let theirs = twin.kernel.keys().unwrap_or_default().into_iter();
    let theirs = theirs.map(|key| (key.clone(), truncated(raw.lookup(&key, 0), bytes))).collect();
    [own, theirs]
}

/// Runs histories of up to `len` steps with `keys` different keys.
fn compare(def: &MapDef, key_bytes: KeyBytes, ops: &'static [ProgOp], keys: u32, len: usize) {
    let config = Config { failure_persistence: None, ..Config::with_cases(cases()) };
    let mut runner = TestRunner::new(config);
    let held = runner.run(&steps(keys, ops, len), |steps| {
        let twin = Twin::new(def, ops);
        for (n, step) in steps.iter().enumerate() {
            let [ours, kernels] = perform(&twin, key_bytes, step);
            prop_assert_eq!(ours, kernels, "step {}: {:?}", n, step);
        }
        let [ours, kernels] = contents(&twin);
        prop_assert_eq!(ours, kernels, "contents in the end");
        Ok(())
    });
    if let Err(error) = held {
        panic!("{:?} {:?}: {error}", def.map_type, def.flags);
    }
}

/// Histories of each map; more with `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

const ELEMENTS: &[ProgOp] = &[ProgOp::Lookup, ProgOp::Update, ProgOp::Delete];
const LOOKUP: &[ProgOp] = &[ProgOp::Lookup];
const NONE: &[ProgOp] = &[];
const SEQUENCE: &[ProgOp] = &[ProgOp::Push, ProgOp::Pop, ProgOp::Peek];

macro_rules! histories {
    ($($name:ident: $ty:ident $sizes:expr, $flags:expr, $keys:expr, $ops:expr, $count:expr, $len:expr;)*) => {$(
        #[test]
        fn $name() {
            skip_without_kernel!();
            kernel::pin_to_cpu_0().expect("CPU 0 exists");
            compare(&def(MapType::$ty, $sizes, $flags), $keys, $ops, $count, $len);
        }
    )*};
}

histories! {
    array: Array [4, 8, 5], 0, plain_key, ELEMENTS, 8, 60;
    array_of_odd_values: Array [4, 13, 3], 0, plain_key, ELEMENTS, 5, 60;
    percpu_array: PercpuArray [4, 12, 4], 0, plain_key, ELEMENTS, 6, 60;
    hash: Hash [4, 8, 6], ZERO_SEED, plain_key, ELEMENTS, 10, 120;
    hash_of_one: Hash [4, 8, 1], ZERO_SEED, plain_key, ELEMENTS, 3, 60;
    hash_long_keys: Hash [19, 10, 20], ZERO_SEED, plain_key, ELEMENTS, 30, 120;
    hash_eight_byte_keys: Hash [8, 8, 16], ZERO_SEED, plain_key, ELEMENTS, 24, 120;
    hash_two_byte_keys: Hash [2, 3, 5], ZERO_SEED, plain_key, ELEMENTS, 9, 80;
    hash_no_prealloc: Hash [12, 8, 6], ZERO_SEED | NO_PREALLOC, plain_key, ELEMENTS, 10, 120;
    percpu_hash: PercpuHash [4, 12, 6], ZERO_SEED, plain_key, ELEMENTS, 10, 120;
    percpu_hash_no_prealloc: PercpuHash [4, 16, 6], ZERO_SEED | NO_PREALLOC, plain_key, ELEMENTS, 10, 120;
    lru_hash_of_one: LruHash [4, 8, 1], ZERO_SEED, plain_key, ELEMENTS, 3, 60;
    lru_hash_of_four: LruHash [4, 8, 4], ZERO_SEED, plain_key, ELEMENTS, 9, 200;
    lru_hash: LruHash [4, 8, 20], ZERO_SEED, plain_key, ELEMENTS, 40, 400;
    lru_hash_large: LruHash [4, 8, 600], ZERO_SEED, plain_key, ELEMENTS, 900, 3000;
    lru_hash_per_cpu: LruHash [4, 8, 16], ZERO_SEED | NO_COMMON_LRU, plain_key, ELEMENTS, 30, 400;
    lru_hash_per_cpu_odd: LruHash [4, 8, 7], ZERO_SEED | NO_COMMON_LRU, plain_key, ELEMENTS, 12, 200;
    lru_percpu_hash: LruPercpuHash [4, 8, 20], ZERO_SEED, plain_key, ELEMENTS, 40, 400;
    lru_percpu_hash_per_cpu: LruPercpuHash [4, 8, 16], ZERO_SEED | NO_COMMON_LRU, plain_key, ELEMENTS, 30, 400;
    lpm_trie: LpmTrie [6, 8, 12], NO_PREALLOC, prefix_key, ELEMENTS, 18 * 12, 200;
    lpm_trie_one_byte: LpmTrie [5, 3, 20], NO_PREALLOC, prefix_key, ELEMENTS, 18 * 12, 200;
    queue: Queue [0, 8, 3], 0, plain_key, SEQUENCE, 1, 80;
    prog_array: ProgArray [4, 4, 3], 0, plain_key, NONE, 5, 40;
    cgroup_array: CgroupArray [4, 4, 3], 0, plain_key, NONE, 5, 40;
    devmap: Devmap [4, 8, 4], 0, plain_key, LOOKUP, 6, 80;
    devmap_short: Devmap [4, 4, 4], 0, plain_key, LOOKUP, 6, 80;
    devmap_hash: DevmapHash [4, 8, 4], 0, plain_key, LOOKUP, 8, 120;
    cpumap: Cpumap [4, 8, 4], 0, plain_key, NONE, 6, 40;
    xskmap: Xskmap [4, 4, 4], 0, plain_key, NONE, 6, 40;
    stack: Stack [0, 12, 3], 0, plain_key, SEQUENCE, 1, 80;
    array_read_only: Array [4, 8, 3], MapFlags::RDONLY, plain_key, ELEMENTS, 5, 60;
    array_write_only: Array [4, 8, 3], MapFlags::WRONLY, plain_key, ELEMENTS, 5, 60;
    hash_read_only: Hash [4, 8, 3], ZERO_SEED | MapFlags::RDONLY, plain_key, ELEMENTS, 5, 60;
    hash_write_only: Hash [4, 8, 3], ZERO_SEED | MapFlags::WRONLY, plain_key, ELEMENTS, 5, 60;
    array_read_by_programs: Array [4, 8, 3], MapFlags::RDONLY_PROG, plain_key, LOOKUP, 5, 60;
    hash_read_by_programs: Hash [4, 8, 3], ZERO_SEED | MapFlags::RDONLY_PROG, plain_key, LOOKUP, 5, 60;
    lpm_trie_read_only: LpmTrie [6, 8, 12], NO_PREALLOC | MapFlags::RDONLY, prefix_key, ELEMENTS, 18 * 4, 60;
    queue_read_only: Queue [0, 8, 3], MapFlags::RDONLY, plain_key, SEQUENCE, 1, 60;
    stack_write_only: Stack [0, 8, 3], MapFlags::WRONLY, plain_key, SEQUENCE, 1, 60;
    sockmap: Sockmap [4, 4, 3], 0, plain_key, NONE, 5, 40;
    sockmap_of_cookies: Sockmap [4, 8, 3], 0, plain_key, NONE, 5, 40;
    sockhash: Sockhash [6, 4, 3], 0, plain_key, NONE, 5, 40;
    sockhash_of_cookies: Sockhash [4, 8, 3], 0, plain_key, NONE, 5, 40;
    reuseport_sockarray: ReuseportSockarray [4, 4, 3], 0, plain_key, NONE, 5, 40;
    reuseport_sockarray_of_cookies: ReuseportSockarray [4, 8, 3], 0, plain_key, NONE, 5, 40;
    user_ringbuf: UserRingbuf [0, 0, 4096], 0, plain_key, NONE, 1, 40;
    cgroup_storage: CgroupStorage [8, 8, 0], 0, plain_key, NONE, 3, 40;
    percpu_cgroup_storage: PercpuCgroupStorage [16, 8, 0], 0, plain_key, NONE, 3, 40;
    stack_trace: StackTrace [4, 64, 4], 0, plain_key, NONE, 6, 40;
}

/// Maps of maps: what goes in, what does not, and what is there afterwards.
#[test]
fn maps_of_maps() {
    skip_without_kernel!();
    const ELEMENT: [u32; 3] = [4, 8, 2];
    let inner = def(MapType::Array, ELEMENT, 0);
    // Two that fit, one that does not.
    let candidates = [inner.clone(), inner.clone(), def(MapType::Array, [4, 16, 2], 0)];
    for (map_type, flags) in [
        (MapType::ArrayOfMaps, 0),
        (MapType::HashOfMaps, ZERO_SEED),
        (MapType::HashOfMaps, ZERO_SEED | NO_PREALLOC),
    ] {
        let mut outer = def(map_type, [4, 4, 3], flags);
        outer.inner = Some(Box::new(inner.clone()));
        let step = (0..5_u8, 0..5_u32, 0..candidates.len(), flags_of_maps());
        let steps = prop::collection::vec(step, 1..40);
        let config = Config { failure_persistence: None, ..Config::with_cases(cases()) };
        let mut runner = TestRunner::new(config);
        let held = runner.run(&steps, |steps| {
            let twin = Twin::new(&outer, LOOKUP);
            let own = candidates.each_ref().map(|def| {
                let map = ours(&twin.world, def).expect("our inner map");
                twin.world.add_map(map).expect("room for a map")
            });
            let theirs = candidates
                .each_ref()
                .map(|def| KernelMap::create(def, None).expect("the kernel's inner map"));
            for (n, (kind, key, which, flags)) in steps.iter().enumerate() {
                let key = plain_key(&outer, *key);
                let unit = |result: Result<(), Errno>| Answer::of(result.map(|()| Vec::new()));
                let raw = twin.kernel.raw();
                let [ours, kernels] = match kind {
                    0 | 1 => {
                        let fd = theirs[*which].as_fd().as_raw_fd().to_le_bytes();
                        let set = twin.ours.user_set_map(&twin.world, &key, own[*which], *flags);
                        [unit(set), unit(raw.update(&key, &fd, *flags))]
                    }
                    2 => [unit(twin.ours.user_delete(&key)), unit(raw.delete(&key))],
                    3 => {
                        // Numbers are each side's own.
                        let ours = twin.ours.user_lookup(&key, *flags).map(drop);
                        [unit(ours), unit(raw.lookup(&key, *flags).map(drop))]
                    }
                    _ => {
                        let next = twin.ours.next_key(Some(&key));
                        [Answer::of(next), Answer::of(raw.next_key(Some(&key)))]
                    }
                };
                prop_assert_eq!(ours, kernels, "step {}: {:?}", n, (kind, key, which, flags));
            }
            Ok(())
        });
        if let Err(error) = held {
            panic!("{map_type:?}: {error}");
        }
    }
}

/// Flags of updates and look-ups; the lookup's own make it fail.
fn flags_of_maps() -> impl Strategy<Value = u64> {
    prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(2), 1 => 3_u64..9]
}

/// A Bloom filter with seed 0 has the kernel's false positives.
#[test]
fn bloom_filter() {
    skip_without_kernel!();
    for (value_size, extra) in [(8, 0), (5, 1), (4, 3), (16, 15)] {
        let mut def = def(MapType::BloomFilter, [0, value_size, 10], ZERO_SEED);
        def.extra = extra;
        let twin = Twin::new(&def, &[ProgOp::Push, ProgOp::Peek]);
        let value = |n: u8| value_bytes(value_size as usize, n.wrapping_mul(37));
        for n in 0..20 {
            let [ours, kernels] = twin.prog(ProgOp::Push, &[], &value(n), 0);
            assert_eq!(ours, kernels);
        }
        let mut positives = 0;
        for n in 0..=255 {
            let [ours, kernels] = twin.prog(ProgOp::Peek, &[], &value(n), 0);
            assert_eq!(ours, kernels, "value {n} of {value_size} bytes, extra {extra}");
            let ours = twin.ours.user_lookup(&value(n), 0).map(drop);
            assert_eq!(ours, twin.kernel.raw().contains(&value(n)));
            positives += u32::from(ours.is_ok());
        }
        assert!(positives >= 20);
    }
}
