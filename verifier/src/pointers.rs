//! Which kinds of pointers an instruction accesses memory through, on all paths together.
//!
//! The kernel rewrites accesses to contexts and sockets, and loads that may fault. An instruction
//! can be rewritten for one kind of pointer only.

use crate::reason::{Reason, ValueReason};
use crate::state::{Pointer, PtrTo, Space, Trust};
use std::collections::BTreeMap;
use ubpf_abi::Access;
use ubpf_abi::helper::SockKind;
use ubpf_isa::Pc;

/// The first kind of pointer that each instruction was seen with.
#[derive(Debug, Default)]
pub struct Pointers(BTreeMap<Pc, Kind>);

/// What an access is rewritten for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing: the instruction stays as it is.
    Plain,
    /// Memory of a fixed size, perhaps of a kind that may fault.
    Mem,
    /// A kernel object.
    Object(Trust, Space),
    /// The context.
    Ctx,
    /// A socket.
    Sock(SockKind),
}

impl Kind {
    const fn of(p: &Pointer) -> Self {
        match p.to {
            PtrTo::Ctx => Self::Ctx,
            PtrTo::Sock(kind) => Self::Sock(kind),
            PtrTo::Btf { trust, space, .. } => Self::Object(trust, space),
            PtrTo::Mem { .. } => Self::Mem,
            _ => Self::Plain,
        }
    }

    /// Whether one instruction can do for both.
    fn mixes_with(self, other: Self, access: Access) -> bool {
        let plain = |kind| matches!(kind, Self::Plain | Self::Mem);
        let may_fault = |kind| matches!(kind, Self::Mem | Self::Object(..));
        self == other
            || plain(self) && plain(other)
            || access == Access::Read && may_fault(self) && may_fault(other)
    }
}

impl Pointers {
    /// The instruction at `pc` accesses memory through `p`.
    ///
    /// # Errors
    /// On another path it does so through a pointer that it would be rewritten for differently.
    pub fn used(&mut self, pc: Pc, p: &Pointer, access: Access) -> Result<(), Reason> {
        let kind = Kind::of(p);
        let first = *self.0.entry(pc).or_insert(kind);
        if kind.mixes_with(first, access) { Ok(()) } else { Err(ValueReason::MixedPointers.into()) }
    }
}
