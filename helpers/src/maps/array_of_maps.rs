//! `BPF_MAP_TYPE_ARRAY_OF_MAPS`, and what maps of maps have in common.
//!
//! A slot holds the address by which programs know the inner map; a look-up gives that address.

use super::create;
use super::guard::{Guarded, Storage};
use super::index::next_index;
use super::references::References;
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::{MAP_OBJECT_BYTES, MAP_OBJECTS, World};

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::ArrayOfMaps,
        doc: "Maps by index.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// What programs may do with maps of maps.
pub(super) const OPS: &[MapOp] = &[MapOp::Lookup];

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let template = template(def)?;
    create::check_fd_array(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    let maps = References::new(def.max_entries);
    Ok(Guarded::map(def, ArrayOfMaps { template, maps }))
}

/// What inner maps must be like.
///
/// # Errors
/// `EINVAL` where none is given or it is a map of maps itself; `ENOTSUPP` for types that cannot
/// be inner maps.
pub(super) fn template(def: &MapDef) -> Result<MapDef, Errno> {
    let inner = def.inner.as_deref().ok_or(Errno::EINVAL)?;
    let map_type = inner.map_type.map_err(|_| Errno::EINVAL)?;
    if map_type.is_map_in_map() {
        return Err(Errno::EINVAL);
    }
    if matches!(map_type, MapType::ProgArray | MapType::CgroupStorage | MapType::StructOps) {
        return Err(Errno::ENOTSUPP);
    }
    Ok(inner.clone())
}

/// Checks that the map at `addr` is like the template.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check_inner(world: &World, template: &MapDef, addr: GuestAddr) -> Result<(), Errno> {
    let map = world.map_ref(addr.into()).ok_or(Errno::EINVAL)?;
    let def = map.def();
    // The verifier bounds constant indices into an inner array by its template.
    let fixed_len =
        template.map_type == Ok(MapType::Array) && !template.flags.has(MapFlags::INNER_MAP);
    let alike = def.map_type == template.map_type
        && def.key_size == template.key_size
        && def.value_size == template.value_size
        && def.flags == template.flags
        && (!fixed_len || def.max_entries == template.max_entries);
    if alike { Ok(()) } else { Err(Errno::EINVAL) }
}

/// What user space reads for an inner map: its number in the world, in place of the kernel's id.
pub(super) fn user_value(addr: u32) -> Vec<u8> {
    (addr.wrapping_sub(MAP_OBJECTS) / MAP_OBJECT_BYTES).to_le_bytes().to_vec()
}

struct ArrayOfMaps {
    template: MapDef,
    maps: References,
}

impl Storage for ArrayOfMaps {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.maps.at(key).map(GuestAddr)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.maps.len())
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.maps.at(key).map(user_value).ok_or(Errno::ENOENT)
    }

    /// No number but an address names a map here, see [`Map::user_set_map`].
    fn store(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        self.maps.check(key, flags)?;
        Err(Errno::EBADF)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.maps.remove(key)
    }

    fn set_map(&self, world: &World, key: &[u8], map: GuestAddr, flags: u64) -> Result<(), Errno> {
        let index = self.maps.check(key, flags)?;
        check_inner(world, &self.template, map)?;
        self.maps.set(index, map.0)
    }
}
