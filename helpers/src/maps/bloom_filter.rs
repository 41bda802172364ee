//! `BPF_MAP_TYPE_BLOOM_FILTER`: remembers values, and sometimes one it has not seen.

use super::create::{self, KMALLOC_MAX_BYTES};
use super::guard::{Guarded, Storage};
use super::jhash::jhash;
use super::sparse::SparseArray;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::BloomFilter,
        doc: "Bloom filter.",
        ops: &[MapOp::Push, MapOp::Peek],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Most hash functions that `map_extra` can ask for.
const MAX_HASHES: u64 = 15;
/// Hash functions if it asks for none.
const DEFAULT_HASHES: u32 = 5;
/// Seed of maps without `BPF_F_ZERO_SEED`: any will do, and runs shall be reproducible.
const SEED: u32 = 0x9e37_79b9;

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    if def.key_size != 0 || def.value_size == 0 || def.max_entries == 0 || def.extra > MAX_HASHES {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NUMA_NODE | MapFlags::ZERO_SEED | create::ACCESS)?;
    if u64::from(def.value_size) > KMALLOC_MAX_BYTES {
        return Err(Errno::E2BIG);
    }
    let hashes = if def.extra == 0 { DEFAULT_HASHES } else { def.extra as u32 };
    let mask = bit_mask(def.max_entries, hashes);
    let storage = BloomFilter {
        seed: if def.flags.has(MapFlags::ZERO_SEED) { 0 } else { SEED },
        hashes,
        mask,
        words: SparseArray::new(mask / 64 + 1),
    };
    Ok(Guarded::map(def, storage))
}

/// One less than the number of bits, a power of two: about `entries * hashes / ln 2`, reckoned
/// in the kernel's steps.
fn bit_mask(entries: u32, hashes: u32) -> u32 {
    let bits = entries.checked_mul(hashes).and_then(|bits| (bits / 5).checked_mul(7));
    match bits {
        Some(bits) if bits <= 1 << 31 => bits.max(64).next_power_of_two() - 1,
        _ => u32::MAX,
    }
}

struct BloomFilter {
    seed: u32,
    hashes: u32,
    mask: u32,
    words: SparseArray<AtomicU64>,
}

impl BloomFilter {
    /// The bits that stand for a value: index of the word, and the bit in it.
    fn bits(&self, value: &[u8]) -> impl Iterator<Item = (u32, u64)> {
        let bit = |n| jhash(value, self.seed.wrapping_add(n)) & self.mask;
        (0..self.hashes).map(bit).map(|bit| (bit / 64, 1 << (bit % 64)))
    }
}

impl Storage for BloomFilter {
    fn update(&self, _cpu: Cpu, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, _cpu: Cpu, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        for (word, bit) in self.bits(value) {
            if let Some(word) = self.words.touch(word) {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn peek(&self, value: &[u8]) -> Result<Vec<u8>, Errno> {
        let is_set = |(word, bit)| {
            self.words.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
        };
        if self.bits(value).all(is_set) { Ok(value.to_vec()) } else { Err(Errno::ENOENT) }
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn lookup_bytes(&self, def: &MapDef) -> usize {
        def.value_size as usize
    }

    fn fetch(&self, value: &[u8]) -> Result<Vec<u8>, Errno> {
        self.peek(value)
    }

    fn store(&self, _key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.push(value, flags)
    }
}
