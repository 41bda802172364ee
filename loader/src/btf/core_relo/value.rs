//! The number that a relocation puts into an instruction.

use super::super::ext::CoreReloKind;
use super::error::CoreReloErrorKind as ErrorKind;
use super::subject::{Field, Step, Subject};
use ubpf_abi::btf::{Btf, BtfId, Def, IntEncoding, Member};

/// Widest load there is, in bytes.
const MAX_LOAD_BYTES: u32 = 8;

/// A value by one side's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// The number itself.
    pub(super) number: u64,
    /// Whether the instruction must hold exactly this number, when it comes from local types.
    /// Compilers may load bitfields in other ways, and linkers renumber types.
    pub(super) checked: bool,
    /// What an access at a byte offset reads or writes.
    pub(super) access: Option<FieldAccess>,
}

/// The field that an access reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldAccess {
    /// Size; of one element for arrays.
    pub(super) bytes: u32,
    /// What the access size may be changed for.
    pub(super) class: AccessClass,
}

/// Whether a load stays right when the field has another size on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessClass {
    /// Pointers: those of 32 bits are zero-extended.
    Pointer,
    /// Unsigned integers: zero-extended too.
    Unsigned,
    /// Anything else would give another value.
    Other,
}

impl Value {
    pub(super) const fn unchecked(number: u64) -> Self {
        Self { number, checked: false, access: None }
    }

    const fn checked(number: u64) -> Self {
        Self { number, checked: true, access: None }
    }

    /// The answer to `kind` about `subject`, or about something that does not exist; `None`
    /// when there is no answer and the instruction must not be executed.
    pub(super) fn of(
        kind: CoreReloKind,
        btf: &Btf,
        subject: Option<&Subject>,
    ) -> Result<Option<Self>, ErrorKind> {
        Ok(match (kind, subject) {
            (
                CoreReloKind::FieldExists
                | CoreReloKind::TypeExists
                | CoreReloKind::TypeMatches
                | CoreReloKind::EnumvalExists,
                subject,
            ) => Some(Self::checked(u64::from(subject.is_some()))),
            // Types that do not exist have id and size 0.
            (
                CoreReloKind::TypeIdLocal | CoreReloKind::TypeIdTarget | CoreReloKind::TypeSize,
                None,
            ) => Some(Self::checked(0)),
            (CoreReloKind::TypeSize, Some(Subject::Type(id))) => {
                Some(Self::checked(u64::from(btf.size_of(*id)?)))
            }
            (CoreReloKind::TypeIdLocal | CoreReloKind::TypeIdTarget, Some(Subject::Type(id))) => {
                Some(Self::unchecked(u64::from(id.0)))
            }
            (CoreReloKind::EnumvalValue, Some(Subject::Enumerator { of, idx })) => {
                enumerator(btf, *of, *idx).map(|value| Self::checked(value.cast_unsigned()))
            }
            (_, Some(Subject::Field(field))) => Some(field_value(kind, btf, field)?),
            (_, _) => None,
        })
    }
}

/// An enumerator's value. libbpf reads 32-bit ones as signed whatever the enumeration says.
fn enumerator(btf: &Btf, of: BtfId, idx: usize) -> Option<i64> {
    let value = btf.enumerators(of).get(idx)?.value;
    match btf.ty(of)?.def {
        Def::Enum(_) => Some(i64::from(value as i32)),
        _ => Some(value),
    }
}

fn field_value(kind: CoreReloKind, btf: &Btf, field: &Field) -> Result<Value, ErrorKind> {
    match field.steps.last() {
        Some(&Step::Member { of, idx }) => match btf.members(of).get(idx) {
            Some(member) => member_value(kind, btf, member, field.bit_off),
            None => Err(ErrorKind::Access(String::new())),
        },
        Some(&Step::Element { ty, .. }) => match kind {
            CoreReloKind::FieldByteOffset => Ok(Value {
                number: u64::from(field.bit_off / 8),
                checked: true,
                access: Some(field_access(btf, ty)?),
            }),
            CoreReloKind::FieldByteSize => Ok(Value::checked(u64::from(btf.size_of(ty)?))),
            _ => Err(ErrorKind::ArrayElement),
        },
        None => Err(ErrorKind::Access(String::new())),
    }
}

fn member_value(
    kind: CoreReloKind,
    btf: &Btf,
    member: &Member,
    bit_off: u32,
) -> Result<Value, ErrorKind> {
    let (ty, def) = btf.resolve(member.ty).map(|(id, ty)| (id, ty.def))?;
    let is_bitfield = member.bitfield_bits != 0;
    let bytes = btf.size_of(ty)?;
    let (load, bits) = match is_bitfield {
        true => (covering_load(bit_off, member.bitfield_bits, bytes)?, member.bitfield_bits.into()),
        false => (Load { byte_off: bit_off / 8, bytes }, bytes.saturating_mul(8)),
    };
    let (number, checked) = match kind {
        CoreReloKind::FieldByteOffset => (load.byte_off, !is_bitfield),
        CoreReloKind::FieldByteSize => (load.bytes, !is_bitfield),
        CoreReloKind::FieldSigned => (u32::from(is_signed(&def)), true),
        CoreReloKind::FieldLshiftU64 => {
            let end = (bit_off - load.byte_off * 8).saturating_add(bits);
            (64_u32.wrapping_sub(end), !is_bitfield)
        }
        CoreReloKind::FieldRshiftU64 => (64_u32.wrapping_sub(bits), true),
        _ => return Err(ErrorKind::Access(String::new())),
    };
    // Shifts of fields wider than 64 bits come out negative, in 32 bits as in libbpf.
    let access = match kind {
        CoreReloKind::FieldByteOffset if !is_bitfield => Some(field_access(btf, ty)?),
        _ => None,
    };
    Ok(Value { number: u64::from(number), checked, access })
}

/// Bytes that a load reads.
struct Load {
    byte_off: u32,
    bytes: u32,
}

/// The smallest naturally aligned load, at least as wide as the declared type, that covers a
/// bitfield.
fn covering_load(bit_off: u32, bits: u8, declared_bytes: u32) -> Result<Load, ErrorKind> {
    let end = bit_off.checked_add(bits.into()).ok_or(ErrorKind::OffsetTooLarge)?;
    let mut bytes = declared_bytes.max(1);
    loop {
        let byte_off = bit_off / 8 / bytes * bytes;
        if end - byte_off * 8 <= bytes.saturating_mul(8) {
            return Ok(Load { byte_off, bytes });
        }
        if bytes >= MAX_LOAD_BYTES {
            return Err(ErrorKind::Bitfield);
        }
        bytes *= 2;
    }
}

fn is_signed(def: &Def) -> bool {
    match def {
        Def::Int(int) => int.encoding == IntEncoding::Signed,
        Def::Enum(e) | Def::Enum64(e) => e.signed,
        _ => false,
    }
}

/// What an access at the offset of a field of type `ty` means.
fn field_access(btf: &Btf, ty: BtfId) -> Result<FieldAccess, ErrorKind> {
    let mut elem = ty;
    while let Some(array) = btf.array(elem) {
        // Ends: `size_of` refuses arrays that contain themselves.
        btf.size_of(elem)?;
        elem = array.elem;
    }
    let (_, resolved) = btf.resolve(ty)?;
    let class = match resolved.def {
        Def::Ptr(_) => AccessClass::Pointer,
        Def::Int(int) if int.encoding != IntEncoding::Signed => AccessClass::Unsigned,
        _ => AccessClass::Other,
    };
    Ok(FieldAccess { bytes: btf.size_of(elem)?, class })
}
