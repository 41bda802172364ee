//! Guest memory: one reserved 4 GiB range of host address space per world, the regions in it,
//! and every access that anybody makes to them.
//!
//! ```text
//!  guest address
//!  0x0000_0000  never mapped: null pointers and small offsets from them fault
//!  0x0001_0000  user space       (what probe_read_user may touch)
//!  0x8000_0000  kernel space     stack, context, packet, map values, globals, kernel objects
//!  0xf000_0000  map objects      addresses that stand for maps; never accessible
//!  0xff00_0000  functions        addresses that stand for subprograms; never accessible
//! ```
//!
//! There are two ways to memory, and which one a caller has says what is checked:
//!
//! - **By address** ([`Cage::read`], [`Cage::write`], …): for pointers that come from a program.
//!   The region table says whether the bytes exist and whether programs may touch them. One
//!   region may be a row of *elements* (map values, stack frames): an access must stay in one.
//! - **By handle** ([`Region::read`], …): for the owner of a region, such as a map. Offsets are
//!   checked against the region's size; permissions do not apply to it.
//!
//! Other threads may write any guest byte at any time, so no reference to guest memory is ever
//! formed: everything is copied through raw accesses. All `unsafe` of this crate is in `memory.rs`.
//!
//! Memory that was once handed out stays accessible to the *host* until the cage goes (it reads
//! as zero again once it is freed), so a racing or stale access can give a wrong value but never
//! a fatal signal.

mod addr;
mod cage;
mod fault;
mod memory;
mod region;
mod windows;

pub use addr::{FUNCTIONS, GRANULE_BYTES, GuestAddr, KERNEL_SPACE, Space, USER_SPACE};
pub use cage::{Bytes, Cage, MAX_COPY_BYTES, MAX_STR_BYTES};
pub use fault::{Fault, MemError, Near, Place};
pub use memory::{View, Window, Word};
pub use region::{Elements, Perm, Region, RegionKind, RegionSpec};
pub use windows::Windows;

#[cfg(test)]
mod tests;
