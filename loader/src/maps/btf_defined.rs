//! Maps declared in `.maps`: anonymous structs whose *types* carry the definition.
//!
//! ```c
//! struct {                                  // __uint(f, n):  int (*f)[n];     n elements
//!     __uint(type, BPF_MAP_TYPE_HASH);      // __type(f, T):  T *f;            pointee
//!     __type(key, struct flow);             // __array(f, T): T *f[];          last field
//!     __type(value, u64);                   // __ulong(f, n): enum { …= n } f; kernel 6.9
//!     __uint(max_entries, 64);
//! } flows SEC(".maps");
//! ```

use super::{Maps, blank, ring_bytes};
use crate::elf::{Elf, Place, Section, Symbol};
use crate::error::{LoadError, LoadErrorKind as Kind, MapError};
use crate::functions::Functions;
use crate::types::Types;
use ubpf_abi::btf::{Btf, BtfId, Def, Linkage, Member, SecVar};
use ubpf_abi::map::{MapDef, MapFlags, MapId, MapInit, MapType, SlotTarget};
use ubpf_isa::Slot;

/// The section of BTF-defined maps.
const MAPS: &str = ".maps";
/// Bytes of one slot of `values`: a pointer.
const SLOT_BYTES: u64 = 8;
/// Initialised slots live in the object file, so no larger index is possible in a sane one.
const MAX_SLOTS: u64 = 1 << 20;

/// One declared map while its `values` are still to be read.
struct Declared {
    id: MapId,
    /// Range of bytes in the section.
    start: u64,
    end: u64,
    /// Byte offset of `values` in the section.
    values: Option<u64>,
}

/// Adds the maps of `.maps`.
pub(super) fn collect(
    maps: &mut Maps,
    elf: &Elf<'_>,
    types: &Types,
    functions: &Functions,
) -> Result<(), LoadError> {
    let Some(section) = elf.data_section(MAPS) else {
        return Ok(());
    };
    let in_section = |e: LoadError| e.in_section(MAPS);
    let btf = types.require("a map in `.maps`").map_err(in_section)?;
    let datasec =
        types.datasec(MAPS).ok_or_else(|| in_section(Kind::Map(MapError::NoDatasec).into()))?;
    maps.declaring.insert(section.id);
    let mut declared = Vec::new();
    let mut has_arena = false;
    for (index, var) in btf.vars(datasec).iter().enumerate() {
        let name = btf.name_of(var.ty);
        let locate = |e: MapError| in_section(Kind::Map(e).into()).of_symbol(name);
        if name.is_empty() {
            return Err(locate(MapError::NoName(index)));
        }
        let (def, values) = define(btf, section, var, name).map_err(locate)?;
        if def.map_type == Ok(MapType::Arena) && std::mem::replace(&mut has_arena, true) {
            return Err(locate(MapError::SecondArena));
        }
        let start = u64::from(var.off);
        declared.push(Declared {
            id: maps.declare(section.id, start, def),
            start,
            end: start.saturating_add(var.bytes.into()),
            values: values.map(|off| start.saturating_add(off)),
        });
    }
    fill_slots(maps, elf, section, &declared, functions).map_err(in_section)
}

/// The definition of one variable, and the byte offset of its `values` field.
fn define(
    btf: &Btf,
    section: &Section<'_>,
    var: &SecVar,
    name: &str,
) -> Result<(MapDef, Option<u64>), MapError> {
    if u64::from(var.off) + u64::from(var.bytes) > section.size {
        return Err(MapError::OutOfSection);
    }
    let kind_of = |id: BtfId| btf.ty(id).map_or("missing type", |t| t.kind().name());
    let Some(Def::Var(v)) = btf.ty(var.ty).map(|t| t.def) else {
        return Err(MapError::NotStruct(kind_of(var.ty).to_owned()));
    };
    if v.linkage != Linkage::Global {
        return Err(MapError::Linkage);
    }
    let (id, ty) = btf.resolve(v.ty).map_err(|_| MapError::NotStruct(kind_of(v.ty).to_owned()))?;
    let Def::Struct(composite) = ty.def else {
        return Err(MapError::NotStruct(ty.kind().name().to_owned()));
    };
    if composite.bytes > var.bytes {
        return Err(MapError::OutOfSection);
    }
    parse_def(btf, id, name, Level::Outer)
}

