//! `BPF_MAP_TYPE_HASH`.
//!
//! An update of an existing key puts the new value into another slot, so that readers see the
//! old value or the new one, whole; see `supply`.

use super::create::{self, KMALLOC_MAX_BYTES};
use super::flags::{LOCK, Mode};
use super::guard::{Guarded, Storage};
use super::slab::{Holds, Reserve, Slab};
use super::special::Special;
use super::supply::{Spares, Supply};
use super::table::{Slot, Table};
use std::sync::Arc;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::{Map, Visit};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Hash,
        doc: "Hash table.",
        ops: OPS,
        direct_value: false,
        special_fields: true,
    },
    create,
};

/// What programs may do with hash tables of one value a key.
pub(super) const OPS: &[MapOp] =
    &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::ForEach, MapOp::Timer];

/// What the kernel keeps in front of an element's key.
const ELEMENT_HEADER_BYTES: u64 = 48;
/// Buckets whose table the kernel can still allocate.
const MAX_BUCKETS: u64 = 1 << 27;

/// Checks that all hash tables have in common.
pub(super) fn check(def: &MapDef) -> Result<(), Errno> {
    let allowed = MapFlags::NO_PREALLOC
        | MapFlags::NO_COMMON_LRU
        | MapFlags::NUMA_NODE
        | MapFlags::ZERO_SEED
        | create::ACCESS;
    create::check_flags(def, allowed)?;
    create::check_no_extra(def)?;
    let map_type = def.map_type.map_err(|_| Errno::EINVAL)?;
    let evicts = matches!(map_type, MapType::LruHash | MapType::LruPercpuHash);
    let per_cpu_lru = def.flags.has(MapFlags::NO_COMMON_LRU);
    if per_cpu_lru && !evicts {
        return Err(Errno::EINVAL);
    }
    if evicts && def.flags.has(MapFlags::NO_PREALLOC) {
        return Err(Errno::ENOTSUPP);
    }
    if def.flags.has(MapFlags::NUMA_NODE) && (map_type.is_percpu() || per_cpu_lru) {
        return Err(Errno::EINVAL);
    }
    if def.max_entries == 0 || def.key_size == 0 || def.value_size == 0 {
        return Err(Errno::EINVAL);
    }
    let element = u64::from(def.key_size) + u64::from(def.value_size);
    if element >= KMALLOC_MAX_BYTES - ELEMENT_HEADER_BYTES {
        return Err(Errno::E2BIG);
    }
    if map_type.is_percpu() {
        create::check_percpu_value(def)?;
    }
    if u64::from(def.max_entries).next_power_of_two() > MAX_BUCKETS {
        return Err(Errno::E2BIG);
    }
    Ok(())
}

/// When slots get their memory.
pub(super) const fn reserve(def: &MapDef) -> Reserve {
    if def.flags.has(MapFlags::NO_PREALLOC) { Reserve::Lazily } else { Reserve::AtOnce }
}

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    check(def)?;
    Ok(Guarded::map(def, Hash::new(world, def)?))
}

/// The table and its values.
pub(super) struct Hash {
    table: Table,
    values: Slab,
    supply: Supply,
    spares: Spares,
}

impl Hash {
    /// An empty table; the definition was checked.
    pub(super) fn new(world: &World, def: &MapDef) -> Result<Self, Errno> {
        let (cage, cpus) = (world.cage(), world.cpus());
        let slots = def.max_entries.checked_add(cpus).ok_or(Errno::E2BIG)?;
        let reserve = reserve(def);
        Ok(Self {
            table: Table::new(cage, def, slots, reserve)?,
            values: Slab::new(cage, def, Holds::Values, def.value_size, slots.into(), reserve)?
                .with_fields(Special::of(world, def)),
            supply: Supply::new(cpus, slots),
            spares: Spares::new(cpus),
        })
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<Slot> {
        self.table.find(self.table.hash(key), key)
    }

    fn fill(&self, slot: Slot, hash: u32, key: &[u8], value: &[u8]) -> Result<(), Errno> {
        self.table.set_key(slot, hash, key)?;
        self.values.ensure(slot.0)?;
        self.values.write(slot.0, value)?;
        self.values.init_fields(slot.0)
    }

    /// Stores a value.
    fn put(&self, cpu: Cpu, key: &[u8], value: &[u8], mode: Mode) -> Result<(), Errno> {
        let hash = self.table.hash(key);
        let bucket = self.table.lock(hash)?;
        let old = bucket.find(hash, key);
        mode.check(old.is_some())?;
        if let Some(old) = old {
            let new = self.spares.take(cpu)?;
            if let Err(errno) = self.fill(new, hash, key, value) {
                self.spares.put(cpu, new);
                return Err(errno);
            }
            bucket.link(new);
            bucket.unlink(old);
            self.values.free_fields(old.0)?;
            self.spares.put(cpu, old);
        } else {
            let new = self.supply.take(&self.table).ok_or(Errno::E2BIG)?;
            if let Err(errno) = self.fill(new, hash, key, value) {
                self.supply.give(&self.table, new);
                return Err(errno);
            }
            bucket.link(new);
        }
        Ok(())
    }

    /// Stores a value; an existing one is changed where it is.
    pub(super) fn put_in_place(
        &self,
        cpu: Cpu,
        key: &[u8],
        value: &[u8],
        mode: Mode,
    ) -> Result<(), Errno> {
        let found = self.find(key);
        mode.check(found.is_some())?;
        match found {
            Some(slot) => self.values.write(slot.0, value),
            None => self.put(cpu, key, value, mode),
        }
    }

    /// Removes a key and shows `last_look` its slot before the slot is used again.
    fn remove_with<T>(
        &self,
        key: &[u8],
        last_look: impl FnOnce(Slot) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let hash = self.table.hash(key);
        let bucket = self.table.lock(hash)?;
        let slot = bucket.find(hash, key).ok_or(Errno::ENOENT)?;
        let seen = last_look(slot)?;
        bucket.unlink(slot);
        drop(bucket);
        self.values.free_fields(slot.0)?;
        self.supply.give(&self.table, slot);
        Ok(seen)
    }

    fn copy(&self, slot: Slot, bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; bytes];
        self.values.read(slot.0, &mut value)?;
        Ok(value)
    }

    fn value_bytes(&self) -> usize {
        self.values.row_bytes() as usize
    }
}

impl Storage for Hash {
    #[inline]
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.find(key)?.0)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags & !LOCK)?;
        if flags & LOCK == 0 {
            return self.put(cpu, key, value, mode);
        }
        if !self.has_lock() {
            return Err(Errno::EINVAL);
        }
        self.put_in_place(cpu, key, value, mode)
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        self.remove_with(key, |_| Ok(()))
    }

    fn has_lock(&self) -> bool {
        self.values.special().has_lock()
    }

    fn for_each(&self, _cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        visit_slots(&self.table, visit, |slot| self.values.addr(slot.0)).map(Ok)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.table.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.table.keys()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let slot = self.find(key).ok_or(Errno::ENOENT)?;
        self.copy(slot, self.value_bytes())
    }

    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.remove_with(key, |slot| self.copy(slot, self.value_bytes()))
    }
}

/// Visits the elements of a table; `value` gives the address of a slot's value.
pub(super) fn visit_slots(
    table: &Table,
    visit: &mut Visit<'_>,
    value: impl Fn(Slot) -> Option<GuestAddr>,
) -> Result<u64, Trap> {
    table.for_each(|slot| match (table.key_addr(slot), value(slot)) {
        (Some(key), Some(value)) => visit(key, value),
        _ => Ok(std::ops::ControlFlow::Continue(())),
    })
}
