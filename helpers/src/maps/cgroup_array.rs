//! `BPF_MAP_TYPE_CGROUP_ARRAY`. Cgroups are not emulated, so no slot can be filled.

use super::create;
use super::guard::{Guarded, Storage};
use super::index::next_index;
use super::references::References;
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::CgroupArray,
        doc: "Cgroups by index.",
        ops: &[MapOp::UnderCgroup],
        direct_value: false,
        special_fields: false,
    },
    create,
};

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    create::check_fd_array(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    Ok(Guarded::map(def, CgroupArray { cgroups: References::new(def.max_entries) }))
}

struct CgroupArray {
    cgroups: References,
}

impl Storage for CgroupArray {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.cgroups.len())
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn store(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        self.cgroups.check(key, flags)?;
        Err(Errno::EBADF)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.cgroups.remove(key)
    }
}