/// Whether a definition is that of a map or of what a map of maps holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    Inner,
}

/// Reads the fields of a definition. Returns the byte offset of `values` beside it.
fn parse_def(
    btf: &Btf,
    id: BtfId,
    name: &str,
    level: Level,
) -> Result<(MapDef, Option<u64>), MapError> {
    let mut def = blank(name);
    let mut values = None;
    let members = btf.members(id);
    for (index, member) in members.iter().enumerate() {
        let field = btf.name(member.name);
        let uint = || uint(btf, member, field);
        match field {
            "type" => {
                let number = uint()?;
                def.map_type = MapType::from_id(number).ok_or(number);
            }
            "max_entries" => def.max_entries = uint()?,
            "map_flags" => def.flags = MapFlags(uint()?),
            "numa_node" => def.numa_node = uint()?,
            "map_extra" => def.extra = ulong(btf, member, field)?,
            "key_size" => set_size("key", &mut def.key_size, uint()?)?,
            "value_size" => set_size("value", &mut def.value_size, uint()?)?,
            "key" => {
                let (ty, bytes) = pointee(btf, member, "key")?;
                set_size("key", &mut def.key_size, bytes)?;
                def.key_type = Some(ty);
            }
            "value" => {
                let (ty, bytes) = pointee(btf, member, "value")?;
                set_size("value", &mut def.value_size, bytes)?;
                def.value_type = Some(ty);
            }
            "pinning" if level == Level::Inner => return Err(MapError::Inner),
            "pinning" => {
                def.pin_by_name = match uint()? {
                    0 => false,
                    1 => true,
                    other => return Err(MapError::Pinning(other)),
                }
            }
            "values" if level == Level::Inner => return Err(MapError::Inner),
            "values" => {
                if index + 1 != members.len() {
                    return Err(MapError::ValuesNotLast);
                }
                def.inner = values_elem(btf, member, &def)?;
                set_size("value", &mut def.value_size, 4)?;
                values = Some(u64::from(member.bit_off / 8));
            }
            other => return Err(MapError::UnknownField(other.to_owned())),
        }
    }
    match def.map_type {
        Err(0) => return Err(MapError::NoType),
        Ok(MapType::Ringbuf | MapType::UserRingbuf) => {
            def.max_entries = ring_bytes(def.max_entries);
        }
        _ => {}
    }
    Ok((def, values))
}

/// The inner definition that `values` of a map of maps gives; a prog array's gives none.
fn values_elem(btf: &Btf, member: &Member, def: &MapDef) -> Result<Option<Box<MapDef>>, MapError> {
    let expected = MapError::Field { field: "values".to_owned(), expected: "__array(values, …)" };
    let elem = match btf.ty(member.ty).map(|t| t.def) {
        Some(Def::Array(array)) if array.len == 0 => array.elem,
        _ => return Err(expected),
    };
    let Ok((_, ty)) = btf.resolve(elem) else {
        return Err(expected);
    };
    let Def::Ptr(to) = ty.def else {
        return Err(expected);
    };
    let Ok((to, ty)) = btf.resolve(to) else {
        return Err(expected);
    };
    match (def.map_type, ty.def) {
        (Ok(MapType::ProgArray), Def::FuncProto(_)) => Ok(None),
        (Ok(MapType::ArrayOfMaps | MapType::HashOfMaps), Def::Struct(_)) => {
            let name = format!("{}.inner", def.name);
            let (inner, _) = parse_def(btf, to, &name, Level::Inner)?;
            Ok(Some(Box::new(inner)))
        }
        (Ok(t), _) if t == MapType::ProgArray || t.is_map_in_map() => Err(expected),
        _ => Err(MapError::ValuesForeign),
    }
}

/// A key or value size, which two fields may state if they agree.
fn set_size(field: &'static str, size: &mut u32, new: u32) -> Result<(), MapError> {
    match *size {
        0 => *size = new,
        old if old == new => {}
        old => {
            return Err(MapError::Conflict { field, first: old, second: new });
        }
    }
    Ok(())
}

