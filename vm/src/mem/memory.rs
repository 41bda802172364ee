//! The reservation and the raw accesses to it: the one file of this crate with `unsafe` code.
//!
//! What it relies on, and who upholds it:
//!
//! 1. `host` is the start of a reservation of [`CAGE_BYTES`] plus [`GUARD_BYTES`] on both sides,
//!    made in [`Memory::reserve`], unmapped in `Drop` and nowhere else. No Rust allocation
//!    overlaps it, so volatile accesses to it are plain machine accesses, whatever other threads
//!    or compiled guest code do at the same time.
//! 2. A [`Reach`] names bytes below [`CAGE_BYTES`] that [`Memory::commit`] made readable and
//!    writable. Nothing ever takes that away again: freeing a region makes its bytes zero, or replaces
//!    its pages by zero pages of the same protection. Reaches are made by `commit`, by narrowing a reach, and from
//!    the slots of the region table, which hold reaches taken apart. So a reach, however old, is
//!    accessible while its memory lives; and since it lies inside the reservation, one used on
//!    another cage could at worst hit that cage's inaccessible pages.
//! 3. A [`Window`] is a reach of at least 8 bytes. Accesses through it take a [`View`], which
//!    borrows its memory.
#![allow(unsafe_code)]

use super::addr::{GRANULE_SHIFT, GuestAddr};
use super::fault::MemError;
use super::region::{Elements, Perm};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use std::sync::OnceLock;
use ubpf_abi::Access;

/// Bytes that guest addresses can name.
const CAGE_BYTES: usize = 1 << 32;
/// Inaccessible bytes on both sides, more than a 16-bit offset and an access can bridge.
const GUARD_BYTES: usize = 1 << 16;

const GRANULES: usize = CAGE_BYTES >> GRANULE_SHIFT;
const CHUNK_SLOTS: usize = 256;
/// Regions up to here are made zero byte by byte when they are freed: system calls and the page
/// faults that follow them take longer.
const SMALL_BYTES: usize = 16 << 10;

/// A range of guest bytes that are accessible to the host (invariant 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    start: u32,
    len: u32,
}

impl Reach {
    pub(super) const fn start(&self) -> GuestAddr {
        GuestAddr(self.start)
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// The `len` bytes from `off` on, when they are all inside.
    pub(super) fn part(&self, off: u32, len: usize) -> Option<Self> {
        let len = u32::try_from(len).ok()?;
        let end = off.checked_add(len)?;
        (end <= self.len).then(|| Self { start: self.start + off, len })
    }

    const fn pack(self) -> u64 {
        (self.start as u64) << 32 | self.len as u64
    }

    const fn unpack(bits: u64) -> Self {
        Self { start: (bits >> 32) as u32, len: bits as u32 }
    }
}

/// What the table says about the region that covers an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// The bytes around the address that one access may touch: the region or one element.
    pub(super) reach: Reach,
    perm: u8,
}

impl Found {
    pub(super) const fn allows(self, access: Access) -> bool {
        let bit = match access {
            Access::Read => Perm::Read as u8,
            Access::Write => Perm::Write as u8,
        };
        self.perm & bit != 0
    }

    pub(super) const fn is_hooked(self) -> bool {
        self.perm == Perm::Hooked as u8
    }
}

/// The table's entry for one granule, read without locks. A reader that races with a change may
/// combine old and new fields; each field alone keeps invariant 2.
struct Slot {
    bounds: AtomicU64,
    elements: AtomicU64,
    perm: AtomicU8,
    /// Bytes from the granule's start on that were committed once.
    committed: AtomicU32,
}

type Chunk = [Slot; CHUNK_SLOTS];

