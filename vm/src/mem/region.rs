//! Regions: what is asked for, and the handle of what was given.

use super::addr::{GuestAddr, Space};
use super::cage::Cage;
use super::fault::{Fault, MemError};
use super::memory::{Reach, Window, Word};
use std::sync::Arc;
use ubpf_abi::Access;

/// What programs may do with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Perm {
    /// Load.
    Read = 1,
    /// Store.
    Write = 2,
    /// Both.
    ReadWrite = 3,
    /// Load; stores are handed to [`RunState::ctx_store`](crate::run::RunState::ctx_store).
    Hooked = 5,
}

/// What a region is, for descriptions of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegionKind {
    /// Stack frames.
    Stack,
    /// A context struct.
    Context,
    /// A packet, its metadata included.
    Packet,
    /// Values of a map.
    MapValue,
    /// Keys of a map.
    MapKey,
    /// Records of a ring buffer.
    Record,
    /// A kernel object: task, socket, device.
    KernelObject,
    /// User-space memory.
    User,
    /// Memory that the embedder put there.
    Host,
}

impl RegionKind {
    /// What it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stack => "stack frame",
            Self::Context => "context",
            Self::Packet => "packet",
            Self::MapValue => "map value of",
            Self::MapKey => "map key of",
            Self::Record => "ring buffer",
            Self::KernelObject => "kernel object",
            Self::User => "user memory",
            Self::Host => "host memory",
        }
    }
}

/// A region that is a row of equal elements, each with its own bounds.
///
/// Element `n` begins `n * stride` bytes into the region; what lies between its `bytes` and the
/// next element is not accessible to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elements {
    /// Bytes from one element to the next.
    pub stride: u32,
    /// Bytes of an element, at most `stride` and at least 1.
    pub bytes: u32,
}

/// What is asked of [`Cage::alloc`].
#[derive(Clone, Debug)]
pub struct RegionSpec {
    pub(super) space: Space,
    pub(super) bytes: u64,
    pub(super) perm: Perm,
    pub(super) kind: RegionKind,
    pub(super) label: Arc<str>,
    pub(super) elements: Option<Elements>,
}

impl RegionSpec {
    /// A readable and writable region of the kernel half, with byte-exact bounds.
    #[must_use]
    pub fn new(bytes: u64, kind: RegionKind, label: impl Into<Arc<str>>) -> Self {
        Self {
            space: Space::Kernel,
            bytes,
            perm: Perm::ReadWrite,
            kind,
            label: label.into(),
            elements: None,
        }
    }

    /// Puts it into another half.
    #[must_use]
    pub const fn space(mut self, space: Space) -> Self {
        self.space = space;
        self
    }

    /// Says what programs may do with it.
    #[must_use]
    pub const fn perm(mut self, perm: Perm) -> Self {
        self.perm = perm;
        self
    }

    /// Makes it a row of elements.
    #[must_use]
    pub const fn elements(mut self, elements: Elements) -> Self {
        self.elements = Some(elements);
        self
    }
}

/// An allocated region, seen by its owner. Dropping it frees the region.
///
/// Offsets count from the region's first byte and are checked against the bytes that were
/// allocated, whatever [`Region::set_bounds`] shows to programs.
#[derive(Debug)]
pub struct Region {
    cage: Arc<Cage>,
    reach: Reach,
}

impl Region {
    pub(super) const fn new(cage: Arc<Cage>, reach: Reach) -> Self {
        Self { cage, reach }
    }

    /// Its first byte.
    #[must_use]
    pub const fn addr(&self) -> GuestAddr {
        self.reach.start()
    }

    /// Bytes that were allocated.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.reach.len()
    }

    /// Whether nothing was allocated.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of the byte at `off`, or `None` past the end.
    #[must_use]
    pub fn at(&self, off: u32) -> Option<GuestAddr> {
        if off > self.len() { None } else { self.addr().checked_add(off) }
    }

    /// Where it lies.
    #[must_use]
    pub const fn cage(&self) -> &Arc<Cage> {
        &self.cage
    }

    /// Shows programs only `len` bytes from `off` on, as when a packet's head or tail moves.
    /// Not for rows of elements.
    ///
    /// # Errors
    /// [`MemError::BadLayout`] when that is more than was allocated.
    pub fn set_bounds(&self, off: u32, len: u32) -> Result<(), MemError> {
        self.cage.set_bounds(&self.reach, off, len)
    }

    /// Changes what programs may do with it.
    pub fn set_perm(&self, perm: Perm) {
        self.cage.set_perm(&self.reach, perm);
    }

    /// Copies out.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not all inside.
    pub fn read(&self, off: u32, into: &mut [u8]) -> Result<(), Fault> {
        let part = self.part(off, into.len(), Access::Read)?;
        self.cage.memory().read(part, into);
        Ok(())
    }

    /// Copies out into a new buffer of `len` bytes.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not all inside.
    pub fn read_vec(&self, off: u32, len: u32) -> Result<Vec<u8>, Fault> {
        let part = self.part(off, len as usize, Access::Read)?;
        let mut bytes = vec![0; len as usize];
        self.cage.memory().read(part, &mut bytes);
        Ok(bytes)
    }

    /// Copies in.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not all inside.
    pub fn write(&self, off: u32, from: &[u8]) -> Result<(), Fault> {
        let part = self.part(off, from.len(), Access::Write)?;
        self.cage.memory().write(part, from);
        Ok(())
    }

    /// What engines keep to access these bytes again and again. `None` when they are not all
    /// inside, or fewer than 8.
    #[inline]
    #[must_use]
    pub fn window(&self, off: u32, len: u32) -> Option<Window> {
        self.reach.part(off, len as usize)?.window()
    }

    /// Sets `len` bytes to `byte`.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not all inside.
    pub fn fill(&self, off: u32, len: u32, byte: u8) -> Result<(), Fault> {
        let part = self.part(off, len as usize, Access::Write)?;
        self.cage.memory().fill(part, byte);
        Ok(())
    }

    /// Moves `len` bytes inside the region; the two ranges may overlap.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not all inside.
    pub fn copy_within(&self, from: u32, to: u32, len: u32) -> Result<(), Fault> {
        let source = self.part(from, len as usize, Access::Read)?;
        let target = self.part(to, len as usize, Access::Write)?;
        self.cage.memory().copy(source, target);
        Ok(())
    }

    /// Reads a little-endian word.
    ///
    /// # Errors
    /// [`Fault`] when it is not all inside.
    pub fn load<W: Word>(&self, off: u32) -> Result<W, Fault> {
        let part = self.part(off, size_of::<W>(), Access::Read)?;
        self.cage.memory().load(part).ok_or(self.fault(off, size_of::<W>(), Access::Read))
    }

    /// Writes a little-endian word.
    ///
    /// # Errors
    /// [`Fault`] when it is not all inside.
    pub fn store<W: Word>(&self, off: u32, value: W) -> Result<(), Fault> {
        let part = self.part(off, size_of::<W>(), Access::Write)?;
        self.cage.memory().store(part, value).ok_or(self.fault(off, size_of::<W>(), Access::Write))
    }

    fn part(&self, off: u32, len: usize, access: Access) -> Result<Reach, Fault> {
        self.reach.part(off, len).ok_or_else(|| self.fault(off, len, access))
    }

    fn fault(&self, off: u32, len: usize, access: Access) -> Fault {
        let addr = u64::from(self.addr()) + u64::from(off);
        Fault { addr, size: u32::try_from(len).unwrap_or(u32::MAX), access }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.cage.free(&self.reach);
    }
}