/// `__uint(field, n)`: a pointer to an array of `n` elements.
fn uint(btf: &Btf, member: &Member, field: &str) -> Result<u32, MapError> {
    let number = || {
        let Def::Ptr(to) = btf.resolve(member.ty).ok()?.1.def else {
            return None;
        };
        match btf.ty(to)?.def {
            Def::Array(array) => Some(array.len),
            _ => None,
        }
    };
    number().ok_or_else(|| MapError::Field {
        field: field.to_owned(),
        expected: "__uint(field, number)",
    })
}

/// `__ulong(field, n)`: an enumeration of one value; `__uint` does as well.
fn ulong(btf: &Btf, member: &Member, field: &str) -> Result<u64, MapError> {
    let Ok((id, ty)) = btf.resolve(member.ty) else {
        return uint(btf, member, field).map(u64::from);
    };
    match (ty.def, btf.enumerators(id)) {
        (Def::Enum(_) | Def::Enum64(_), [only]) => Ok(only.value.cast_unsigned()),
        (Def::Ptr(_), _) => uint(btf, member, field).map(u64::from),
        _ => Err(MapError::Field { field: field.to_owned(), expected: "__ulong(field, number)" }),
    }
}

/// `__type(field, T)`: a pointer to `T`, whose id and size are returned.
fn pointee(btf: &Btf, member: &Member, field: &'static str) -> Result<(BtfId, u32), MapError> {
    let Some(Def::Ptr(to)) = btf.ty(member.ty).map(|t| t.def) else {
        return Err(MapError::Field { field: field.to_owned(), expected: "__type(field, type)" });
    };
    let bytes = btf.size_of(to).map_err(|_| MapError::NoSize(field))?;
    Ok((to, bytes))
}

/// Reads the relocations of `.maps`: the initial slots of prog arrays and maps of maps.
fn fill_slots(
    maps: &mut Maps,
    elf: &Elf<'_>,
    section: &Section<'_>,
    declared: &[Declared],
    functions: &Functions,
) -> Result<(), LoadError> {
    for reloc in elf.relocs_of(section.id)? {
        let symbol = elf.symbol(&reloc)?;
        // Variables are sorted by offset and do not overlap.
        let after = declared.partition_point(|d| d.start <= reloc.offset);
        let owner = after
            .checked_sub(1)
            .and_then(|at| declared.get(at))
            .filter(|d| reloc.offset.saturating_add(SLOT_BYTES) <= d.end);
        let at = |e: MapError| LoadError::from(Kind::Map(e)).at_offset(reloc.offset);
        let Some(owner) = owner else {
            return Err(at(MapError::StrayReloc));
        };
        let in_map = |name: &str, e| at(e).of_symbol(name);
        let Some(def) = maps.list.get(owner.id.index()) else {
            continue;
        };
        let in_values = owner.values.and_then(|v| reloc.offset.checked_sub(v));
        let slot = match in_values {
            Some(off) if off.is_multiple_of(SLOT_BYTES) => off / SLOT_BYTES,
            _ => return Err(in_map(&def.name, MapError::StrayReloc)),
        };
        let index = u32::try_from(slot).ok().filter(|_| slot < MAX_SLOTS);
        let index = index.ok_or_else(|| in_map(&def.name, MapError::SlotRange(slot)))?;
        let target = slot_target(maps, def, slot, section, symbol, functions)
            .map_err(|e| in_map(&def.name, e))?;
        let Some(def) = maps.list.get_mut(owner.id.index()) else {
            continue;
        };
        match &mut def.init {
            MapInit::Slots(slots) => slots.push((index, target)),
            init => *init = MapInit::Slots(vec![(index, target)]),
        }
    }
    for def in &mut maps.list {
        if let MapInit::Slots(slots) = &mut def.init {
            slots.sort_by_key(|&(index, _)| index);
        }
    }
    Ok(())
}

