//! [`Btf`] to the bytes of a `.BTF` section: what the kernel is given, and what tests parse back.

use super::wire::{HEADER_BYTES, INT_BOOL, INT_CHAR, INT_SIGNED, Info, MAGIC, VERSION, WHOLE_DECL};
use ubpf_abi::btf::{Btf, BtfId, Def, IntEncoding, Type};

/// The types cannot be written in the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A list with more items than the format's 16-bit count holds.
    #[error("BTF type {id} has {len} items, the format holds 65535")]
    TooMany {
        /// Which type.
        id: BtfId,
        /// Length of its list.
        len: usize,
    },
    /// The types or the strings exceed 4 GiB.
    #[error("BTF of more than 4 GiB")]
    TooLarge,
}

/// Encodes the types of `btf` itself, without its base's.
///
/// # Errors
/// Lists or sections longer than the format allows.
pub fn encode(btf: &Btf) -> Result<Vec<u8>, EncodeError> {
    let mut types = Vec::new();
    for (id, ty) in btf.own_types() {
        encode_type(&mut types, btf, id, ty)?;
    }
    let strings = btf.own_strings();
    let len = |n: usize| u32::try_from(n).map_err(|_| EncodeError::TooLarge);
    let (type_len, str_len) = (len(types.len())?, len(strings.len())?);
    let mut out = Vec::with_capacity(HEADER_BYTES + types.len() + strings.len());
    out.extend(MAGIC.to_le_bytes());
    out.extend([VERSION, 0]);
    for word in [len(HEADER_BYTES)?, 0, type_len, type_len, str_len] {
        out.extend(word.to_le_bytes());
    }
    out.extend(types);
    out.extend(strings);
    Ok(out)
}

fn encode_type(out: &mut Vec<u8>, btf: &Btf, id: BtfId, ty: &Type) -> Result<(), EncodeError> {
    let mut put = |words: &[u32]| out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    let vlen = |len: usize| u16::try_from(len).map_err(|_| EncodeError::TooMany { id, len });
    let mut fixed = |vlen: u16, kind_flag: bool, size_or_type: u32| {
        let info = Info::new(ty.kind().number(), vlen, kind_flag);
        put(&[ty.name.0, info.0, size_or_type]);
    };
    match ty.def {
        Def::Void => {}
        Def::Ptr(to)
        | Def::Typedef(to)
        | Def::Volatile(to)
        | Def::Const(to)
        | Def::Restrict(to) => {
            fixed(0, false, to.0);
        }
        Def::TypeTag { target, attribute } => fixed(0, attribute, target.0),
        Def::Fwd(kind) => fixed(0, kind == ubpf_abi::btf::FwdKind::Union, 0),
        Def::Float { bytes } => fixed(0, false, bytes),
        Def::Func(func) => fixed(func.linkage as u16, false, func.proto.0),
        Def::Int(int) => {
            fixed(0, false, int.bytes);
            let encoding = match int.encoding {
                IntEncoding::Unsigned => 0,
                IntEncoding::Signed => INT_SIGNED,
                IntEncoding::Char => INT_CHAR,
                IntEncoding::Bool => INT_BOOL,
            };
            put(&[encoding << 24 | u32::from(int.bit_off) << 16 | u32::from(int.bits)]);
        }
        Def::Array(array) => {
            fixed(0, false, 0);
            put(&[array.elem.0, array.index.0, array.len]);
        }
        Def::Var(var) => {
            fixed(0, false, var.ty.0);
            put(&[var.linkage as u32]);
        }
        Def::DeclTag(tag) => {
            fixed(0, tag.attribute, tag.target.0);
            put(&[tag.component.unwrap_or(WHOLE_DECL.cast_unsigned())]);
        }
        Def::Struct(c) | Def::Union(c) => {
            fixed(vlen(c.members.len())?, c.kind_flag, c.bytes);
            for m in btf.members(id) {
                let place = match c.kind_flag {
                    true => u32::from(m.bitfield_bits) << 24 | (m.bit_off & 0x00ff_ffff),
                    false => m.bit_off,
                };
                put(&[m.name.0, m.ty.0, place]);
            }
        }
        Def::Enum(e) => {
            fixed(vlen(e.enumerators.len())?, e.signed, e.bytes);
            for v in btf.enumerators(id) {
                put(&[v.name.0, v.value as u32]);
            }
        }
        Def::Enum64(e) => {
            fixed(vlen(e.enumerators.len())?, e.signed, e.bytes);
            for v in btf.enumerators(id) {
                put(&[v.name.0, v.value as u32, (v.value >> 32) as u32]);
            }
        }
        Def::FuncProto(p) => {
            fixed(vlen(p.params.len())?, false, p.ret.0);
            for param in btf.params(id) {
                put(&[param.name.0, param.ty.0]);
            }
        }
        Def::Datasec(d) => {
            fixed(vlen(d.vars.len())?, false, d.bytes);
            for var in btf.vars(id) {
                put(&[var.ty.0, var.off, var.bytes]);
            }
        }
    }
    Ok(())
}
