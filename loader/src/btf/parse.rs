//! The `.BTF` section: bytes to [`Btf`].
//!
//! One pass over the types. What comes out has every list, name and reference inside its
//! bounds; whether types make sense together (circles, say) is left to the model's queries.

use super::error::{BtfError, Fault, Place};
use super::wire::{
    Cursor, ENUM_BYTES, ENUM64_BYTES, HEADER_BYTES, INT_BOOL, INT_CHAR, INT_SIGNED, Info, MAGIC,
    MEMBER_BYTES, PARAM_BYTES, SEC_VAR_BYTES, TYPE_BYTES, VERSION, WHOLE_DECL, words2, words3,
};
use std::sync::Arc;
use ubpf_abi::btf::{
    Btf, BtfId, Builder, DeclTag, Def, Enumerator, Func, FwdKind, Int, IntEncoding, Kind, Linkage,
    Member, Param, SecVar, StrOff, Var,
};

/// Typical bytes of an encoded type, to reserve room by the section's size.
const TYPICAL_TYPE_BYTES: usize = 24;

/// Parses a `.BTF` section, or a raw file such as `/sys/kernel/btf/vmlinux`.
///
/// # Errors
/// [`BtfError`] says which type is malformed, and how.
pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
    parse_with(bytes, None)
}

/// Parses a split `.BTF` section, such as `/sys/kernel/btf/<module>`, which continues `base`.
///
/// # Errors
/// [`BtfError`] says which type is malformed, and how.
pub fn parse_split(bytes: &[u8], base: Arc<Btf>) -> Result<Btf, BtfError> {
    parse_with(bytes, Some(base))
}

fn parse_with(bytes: &[u8], base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
    let (types, strings) = sections(bytes)?;
    let ends_well = match base {
        None => strings.first() == Some(&0) && strings.last() == Some(&0),
        Some(_) => strings.last().is_none_or(|&b| b == 0),
    };
    if !ends_well {
        return Err(BtfError { place: Place::Strings, fault: Fault::Unterminated });
    }
    let mut builder = match base {
        None => Builder::with_strings(strings.to_vec()),
        Some(base) => Builder::split(base, strings.to_vec()),
    };
    builder.reserve(types.len() / TYPICAL_TYPE_BYTES);
    let names_end = builder.btf().end_off();
    let mut parser = Parser { builder, cursor: Cursor::new(types), names_end, furthest: None };
    while !parser.cursor.is_empty() {
        let place = Place::Type { id: parser.builder.next_id(), offset: parser.cursor.offset() };
        parser.parse_type(place).map_err(|fault| BtfError { place, fault })?;
    }
    parser.finish()
}

/// The type and string sections.
fn sections(bytes: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let error = |fault| BtfError { place: Place::Header, fault };
    let header = Header::read(bytes).map_err(error)?;
    let mut cursor = Cursor::new(bytes.get(8..HEADER_BYTES).unwrap_or(&[]));
    let mut word = || cursor.u32().ok_or(error(Fault::Truncated));
    let (type_off, type_len, str_off, str_len) = (word()?, word()?, word()?, word()?);
    let types = header.part("types", type_off, type_len).map_err(error)?;
    let strings = header.part("strings", str_off, str_len).map_err(error)?;
    Ok((types, strings))
}

/// What the headers of `.BTF` and `.BTF.ext` have in common.
pub(super) struct Header<'a> {
    /// Length of the header.
    pub(super) len: usize,
    /// What follows the header.
    body: &'a [u8],
}

impl<'a> Header<'a> {
    /// Checks magic number, version and length.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u16().ok_or(Fault::Truncated)? {
            MAGIC => {}
            magic if magic.swap_bytes() == MAGIC => return Err(Fault::BigEndian),
            magic => return Err(Fault::Magic(magic)),
        }
        let version = cursor.u8().ok_or(Fault::Truncated)?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        cursor.u8().ok_or(Fault::Truncated)?;
        let len = cursor.u32().ok_or(Fault::Truncated)?;
        let body = usize::try_from(len)
            .ok()
            .filter(|&len| len >= HEADER_BYTES)
            .and_then(|len| bytes.get(len..))
            .ok_or(Fault::HeaderLen(len))?;
        Ok(Self { len: bytes.len() - body.len(), body })
    }

    /// The part of the body that the header places at `off`.
    pub(super) fn part(&self, what: &'static str, off: u32, len: u32) -> Result<&'a [u8], Fault> {
        let range = off as usize..(off as usize).saturating_add(len as usize);
        let aligned = what == "strings" || off.is_multiple_of(4);
        match self.body.get(range) {
            Some(part) if aligned => Ok(part),
            _ => Err(Fault::Extent { what, off, len, have: self.body.len() }),
        }
    }
}

