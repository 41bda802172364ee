//! `BPF_MAP_TYPE_LPM_TRIE`: the value of the longest prefix.
//!
//! A key is a 32-bit prefix length and the bits, most significant first (`struct
//! bpf_lpm_trie_key`). An update gives the prefix a new value in a new place, so readers see the
//! old one or the new one, whole.

use super::create::{self, KMALLOC_MAX_BYTES};
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::slab::{Holds, Reserve, Slab};
use super::trie::{Prefix, Trie};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::LpmTrie,
        doc: "Longest-prefix match.",
        ops: &[MapOp::Lookup, MapOp::Update, MapOp::Delete],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Bytes of the prefix length in front of a key's bits.
const LEN_BYTES: u32 = 4;
/// Bytes of bits at most.
const MAX_DATA_BYTES: u32 = 256;
/// What the kernel keeps in front of a node's bits.
const NODE_HEADER_BYTES: u64 = 40;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let max_value = KMALLOC_MAX_BYTES - u64::from(LEN_BYTES + MAX_DATA_BYTES) - NODE_HEADER_BYTES;
    let key_sizes = LEN_BYTES + 1..=LEN_BYTES + MAX_DATA_BYTES;
    if def.max_entries == 0
        || !def.flags.has(MapFlags::NO_PREALLOC)
        || !key_sizes.contains(&def.key_size)
        || def.value_size == 0
        || u64::from(def.value_size) > max_value
    {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NO_PREALLOC | MapFlags::NUMA_NODE | create::ACCESS)?;
    create::check_no_extra(def)?;
    // One row more: a full map can still replace.
    let rows = def.max_entries.saturating_add(1);
    let (cage, bytes) = (world.cage(), def.value_size);
    let storage = LpmTrie {
        max_entries: def.max_entries,
        max_bits: (def.key_size - LEN_BYTES) * 8,
        values: Slab::new(cage, def, Holds::Values, bytes, rows.into(), Reserve::Lazily)?,
        prefixes: RwLock::default(),
    };
    Ok(Guarded::map(def, storage))
}

struct LpmTrie {
    max_entries: u32,
    max_bits: u32,
    values: Slab,
    prefixes: RwLock<Prefixes>,
}

#[derive(Default)]
struct Prefixes {
    trie: Trie,
    len: u32,
    /// Rows that were used and are not.
    unused: Vec<u32>,
    /// Rows that were used at some time.
    used: u32,
}

impl Prefixes {
    fn take_row(&mut self) -> u32 {
        self.unused.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        })
    }
}

impl LpmTrie {
    /// Prefix length and bits, if the length is possible.
    fn parse<'a>(&self, key: &'a [u8]) -> Option<(u32, &'a [u8])> {
        let (len, bytes) = key.split_first_chunk::<4>()?;
        let bits = u32::from_le_bytes(*len);
        (bits <= self.max_bits).then_some((bits, bytes))
    }

    fn read(&self) -> RwLockReadGuard<'_, Prefixes> {
        self.prefixes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Prefixes> {
        self.prefixes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let (bits, bytes) = self.parse(key)?;
        self.read().trie.longest(bits, bytes)
    }
}

impl Storage for LpmTrie {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.find(key)?)
    }

    fn update(&self, _cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let (bits, bytes) = self.parse(key).ok_or(Errno::EINVAL)?;
        let mut prefixes = self.write();
        let old = prefixes.trie.exact(bits, bytes);
        mode.check(old.is_some())?;
        if old.is_none() && prefixes.len == self.max_entries {
            return Err(Errno::ENOSPC);
        }
        let row = prefixes.take_row();
        let stored = self.values.ensure(row).and_then(|()| self.values.write(row, value));
        if let Err(errno) = stored {
            prefixes.unused.push(row);
            return Err(errno);
        }
        prefixes.trie.insert(Prefix { bits, bytes: bytes.into() }, row);
        match old {
            Some(old) => prefixes.unused.push(old),
            None => prefixes.len += 1,
        }
        Ok(())
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        let (bits, bytes) = self.parse(key).ok_or(Errno::EINVAL)?;
        let mut prefixes = self.write();
        let row = prefixes.trie.remove(bits, bytes).ok_or(Errno::ENOENT)?;
        prefixes.unused.push(row);
        prefixes.len -= 1;
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let prefixes = self.read();
        let after = key.and_then(|key| self.parse(key));
        let next = prefixes.trie.next(after).ok_or(Errno::ENOENT)?;
        let mut key = next.bits.to_le_bytes().to_vec();
        key.extend_from_slice(&next.bytes);
        Ok(key)
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let row = self.find(key).ok_or(Errno::ENOENT)?;
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(row, &mut value)?;
        Ok(value)
    }
}
