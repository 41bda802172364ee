//! Sizes, alignments, and what lies behind typedefs and modifiers.
//!
//! All of it must end on BTF that refers to itself and stay cheap on BTF that nests unions into
//! unions, so chains are bounded by [`MAX_DEPTH`] and alignments of structures are remembered.

use super::Btf;
use super::error::TypeError;
use super::types::{Array, BtfId, Def, Member, Type};
use alloc::collections::BTreeMap;

/// How many types deep a chain or a nesting may go; the kernel's `MAX_RESOLVE_DEPTH`.
pub const MAX_DEPTH: u32 = 32;

/// Size of a pointer, the kernel's and BPF's: 8 bytes.
pub(super) const PTR_BYTES: u32 = 8;

impl Btf {
    /// What is left of `id` without typedefs, `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// An id that no type has, or a chain that does not end.
    pub fn resolve(&self, id: BtfId) -> Result<(BtfId, &Type), TypeError> {
        let mut at = id;
        for _ in 0..=MAX_DEPTH {
            let ty = self.ty(at).ok_or(TypeError::Unknown(at))?;
            match ty.def.modified() {
                Some(next) => at = next,
                None => return Ok((at, ty)),
            }
        }
        Err(TypeError::TooDeep(id))
    }

    /// Size in bytes.
    ///
    /// # Errors
    /// An unknown id, a kind without size, an array of arrays without end or beyond 4 GiB.
    pub fn size_of(&self, id: BtfId) -> Result<u32, TypeError> {
        let mut count = 1_u32;
        let mut at = id;
        for _ in 0..=MAX_DEPTH {
            let (here, ty) = self.resolve(at)?;
            let bytes = match ty.def {
                Def::Int(int) => int.bytes,
                Def::Ptr(_) => PTR_BYTES,
                Def::Struct(c) | Def::Union(c) => c.bytes,
                Def::Enum(e) | Def::Enum64(e) => e.bytes,
                Def::Float { bytes } => bytes,
                Def::Datasec(d) => d.bytes,
                Def::Var(var) => {
                    at = var.ty;
                    continue;
                }
                Def::Array(array) => {
                    count = count.checked_mul(array.len).ok_or(TypeError::TooLarge(id))?;
                    at = array.elem;
                    continue;
                }
                Def::Void
                | Def::Fwd(_)
                | Def::Func(_)
                | Def::FuncProto(_)
                | Def::DeclTag(_)
                | Def::Typedef(_)
                | Def::Const(_)
                | Def::Volatile(_)
                | Def::Restrict(_)
                | Def::TypeTag { .. } => {
                    return Err(TypeError::NoSize { id: here, kind: ty.kind() });
                }
            };
            return count.checked_mul(bytes).ok_or(TypeError::TooLarge(id));
        }
        Err(TypeError::TooDeep(id))
    }

    /// Where a member begins, in bits from the start of its structure, and how many bits it has
    /// if it is a bitfield. Bitfields of old compilers, which have an integer type of few bits,
    /// look the same here.
    ///
    /// # Errors
    /// A type that no one can resolve.
    pub fn member_extent(&self, member: &Member) -> Result<(u64, Option<u32>), TypeError> {
        let (_, ty) = self.resolve(member.ty)?;
        let off = u64::from(member.bit_off);
        Ok(match (member.bitfield_bits, ty.def) {
            (0, Def::Int(int)) if int.bits > 0 && u32::from(int.bits) < int.bytes * 8 => {
                (off + u64::from(int.bit_off), Some(int.bits.into()))
            }
            (0, _) => (off, None),
            (bits, _) => (off, Some(bits.into())),
        })
    }

    /// Natural alignment in bytes, as a compiler would choose it; 1 for packed structures.
    ///
    /// # Errors
    /// As for [`Btf::size_of`].
    pub fn align_of(&self, id: BtfId) -> Result<u32, TypeError> {
        Aligner { btf: self, known: BTreeMap::new() }.align_of(id, 0)
    }

    /// Array information behind typedefs and modifiers; `None` when `id` is not an array.
    #[must_use]
    pub fn array(&self, id: BtfId) -> Option<&Array> {
        match self.resolve(id).ok()? {
            (_, Type { def: Def::Array(array), .. }) => Some(array),
            _ => None,
        }
    }

    /// Whether a compiler needs `packed` to lay out this structure as it is: a member lies off
    /// its alignment, or the size is no multiple of it.
    ///
    /// # Errors
    /// As for [`Btf::size_of`].
    pub fn is_packed(&self, id: BtfId) -> Result<bool, TypeError> {
        Aligner { btf: self, known: BTreeMap::new() }.is_packed(id, 0)
    }
}

/// Remembers the alignment of structures: one that is a member in many places counts once.
struct Aligner<'a> {
    btf: &'a Btf,
    known: BTreeMap<BtfId, u32>,
}

impl Aligner<'_> {
    fn align_of(&mut self, id: BtfId, depth: u32) -> Result<u32, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(id));
        }
        let (here, ty) = self.btf.resolve(id)?;
        match ty.def {
            Def::Struct(_) | Def::Union(_) => {
                if let Some(&align) = self.known.get(&here) {
                    return Ok(align);
                }
                let align = match self.is_packed(here, depth)? {
                    true => 1,
                    false => self.widest_member(here, depth)?,
                };
                self.known.insert(here, align);
                Ok(align)
            }
            Def::Array(array) => self.align_of(array.elem, depth + 1),
            Def::Var(var) => self.align_of(var.ty, depth + 1),
            // An 8-byte slot is the widest thing the BPF ABI aligns to, but for 16-byte integers.
            Def::Int(int) => Ok(int.bytes.clamp(1, 16)),
            _ => Ok(self.btf.size_of(here)?.clamp(1, PTR_BYTES)),
        }
    }

    fn widest_member(&mut self, id: BtfId, depth: u32) -> Result<u32, TypeError> {
        let btf = self.btf;
        btf.members(id)
            .iter()
            .try_fold(1, |widest, m| Ok(self.align_of(m.ty, depth + 1)?.max(widest)))
    }

    fn is_packed(&mut self, id: BtfId, depth: u32) -> Result<bool, TypeError> {
        let btf = self.btf;
        let (here, ty) = btf.resolve(id)?;
        let Some(composite) = ty.def.composite() else {
            return Ok(false);
        };
        for m in btf.members(here) {
            let (off, bits) = btf.member_extent(m)?;
            let misplaced = match bits {
                None => {
                    let align_bits = u64::from(self.align_of(m.ty, depth + 1)?) * 8;
                    !off.is_multiple_of(align_bits.max(1))
                }
                // A bitfield must not cross a boundary of its type.
                Some(bits) => {
                    let unit = (u64::from(btf.size_of(m.ty)?) * 8).max(1);
                    bits > 0 && off / unit != (off + u64::from(bits) - 1) / unit
                }
            };
            if misplaced {
                return Ok(true);
            }
        }
        let widest = self.widest_member(here, depth)?;
        Ok(composite.bytes % widest.max(1) != 0)
    }
}
