//! Reasons found where objects on the stack are made, used and ended.

use ubpf_abi::Errno;

/// Reasons found where objects on the stack are made, used and ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectReason {
    /// The only way to give a reference back would be lost.
    #[error("cannot overwrite referenced dynptr")]
    OverwritesReferenced,
    /// An argument is no dynptr.
    #[error("Expected an initialized dynptr as arg #{0}")]
    NoDynptr(usize),
    /// An argument points to nothing that could be a dynptr.
    #[error("arg#{0} expected pointer to stack or const struct bpf_dynptr")]
    NoDynptrPointer(usize),
    /// A dynptr cannot be made in this place.
    #[error("Dynptr has to be an uninitialized dynptr")]
    NotUninit,
    /// Nothing is there to be given back.
    #[error("arg {0} is an unacquired reference")]
    Unacquired(u8),
    /// A dynptr that the kernel handed over is not the program's to give back.
    #[error("cannot release unowned const bpf_dynptr")]
    ReleasesConst,
    /// Memory that a helper fills holds a dynptr.
    #[error("potential write to dynptr at off={0} disallowed")]
    MayWriteDynptr(i32),
}

impl ObjectReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::MayWriteDynptr(_) => Errno::EACCES,
            Self::OverwritesReferenced
            | Self::NoDynptr(_)
            | Self::NoDynptrPointer(_)
            | Self::NotUninit
            | Self::Unacquired(_)
            | Self::ReleasesConst => Errno::EINVAL,
        }
    }
}
