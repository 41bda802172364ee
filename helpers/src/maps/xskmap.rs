//! `BPF_MAP_TYPE_XSKMAP`: AF_XDP sockets. There are none in the emulated kernel, so every slot
//! stays empty, and a redirect takes its default action.

use super::create;
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::{index_below, next_index};
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Xskmap,
        doc: "AF_XDP sockets.",
        ops: &[MapOp::Redirect, MapOp::Lookup],
        direct_value: false,
        special_fields: false,
    },
    create,
};

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    if def.max_entries == 0 || def.key_size != 4 || def.value_size != 4 {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    create::check_no_extra(def)?;
    Ok(Guarded::map(def, Xskmap { entries: def.max_entries }))
}

struct Xskmap {
    entries: u32,
}

impl Storage for Xskmap {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.entries)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn store(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        Mode::parse(flags)?;
        index_below(key, self.entries).ok_or(Errno::E2BIG)?;
        Err(Errno::EBADF)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        index_below(key, self.entries).map(drop).ok_or(Errno::EINVAL)
    }
}
