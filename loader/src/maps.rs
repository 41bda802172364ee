//! The maps of an object, in libbpf's order: declared ones, data sections, `.kconfig`,
//! struct_ops; and which map a place in the file stands for.

mod btf_defined;
mod data;
mod legacy;

use crate::elf::{Elf, SectionId};
use crate::error::{LoadError, LoadErrorKind as Kind, MapError};
use crate::functions::Functions;
use crate::types::{KCONFIG, Types};
use std::collections::{HashMap, HashSet};
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapId, MapInit};

/// All maps so far, and the places in the file that stand for them.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    pub(crate) list: Vec<MapDef>,
    /// Declared maps by section and byte offset.
    declared: HashMap<(SectionId, u64), MapId>,
    /// Sections that declare maps.
    declaring: HashSet<SectionId>,
    /// Data sections, the arena's variables among them.
    data: HashMap<SectionId, MapId>,
}

/// What a reference into a section means.
pub(crate) enum MapPlace {
    /// The map declared there.
    Map(MapId),
    /// The section declares maps, but none there.
    NoMap,
    /// The value of this map.
    Value(MapId),
    /// The section has nothing to do with maps.
    Elsewhere,
}

impl Maps {
    /// Collects declared maps and data sections.
    pub(crate) fn collect(
        elf: &Elf<'_>,
        types: &Types,
        functions: &Functions,
    ) -> Result<Self, LoadError> {
        let mut maps = Self::default();
        btf_defined::collect(&mut maps, elf, types, functions)?;
        legacy::collect(&mut maps, elf, functions)?;
        maps.check_names()?;
        data::collect(&mut maps, elf, types)?;
        Ok(maps)
    }

    /// Adds a map that no place in the file stands for.
    pub(crate) fn add(&mut self, def: MapDef) -> MapId {
        let id = MapId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(def);
        id
    }

    /// Adds the map of `.kconfig`.
    pub(crate) fn add_kconfig(&mut self, bytes: Vec<u8>, types: &Types) -> MapId {
        self.add(data::data_map(KCONFIG, DataSection::Kconfig, bytes, types))
    }

    fn declare(&mut self, section: SectionId, offset: u64, def: MapDef) -> MapId {
        let id = self.add(def);
        self.declared.entry((section, offset)).or_insert(id);
        id
    }

    /// What the byte at `offset` of a section belongs to.
    pub(crate) fn at(&self, section: SectionId, offset: i64) -> MapPlace {
        if let Some(&id) = self.data.get(&section) {
            return MapPlace::Value(id);
        }
        if !self.declaring.contains(&section) {
            return MapPlace::Elsewhere;
        }
        let declared =
            u64::try_from(offset).ok().and_then(|offset| self.declared.get(&(section, offset)));
        declared.map_or(MapPlace::NoMap, |&id| MapPlace::Map(id))
    }

    /// Declared maps are known by name, to users and to each other.
    fn check_names(&self) -> Result<(), LoadError> {
        let mut seen = HashSet::new();
        match self.list.iter().find(|m| !seen.insert(m.name.as_str())) {
            None => Ok(()),
            Some(twice) => Err(Kind::Map(MapError::Duplicate(twice.name.clone())).into()),
        }
    }
}

/// A definition with nothing but a name.
pub(crate) fn blank(name: &str) -> MapDef {
    MapDef {
        name: name.to_owned(),
        map_type: Err(0),
        key_size: 0,
        value_size: 0,
        max_entries: 0,
        flags: MapFlags::default(),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }
}

/// What libbpf makes of a ring buffer's size: the smallest power of two of pages that holds it,
/// or the size itself where there is none.
fn ring_bytes(bytes: u32) -> u32 {
    const PAGE: u32 = 4096;
    if bytes == 0 {
        return 0;
    }
    bytes.max(PAGE).checked_next_power_of_two().unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_buffers_are_a_power_of_two_of_pages() {
        let sizes = [0, 1, 4096, 4097, 12288, 1 << 31, (1 << 31) + 1, u32::MAX];
        let expected = [0, 4096, 4096, 8192, 16384, 1 << 31, (1 << 31) + 1, u32::MAX];
        assert_eq!(sizes.map(ring_bytes), expected);
    }
}
