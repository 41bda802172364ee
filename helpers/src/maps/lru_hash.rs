//! `BPF_MAP_TYPE_LRU_HASH`: a full map evicts what was used longest ago.
//!
//! As in the kernel, every update takes a new slot before it looks whether the key is there, so
//! that updates of existing keys, and even ones that fail, may evict.

use super::evicting::{self, Evicting};
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::hash::{OPS, visit_slots};
use super::slab::{Holds, Reserve, Slab};
use super::special::Special;
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
        map_type: MapType::LruHash,
        doc: "Hash table that evicts.",
        ops: OPS,
        direct_value: false,
        special_fields: true,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let def = &evicting::checked(world, def)?;
    let (bytes, slots) = (def.value_size, def.max_entries.into());
    let storage = LruHash {
        elements: Evicting::new(world, def)?,
        values: Slab::new(world.cage(), def, Holds::Values, bytes, slots, Reserve::AtOnce)?
            .with_fields(Special::of(world, def)),
    };
    Ok(Guarded::map(def, storage))
}

struct LruHash {
    elements: Evicting,
    values: Slab,
}

impl LruHash {
    /// Links a filled slot; gives the one it replaced.
    fn link(&self, new: Slot, hash: u32, key: &[u8], mode: Mode) -> Result<Option<Slot>, Errno> {
        let bucket = self.elements.table.lock(hash)?;
        let old = bucket.find(hash, key);
        mode.check(old.is_some())?;
        bucket.link(new);
        if let Some(old) = old {
            self.elements.mark(new);
            bucket.unlink(old);
        }
        Ok(old)
    }

    fn copy(&self, slot: Slot) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(slot.0, &mut value)?;
        Ok(value)
    }
}

impl Storage for LruHash {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.elements.find_and_mark(key)?.0)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let hash = self.elements.table.hash(key);
        let new = self.elements.take_slot(cpu)?;
        let filled = self.elements.table.set_key(new, hash, key);
        let filled = filled
            .and_then(|()| self.values.write(new.0, value))
            // The slot may be one that was just taken from another element.
            .and_then(|()| self.values.free_fields(new.0))
            .and_then(|()| self.values.init_fields(new.0));
        let unused = match filled.and_then(|()| self.link(new, hash, key, mode)) {
            Ok(None) => return Ok(()),
            Ok(Some(old)) => self.values.free_fields(old.0).map(|()| old),
            Err(errno) => Err(errno),
        };
        self.elements.give_slot(unused.unwrap_or(new));
        unused.map(drop)
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        self.elements.remove_with(key, |slot| self.values.free_fields(slot.0))
    }

    fn for_each(&self, _cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        visit_slots(&self.elements.table, visit, |slot| self.values.addr(slot.0)).map(Ok)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.elements.table.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.elements.table.keys()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.copy(self.elements.find(key).ok_or(Errno::ENOENT)?)
    }

    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.elements.remove_with(key, |slot| {
            let value = self.copy(slot)?;
            self.values.free_fields(slot.0)?;
            Ok(value)
        })
    }
}
