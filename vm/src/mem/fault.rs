//! What can go wrong with guest memory, and what lies near an address that faulted.

use super::addr::{GuestAddr, Space};
use super::region::{Perm, RegionKind};
use core::fmt;
use std::sync::Arc;
use ubpf_abi::{Access, Errno, Trap};
use ubpf_isa::Pc;

/// An access that the region table does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of {size} bytes at {addr:#x} is outside every region that allows it", match .access {
    Access::Read => "load",
    Access::Write => "store",
})]
pub struct Fault {
    /// First byte, as the program gave it; it need not lie in the cage at all.
    pub addr: u64,
    /// Bytes, saturated.
    pub size: u32,
    /// What was attempted.
    pub access: Access,
}

impl Fault {
    /// The trap that ends a run when the instruction at `pc` made this access.
    #[must_use]
    pub const fn at(self, pc: Pc) -> Trap {
        Trap::memory(self.access, pc, self.addr, self.size)
    }
}

/// Why memory could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemError {
    /// The cage has no room for a region this large.
    #[error("no room for {bytes} bytes in the {space} of the cage")]
    NoRoom {
        /// Bytes asked for.
        bytes: u64,
        /// Where.
        space: Space,
    },
    /// The host set a limit.
    #[error("{bytes} bytes more than the {used} in use would be past the limit of {limit}")]
    Limit {
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that there are.
        used: u64,
        /// Bytes that there may be.
        limit: u64,
    },
    /// A region's parts do not fit into it.
    #[error("region of {bytes} bytes cannot be laid out as asked: {what}")]
    BadLayout {
        /// Bytes asked for.
        bytes: u64,
        /// Which part does not fit.
        what: &'static str,
    },
    /// The host refused address space or memory.
    #[error("the host refused to {action}")]
    Host {
        /// What was asked of it.
        action: &'static str,
        /// Its answer.
        source: std::io::Error,
    },
}

impl MemError {
    /// What a system call of the emulated kernel returns for it.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::NoRoom { .. } | Self::Limit { .. } | Self::Host { .. } => Errno::ENOMEM,
            Self::BadLayout { .. } => Errno::EINVAL,
        }
    }
}

/// The region nearest to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// What the region is.
    pub kind: RegionKind,
    /// Its label, such as a map's name.
    pub label: Arc<str>,
    /// Where the nearest element of it (or all of it) begins.
    pub start: GuestAddr,
    /// Bytes in that element.
    pub bytes: u32,
    /// What programs may do with it.
    pub perm: Perm,
    /// Where the address lies relative to it.
    pub place: Place,
}

/// Where an address lies relative to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside, this many bytes from the start.
    At(u32),
    /// This many bytes before the start.
    Before(u32),
    /// This many bytes past the end; 0 is the first byte after it.
    Past(u32),
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::At(off) => write!(f, "{off} bytes into ")?,
            Place::Before(by) => write!(f, "{by} bytes before ")?,
            Place::Past(0) => f.write_str("just past the end of ")?,
            Place::Past(by) => write!(f, "{by} bytes past the end of ")?,
        }
        f.write_str(self.kind.name())?;
        if !self.label.is_empty() {
            write!(f, " '{}'", self.label)?;
        }
        write!(
            f,
            " ({} bytes{})",
            self.bytes,
            match self.perm {
                Perm::Read => ", read-only",
                Perm::Write => ", write-only",
                Perm::ReadWrite | Perm::Hooked => "",
            }
        )
    }
}
