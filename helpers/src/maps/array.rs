//! `BPF_MAP_TYPE_ARRAY`, and the data sections that are maps of one entry.

use super::create;
use super::flags::{LOCK, Mode};
use super::guard::{Guarded, Storage};
use super::index::{ShownKeys, index_below, next_index};
use super::slab::{Holds, Reserve, Slab};
use super::special::Special;
use std::sync::Arc;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::{Map, MapLayout, Visit};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Array,
        doc: "Array.",
        ops: &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::ForEach, MapOp::Timer],
        direct_value: true,
        special_fields: true,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let own = MapFlags::MMAPABLE | MapFlags::INNER_MAP;
    create::check_array(def, MapFlags::NUMA_NODE | create::ACCESS | own)?;
    let (cage, entries) = (world.cage(), def.max_entries);
    let storage = Array {
        entries,
        values: Slab::new(
            cage,
            def,
            Holds::Values,
            def.value_size,
            entries.into(),
            Reserve::AtOnce,
        )?
        .with_fields(Special::of(world, def)),
        shown: ShownKeys::new(cage, &def.name, world.cpus()),
    };
    Ok(Guarded::map(def, storage))
}

struct Array {
    entries: u32,
    values: Slab,
    shown: ShownKeys,
}

/// The checks of an update, in the kernel's order. Entries always exist.
pub(super) fn checked_index(
    key: &[u8],
    entries: u32,
    flags: u64,
    special: &Special,
) -> Result<u32, Errno> {
    let mode = Mode::parse(flags & !LOCK)?;
    let index = index_below(key, entries).ok_or(Errno::E2BIG)?;
    mode.check(true)?;
    if flags & LOCK == 0 || special.has_lock() { Ok(index) } else { Err(Errno::EINVAL) }
}

impl Storage for Array {
    #[inline]
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(index_below(key, self.entries)?)
    }

    fn update(&self, _cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = checked_index(key, self.entries, flags, self.values.special())?;
        self.values.write(index, value)?;
        self.values.free_fields(index)
    }

    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        self.shown.for_each(cpu, self.entries, |index| self.values.addr(index), visit)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.entries)
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let index = index_below(key, self.entries).ok_or(Errno::ENOENT)?;
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(index, &mut value)?;
        Ok(value)
    }

    fn layout(&self) -> Option<MapLayout> {
        let (values, stride) = (self.values.addr(0)?, self.values.stride());
        Some(MapLayout { values, entries: self.entries, stride, cpu_stride: 0 })
    }

    fn has_lock(&self) -> bool {
        self.values.special().has_lock()
    }

    fn direct_value(&self) -> Option<GuestAddr> {
        if self.entries == 1 { self.values.addr(0) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::DEF;
    use std::ops::ControlFlow;
    use ubpf_abi::Kernel;
    use ubpf_abi::map::MapType;
    use ubpf_vm::mem::Cage;
    use ubpf_vm::run::Cpu;
    use ubpf_vm::world::World;

    #[test]
    fn visits_may_nest_and_each_sees_its_own_key() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let map = (DEF.create)(&world, &def(MapType::Array, 4, 8, 3)).unwrap();
        let load = |addr| world.cage().load::<u32>(addr).unwrap();
        let mut seen = Vec::new();
        let calls = map.for_each(Cpu(0), &mut |outer, _| {
            let inner_calls = map.for_each(Cpu(0), &mut |inner, _| {
                seen.push((load(outer), load(inner)));
                let stop = load(inner) == 1;
                Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
            assert_eq!(inner_calls, Ok(2));
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(calls, Ok(Ok(3)));
        assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    }
}
