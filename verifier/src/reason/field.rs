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
    /// A field at a place that is not constant.
    #[error("{reg} doesn't have constant offset. {what} has to be at the constant offset")]
    VariableField {
        /// The argument's register.
        reg: R,
        /// The field.
        what: FieldKind,
    },
    /// The value or object has no such field.
    #[error("{owner} has no valid {what}")]
    NoField {
        /// The map or object.
        owner: String,
        /// The field.
        what: FieldKind,
    },
    /// The field is elsewhere.
    #[error("off {off} doesn't point to 'struct {what}' that is at {at}")]
    NotThere {
        /// Where it was looked for.
        off: i64,
        /// The field.
        what: FieldKind,
        /// Where it is.
        at: u32,
    },
    /// A second lock that may wait for ever.
    #[error("Locking two bpf_spin_locks are not allowed")]
    TwoLocks,
    /// A lock that is held already.
    #[error("Acquiring the same lock again, AA deadlock detected")]
    SameLock,
    /// A lock is given back while none is held.
    #[error("{}_unlock without taking a lock", lock_family(.0))]
    NotLocked(FieldKind),
    /// A lock is given back that is not held.
    #[error("{}_unlock of different lock", lock_family(.0))]
    OtherLock(FieldKind),
    /// A lock is given back before those that were taken after it.
    #[error("{}_unlock cannot be out of order", lock_family(.0))]
    OutOfOrder(FieldKind),
    /// A call that must not happen while a lock is held.
    #[error("function calls are not allowed while holding a lock")]
    CallWhileLocked,
    /// A timer, work item or the like of another map than the one that is passed.
    #[error(
        "{what} pointer in R{at} map_uid={first} doesn't match map pointer in R{} map_uid={second}",
        .at + 1
    )]
    OtherMap {
        /// What lies in the value.
        what: &'static str,
        /// The register with it; the map is in the next.
        at: u8,
        /// Its map's number.
        first: u32,
        /// The number of the map passed.
        second: u32,
    },
    /// A map without types.
    #[error("map '{map}' has to have BTF in order to use {what}")]
    NoTypes {
        /// The map.
        map: String,
        /// What needs them.
        what: String,
    },
    /// The lock of a tree stays as it is while elements are compared.
    #[error("can't spin_{{lock,unlock}} in rbtree cb")]
    LockInCallback,
    /// A pointer to be exchanged at a place that is not constant.
    #[error("{0} doesn't have constant offset. kptr has to be at the constant offset")]
    VariableKptr(R),
    /// Nothing to be exchanged in the value.
    #[error("{0} has no valid kptr")]
    NoKptr(R),
    /// Nothing to be exchanged at this place.
    #[error("off={0} doesn't point to kptr")]
    NoKptrThere(i64),
    /// A pointer that owns nothing cannot be exchanged.
    #[error("off={0} kptr isn't referenced kptr")]
    NotOwning(i64),
    /// An object that may be null is given away.
    #[error("Possibly NULL pointer passed to helper arg{0}")]
    MaybeNull(u8),
    /// The kernel has no rule for such an object in an exchange.
    #[error("verifier bug: invalid PTR_TO_BTF_ID register for type match")]
    Unmatched,
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

/// What the functions on a kind of lock are called.
const fn lock_family(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::ResSpinLock => "bpf_res_spin",
        _ => "bpf_spin",
    }
}

fn or_untrusted(too: bool, wanted: &str) -> impl fmt::Display {
    if too { format!(" or untrusted_ptr_{wanted}") } else { String::new() }
}

impl FieldReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::SocketFilter
            | Self::TracingProgram(_)
            | Self::SleepableMap
            | Self::VariableField { .. }
            | Self::NoField { .. }
            | Self::NotThere { .. }
            | Self::TwoLocks
            | Self::SameLock
            | Self::NotLocked(_)
            | Self::OtherLock(_)
            | Self::OutOfOrder(_)
            | Self::CallWhileLocked
            | Self::OtherMap { .. }
            | Self::NoTypes { .. }
            | Self::VariableKptr(_)
            | Self::NoKptr(_) => Errno::EINVAL,
            Self::Unmatched => Errno::EFAULT,
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
            | Self::NoKptrThere(_)
            | Self::NotOwning(_)
            | Self::MaybeNull(_)
            | Self::LockInCallback
            | Self::StoreNumber(_) => Errno::EACCES,
        }
    }
}
