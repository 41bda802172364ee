//! `BPF_MAP_TYPE_LRU_PERCPU_HASH`: evicts, and values are changed in place, each CPU its own.

use super::evicting::{self, Evicting};
use super::flags::Mode;
use super::guard::{Guarded, Storage, USER_CPU};
use super::hash::visit_slots;
use super::percpu::PercpuValues;
use super::percpu_hash::OPS;
use super::slab::Reserve;
use super::table::Slot;
use std::sync::Arc;
use ubpf_abi::map::{MapDef, MapType, MapTypeDecl};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::{Map, Visit};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::LruPercpuHash,
        doc: "Hash table that evicts, with a value a CPU.",
        ops: OPS,
        direct_value: false,
        special_fields: true,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let def = &evicting::checked(world, def)?;
    let storage = LruPercpuHash {
        elements: Evicting::new(world, def)?,
        values: PercpuValues::new(world, def, def.max_entries, Reserve::AtOnce)?,
    };
    Ok(Guarded::map(def, storage))
}

struct LruPercpuHash {
    elements: Evicting,
    values: PercpuValues,
}

impl LruPercpuHash {
    /// Stores under a key: `change` in an element that is there, `init` in a new one.
    fn put(
        &self,
        cpu: Cpu,
        key: &[u8],
        flags: u64,
        change: impl FnOnce(u32) -> Result<(), Errno>,
        init: impl FnOnce(u32) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let hash = self.elements.table.hash(key);
        // An update that may only change needs no slot and evicts nothing.
        let spare = match mode {
            Mode::Exist => None,
            Mode::Any | Mode::NoExist => Some(self.elements.take_slot(cpu)?),
        };
        let used = self.put_locked(hash, key, mode, spare, change, init);
        if let Some(slot) = spare
            && used != Ok(Some(slot))
        {
            self.elements.give_slot(slot);
        }
        used.map(drop)
    }

    /// The part under the bucket's lock; gives the spare slot when it was used.
    fn put_locked(
        &self,
        hash: u32,
        key: &[u8],
        mode: Mode,
        spare: Option<Slot>,
        change: impl FnOnce(u32) -> Result<(), Errno>,
        init: impl FnOnce(u32) -> Result<(), Errno>,
    ) -> Result<Option<Slot>, Errno> {
        let bucket = self.elements.table.lock(hash)?;
        let old = bucket.find(hash, key);
        mode.check(old.is_some())?;
        if let Some(slot) = old {
            self.elements.mark(slot);
            change(slot.0)?;
            return Ok(None);
        }
        let slot = spare.ok_or(Errno::ENOENT)?;
        self.elements.table.set_key(slot, hash, key)?;
        init(slot.0)?;
        bucket.link(slot);
        Ok(Some(slot))
    }
}

impl Storage for LruPercpuHash {
    fn lookup(&self, cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.elements.find_and_mark(key)?.0, cpu)
    }

    fn lookup_percpu(&self, key: &[u8], cpu: Cpu) -> Option<GuestAddr> {
        self.lookup(cpu, key)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let change = |slot| self.values.set(slot, cpu, value);
        self.put(cpu, key, flags, change, |slot| self.values.init(slot, cpu, value))
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        self.elements.remove_with(key, |_| Ok(()))
    }

    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        visit_slots(&self.elements.table, visit, |slot| self.values.addr(slot.0, cpu)).map(Ok)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.elements.table.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.elements.table.keys()
    }

    fn user_value_bytes(&self, _def: &MapDef) -> usize {
        self.values.user_bytes()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.get_all(self.elements.find(key).ok_or(Errno::ENOENT)?.0)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let set = |slot| self.values.set_all(slot, value);
        self.put(USER_CPU, key, flags, set, set)
    }

    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.elements.remove_with(key, |slot| self.values.get_all(slot.0))
    }
}
