//! Reasons found where objects on the stack are made, used and ended.

use ubpf_abi::Errno;

/// Reasons found where objects on the stack are made, used and ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectReason {
    /// The only way to give a reference back would be lost.
    #[error("cannot overwrite referenced dynptr")]
    OverwritesReferenced,
    /// Memory that a helper fills holds a dynptr.
    #[error("potential write to dynptr at off={0} disallowed")]
    MayWriteDynptr(i32),
}

impl ObjectReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::MayWriteDynptr(_) => Errno::EACCES,
            Self::OverwritesReferenced => Errno::EINVAL,
        }
    }
}
