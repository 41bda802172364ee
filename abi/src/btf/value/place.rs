//! Where a value lies in its bytes, and how to find a field by its path.

use super::ValueError;
use crate::btf::{Btf, BtfId, MAX_DEPTH, Member, TypeError};
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt::Write as _;

/// How many names an error lists.
const LISTED_NAMES: usize = 16;
/// Members looked at before a search is given up: anonymous unions nested in each other could
/// make it exponential.
const MAX_VISITS: u32 = 1 << 20;

/// A typed part of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Type.
    pub ty: BtfId,
    /// Bit offset from the start of the bytes.
    pub bit_off: u64,
    /// Width of a bitfield; `None` for all else, which takes the type's size.
    pub bitfield_bits: Option<u32>,
}

impl Place {
    /// A whole value of type `ty`.
    #[must_use]
    pub const fn whole(ty: BtfId) -> Self {
        Self { ty, bit_off: 0, bitfield_bits: None }
    }

    /// The field of type `root` at `path`, such as `a.b[3]`. Members of anonymous structures and
    /// unions are found by their names alone; the empty path is the whole.
    ///
    /// # Errors
    /// A path with a name or index that is not there.
    pub fn find(btf: &Btf, root: BtfId, path: &str) -> Result<Self, ValueError> {
        let bad_path = || ValueError::Path(path.to_owned());
        let mut place = Self::whole(root);
        let mut rest = path;
        while !rest.is_empty() {
            if let Some(bracket) = rest.strip_prefix('[') {
                let (index, after) = bracket.split_once(']').ok_or_else(bad_path)?;
                place = place.element(btf, index.parse().map_err(|_| bad_path())?)?;
                rest = after.strip_prefix('.').unwrap_or(after);
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(end).ok_or_else(bad_path)?;
            if name.is_empty() {
                return Err(bad_path());
            }
            place = place.member(btf, name)?;
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        Ok(place)
    }

    /// The member called `name`, anonymous members searched through.
    ///
    /// # Errors
    /// There is none.
    pub fn member(self, btf: &Btf, name: &str) -> Result<Self, ValueError> {
        let mut visits = 0;
        self.search(btf, name, 0, &mut visits)?.ok_or_else(|| ValueError::NoMember {
            at: btf.name_of(self.ty).to_owned(),
            member: name.to_owned(),
            known: self.known_members(btf),
        })
    }

    /// Element `index` of an array.
    ///
    /// # Errors
    /// The index is out of range, or this is no array.
    pub fn element(self, btf: &Btf, index: u64) -> Result<Self, ValueError> {
        let array = btf.array(self.ty);
        let array = array.filter(|array| index < u64::from(array.len)).ok_or({
            ValueError::NoElement { of: self.ty, index, len: array.map_or(0, |a| a.len) }
        })?;
        let bits = u64::from(btf.size_of(array.elem)?) * 8;
        let bit_off = index
            .checked_mul(bits)
            .and_then(|off| off.checked_add(self.bit_off))
            .ok_or(TypeError::TooLarge(self.ty))?;
        Ok(Self { ty: array.elem, bit_off, bitfield_bits: None })
    }

    /// Where `member` of the structure here lies.
    pub(super) fn of_member(self, btf: &Btf, member: &Member) -> Result<Self, TypeError> {
        let (off, bitfield_bits) = btf.member_extent(member)?;
        Ok(Self { ty: member.ty, bit_off: self.bit_off.saturating_add(off), bitfield_bits })
    }

    fn search(
        self,
        btf: &Btf,
        name: &str,
        depth: u32,
        visits: &mut u32,
    ) -> Result<Option<Self>, ValueError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep(self.ty).into());
        }
        let (here, _) = btf.resolve(self.ty)?;
        for member in btf.members(here) {
            *visits += 1;
            if *visits > MAX_VISITS {
                return Err(ValueError::TooManyParts(MAX_VISITS));
            }
            let place = self.of_member(btf, member)?;
            let found = match btf.name(member.name) {
                "" => place.search(btf, name, depth + 1, visits)?,
                found => (found == name).then_some(place),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn known_members(self, btf: &Btf) -> String {
        let members = match btf.resolve(self.ty) {
            Ok((here, _)) => btf.members(here),
            Err(_) => &[],
        };
        list_names(members.iter().map(|m| btf.name(m.name)))
    }
}

/// Some names, for an error.
pub(super) fn list_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (i, name) in names.filter(|name| !name.is_empty()).enumerate() {
        if i == LISTED_NAMES {
            text.push_str(", …");
            break;
        }
        let _ = write!(text, "{}{name}", if i == 0 { "" } else { ", " });
    }
    if text.is_empty() { String::from("none") } else { text }
}
