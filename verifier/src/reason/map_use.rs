//! Reasons why a program may not name a map.

use ubpf_abi::Errno;

/// Reasons why a program may not name a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapUseReason {
    /// Operations of the kernel are no data.
    #[error("bpf_struct_ops map cannot be used in prog")]
    StructOps,
    /// A cgroup has one storage for a program.
    #[error("only one cgroup storage of each type is allowed")]
    SecondStorage,
    /// An offset that no value has.
    #[error("direct value offset of {0} is not allowed")]
    AddressTooFar(u32),
    /// An address in an array with more than one value.
    #[error("invalid access to map value pointer, value_size={value_size} off={off}")]
    AddressOfMany {
        /// Bytes in a value.
        value_size: u32,
        /// Offset.
        off: u32,
    },
}

impl MapUseReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::SecondStorage => Errno::EBUSY,
            Self::AddressOfMany { .. } => Errno::ENOTSUPP,
            _ => Errno::EINVAL,
        }
    }
}
