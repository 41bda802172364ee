//! Finding what lies at an offset of a kernel struct.
//!
//! The walk descends through members, nested structs and arrays until it meets something that is
//! neither, and says what a load of that width and place gives.

use super::tag_of;
use crate::reason::{Reason, TypedReason};
use ubpf_abi::btf::{Btf, BtfId, Def, MAX_DEPTH, Member};

/// A tag that compilers leave on pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Into the memory of a process.
    User,
    /// One object for each CPU.
    Percpu,
    /// Protected by RCU.
    Rcu,
}

/// What a load gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A number.
    Scalar,
    /// A pointer to something that has no members: readable, but nothing is known of it.
    Opaque,
    /// A pointer to a struct or union.
    Object {
        /// Which.
        id: BtfId,
        /// The member that holds it.
        field: &'a str,
        /// Its tag.
        tag: Option<Tag>,
        /// On the way there was a union, which may hold something else.
        through_union: bool,
    },
}

/// What lies at `off` of the struct or union `id`, in `size` bytes.
///
/// # Errors
/// The access crosses an end, or meets nothing.
pub fn at(btf: &Btf, id: BtfId, off: u32, size: u32) -> Result<Found<'_>, Reason> {
    let mut walk = Walk { btf, size, through_union: false };
    let (mut id, mut off) = (id, off);
    for _ in 0..=MAX_DEPTH {
        match walk.level(id, off)? {
            Level::Done(found) => return Ok(found),
            Level::Into(next, rest) => (id, off) = (next, rest),
        }
    }
    Err(Reason::Unsupported("structs that nest this deeply"))
}

/// Whether what begins at `off` of the struct `id` is the struct `wanted`, perhaps nested in
/// others that begin there too.
#[must_use]
pub fn is_or_begins_with(btf: &Btf, id: BtfId, off: u32, wanted: BtfId) -> bool {
    if off == 0 && id == wanted {
        return true;
    }
    let mut walk = Walk { btf, size: 1, through_union: false };
    let (mut id, mut off) = (id, off);
    for _ in 0..=MAX_DEPTH {
        match walk.level(id, off) {
            Ok(Level::Into(next, 0)) if next == wanted => return true,
            Ok(Level::Into(next, rest)) => (id, off) = (next, rest),
            Ok(Level::Done(_)) | Err(_) => return false,
        }
    }
    false
}

enum Level<'a> {
    Done(Found<'a>),
    Into(BtfId, u32),
}

struct Walk<'a> {
    btf: &'a Btf,
    size: u32,
    through_union: bool,
}

impl<'a> Walk<'a> {
    fn level(&mut self, id: BtfId, off: u32) -> Result<Level<'a>, Reason> {
        let btf = self.btf;
        let resolved = btf.resolve(id).map_err(|_| Reason::Unsupported("broken kernel types"))?;
        let (id, ty) = resolved;
        let name = || match btf.name(ty.name) {
            "" => String::from("(anon)"),
            name => name.to_owned(),
        };
        let (Def::Struct(composite) | Def::Union(composite)) = ty.def else {
            return Err(TypedReason::NotStruct(name()).into());
        };
        let members = btf.members(id);
        if matches!(ty.def, Def::Union(_)) && members.len() != 1 {
            self.through_union = true;
        }
        let size = self.size;
        let end = off.checked_add(size).ok_or(Reason::Unsupported("offsets this large"))?;
        if end > composite.bytes {
            return self
                .flexible_tail(members, off)
                .ok_or_else(|| TypedReason::BeyondStruct { name: name(), off, size }.into());
        }
        for member in members {
            let start = member.bit_off / 8;
            if end <= start {
                break;
            }
            let bits = member.bitfield_bits;
            if bits != 0 {
                let last = (u64::from(member.bit_off) + u64::from(bits)).div_ceil(8);
                if off <= start && last <= end.into() {
                    return Ok(Level::Done(Found::Scalar));
                }
                continue;
            }
            if off < start {
                break;
            }
            let field = btf.name(member.name);
            let bytes =
                btf.size_of(member.ty).map_err(|_| TypedReason::NoSize(field.to_owned()))?;
            let member_end = start.saturating_add(bytes);
            if off >= member_end {
                continue;
            }
            let (ty, start) = self.element(member.ty, start, off)?;
            let (ty, def) = btf
                .resolve(ty)
                .map(|(id, ty)| (id, ty.def))
                .map_err(|_| Reason::Unsupported("broken kernel types"))?;
            return match def {
                Def::Struct(_) | Def::Union(_) => Ok(Level::Into(ty, off - start)),
                Def::Ptr(_) if off != start || size != 8 => {
                    let member = field.to_owned();
                    Err(TypedReason::PartOfPointer { member, start, name: name(), off, size }
                        .into())
                }
                Def::Ptr(to) => Ok(Level::Done(self.pointer(to, field))),
                _ if end > member_end && !self.through_union => {
                    let (member, end) = (field.to_owned(), member_end);
                    Err(TypedReason::BeyondMember { member, end, name: name(), off, size }.into())
                }
                _ => Ok(Level::Done(Found::Scalar)),
            };
        }
        Err(TypedReason::NoField { name: name(), off }.into())
    }

    /// An array's element at `off` and where it begins; the member itself where it is no array.
    fn element(&self, ty: BtfId, start: u32, off: u32) -> Result<(BtfId, u32), Reason> {
        let mut elem = ty;
        for _ in 0..=MAX_DEPTH {
            match self.btf.array(elem) {
                Some(array) => elem = array.elem,
                None if elem == ty => return Ok((ty, start)),
                None => {
                    let bytes = self.btf.size_of(elem).unwrap_or(0);
                    let index = (off - start).checked_div(bytes).unwrap_or(0);
                    return Ok((elem, start + index * bytes));
                }
            }
        }
        Err(Reason::Unsupported("arrays that nest this deeply"))
    }

    /// Behind the end of a struct whose last member is an array without length.
    fn flexible_tail(&self, members: &[Member], off: u32) -> Option<Level<'a>> {
        let last = members.last()?;
        let array = self.btf.array(last.ty).filter(|array| array.len == 0)?;
        let rest = off.checked_sub(last.bit_off / 8)?;
        let (elem, ty) = self.btf.resolve(array.elem).ok()?;
        match ty.def {
            Def::Int(_) => Some(Level::Done(Found::Scalar)),
            Def::Struct(c) | Def::Union(c) => Some(Level::Into(elem, rest.checked_rem(c.bytes)?)),
            _ => None,
        }
    }

    fn pointer(&self, to: BtfId, field: &'a str) -> Found<'a> {
        let tag = tag_of(self.btf, to);
        match self.btf.resolve(to) {
            Ok((id, ty)) if ty.def.composite().is_some() => {
                Found::Object { id, field, tag, through_union: self.through_union }
            }
            _ => Found::Opaque,
        }
    }
}
