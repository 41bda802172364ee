//! Data sections, each of which becomes an array map of one value.

use super::{Maps, blank};
use crate::elf::{Elf, Section, SectionKind};
use crate::error::{LoadError, LoadErrorKind as Kind, MapError};
use crate::types::Types;
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapId, MapInit, MapType};

/// Variables in an arena.
const ARENA: &str = ".addr_space.1";
/// What all zero-initialised sections of an object may ask for together. The file does not
/// bound them, so something must.
const MAX_ZEROED_BYTES: u64 = 64 << 20;

/// Adds the data sections, in the file's order, and attaches arena variables to the arena.
pub(super) fn collect(maps: &mut Maps, elf: &Elf<'_>, types: &Types) -> Result<(), LoadError> {
    let mut zeroed = 0u64;
    for section in elf.sections() {
        if section.name == ARENA && section.kind == SectionKind::Data && section.size > 0 {
            attach_to_arena(maps, section).map_err(|e| e.in_section(ARENA))?;
            continue;
        }
        let Some(kind) = data_kind(section) else {
            continue;
        };
        let bytes = if section.kind == SectionKind::Zeroed {
            zeroed = zeroed.saturating_add(section.size);
            let too_large = || {
                LoadError::from(Kind::BssTooLarge { bytes: zeroed, limit: MAX_ZEROED_BYTES })
                    .in_section(section.name)
            };
            match usize::try_from(section.size) {
                Ok(size) if zeroed <= MAX_ZEROED_BYTES => vec![0; size],
                _ => return Err(too_large()),
            }
        } else {
            section.data.to_vec()
        };
        let id = maps.add(data_map(section.name, kind, bytes, types));
        maps.data.insert(section.id, id);
    }
    Ok(())
}

/// Which data section this is, if it is one.
fn data_kind(section: &Section<'_>) -> Option<DataSection> {
    /// `.data` itself or `.data.anything`.
    fn is(name: &str, family: &str) -> bool {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
    if section.size == 0 || section.executable {
        return None;
    }
    match section.kind {
        SectionKind::Data if is(section.name, ".data") => Some(DataSection::Data),
        SectionKind::Data if is(section.name, ".rodata") => Some(DataSection::Rodata),
        SectionKind::Zeroed if is(section.name, ".bss") => Some(DataSection::Bss),
        _ => None,
    }
}

/// The map of a data section. Its value can be mapped by user space if there is something in
/// it that user space may see.
pub(crate) fn data_map(name: &str, section: DataSection, bytes: Vec<u8>, types: &Types) -> MapDef {
    let value_type = types.datasec(name);
    let mut flags = match section {
        DataSection::Rodata | DataSection::Kconfig => MapFlags::RDONLY_PROG,
        _ => 0,
    };
    let exported = section == DataSection::Kconfig
        || value_type.is_some_and(|datasec| types.is_exported(datasec));
    if exported {
        flags |= MapFlags::MMAPABLE;
    }
    MapDef {
        map_type: Ok(MapType::Array),
        key_size: 4,
        value_size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        max_entries: 1,
        flags: MapFlags(flags),
        value_type,
        init: MapInit::Data { section, bytes },
        ..blank(name)
    }
}

/// Arena variables are the arena's initial contents.
fn attach_to_arena(maps: &mut Maps, section: &Section<'_>) -> Result<(), LoadError> {
    let arena = maps.list.iter_mut().enumerate().find(|(_, m)| m.map_type == Ok(MapType::Arena));
    let Some((at, def)) = arena else {
        return Err(Kind::Map(MapError::NoArena).into());
    };
    def.init = MapInit::Data { section: DataSection::Arena, bytes: section.data.to_vec() };
    let id = MapId(u32::try_from(at).unwrap_or(u32::MAX));
    maps.data.insert(section.id, id);
    Ok(())
}
