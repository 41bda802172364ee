//! Definitions, with the padding and attributes that make a compiler repeat the recorded layout.
//!
//! Where a member would land by itself depends on alignment; where BTF says it lies may be
//! further on. The gap is filled with unnamed bitfields, which take room but neither names nor
//! alignment.

use super::{CError, Nesting, Printer, Text, names};
use crate::btf::{BtfId, Composite, Def, Enumeration, MAX_DEPTH, Member, Type, TypeError};
use alloc::format;
use alloc::string::String;

/// Unnamed bitfields that padding is made of, widest first: bits and type.
const PADS: [(u32, &str); 4] = [(64, "long long"), (32, "int"), (16, "short"), (8, "char")];
/// Padding of more bytes than this becomes one array, which needs a name.
const MAX_PAD_BYTES: u32 = 128;

impl Printer<'_> {
    /// Writes the definition of a type, without the semicolon.
    pub(super) fn definition(&self, out: &mut Text, id: BtfId) -> Result<(), CError> {
        let ty = self.btf.ty(id).ok_or(TypeError::Unknown(id))?;
        let name = self.names.of_type(self.btf, id);
        match ty.def {
            Def::Struct(_) | Def::Union(_) | Def::Enum(_) | Def::Enum64(_) => {
                self.body(out, id, Nesting(1))
            }
            Def::Fwd(_) => self.declaration(out, id, "", Nesting::TOP),
            Def::Typedef(to) => {
                out.add("typedef ")?;
                self.declaration(out, to, &name, Nesting::TOP)
            }
            Def::Func(func) => self.declaration(out, func.proto, &name, Nesting::TOP),
            Def::Var(var) => self.declaration(out, var.ty, &name, Nesting::TOP),
            _ => Err(CError::NotDefinable(id)),
        }
    }

    /// Writes `struct name { … }`; members stand at `inner`.
    pub(super) fn body(&self, out: &mut Text, id: BtfId, inner: Nesting) -> Result<(), CError> {
        let ty = self.btf.ty(id).ok_or(TypeError::Unknown(id))?;
        let keyword = match ty.def {
            Def::Struct(_) => "struct",
            Def::Union(_) => "union",
            _ => "enum",
        };
        out.add(keyword)?;
        if !ty.name.is_empty() {
            out.fmt(format_args!(" {}", self.names.of_type(self.btf, id)))?;
        }
        out.line(" {")?;
        let attribute = match ty.def {
            Def::Struct(c) | Def::Union(c) => self.members(out, id, ty, &c, inner)?,
            Def::Enum(e) | Def::Enum64(e) => self.enumerators(out, id, ty, &e, inner)?,
            _ => return Err(CError::NotDefinable(id)),
        };
        Nesting(inner.0.saturating_sub(1)).indent(out)?;
        out.add("}")?;
        out.add(attribute)
    }

    fn members(
        &self,
        out: &mut Text,
        id: BtfId,
        ty: &Type,
        composite: &Composite,
        inner: Nesting,
    ) -> Result<&'static str, CError> {
        let is_union = matches!(ty.def, Def::Union(_));
        let is_packed = self.btf.is_packed(id)?;
        // Where the compiler stands, in bits.
        let mut here = 0_u64;
        for (nth, member) in self.btf.members(id).iter().enumerate() {
            let (off, bits) = self.btf.member_extent(member)?;
            if !is_union {
                let natural = self.natural_offset(member, here, bits, is_packed)?;
                if off > natural {
                    pad(out, inner, here, off)?;
                }
                here = off;
            }
            inner.indent(out)?;
            let name = self.member_name(member, nth)?;
            self.declaration(out, member.ty, &name, inner)?;
            if let Some(bits) = bits {
                out.fmt(format_args!(": {bits}"))?;
            }
            out.line(";")?;
            let width = match bits {
                Some(bits) => u64::from(bits),
                None => u64::from(self.btf.size_of(member.ty).unwrap_or(0)) * 8,
            };
            here = if is_union { here.max(width) } else { here.saturating_add(width) };
        }
        let align = if is_packed { 1 } else { self.btf.align_of(id)? };
        let size = u64::from(composite.bytes) * 8;
        if here.next_multiple_of(u64::from(align.max(1)) * 8) < size {
            // In a union padding begins at its start, like everything else.
            pad(out, inner, if is_union { 0 } else { here }, size)?;
        }
        Ok(if is_packed { " __attribute__((packed))" } else { "" })
    }

    /// Where a compiler would put `member` by itself.
    fn natural_offset(
        &self,
        member: &Member,
        here: u64,
        bits: Option<u32>,
        is_packed: bool,
    ) -> Result<u64, CError> {
        let to_byte = here.next_multiple_of(8);
        Ok(match (bits, is_packed) {
            (Some(_), true) => here,
            (None, true) => to_byte,
            (Some(bits), false) => {
                let unit = (u64::from(self.btf.size_of(member.ty)?) * 8).max(1);
                let end = here.saturating_add(bits.into());
                let crosses = bits > 0 && here / unit != (end - 1) / unit;
                if crosses { here.next_multiple_of(unit) } else { here }
            }
            (None, false) => {
                let align = u64::from(self.btf.align_of(member.ty).unwrap_or(1)).max(1);
                to_byte.next_multiple_of(align * 8)
            }
        })
    }

    /// A member's name. C accepts members without one only if they are structures or unions
    /// without one; others get a name here.
    fn member_name(&self, member: &Member, nth: usize) -> Result<String, CError> {
        let name = self.btf.name(member.name);
        if !name.is_empty() {
            return Ok(names::identifier(name).into());
        }
        let mut at = member.ty;
        for _ in 0..=MAX_DEPTH {
            let ty = self.btf.ty(at).ok_or(TypeError::Unknown(at))?;
            match ty.def {
                Def::Const(to) | Def::Volatile(to) | Def::TypeTag { target: to, .. } => at = to,
                Def::Struct(_) | Def::Union(_) if ty.name.is_empty() => return Ok(String::new()),
                _ => break,
            }
        }
        Ok(format!("__unnamed_{nth}"))
    }

    fn enumerators(
        &self,
        out: &mut Text,
        id: BtfId,
        ty: &Type,
        e: &Enumeration,
        inner: Nesting,
    ) -> Result<&'static str, CError> {
        let values = self.btf.enumerators(id);
        for (idx, v) in values.iter().enumerate() {
            inner.indent(out)?;
            let name = self.names.of_enumerator(self.btf, id, idx);
            let is_wide = matches!(ty.def, Def::Enum64(_));
            match (is_wide, e.signed) {
                (false, _) => out.fmt(format_args!("{name} = {},\n", v.value))?,
                (true, false) => {
                    out.fmt(format_args!("{name} = {}ULL,\n", v.value.cast_unsigned()))?;
                }
                // The magnitude of the lowest value is no number of its type.
                (true, true) if v.value == i64::MIN => {
                    out.fmt(format_args!("{name} = -{}LL - 1,\n", i64::MAX))?;
                }
                (true, true) => out.fmt(format_args!("{name} = {}LL,\n", v.value))?,
            }
        }
        if values.is_empty() {
            // C has no empty enumerations.
            inner.indent(out)?;
            out.fmt(format_args!("__empty_enum_{},\n", id.0))?;
        }
        Ok(match e.bytes {
            1 => " __attribute__((mode(QI)))",
            2 => " __attribute__((mode(HI)))",
            8 => " __attribute__((mode(DI)))",
            _ => "",
        })
    }
}

/// Fills the bits from `from` to `to`.
fn pad(out: &mut Text, nesting: Nesting, from: u64, to: u64) -> Result<(), CError> {
    let mut here = from;
    let to_byte = here.next_multiple_of(8).min(to);
    if to_byte > here {
        nesting.indent(out)?;
        out.fmt(format_args!("char: {};\n", to_byte - here))?;
        here = to_byte;
    }
    let bytes = (to - here) / 8;
    if bytes > u64::from(MAX_PAD_BYTES) {
        nesting.indent(out)?;
        out.fmt(format_args!("unsigned char __btf_pad_{}[{bytes}];\n", here / 8))?;
        here += bytes * 8;
    }
    while here < to {
        let left = to - here;
        let fits = |&&(bits, _): &&(u32, &str)| {
            let bits = u64::from(bits);
            here.is_multiple_of(bits) && left >= bits
        };
        let (bits, ty) = match PADS.iter().find(fits) {
            Some(&(bits, ty)) => (u64::from(bits), ty),
            None => (left.min(8), "char"),
        };
        nesting.indent(out)?;
        out.fmt(format_args!("{ty}: {bits};\n"))?;
        here += bits;
    }
    Ok(())
}