struct Parser<'a> {
    builder: Builder,
    cursor: Cursor<'a>,
    /// End of the strings.
    names_end: StrOff,
    /// The reference to the highest id so far, and who holds it: types may refer to ids that
    /// come later, so references are judged at the end, by the worst one.
    furthest: Option<(BtfId, Place)>,
}

impl Parser<'_> {
    fn finish(self) -> Result<Btf, BtfError> {
        match self.furthest {
            Some((id, place)) if id >= self.builder.next_id() => {
                Err(BtfError { place, fault: Fault::Reference(id.0) })
            }
            _ => Ok(self.builder.finish()),
        }
    }

    fn parse_type(&mut self, place: Place) -> Result<(), Fault> {
        let fixed = self.cursor.array::<TYPE_BYTES>().ok_or(Fault::Truncated)?;
        let [name, info, size_or_type] = words3(&fixed);
        let (name, info) = (self.name(name)?, Info(info));
        let kind = Kind::from_number(info.kind())
            .filter(|&kind| kind != Kind::Void)
            .ok_or(Fault::UnknownKind(info.kind()))?;
        let field = |what, value| Fault::Field { kind, what, value };
        let bytes = size_or_type;
        let def = match kind {
            Kind::Void => return Err(Fault::UnknownKind(0)),
            Kind::Int => Def::Int(self.int(bytes)?),
            Kind::Float => match bytes {
                2 | 4 | 8 | 12 | 16 => Def::Float { bytes },
                _ => return Err(field("size", bytes)),
            },
            Kind::Fwd => Def::Fwd(match info.kind_flag() {
                false => FwdKind::Struct,
                true => FwdKind::Union,
            }),
            Kind::Ptr => Def::Ptr(self.reference(place, size_or_type)),
            Kind::Typedef => Def::Typedef(self.reference(place, size_or_type)),
            Kind::Volatile => Def::Volatile(self.reference(place, size_or_type)),
            Kind::Const => Def::Const(self.reference(place, size_or_type)),
            Kind::Restrict => Def::Restrict(self.reference(place, size_or_type)),
            Kind::TypeTag => Def::TypeTag {
                target: self.reference(place, size_or_type),
                attribute: info.kind_flag(),
            },
            Kind::Func => {
                let number = info.0 & 0xffff;
                let linkage = Linkage::from_number(number).ok_or(field("linkage", number))?;
                Def::Func(Func { proto: self.reference(place, size_or_type), linkage })
            }
            Kind::Var => {
                let number = self.word()?;
                let linkage = Linkage::from_number(number).ok_or(field("linkage", number))?;
                Def::Var(Var { ty: self.reference(place, size_or_type), linkage })
            }
            Kind::DeclTag => {
                let number = self.word()?;
                let component = match number.cast_signed() {
                    WHOLE_DECL => None,
                    0.. => Some(number),
                    _ => return Err(field("component", number)),
                };
                let target = self.reference(place, size_or_type);
                Def::DeclTag(DeclTag { target, component, attribute: info.kind_flag() })
            }
            Kind::Array => {
                let (elem, index, len) = (self.word()?, self.word()?, self.word()?);
                let (elem, index) = (self.reference(place, elem), self.reference(place, index));
                self.builder.array(elem, index, len);
                return Ok(());
            }
            Kind::Struct | Kind::Union => return self.composite(place, name, kind, info, bytes),
            Kind::Enum | Kind::Enum64 => {
                if !matches!(bytes, 1 | 2 | 4 | 8) {
                    return Err(field("size", bytes));
                }
                return self.enumeration(name, kind, info, bytes);
            }
            Kind::FuncProto => return self.func_proto(place, info, size_or_type),
            Kind::Datasec => return self.datasec(place, name, info, bytes),
        };
        self.builder.push(name, def);
        Ok(())
    }

    fn int(&mut self, bytes: u32) -> Result<Int, Fault> {
        let word = self.word()?;
        let field = |what, value| Fault::Field { kind: Kind::Int, what, value };
        let (bit_off, bits) = ((word >> 16) as u8, word as u8);
        let encoding = match (word >> 24) & 0xf {
            0 => IntEncoding::Unsigned,
            INT_SIGNED => IntEncoding::Signed,
            // gcc 12 marks `char` as both. The kernel refuses that, libbpf reads it.
            both if both == INT_SIGNED | INT_CHAR => IntEncoding::Signed,
            INT_CHAR => IntEncoding::Char,
            INT_BOOL => IntEncoding::Bool,
            other => return Err(field("encoding", other)),
        };
        if !matches!(bytes, 1 | 2 | 4 | 8 | 16) {
            return Err(field("size", bytes));
        }
        if u32::from(bit_off) + u32::from(bits) > bytes * 8 {
            return Err(field("bits", word));
        }
        Ok(Int { bytes, bits, bit_off, encoding })
    }

    fn composite(
        &mut self,
        place: Place,
        name: StrOff,
        kind: Kind,
        info: Info,
        bytes: u32,
    ) -> Result<(), Fault> {
        let items = self.cursor.items::<MEMBER_BYTES>(info.vlen()).ok_or(Fault::Truncated)?;
        let kind_flag = info.kind_flag();
        for [name, ty, _] in items.iter().map(words3) {
            self.name(name)?;
            self.reference(place, ty);
        }
        let members = items.iter().map(words3).map(|[name, ty, place]| Member {
            name: StrOff(name),
            ty: BtfId(ty),
            bit_off: if kind_flag { place & 0x00ff_ffff } else { place },
            bitfield_bits: if kind_flag { (place >> 24) as u8 } else { 0 },
        });
        match kind {
            Kind::Union => self.builder.union(name, bytes, kind_flag, members),
            _ => self.builder.structure(name, bytes, kind_flag, members),
        };
        Ok(())
    }

    fn enumeration(
        &mut self,
        name: StrOff,
        kind: Kind,
        info: Info,
        bytes: u32,
    ) -> Result<(), Fault> {
        let signed = info.kind_flag();
        if kind == Kind::Enum64 {
            let items = self.cursor.items::<ENUM64_BYTES>(info.vlen()).ok_or(Fault::Truncated)?;
            for [name, ..] in items.iter().map(words3) {
                self.name(name)?;
            }
            let values = items.iter().map(words3).map(|[name, low, high]| Enumerator {
                name: StrOff(name),
                value: (u64::from(high) << 32 | u64::from(low)).cast_signed(),
            });
            self.builder.enumeration64(name, bytes, signed, values);
        } else {
            let items = self.cursor.items::<ENUM_BYTES>(info.vlen()).ok_or(Fault::Truncated)?;
            for [name, _] in items.iter().map(words2) {
                self.name(name)?;
            }
            let values = items.iter().map(words2).map(|[name, value]| Enumerator {
                name: StrOff(name),
                value: if signed { i64::from(value.cast_signed()) } else { i64::from(value) },
            });
            self.builder.enumeration(name, bytes, signed, values);
        }
        Ok(())
    }

    fn func_proto(&mut self, place: Place, info: Info, ret: u32) -> Result<(), Fault> {
        let items = self.cursor.items::<PARAM_BYTES>(info.vlen()).ok_or(Fault::Truncated)?;
        for [name, ty] in items.iter().map(words2) {
            self.name(name)?;
            self.reference(place, ty);
        }
        let ret = self.reference(place, ret);
        let params = items.iter().map(words2);
        let params = params.map(|[name, ty]| Param { name: StrOff(name), ty: BtfId(ty) });
        self.builder.func_proto(ret, params);
        Ok(())
    }

    fn datasec(&mut self, place: Place, name: StrOff, info: Info, bytes: u32) -> Result<(), Fault> {
        let items = self.cursor.items::<SEC_VAR_BYTES>(info.vlen()).ok_or(Fault::Truncated)?;
        for [ty, ..] in items.iter().map(words3) {
            self.reference(place, ty);
        }
        let vars = items.iter().map(words3);
        let vars = vars.map(|[ty, off, bytes]| SecVar { ty: BtfId(ty), off, bytes });
        self.builder.datasec(name, bytes, vars);
        Ok(())
    }

    fn word(&mut self) -> Result<u32, Fault> {
        self.cursor.u32().ok_or(Fault::Truncated)
    }

    /// A name that lies in the strings.
    fn name(&self, off: u32) -> Result<StrOff, Fault> {
        match StrOff(off) {
            off if off < self.names_end => Ok(off),
            _ => Err(Fault::Name(off)),
        }
    }

    /// Remembers a reference for the check at the end.
    fn reference(&mut self, holder: Place, id: u32) -> BtfId {
        let id = BtfId(id);
        if self.furthest.is_none_or(|(furthest, _)| furthest < id) {
            self.furthest = Some((id, holder));
        }
        id
    }
}
