//! `BPF_MAP_TYPE_DEVMAP_HASH`: net devices by any 32-bit key.

use super::devmap::{Devices, Named, OPS, checked};
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::index;
use super::slab::{Holds, Reserve, Slab};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::DevmapHash,
        doc: "Net devices by key.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let def = &checked(def)?;
    let buckets = def.max_entries.checked_next_power_of_two().ok_or(Errno::EINVAL)?;
    // One row more: a full map can still replace.
    let rows = u64::from(def.max_entries) + 1;
    let (cage, bytes) = (world.cage(), def.value_size);
    let storage = DevmapHash {
        devices: Devices::of(world),
        max_entries: def.max_entries,
        mask: buckets - 1,
        values: Slab::new(cage, def, Holds::Values, bytes, rows, Reserve::Lazily)?,
        entries: RwLock::default(),
    };
    Ok(Guarded::map(def, storage))
}

struct DevmapHash {
    devices: Devices,
    max_entries: u32,
    mask: u32,
    values: Slab,
    entries: RwLock<Entries>,
}

/// A key and the row of its value.
#[derive(Clone, Copy)]
struct Entry {
    key: u32,
    row: u32,
}

/// Entries by bucket, newest first, which is the order of iteration.
#[derive(Default)]
struct Entries {
    buckets: BTreeMap<u32, VecDeque<Entry>>,
    len: u32,
    unused: Vec<u32>,
    used: u32,
}

impl Entries {
    fn find(&self, bucket: u32, key: u32) -> Option<Entry> {
        self.buckets.get(&bucket)?.iter().find(|entry| entry.key == key).copied()
    }

    fn remove(&mut self, bucket: u32, key: u32) -> Option<Entry> {
        let entries = self.buckets.get_mut(&bucket)?;
        let at = entries.iter().position(|entry| entry.key == key)?;
        let entry = entries.remove(at)?;
        if entries.is_empty() {
            self.buckets.remove(&bucket);
        }
        self.len -= 1;
        self.unused.push(entry.row);
        Some(entry)
    }

    fn take_row(&mut self) -> u32 {
        self.unused.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        })
    }
}

impl DevmapHash {
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self, key: &[u8]) -> Option<u32> {
        let key = index(key)?;
        Some(self.read().find(key & self.mask, key)?.row)
    }
}

impl Storage for DevmapHash {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.row(key)?)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let entries = self.read();
        let mut all = entries.buckets.values().flatten().map(|entry| entry.key);
        let key = key.and_then(index).filter(|&key| entries.find(key & self.mask, key).is_some());
        if let Some(key) = key {
            all.find(|&there| there == key);
        }
        all.next().map(|key| key.to_le_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let row = self.row(key).ok_or(Errno::ENOENT)?;
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(row, &mut value)?;
        Ok(value)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let key = index(key).ok_or(Errno::EINVAL)?;
        if index(value.get(..4).unwrap_or_default()) == Some(0) {
            return Err(Errno::EINVAL);
        }
        let bucket = key & self.mask;
        let mut entries = self.write();
        let old = entries.find(bucket, key);
        if mode == Mode::NoExist {
            mode.check(old.is_some())?;
        }
        let Named::Device(ifindex) = self.devices.parse(value)? else {
            return Err(Errno::EINVAL);
        };
        if old.is_none() && entries.len >= self.max_entries {
            return Err(Errno::E2BIG);
        }
        let row = entries.take_row();
        let value = Named::value(ifindex, value.len());
        let stored = self.values.ensure(row).and_then(|()| self.values.write(row, &value));
        if let Err(errno) = stored {
            entries.unused.push(row);
            return Err(errno);
        }
        entries.remove(bucket, key);
        entries.buckets.entry(bucket).or_default().push_front(Entry { key, row });
        entries.len += 1;
        Ok(())
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        let key = index(key).ok_or(Errno::EINVAL)?;
        self.write().remove(key & self.mask, key).map(drop).ok_or(Errno::ENOENT)
    }
}
