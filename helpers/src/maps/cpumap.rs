//! `BPF_MAP_TYPE_CPUMAP`: CPUs to go on with packets on.
//!
//! A value is the length of the CPU's queue and, in the longer form, the number of a program to
//! run there (`struct bpf_cpumap_val`). Such programs are not emulated.

use super::cells::Cells;
use super::create;
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::{index, index_below, next_index};
use std::sync::Arc;
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
        map_type: MapType::Cpumap,
        doc: "CPUs to redirect to.",
        ops: &[MapOp::Redirect],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// CPUs that the kernel is configured for (`CONFIG_NR_CPUS`) on the machine that is emulated.
const MAX_CPUS: u32 = 256;
/// Longest queue of a CPU.
const MAX_QUEUE: u32 = 16384;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NUMA_NODE)?;
    create::check_no_extra(def)?;
    if def.max_entries > MAX_CPUS {
        return Err(Errno::E2BIG);
    }
    Ok(Guarded::map(def, Cpumap { cpus: world.cpus(), cells: Cells::new(world, def)? }))
}

struct Cpumap {
    cpus: u32,
    cells: Cells,
}

impl Storage for Cpumap {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.cells.addr(key)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.cells.len())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.cells.keys())
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.cells.fetch(key)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let cpu = index_below(key, self.cells.len()).ok_or(Errno::E2BIG)?;
        mode.check(true)?;
        let (queue, prog) = value.split_at_checked(4).ok_or(Errno::EINVAL)?;
        let queue = index(queue).ok_or(Errno::EINVAL)?;
        if queue > MAX_QUEUE {
            return Err(Errno::EOVERFLOW);
        }
        if cpu >= self.cpus {
            return Err(Errno::ENODEV);
        }
        if queue == 0 {
            return self.cells.set(cpu, None);
        }
        if index(prog).is_some_and(|fd| fd.cast_signed() > 0) {
            // The kernel's error for any failure to set a CPU up.
            return Err(Errno::ENOMEM);
        }
        let mut stored = queue.to_le_bytes().to_vec();
        stored.resize(value.len(), 0);
        self.cells.set(cpu, Some(&stored))
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.cells.remove(key)
    }
}
