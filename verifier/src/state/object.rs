//! Objects on the stack that only helpers and kernel functions make, change and end.
//!
//! A program never sees their bytes: it cannot read them, and where it overwrites them the object
//! is gone. Each lies in one or more whole slots; the bytes of those slots say so ([`Byte`]).

use super::reg::{PtrId, RefId};
use super::stack::{Byte, SLOT_BYTES};
use ubpf_abi::btf::BtfId;
use ubpf_abi::helper::DynptrKind;

/// An object on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A pointer with a size that is known at run time.
    Dynptr(Dynptr),
    /// An iterator over something of the kernel's.
    Iter(Iter),
    /// Interrupts are off: what they were before.
    IrqFlag(IrqFlag),
}

/// A dynptr: two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynptr {
    /// What it points into.
    pub kind: DynptrKind,
    /// Which one it is: its slices die with it.
    pub id: PtrId,
    /// The reference that it, and every clone of it, stands for.
    pub ref_id: Option<RefId>,
}

/// An open-coded iterator: as many slots as its struct is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iter {
    /// Its struct in the kernel's BTF, such as `bpf_iter_num`.
    pub btf_id: BtfId,
    /// Slots that it takes.
    pub slots: u8,
    /// Whether it may have more to give.
    pub state: IterState,
    /// How often it has given something on the way here.
    pub depth: u32,
    /// The reference that ends when the iterator is destroyed.
    pub ref_id: RefId,
    /// How long what it goes over stays valid.
    pub trust: IterTrust,
}

/// Whether an iterator may have more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IterState {
    /// It may.
    Active,
    /// It gave null.
    Drained,
}

/// How long what an iterator goes over stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IterTrust {
    /// As long as the iterator.
    Plain,
    /// Until the RCU read section ends that it was made in.
    Rcu,
    /// No longer, or never did: it may only be destroyed.
    Untrusted,
}

/// The flags that disabling interrupts saved: one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqFlag {
    /// The disabling that it undoes.
    pub ref_id: RefId,
    /// Which kernel functions undo it.
    pub class: IrqClass,
}

/// Kernel functions that disable interrupts, in the families that must not be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IrqClass {
    /// `bpf_local_irq_save` and `bpf_local_irq_restore`.
    Native,
    /// Those that take a lock on the way.
    Lock,
}

impl Object {
    /// Slots that it takes.
    #[must_use]
    pub const fn slots(&self) -> u8 {
        match self {
            Self::Dynptr(_) => 2,
            Self::Iter(iter) => iter.slots,
            Self::IrqFlag(_) => 1,
        }
    }

    /// Bytes that it takes.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.slots() as u32 * SLOT_BYTES
    }

    /// What its bytes are.
    #[must_use]
    pub const fn byte(&self) -> Byte {
        match self {
            Self::Dynptr(_) => Byte::Dynptr,
            Self::Iter(_) => Byte::Iter,
            Self::IrqFlag(_) => Byte::IrqFlag,
        }
    }

    /// The reference that it stands for.
    #[must_use]
    pub const fn ref_id(&self) -> Option<RefId> {
        match self {
            Self::Dynptr(dynptr) => dynptr.ref_id,
            Self::Iter(iter) => Some(iter.ref_id),
            Self::IrqFlag(flag) => Some(flag.ref_id),
        }
    }

    /// The dynptr, if it is one.
    #[must_use]
    pub const fn dynptr(&self) -> Option<&Dynptr> {
        match self {
            Self::Dynptr(dynptr) => Some(dynptr),
            Self::Iter(_) | Self::IrqFlag(_) => None,
        }
    }
}
