//! `BPF_MAP_TYPE_HASH_OF_MAPS`: a hash table whose values are addresses of maps.

use super::array_of_maps::{OPS, check_inner, template, user_value};
use super::flags::Mode;
use super::guard::{Guarded, Storage, USER_CPU};
use super::hash::{self, Hash};
use super::index::index;
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::HashOfMaps,
        doc: "Maps by key.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create,
};

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let template = template(def)?;
    if def.value_size != 4 {
        return Err(Errno::EINVAL);
    }
    hash::check(def)?;
    let storage = HashOfMaps { template, addrs: Hash::new(world, def)? };
    Ok(Guarded::map(def, storage))
}

struct HashOfMaps {
    template: MapDef,
    addrs: Hash,
}

impl HashOfMaps {
    fn addr(&self, key: &[u8]) -> Option<u32> {
        index(&self.addrs.fetch(key).ok()?)
    }
}

impl Storage for HashOfMaps {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.addr(key).map(GuestAddr)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.addrs.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.addrs.keys()
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.addr(key).map(user_value).ok_or(Errno::ENOENT)
    }

    /// No number but an address names a map here, see [`Map::user_set_map`].
    fn store(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EBADF)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.addrs.delete(USER_CPU, key)
    }

    fn set_map(&self, world: &World, key: &[u8], map: GuestAddr, flags: u64) -> Result<(), Errno> {
        check_inner(world, &self.template, map)?;
        let mode = Mode::parse(flags)?;
        self.addrs.put_in_place(USER_CPU, key, &map.0.to_le_bytes(), mode)
    }
}
