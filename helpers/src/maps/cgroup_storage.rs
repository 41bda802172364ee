//! `BPF_MAP_TYPE_CGROUP_STORAGE` and its per-CPU form: a value that a program finds without a key,
//! for the cgroup that it is attached to.
//!
//! Test-run gives each run a value of its own, which begins as zeros and which user space never
//! sees. Programs that do not run on packets keep theirs from run to run, as attached ones do.

use super::create::{self, USER_ACCESS};
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::local_storage::MAX_VALUE_BYTES;
use super::percpu::PercpuValues;
use super::slab::Reserve;
use std::sync::{Arc, Mutex, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition of the shared form.
pub const SHARED: MapTypeDef = def(
    MapType::CgroupStorage,
    "Storage of the cgroup and attach type that a program is attached to.",
);
/// The definition of the per-CPU form.
pub const PERCPU: MapTypeDef = def(
    MapType::PercpuCgroupStorage,
    "Storage of the cgroup and attach type that a program is attached to, with a value a CPU.",
);

const fn def(map_type: MapType, doc: &'static str) -> MapTypeDef {
    MapTypeDef {
        decl: MapTypeDecl {
            map_type,
            doc,
            ops: &[MapOp::LocalStorage],
            direct_value: false,
            special_fields: false,
        },
        create,
    }
}

/// `struct bpf_cgroup_storage_key`, and the cgroup's id alone.
const KEY_BYTES: [u32; 2] = [16, 8];
/// Largest value of one that is not shared.
const MAX_PERCPU_BYTES: u32 = 32 << 10;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let percpu = def.map_type == Ok(MapType::PercpuCgroupStorage);
    if !KEY_BYTES.contains(&def.key_size) || def.value_size == 0 {
        return Err(Errno::EINVAL);
    }
    if def.value_size > if percpu { MAX_PERCPU_BYTES } else { MAX_VALUE_BYTES } {
        return Err(Errno::E2BIG);
    }
    create::check_flags(def, MapFlags::NUMA_NODE | USER_ACCESS | create::ACCESS)?;
    create::check_no_extra(def)?;
    if def.max_entries != 0 {
        return Err(Errno::EINVAL);
    }
    let values = PercpuValues::new(world, def, 1, Reserve::AtOnce)?;
    Ok(Guarded::map(def, CgroupStorage { percpu, values, last: Mutex::default() }))
}

/// The value of the run that is going on.
pub(crate) struct CgroupStorage {
    percpu: bool,
    values: PercpuValues,
    /// The run that saw it last.
    last: Mutex<Option<u64>>,
}

impl CgroupStorage {
    /// The value for a run, or for all where `run` is `None`.
    pub(crate) fn of_run(&self, run: Option<u64>, cpu: Cpu) -> Option<GuestAddr> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if run.is_some() && *last != run {
            self.values.init(0, Cpu(0), &[]).ok()?;
            *last = run;
        }
        self.values.addr(0, if self.percpu { cpu } else { Cpu(0) })
    }
}

impl Storage for CgroupStorage {
    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOENT)
    }

    fn user_value_bytes(&self, def: &MapDef) -> usize {
        if self.percpu { self.values.user_bytes() } else { def.value_size as usize }
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOENT)
    }

    fn store(&self, _key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        // Storage is made for programs alone; it can only be asked to exist.
        match Mode::parse(flags)? {
            Mode::Any | Mode::Exist => Err(Errno::ENOENT),
            Mode::NoExist => Err(Errno::EINVAL),
        }
    }

    fn remove(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
}