/// Host memory of one cage, and which parts of it programs may touch.
pub(super) struct Memory {
    host: NonNull<u8>,
    page_bytes: usize,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

// SAFETY: the reservation belongs to this value alone, and is accessed only by volatile and
// atomic machine accesses, which are fine from any thread (invariant 1).
unsafe impl Send for Memory {}
// SAFETY: as above; the table is made of atomics.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves address space; nothing is accessible yet.
    pub(super) fn reserve() -> Result<Self, MemError> {
        let bytes = CAGE_BYTES + 2 * GUARD_BYTES;
        // SAFETY: a new mapping at an address of the system's choice affects no existing memory.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                core::ptr::null_mut(),
                bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(|e| refused("reserve 4 GiB of address space", e))?;
        // SAFETY: the guard lies inside the mapping just made.
        let host = unsafe { base.cast::<u8>().add(GUARD_BYTES) };
        let host = NonNull::new(host).expect("a mapping is not at address 0");
        let chunks = (0..GRANULES / CHUNK_SLOTS).map(|_| OnceLock::new()).collect();
        Ok(Self { host, page_bytes: rustix::param::page_size(), chunks })
    }

    /// Host address of guest address 0, for generated code.
    pub(super) const fn host(&self) -> NonNull<u8> {
        self.host
    }

    /// Makes `len` bytes from `start` on accessible to the host, zero if they never were before.
    pub(super) fn commit(&self, start: GuestAddr, len: u32) -> Result<Reach, MemError> {
        let reach = Reach { start: start.0, len };
        let bytes = self.pages(reach);
        assert!(start.0 as usize + bytes <= CAGE_BYTES, "regions lie inside the cage");
        if bytes > 0 && !self.is_committed(reach) {
            // SAFETY: the pages lie inside the reservation (asserted), and making them
            // accessible takes nothing from anybody.
            unsafe {
                rustix::mm::mprotect(
                    self.pointer(reach).cast::<c_void>(),
                    bytes,
                    MprotectFlags::READ | MprotectFlags::WRITE,
                )
            }
            .map_err(|e| refused("commit guest memory", e))?;
            self.for_each_slot(reach, |slot, bytes| {
                slot.committed.fetch_max(bytes, Ordering::Relaxed);
            });
        }
        Ok(reach)
    }

    /// Whether all these bytes were committed before.
    fn is_committed(&self, reach: Reach) -> bool {
        let mut all = true;
        self.for_each_slot(reach, |slot, bytes| {
            all &= slot.committed.load(Ordering::Relaxed) >= bytes;
        });
        all
    }

