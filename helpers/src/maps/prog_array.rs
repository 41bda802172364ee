//! `BPF_MAP_TYPE_PROG_ARRAY`: programs to tail-call.
//!
//! User space stores and reads the program's [`ProgId`] where the kernel takes a descriptor and
//! gives an id.

use super::create;
use super::guard::{Guarded, Storage};
use super::index::{index, next_index};
use super::references::References;
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::{ProgId, World};

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::ProgArray,
        doc: "Programs to tail-call.",
        ops: &[MapOp::TailCall],
        direct_value: false,
        special_fields: false,
    },
    create,
};

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    create::check_fd_array(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    Ok(Guarded::map(def, ProgArray { progs: References::new(def.max_entries) }))
}

struct ProgArray {
    progs: References,
}

impl Storage for ProgArray {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.progs.len())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.progs.keys())
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let prog = self.progs.at(key).ok_or(Errno::ENOENT)?;
        Ok(prog.to_le_bytes().to_vec())
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let slot = self.progs.check(key, flags)?;
        self.progs.set(slot, index(value).ok_or(Errno::EINVAL)?)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.progs.remove(key)
    }

    fn prog_at(&self, index: u32) -> Option<ProgId> {
        self.progs.get(index).map(ProgId)
    }
}
