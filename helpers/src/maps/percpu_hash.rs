//! `BPF_MAP_TYPE_PERCPU_HASH`: values are changed in place, each CPU its own.

use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::hash;
use super::percpu::PercpuValues;
use super::supply::Supply;
use super::table::{Slot, Table};
use std::sync::Arc;
use ubpf_abi::map::{MapDef, MapOp, MapType, MapTypeDecl};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::{Map, Visit};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::PercpuHash,
        doc: "Hash table with a value a CPU.",
        ops: OPS,
        direct_value: false,
        special_fields: true,
    },
    create,
};

/// What programs may do with hash tables of a value a CPU.
pub(super) const OPS: &[MapOp] =
    &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::LookupPercpu, MapOp::ForEach];

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    hash::check(def)?;
    let (slots, reserve) = (def.max_entries, hash::reserve(def));
    let storage = PercpuHash {
        table: Table::new(world.cage(), def, slots, reserve)?,
        values: PercpuValues::new(world, def, slots, reserve)?,
        supply: Supply::new(0, slots),
    };
    Ok(Guarded::map(def, storage))
}

struct PercpuHash {
    table: Table,
    values: PercpuValues,
    supply: Supply,
}

impl PercpuHash {
    fn find(&self, key: &[u8]) -> Option<Slot> {
        self.table.find(self.table.hash(key), key)
    }

    /// Stores under a key: `change` in an element that is there, `init` in a new one.
    fn put(
        &self,
        key: &[u8],
        flags: u64,
        change: impl FnOnce(u32) -> Result<(), Errno>,
        init: impl FnOnce(u32) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let hash = self.table.hash(key);
        let bucket = self.table.lock(hash)?;
        let old = bucket.find(hash, key);
        mode.check(old.is_some())?;
        if let Some(slot) = old {
            return change(slot.0);
        }
        let slot = self.supply.take(&self.table).ok_or(Errno::E2BIG)?;
        if let Err(errno) = self.table.set_key(slot, hash, key).and_then(|()| init(slot.0)) {
            self.supply.give(&self.table, slot);
            return Err(errno);
        }
        bucket.link(slot);
        Ok(())
    }

    fn remove_with<T>(
        &self,
        key: &[u8],
        last_look: impl FnOnce(u32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let hash = self.table.hash(key);
        let bucket = self.table.lock(hash)?;
        let slot = bucket.find(hash, key).ok_or(Errno::ENOENT)?;
        let seen = last_look(slot.0)?;
        bucket.unlink(slot);
        drop(bucket);
        self.supply.give(&self.table, slot);
        Ok(seen)
    }
}

impl Storage for PercpuHash {
    fn lookup(&self, cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.find(key)?.0, cpu)
    }

    fn lookup_percpu(&self, key: &[u8], cpu: Cpu) -> Option<GuestAddr> {
        self.lookup(cpu, key)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let change = |slot| self.values.set(slot, cpu, value);
        self.put(key, flags, change, |slot| self.values.init(slot, cpu, value))
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        self.remove_with(key, |_| Ok(()))
    }

    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        hash::visit_slots(&self.table, visit, |slot| self.values.addr(slot.0, cpu)).map(Ok)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.table.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.table.keys()
    }

    fn user_value_bytes(&self, _def: &MapDef) -> usize {
        self.values.user_bytes()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.get_all(self.find(key).ok_or(Errno::ENOENT)?.0)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let set = |slot| self.values.set_all(slot, value);
        self.put(key, flags, set, set)
    }

    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.remove_with(key, |slot| self.values.get_all(slot))
    }
}
