//! Flags of element updates.

use ubpf_abi::Errno;

/// `BPF_F_LOCK`: under the value's spin lock.
pub(super) const LOCK: u64 = 4;

/// Which elements an update may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `BPF_ANY`: make or replace.
    Any,
    /// `BPF_NOEXIST`: make only.
    NoExist,
    /// `BPF_EXIST`: replace only.
    Exist,
}

impl Mode {
    /// Reads `BPF_ANY`, `BPF_NOEXIST` and `BPF_EXIST`.
    ///
    /// # Errors
    /// `EINVAL` for anything else.
    pub(super) const fn parse(flags: u64) -> Result<Self, Errno> {
        match flags {
            0 => Ok(Self::Any),
            1 => Ok(Self::NoExist),
            2 => Ok(Self::Exist),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether an element that does or does not exist may be updated.
    ///
    /// # Errors
    /// `EEXIST`, `ENOENT`.
    pub(super) const fn check(self, exists: bool) -> Result<(), Errno> {
        match (self, exists) {
            (Self::NoExist, true) => Err(Errno::EEXIST),
            (Self::Exist, false) => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }
}