/// What one slot is initialised with.
fn slot_target(
    maps: &Maps,
    def: &MapDef,
    slot: u64,
    section: &Section<'_>,
    symbol: &Symbol<'_>,
    functions: &Functions,
) -> Result<SlotTarget, MapError> {
    let wrong = |expected| MapError::Slot { slot, symbol: symbol.name.to_owned(), expected };
    let Place::In(place) = symbol.place else {
        return Err(wrong("defined in this object"));
    };
    if def.map_type == Ok(MapType::ProgArray) {
        let start = u32::try_from(symbol.value / Slot::BYTES as u64).unwrap_or(u32::MAX);
        functions
            .starting_at(place, start)
            .and_then(|at| functions.list.get(at))
            .filter(|f| f.entry.is_some())
            .map(|f| SlotTarget::Prog(f.name.clone()))
            .ok_or_else(|| wrong("an entry program"))
    } else if place != section.id {
        Err(wrong("a map in `.maps`"))
    } else if def.map_type == Ok(MapType::HashOfMaps) && def.key_size != 4 {
        Err(wrong("possible: the keys of an initialised hash of maps have 4 bytes"))
    } else {
        maps.declared
            .get(&(place, symbol.value))
            .map(|&id| SlotTarget::Map(id))
            .ok_or_else(|| wrong("a map in `.maps`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ubpf_abi::btf::{Builder, Int, IntEncoding, StrOff};

    /// How a test writes a field.
    enum Field {
        /// `__uint(name, n)`.
        Uint(&'static str, u32),
        /// `__type(name, int)`.
        Type(&'static str),
        /// `int name;`, which no macro writes.
        Plain(&'static str),
        /// `__array(values, int)`.
        Values,
    }

    fn parsed(fields: &[Field]) -> Result<MapDef, MapError> {
        let mut b = Builder::new();
        let int = Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Signed };
        let int = b.int(StrOff::EMPTY, int);
        let mut members = Vec::new();
        for field in fields {
            let (name, ty) = match *field {
                Field::Uint(name, n) => {
                    let array = b.array(int, int, n);
                    (name, b.ptr(array))
                }
                Field::Type(name) => (name, b.ptr(int)),
                Field::Plain(name) => (name, int),
                Field::Values => {
                    let ptr = b.ptr(int);
                    ("values", b.array(ptr, int, 0))
                }
            };
            let name = b.str(name);
            let bit_off = u32::try_from(members.len()).unwrap() * 64;
            members.push(Member { name, ty, bit_off, bitfield_bits: 0 });
        }
        let bytes = u32::try_from(members.len()).unwrap() * 8;
        let id = b.structure(StrOff::EMPTY, bytes, false, members);
        parse_def(&b.finish(), id, "m", Level::Outer).map(|(def, _)| def)
    }

    #[test]
    fn sizes_may_be_given_twice_if_they_agree() {
        use Field::{Type, Uint};
        let def = parsed(&[Uint("type", 1), Type("key"), Uint("key_size", 4)]).unwrap();
        assert_eq!((def.map_type, def.key_size), (Ok(MapType::Hash), 4));
        assert_eq!(
            parsed(&[Uint("type", 1), Type("key"), Uint("key_size", 8)]),
            Err(MapError::Conflict { field: "key", first: 4, second: 8 })
        );
    }

    #[test]
    fn what_libbpf_refuses_is_refused() {
        use Field::{Plain, Type, Uint, Values};
        let unknown = MapError::UnknownField("colour".to_owned());
        assert_eq!(parsed(&[Uint("type", 1), Uint("colour", 3)]), Err(unknown));
        assert_eq!(parsed(&[Type("key")]), Err(MapError::NoType));
        assert_eq!(parsed(&[Uint("pinning", 2)]), Err(MapError::Pinning(2)));
        assert!(matches!(parsed(&[Plain("type")]), Err(MapError::Field { .. })));
        assert!(matches!(parsed(&[Plain("key")]), Err(MapError::Field { .. })));
        let foreign = [Uint("type", 2), Values];
        assert_eq!(parsed(&foreign), Err(MapError::ValuesForeign));
        let early = [Uint("type", 3), Values, Uint("max_entries", 1)];
        assert_eq!(parsed(&early), Err(MapError::ValuesNotLast));
    }

    #[test]
    fn types_from_the_future_keep_their_number() {
        let def = parsed(&[Field::Uint("type", 4000)]).unwrap();
        assert_eq!(def.map_type, Err(4000));
    }
}
