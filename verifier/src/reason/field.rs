//! Reasons found where programs use fields with rules of their own.

use super::R;
use std::fmt;
use ubpf_abi::Errno;
use ubpf_abi::fields::FieldKind;

/// Reasons found where programs use fields with rules of their own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldReason {
    /// Socket filters cannot use maps with locks.
    #[error("socket filter progs cannot use bpf_spin_lock yet")]
    SocketFilter,
    /// Programs that may run anywhere in the kernel cannot use maps with such fields.
    #[error("tracing progs cannot use {0} yet")]
    TracingProgram(&'static str),
    /// Programs that sleep cannot use maps of this type.
    #[error("Sleepable programs can only use array, hash, ringbuf and local storage maps")]
    SleepableMap,
    /// A load or store of bytes of a field.
    #[error("{0} cannot be accessed directly by load/store")]
    Direct(FieldKind),
    /// The same in an allocated object.
    #[error("direct access to {0} is disallowed")]
    DirectObject(FieldKind),
    /// Memory for a helper that has bytes of a pointer.
    #[error("{0} cannot be accessed indirectly by helper")]
    Indirect(FieldKind),
    /// A pointer at a place that is not constant.
    #[error("{0} access cannot have variable offset")]
    VariablePointer(FieldKind),
    /// Part of a pointer, or more.
    #[error("{kind} access misaligned expected={expected} off={off}")]
    MisalignedPointer {
        /// The pointer.
        kind: FieldKind,
        /// Where it lies.
        expected: u32,
        /// Where the access begins.
        off: i64,
    },
    /// A pointer is loaded and stored whole.
    #[error("{0} access size must be BPF_DW")]
    PointerSize(FieldKind),
    /// Pointers have no other operations than plain loads and stores.
    #[error("kptr in map can only be accessed using BPF_MEM instruction mode")]
    PointerMode,
    /// A pointer that owns its object is exchanged, never stored.
    #[error("store to referenced kptr disallowed")]
    StoreOwner,
    /// A pointer to user memory is set by user space.
    #[error("store to uptr disallowed")]
    StoreUser,
    /// A number is stored in a pointer's place.
    #[error("BPF_ST imm must be 0 when storing to kptr at off={0}")]
    StoreNumber(u32),
    /// An object of another type is stored.
    #[error("invalid kptr access, {reg} type={given} expected=ptr_{wanted}{}", or_untrusted(*.untrusted_too, .wanted))]
    WrongObject {
        /// The register stored.
        reg: R,
        /// Its type, with the struct's name.
        given: String,
        /// The struct that the field points to.
        wanted: String,
        /// Pointers that are not trusted will do.
        untrusted_too: bool,
        /// What this is for the kernel.
        errno: Errno,
    },
}

fn or_untrusted(too: bool, wanted: &str) -> impl fmt::Display {
    if too { format!(" or untrusted_ptr_{wanted}") } else { String::new() }
}

impl FieldReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::SocketFilter | Self::TracingProgram(_) | Self::SleepableMap => Errno::EINVAL,
            Self::WrongObject { errno, .. } => *errno,
            Self::Direct(_)
            | Self::DirectObject(_)
            | Self::Indirect(_)
            | Self::VariablePointer(_)
            | Self::MisalignedPointer { .. }
            | Self::PointerSize(_)
            | Self::PointerMode
            | Self::StoreOwner
            | Self::StoreUser
            | Self::StoreNumber(_) => Errno::EACCES,
        }
    }
}
