//! `BPF_MAP_TYPE_PERCPU_ARRAY`.

use super::array::checked_index;
use super::create;
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::{ShownKeys, index_below, next_index};
use super::percpu::PercpuValues;
use super::slab::Reserve;
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
        map_type: MapType::PercpuArray,
        doc: "Array with a value a CPU.",
        ops: &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::LookupPercpu, MapOp::ForEach],
        direct_value: false,
        special_fields: true,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    if def.flags.has(MapFlags::NUMA_NODE) {
        return Err(Errno::EINVAL);
    }
    create::check_array(def, create::ACCESS)?;
    create::check_percpu_value(def)?;
    let entries = def.max_entries;
    let storage = PercpuArray {
        entries,
        values: PercpuValues::new(world, def, entries, Reserve::AtOnce)?,
        shown: ShownKeys::new(world.cage(), &def.name, world.cpus()),
    };
    Ok(Guarded::map(def, storage))
}

struct PercpuArray {
    entries: u32,
    values: PercpuValues,
    shown: ShownKeys,
}

impl Storage for PercpuArray {
    fn lookup(&self, cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(index_below(key, self.entries)?, cpu)
    }

    fn lookup_percpu(&self, key: &[u8], cpu: Cpu) -> Option<GuestAddr> {
        self.lookup(cpu, key)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = checked_index(key, self.entries, flags, self.values.special())?;
        self.values.set(index, cpu, value)
    }

    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        self.shown.for_each(cpu, self.entries, |index| self.values.addr(index, cpu), visit)
    }

    fn layout(&self) -> Option<MapLayout> {
        self.values.layout(self.entries)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.entries)
    }

    fn user_value_bytes(&self, _def: &MapDef) -> usize {
        self.values.user_bytes()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.values.get_all(index_below(key, self.entries).ok_or(Errno::ENOENT)?)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let index = index_below(key, self.entries).ok_or(Errno::E2BIG)?;
        mode.check(true)?;
        self.values.set_all(index, value)
    }
}
