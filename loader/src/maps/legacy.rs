//! Maps declared in `maps` sections, before BTF: arrays of plain structs, one a symbol.
//!
//! ```text
//!   word        0     1         2           3            4      5              6          7 8
//!   libbpf      type  key_size  value_size  max_entries  flags
//!   samples     type  key_size  value_size  max_entries  flags  inner_map_idx  numa_node
//!   iproute2    type  key_size  value_size  max_entries  flags  id             pinning    inner_id inner_idx
//! ```
//!
//! Which it is follows from the space a symbol has. iproute2 also fills prog arrays and
//! maps of maps: the programs of section `7/3` go to index 3 of the prog array with id 7, and a
//! map with `inner_idx` 3 and the id that is another map's `inner_id` goes to index 3 of that one.

use super::{Maps, blank, ring_bytes};
use crate::elf::{Elf, Place, Section, SectionKind, SymbolKind};
use crate::error::{LoadError, LoadErrorKind as Kind, MapError};
use crate::functions::Functions;
use ubpf_abi::map::{MapDef, MapFlags, MapId, MapInit, MapType, SlotTarget};

/// Bytes of the fields that all layouts share.
const COMMON_BYTES: u64 = 20;
/// Bytes of the kernel samples' layout.
const SAMPLES_BYTES: u64 = 28;
/// Bytes of iproute2's layout.
const IPROUTE2_BYTES: u64 = 36;

/// Legacy maps in one object. iproute2 stops at 64, one program can use 64.
const MAX_MAPS: usize = 1024;

/// What a definition says beyond [`MapDef`].
enum Links {
    /// Nothing.
    None,
    /// Samples: the inner map is the one with this index among the section's.
    InnerIndex(u32),
    /// iproute2.
    Ids { id: u32, inner_id: u32, inner_idx: u32 },
}

/// Adds the maps of all legacy sections.
pub(super) fn collect(
    maps: &mut Maps,
    elf: &Elf<'_>,
    functions: &Functions,
) -> Result<(), LoadError> {
    let mut declared = Vec::new();
    for section in elf.sections() {
        let legacy = section.name == "maps" || section.name.starts_with("maps/");
        if legacy && section.kind == SectionKind::Data && section.size > 0 {
            collect_section(maps, elf, section, &mut declared)
                .map_err(|e| e.in_section(section.name))?;
        }
    }
    link_inner(maps, &declared);
    fill_prog_arrays(maps, &declared, functions);
    Ok(())
}

fn collect_section(
    maps: &mut Maps,
    elf: &Elf<'_>,
    section: &Section<'_>,
    declared: &mut Vec<(MapId, Links)>,
) -> Result<(), LoadError> {
    maps.declaring.insert(section.id);
    let mut symbols: Vec<_> = elf
        .symbols()
        .iter()
        .filter(|s| s.place == Place::In(section.id))
        .filter(|s| matches!(s.kind, SymbolKind::Object | SymbolKind::NoType))
        .filter(|s| !s.name.is_empty())
        .collect();
    symbols.sort_by_key(|s| s.value);
    symbols.dedup_by_key(|s| s.value);
    let ends = symbols.iter().skip(1).map(|s| s.value).chain([section.size]);
    for (symbol, end) in symbols.iter().zip(ends) {
        let locate = |e: MapError| {
            LoadError::from(Kind::Map(e)).of_symbol(symbol.name).at_offset(symbol.value)
        };
        // gcc-bpf and hand-written assembly may leave the size zero: the spacing tells.
        let space = end.saturating_sub(symbol.value);
        let size = match symbol.size {
            0 => space,
            size => size.min(space),
        };
        if declared.len() >= MAX_MAPS {
            return Err(locate(MapError::TooMany(MAX_MAPS)));
        }
        let (def, links) = parse(symbol.name, section.data, symbol.value, size).map_err(locate)?;
        let id = maps.declare(section.id, symbol.value, def);
        declared.push((id, links));
    }
    Ok(())
}

/// Reads one definition.
fn parse(name: &str, data: &[u8], offset: u64, size: u64) -> Result<(MapDef, Links), MapError> {
    let bytes = || {
        let start = usize::try_from(offset).ok()?;
        let size = usize::try_from(size).ok()?;
        data.get(start..start.checked_add(size)?)
    };
    let bytes = bytes().ok_or(MapError::OutOfSection)?;
    let (words, rest) = bytes.as_chunks::<4>();
    let word = |at: usize| words.get(at).map_or(0, |w| u32::from_le_bytes(*w));
    let known = match size {
        ..COMMON_BYTES => return Err(MapError::LegacySize(size)),
        SAMPLES_BYTES => 7,
        IPROUTE2_BYTES => 9,
        _ => 5,
    };
    // Like libbpf, take a longer definition if what is not understood is not used.
    let unknown = words.iter().skip(known).flatten().chain(rest);
    if unknown.copied().any(|b| b != 0) {
        return Err(MapError::LegacySize(size));
    }
    let mut def = MapDef {
        map_type: MapType::from_id(word(0)).ok_or(word(0)),
        key_size: word(1),
        value_size: word(2),
        max_entries: word(3),
        flags: MapFlags(word(4)),
        ..blank(name)
    };
    if def.map_type == Err(0) {
        return Err(MapError::NoType);
    }
    if matches!(def.map_type, Ok(MapType::Ringbuf | MapType::UserRingbuf)) {
        def.max_entries = ring_bytes(def.max_entries);
    }
    let links = match size {
        SAMPLES_BYTES => {
            def.numa_node = word(6);
            Links::InnerIndex(word(5))
        }
        IPROUTE2_BYTES => {
            // PIN_NONE is 0; PIN_OBJECT_NS, PIN_GLOBAL_NS and paths of the user's above it.
            def.pin_by_name = word(6) != 0;
            Links::Ids { id: word(5), inner_id: word(7), inner_idx: word(8) }
        }
        _ => Links::None,
    };
    Ok((def, links))
}

