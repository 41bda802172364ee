//! Guest addresses and the layout of the cage.

use core::fmt;
use core::ops::Range;

/// An address inside the cage.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u32);

impl GuestAddr {
    /// The address `off` bytes further, or `None` past the end of the cage.
    #[must_use]
    pub const fn checked_add(self, off: u32) -> Option<Self> {
        match self.0.checked_add(off) {
            Some(addr) => Some(Self(addr)),
            None => None,
        }
    }
}

impl From<GuestAddr> for u64 {
    fn from(addr: GuestAddr) -> Self {
        addr.0.into()
    }
}

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Regions begin at multiples of this. It is a multiple of every page size in use, so that
/// guest addresses are the same on all hosts.
pub const GRANULE_BYTES: u32 = 1 << GRANULE_SHIFT;
/// Log2 of [`GRANULE_BYTES`].
pub(super) const GRANULE_SHIFT: u32 = 16;

/// Where user-space objects live.
pub const USER_SPACE: Range<u32> = GRANULE_BYTES..0x8000_0000;
/// Where kernel objects live: everything that programs work on directly.
pub const KERNEL_SPACE: Range<u32> = 0x8000_0000..0xf000_0000;
/// Guest addresses from here on stand for subprograms and are never accessible.
pub const FUNCTIONS: u32 = 0xff00_0000;

/// The two halves of the cage that regions are allocated in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Below 0x8000_0000.
    User,
    /// From 0x8000_0000 on.
    Kernel,
}

impl Space {
    /// The addresses that belong to it.
    #[must_use]
    pub const fn range(self) -> Range<u32> {
        match self {
            Self::User => USER_SPACE,
            Self::Kernel => KERNEL_SPACE,
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user space",
            Self::Kernel => "kernel space",
        })
    }
}
