//! What programs may write of kernel objects: most of them nothing, those that implement
//! operations of a struct a few members of what they are given.

use super::facts::{Member, Ops, Writable};
use crate::reason::{Reason, TypedReason};
use ubpf_abi::btf::{Btf, BtfId, Kind};

/// Checks a store of `size` bytes at `off` of an object, by a program that implements one of
/// the operations.
///
/// # Errors
/// Such programs may not write there.
pub fn check(btf: &Btf, ops: &Ops, id: BtfId, off: u32, size: u32) -> Result<(), Reason> {
    let name = btf.name_of(id);
    match ops.writable {
        Writable::Struct(of) if of != name => Err(TypedReason::OnlyWrites(of).into()),
        Writable::Struct(_) => {
            let end = off.checked_add(size);
            if end.is_some_and(|end| btf.size_of(id).is_ok_and(|bytes| end <= bytes)) {
                return Ok(());
            }
            Err(TypedReason::WritesBeyond { off, size }.into())
        }
        Writable::Members { of, .. } if of != name => Err(TypedReason::ReadOnly.into()),
        Writable::Members { of, members } => {
            let places = members.iter().filter_map(|member| Some((member, place(btf, member)?)));
            let hit = |(member, (start, end)): &(&Member, (u32, u32))| {
                off == *start || member.anywhere && off > *start && off < *end
            };
            let Some((_, (_, end))) = places.into_iter().find(hit) else {
                return Err(TypedReason::NoWrite { name: of, off }.into());
            };
            if off.checked_add(size).is_none_or(|last| last > end) {
                return Err(TypedReason::WriteBeyond { name: of, off, size, end }.into());
            }
            Ok(())
        }
    }
}

/// Where a member begins and ends.
fn place(btf: &Btf, member: &Member) -> Option<(u32, u32)> {
    let mut id = btf.find(Kind::Struct, member.of)?;
    let mut start = 0_u32;
    let mut bytes = 0;
    for name in member.path {
        let found = btf.members(id).iter().find(|m| btf.name(m.name) == *name)?;
        start = start.checked_add(found.bit_off / 8)?;
        bytes = btf.size_of(found.ty).ok()?;
        id = btf.resolve(found.ty).ok()?.0;
    }
    Some((start, start.checked_add(bytes)?))
}
