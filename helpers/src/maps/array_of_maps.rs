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

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.maps.keys())
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

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::super::{array, hash_of_maps};
    use super::DEF;
    use ubpf_abi::map::MapType;
    use ubpf_abi::{Errno, Kernel};
    use ubpf_vm::mem::Cage;
    use ubpf_vm::run::Cpu;
    use ubpf_vm::world::World;

    #[test]
    fn only_maps_like_the_template_go_in() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let inner = def(MapType::Array, 4, 8, 2);
        let add = |def| world.add_map((array::DEF.create)(&world, def).unwrap()).unwrap();
        let like = add(&inner);
        let longer = add(&def(MapType::Array, 4, 8, 3));
        for (definition, map_type) in
            [(DEF, MapType::ArrayOfMaps), (hash_of_maps::DEF, MapType::HashOfMaps)]
        {
            let mut outer = def(map_type, 4, 4, 2);
            assert_eq!((definition.create)(&world, &outer).err(), Some(Errno::EINVAL));
            outer.inner = Some(Box::new(inner.clone()));
            let map = (definition.create)(&world, &outer).unwrap();
            let key = 1_u32.to_le_bytes();
            assert_eq!(map.user_set_map(&world, &key, longer, 0), Err(Errno::EINVAL));
            assert_eq!(map.lookup(Cpu(0), &key), None);
            assert_eq!(map.user_set_map(&world, &key, like, 0), Ok(()));
            assert_eq!(map.lookup(Cpu(0), &key), Some(like));
            assert_eq!(map.user_lookup(&key, 0), Ok(vec![0; 4]));
            assert_eq!(map.user_delete(&key), Ok(()));
            assert_eq!(map.user_delete(&key), Err(Errno::ENOENT));
        }
    }
}