    /// Makes the bytes zero, and gives the pages of large regions back to the host; they stay
    /// accessible.
    pub(super) fn discard(&self, reach: Reach) -> Result<(), MemError> {
        let bytes = self.pages(reach);
        if bytes <= SMALL_BYTES {
            self.fill(reach, 0);
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the pages were committed through `commit`, so they lie inside the reservation
        // and hold nothing but guest bytes. On Linux they read as zero from now on.
        let discarded = unsafe {
            let at = self.pointer(reach).cast::<c_void>();
            rustix::mm::madvise(at, bytes, rustix::mm::Advice::LinuxDontNeed)
        };
        #[cfg(not(target_os = "linux"))]
        // SAFETY: the pages were committed through `commit`, so they lie inside the reservation
        // and hold nothing but guest bytes; the new mapping is as accessible as the old.
        let discarded = unsafe {
            rustix::mm::mmap_anonymous(
                self.pointer(reach).cast::<c_void>(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED,
            )
            .map(drop)
        };
        discarded.map_err(|e| refused("discard guest memory", e))
    }

    /// Bytes of whole pages that cover the reach, which starts on a page.
    const fn pages(&self, reach: Reach) -> usize {
        (reach.len as usize).next_multiple_of(self.page_bytes)
    }

    fn pointer(&self, reach: Reach) -> *mut u8 {
        // SAFETY: every 32-bit offset lies inside the reservation (invariant 1).
        unsafe { self.host.as_ptr().add(reach.start as usize) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the reservation began one guard before `host`; no window outlives this value,
        // and generated code keeps its cage alive.
        let unmapped = unsafe {
            let base = self.host.as_ptr().sub(GUARD_BYTES);
            rustix::mm::munmap(base.cast::<c_void>(), CAGE_BYTES + 2 * GUARD_BYTES)
        };
        debug_assert!(unmapped.is_ok(), "the reservation can be unmapped: {unmapped:?}");
    }
}

fn refused(action: &'static str, errno: rustix::io::Errno) -> MemError {
    MemError::Host { action, source: errno.into() }
}

/// The region table.
impl Memory {
    /// Shows programs `visible`, which lies in the granules of `region`.
    pub(super) fn show(
        &self,
        region: Reach,
        visible: Reach,
        elements: Option<Elements>,
        perm: Perm,
    ) {
        let elements = elements.map_or(0, |e| u64::from(e.stride) << 32 | u64::from(e.bytes));
        self.for_each_slot(region, |slot, _| {
            slot.elements.store(elements, Ordering::Relaxed);
            slot.perm.store(perm as u8, Ordering::Relaxed);
            slot.bounds.store(visible.pack(), Ordering::Release);
        });
    }

    /// Shows programs nothing any more in the granules of `region`.
    pub(super) fn hide(&self, region: Reach) {
        self.for_each_slot(region, |slot, _| slot.bounds.store(0, Ordering::Release));
    }

    /// The slots of a region's granules, each with how many bytes of the region the granule has.
    fn for_each_slot(&self, region: Reach, mut change: impl FnMut(&Slot, u32)) {
        let first = region.start >> GRANULE_SHIFT;
        let last = (region.start + region.len.saturating_sub(1)) >> GRANULE_SHIFT;
        for granule in first as usize..=last as usize {
            let chunk = self.chunks[granule / CHUNK_SLOTS]
                .get_or_init(|| Box::new([const { Slot::new() }; CHUNK_SLOTS]));
            let before = (granule as u32 - (region.start >> GRANULE_SHIFT)) << GRANULE_SHIFT;
            let bytes = region.len.saturating_sub(before).min(1 << GRANULE_SHIFT);
            change(&chunk[granule % CHUNK_SLOTS], bytes);
        }
    }

    /// What programs may touch around `addr`.
    pub(super) fn find(&self, addr: u64) -> Option<Found> {
        let addr = u32::try_from(addr).ok()?;
        let granule = (addr >> GRANULE_SHIFT) as usize;
        let chunk = self.chunks.get(granule / CHUNK_SLOTS)?.get()?;
        let slot = &chunk[granule % CHUNK_SLOTS];
        let visible = Reach::unpack(slot.bounds.load(Ordering::Acquire));
        let elements = slot.elements.load(Ordering::Relaxed);
        let perm = slot.perm.load(Ordering::Relaxed);
        let off = addr.checked_sub(visible.start).filter(|&off| off < visible.len)?;
        let (stride, bytes) = ((elements >> 32) as u32, elements as u32);
        let index = match stride {
            0 => None,
            // Most strides are, and a shift takes a tenth of a division's time.
            _ if stride.is_power_of_two() => Some(off >> stride.ilog2()),
            _ => Some(off / stride),
        };
        let reach = match index {
            None => visible,
            Some(index) => {
                let element = visible.part(index * stride, bytes as usize)?;
                (addr - element.start < element.len).then_some(element)?
            }
        };
        Some(Found { reach, perm })
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            bounds: AtomicU64::new(0),
            elements: AtomicU64::new(0),
            perm: AtomicU8::new(0),
            committed: AtomicU32::new(0),
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

// BPF as compilers emit it for all hosts of ubpf is little-endian, and so is guest memory.
const _: () = assert!(cfg!(target_endian = "little"), "guest memory needs a little-endian host");

/// An unsigned machine word, little-endian in guest memory.
pub trait Word:
    sealed::Sealed + Copy + Default + Eq + Into<u64> + core::fmt::Debug + 'static
{
    /// The low bits.
    fn truncate(value: u64) -> Self;
    /// The number sign-extended to 64 bits.
    fn sign_extend(self) -> u64;
}

macro_rules! words {
    ($($ty:ty)*) => {$(
        impl sealed::Sealed for $ty {}
        impl Word for $ty {
            #[inline(always)]
            fn truncate(value: u64) -> Self {
                value as $ty
            }
            #[inline(always)]
            fn sign_extend(self) -> u64 {
                i64::from(self.cast_signed()).cast_unsigned()
            }
        }
    )*};
}
words!(u8 u16 u32 u64);

/// A word at any alignment.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<W>(W);

/// # Safety
/// `size_of::<W>()` bytes from `at` on must be accessible (invariant 2).
#[inline(always)]
unsafe fn load_at<W: Word>(at: *const u8) -> W {
    // SAFETY: the caller vouches for the bytes; `Unaligned` needs no alignment, and every bit
    // pattern is a word.
    unsafe { at.cast::<Unaligned<W>>().read_volatile() }.0
}

/// # Safety
/// `size_of::<W>()` bytes from `at` on must be accessible (invariant 2).
#[inline(always)]
unsafe fn store_at<W: Word>(at: *mut u8, value: W) {
    // SAFETY: the caller vouches for the bytes; `Unaligned` needs no alignment.
    unsafe { at.cast::<Unaligned<W>>().write_volatile(Unaligned(value)) }
}

/// Accesses to reaches.
impl Memory {
    /// Reads a word, when the reach has exactly its size.
    pub(super) fn load<W: Word>(&self, reach: Reach) -> Option<W> {
        // SAFETY: the reach has the word's size and is accessible (invariant 2).
        (reach.len as usize == size_of::<W>()).then(|| unsafe { load_at(self.pointer(reach)) })
    }

    /// Writes a word, when the reach has exactly its size.
    pub(super) fn store<W: Word>(&self, reach: Reach, value: W) -> Option<()> {
        // SAFETY: the reach has the word's size and is accessible (invariant 2).
        (reach.len as usize == size_of::<W>())
            .then(|| unsafe { store_at(self.pointer(reach), value) })
    }

    /// Copies out as many bytes as both have.
    pub(super) fn read(&self, reach: Reach, into: &mut [u8]) {
        let mut at = self.pointer(reach).cast_const();
        let len = into.len().min(reach.len as usize);
        let (words, rest) = into[..len].as_chunks_mut::<8>();
        for word in words {
            // SAFETY: 8 of the `len` bytes of the reach are left (invariant 2).
            unsafe {
                *word = load_at::<u64>(at).to_le_bytes();
                at = at.add(8);
            }
        }
        for byte in rest {
            // SAFETY: one of the `len` bytes of the reach is left.
            unsafe {
                *byte = load_at(at);
                at = at.add(1);
            }
        }
    }

    /// Copies in as many bytes as both have.
    pub(super) fn write(&self, reach: Reach, from: &[u8]) {
        let mut at = self.pointer(reach);
        let len = from.len().min(reach.len as usize);
        let (words, rest) = from[..len].as_chunks::<8>();
        for word in words {
            // SAFETY: 8 of the `len` bytes of the reach are left (invariant 2).
            unsafe {
                store_at(at, u64::from_le_bytes(*word));
                at = at.add(8);
            }
        }
        for byte in rest {
            // SAFETY: one of the `len` bytes of the reach is left.
            unsafe {
                store_at(at, *byte);
                at = at.add(1);
            }
        }
    }

    /// Sets every byte.
    pub(super) fn fill(&self, reach: Reach, byte: u8) {
        // SAFETY: the reach is accessible (invariant 2). Other threads that look while this
        // goes on see each byte before or after.
        unsafe { self.pointer(reach).write_bytes(byte, reach.len as usize) }
    }

    /// Copies as many bytes as both have; they may overlap.
    pub(super) fn copy(&self, from: Reach, to: Reach) {
        let len = from.len.min(to.len) as usize;
        let (from_at, to_at) = (self.pointer(from).cast_const(), self.pointer(to));
        let byte = |index: usize| {
            // SAFETY: `index` is below the length of both reaches (invariant 2).
            unsafe { store_at::<u8>(to_at.add(index), load_at(from_at.add(index))) }
        };
        if from.start < to.start { (0..len).rev().for_each(byte) } else { (0..len).for_each(byte) }
    }

    /// A four-byte cell for atomic operations, when the reach is one and aligned.
    pub(super) fn atomic_u32(&self, reach: Reach) -> Option<&AtomicU32> {
        // SAFETY: four accessible, aligned bytes (invariant 2), which no Rust reference but
        // shared ones to atomics ever covers.
        (reach.len == 4 && reach.start.is_multiple_of(4))
            .then(|| unsafe { AtomicU32::from_ptr(self.pointer(reach).cast()) })
    }

    /// An eight-byte cell for atomic operations, when the reach is one and aligned.
    pub(super) fn atomic_u64(&self, reach: Reach) -> Option<&AtomicU64> {
        // SAFETY: as for four bytes.
        (reach.len == 8 && reach.start.is_multiple_of(8))
            .then(|| unsafe { AtomicU64::from_ptr(self.pointer(reach).cast()) })
    }

    /// What accesses through windows need.
    pub(super) const fn view(&self) -> View<'_> {
        View { host: self.host, memory: PhantomData }
    }
}

impl Reach {
    /// A window on it, when it has at least 8 bytes.
    pub(super) fn window(&self) -> Option<Window> {
        Some(Window { start: self.start.into(), last: u64::from(self.len.checked_sub(8)?) })
    }
}

/// Bytes that may be accessed again and again at the price of one comparison: what engines keep
/// of a successful look-up in the region table. Like a reach, it is good for the cage that it
/// came from.
///
/// It stays harmless when the region is changed or freed (see the module), but then no longer
/// says what programs may touch; [`Cage::epoch`](super::Cage::epoch) tells.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    start: u64,
    /// Offset of the last 8-byte word.
    last: u64,
}

impl Window {
    /// Its first guest address, and how many bytes it shows.
    #[must_use]
    pub const fn bounds(&self) -> (u64, u64) {
        (self.start, self.last + 8)
    }

    /// Whether the whole word at `addr` is inside.
    #[inline(always)]
    #[must_use]
    pub const fn covers<W: Word>(&self, addr: u64) -> bool {
        // Neither operation can go wrong: addresses below the start wrap to large offsets, and
        // `last` is below 4 GiB.
        addr.wrapping_sub(self.start) <= self.last + (8 - size_of::<W>() as u64)
    }
}

/// The way to guest memory through windows.
#[derive(Clone, Copy, Debug)]
pub struct View<'m> {
    host: NonNull<u8>,
    memory: PhantomData<&'m Memory>,
}

// SAFETY: a view is a borrow of `Memory`, which is `Sync`.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl<'m> View<'m> {
    /// Host address of the word at guest address `addr`, when it is all inside the window.
    #[inline(always)]
    fn at<W: Word>(self, window: &Window, addr: u64) -> Option<*mut u8> {
        // SAFETY: what a window covers lies inside the reservation (invariants 2 and 3).
        window.covers::<W>(addr).then(|| unsafe { self.host.as_ptr().add(addr as usize) })
    }

    /// Reads the word at guest address `addr`, or nothing when it is not all in the window.
    #[inline(always)]
    #[must_use]
    pub fn load<W: Word>(self, window: &Window, addr: u64) -> Option<W> {
        // SAFETY: the word is covered by a window, so it is accessible (invariant 3).
        self.at::<W>(window, addr).map(|at| unsafe { load_at(at) })
    }

    /// Writes the word at guest address `addr`; `None` when it is not all in the window.
    #[inline(always)]
    pub fn store<W: Word>(self, window: &Window, addr: u64, value: W) -> Option<()> {
        // SAFETY: the word is covered by a window, so it is accessible (invariant 3).
        self.at::<W>(window, addr).map(|at| unsafe { store_at(at, value) })
    }

    /// The eight bytes at guest address `addr` as a cell for atomic operations, or nothing when
    /// they are not all in the window or not aligned.
    #[inline(always)]
    #[must_use]
    pub fn atomic_u64(self, window: &Window, addr: u64) -> Option<&'m AtomicU64> {
        let at = self.at::<u64>(window, addr).filter(|_| addr.is_multiple_of(8))?;
        // SAFETY: eight accessible bytes (invariant 3), aligned because guest address 0 is.
        Some(unsafe { AtomicU64::from_ptr(at.cast()) })
    }

    /// The four bytes at guest address `addr` as a cell for atomic operations, or nothing when
    /// they are not all in the window or not aligned.
    #[inline(always)]
    #[must_use]
    pub fn atomic_u32(self, window: &Window, addr: u64) -> Option<&'m AtomicU32> {
        let at = self.at::<u32>(window, addr).filter(|_| addr.is_multiple_of(4))?;
        // SAFETY: four accessible bytes (invariant 3), aligned because guest address 0 is.
        Some(unsafe { AtomicU32::from_ptr(at.cast()) })
    }
}