/// Gives maps of maps their template and, from iproute2's ids, their initial contents.
fn link_inner(maps: &mut Maps, declared: &[(MapId, Links)]) {
    let template = |maps: &Maps, of: MapId| {
        let inner = maps.list.get(of.index())?;
        // A template is never itself a map of maps, so nothing nests.
        let plain = !matches!(inner.map_type, Ok(t) if t.is_map_in_map());
        plain.then(|| Box::new(inner.clone()))
    };
    for (outer, links) in declared {
        let is_outer = |maps: &Maps| {
            let def = maps.list.get(outer.index());
            def.is_some_and(|d| matches!(d.map_type, Ok(t) if t.is_map_in_map()))
        };
        if !is_outer(maps) {
            continue;
        }
        let (inner, slots) = match *links {
            Links::None => continue,
            Links::InnerIndex(index) => {
                let inner = declared.get(index as usize).map(|(id, _)| *id);
                (inner, Vec::new())
            }
            Links::Ids { inner_id, .. } => {
                let members = |(id, links): &(MapId, Links)| match *links {
                    Links::Ids { id: own, inner_idx, .. } if own == inner_id && own != 0 => {
                        Some((*id, inner_idx))
                    }
                    _ => None,
                };
                let inner = declared.iter().find_map(members).map(|(id, _)| id);
                let slots = declared.iter().filter_map(members);
                // A negative index means "only a template".
                let slots = slots.filter(|&(_, idx)| idx.cast_signed() >= 0);
                let slots = slots.map(|(id, idx)| (idx, SlotTarget::Map(id)));
                (inner, slots.collect())
            }
        };
        let inner = inner.and_then(|id| template(maps, id));
        if let Some(def) = maps.list.get_mut(outer.index()) {
            def.inner = inner;
            if !slots.is_empty() {
                def.init = MapInit::Slots(slots);
            }
        }
    }
}

/// Puts programs of sections called `id/index` into the prog array with that id.
fn fill_prog_arrays(maps: &mut Maps, declared: &[(MapId, Links)], functions: &Functions) {
    for function in functions.list.iter().filter(|f| f.entry.is_some()) {
        let numbers = function.section.split_once('/');
        let numbers = numbers.and_then(|(id, idx)| Some((number(id)?, number(idx)?)));
        let Some((wanted, index)) = numbers else {
            continue;
        };
        let owner = declared.iter().find_map(|(map, links)| match links {
            Links::Ids { id, .. } if *id == wanted => Some(*map),
            _ => None,
        });
        let Some(def) = owner.and_then(|id| maps.list.get_mut(id.index())) else {
            continue;
        };
        if def.map_type != Ok(MapType::ProgArray) {
            continue;
        }
        let target = SlotTarget::Prog(function.name.clone());
        match &mut def.init {
            MapInit::Slots(slots) => slots.push((index, target)),
            init => *init = MapInit::Slots(vec![(index, target)]),
        }
    }
}

/// iproute2 writes these numbers in decimal or, after `0x`, in hexadecimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(words: &[u32]) -> Result<(MapDef, Links), MapError> {
        let data: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        parse("m", &data, 0, data.len() as u64)
    }

    #[test]
    fn the_layout_follows_from_the_size() {
        let (def, links) = definition(&[1, 4, 8, 16, 1]).unwrap();
        assert_eq!((def.map_type, def.value_size), (Ok(MapType::Hash), 8));
        assert!(matches!(links, Links::None));
        let (def, links) = definition(&[12, 4, 4, 16, 0, 2, 1]).unwrap();
        assert_eq!(def.numa_node, 1);
        assert!(matches!(links, Links::InnerIndex(2)));
        let (def, links) = definition(&[2, 4, 4, 16, 0, 42, 2, 0, u32::MAX]).unwrap();
        assert!(def.pin_by_name);
        assert!(matches!(links, Links::Ids { id: 42, inner_id: 0, inner_idx: u32::MAX }));
    }

    #[test]
    fn longer_definitions_must_end_in_zeroes() {
        assert!(definition(&[1, 4, 8, 16, 0, 0]).is_ok());
        assert!(matches!(definition(&[1, 4, 8, 16, 0, 7]), Err(MapError::LegacySize(24))));
        assert!(matches!(definition(&[1, 4, 8, 16]), Err(MapError::LegacySize(16))));
        assert!(matches!(definition(&[0, 4, 8, 16, 0]), Err(MapError::NoType)));
    }
}
