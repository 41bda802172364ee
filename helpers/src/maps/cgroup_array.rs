//! `BPF_MAP_TYPE_CGROUP_ARRAY`. User space names a cgroup by a descriptor; here its id in the
//! unified hierarchy stands for one, which must be among the current task's cgroups.

use super::create;
use super::guard::{Guarded, Storage};
use super::index::next_index;
use super::references::References;
use crate::env;
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

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    create::check_fd_array(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    let known = env::of(world).task().cgroups.clone();
    Ok(Guarded::map(def, CgroupArray { cgroups: References::new(def.max_entries), known }))
}

/// The array: a slot holds a cgroup's place among the task's own.
pub(crate) struct CgroupArray {
    cgroups: References,
    known: Vec<u64>,
}

impl CgroupArray {
    /// The id of the cgroup at an index.
    ///
    /// # Errors
    /// `E2BIG` past the end, `EAGAIN` where there is none.
    pub(crate) fn cgroup_id(&self, index: u32) -> Result<u64, Errno> {
        if index >= self.cgroups.len() {
            return Err(Errno::E2BIG);
        }
        let at = self.cgroups.get(index).and_then(|at| self.known.get(at as usize));
        at.copied().ok_or(Errno::EAGAIN)
    }
}

impl Storage for CgroupArray {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.cgroups.len())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let index = self.cgroups.check(key, flags)?;
        let id = value.first_chunk().copied().map_or(0, u32::from_le_bytes);
        let at = self.known.iter().position(|known| *known == u64::from(id));
        let at = at.and_then(|at| u32::try_from(at).ok()).ok_or(Errno::EBADF)?;
        self.cgroups.set(index, at)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.cgroups.remove(key)
    }
}
