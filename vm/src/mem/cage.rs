//! The cage: allocation of regions, accesses by address, and what lies near a fault.

use super::addr::{GRANULE_BYTES, GuestAddr, Space};
use super::fault::{Fault, MemError, Near, Place};
use super::memory::{Found, Memory, Reach, View, Window, Word};
use super::region::{Elements, Perm, Region, RegionKind, RegionSpec};
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Access;

/// Bytes behind a region that stay unmapped, at the least.
const GAP_BYTES: u64 = 4096;
/// What is copied out at once at most, more than any map value or packet has.
pub const MAX_COPY_BYTES: u32 = 8 << 20;
/// Bytes of a string that [`Cage::read_str`] looks at, final zero included.
pub const MAX_STR_BYTES: u32 = 4096;

/// A copy of guest bytes, inline while it is short.
pub type Bytes = SmallVec<[u8; 64]>;

/// Guest memory of one world.
pub struct Cage {
    memory: Memory,
    books: Mutex<Books>,
    epoch: AtomicU64,
}

/// What was allocated, and where there is room.
struct Books {
    /// By first address.
    regions: BTreeMap<u32, Entry>,
    /// Bytes of all of them, and how many there may be.
    used: u64,
    limit: u64,
    user: Holes,
    kernel: Holes,
}

struct Entry {
    reach: Reach,
    visible: Reach,
    elements: Option<Elements>,
    perm: Perm,
    kind: RegionKind,
    label: Arc<str>,
}

impl Cage {
    /// A cage without regions. It costs one reservation of address space.
    ///
    /// # Errors
    /// [`MemError::Host`] when the host has no 4 GiB of address space left.
    pub fn new() -> Result<Arc<Self>, MemError> {
        Ok(Arc::new(Self {
            memory: Memory::reserve()?,
            books: Mutex::new(Books {
                regions: BTreeMap::new(),
                used: 0,
                limit: u64::MAX,
                user: Holes::new(Space::User),
                kernel: Holes::new(Space::Kernel),
            }),
            epoch: AtomicU64::new(0),
        }))
    }

    /// Lets regions have so many bytes together from now on. What there is already stays.
    pub fn set_limit(&self, bytes: u64) {
        self.books().limit = bytes;
    }

    /// Bytes of all regions together.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.books().used
    }

    /// Allocates a region of zero bytes at the lowest free address. What follows it stays
    /// unmapped for at least a page.
    ///
    /// # Errors
    /// [`MemError`] when there is no room, the host refuses, or the elements do not fit.
    pub fn alloc(self: &Arc<Self>, spec: RegionSpec) -> Result<Region, MemError> {
        let RegionSpec { space, bytes, perm, kind, label, elements } = spec;
        if elements.is_some_and(|e| e.bytes == 0 || e.bytes > e.stride) {
            let what = "an element is empty or larger than its stride";
            return Err(MemError::BadLayout { bytes, what });
        }
        let no_room = MemError::NoRoom { bytes, space };
        let Ok(len) = u32::try_from(bytes) else {
            return Err(no_room);
        };
        let granules = (bytes + GAP_BYTES).div_ceil(GRANULE_BYTES.into());
        let mut books = self.books();
        if bytes > books.limit.saturating_sub(books.used) {
            let Books { used, limit, .. } = *books;
            return Err(MemError::Limit { bytes, used, limit });
        }
        let Some(start) = books.holes(space).take(granules) else {
            return Err(no_room);
        };
        let reach = match self.memory.commit(GuestAddr(start), len) {
            Ok(reach) => reach,
            Err(error) => {
                books.holes(space).give(start, granules);
                return Err(error);
            }
        };
        self.memory.show(reach, reach, elements, perm);
        books.regions.insert(start, Entry { reach, visible: reach, elements, perm, kind, label });
        books.used += bytes;
        drop(books);
        Ok(Region::new(Arc::clone(self), reach))
    }

    /// Counts changes after which an address that was accessible may be so no longer.
    #[inline]
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Host address of guest address 0, for generated code that keeps this cage alive.
    #[must_use]
    pub const fn host_base(&self) -> NonNull<u8> {
        self.memory.host()
    }

    pub(super) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn free(&self, reach: &Reach) {
        let mut books = self.books();
        self.memory.hide(*reach);
        self.epoch.fetch_add(1, Ordering::Release);
        if books.regions.remove(&reach.start().0).is_some() {
            books.used = books.used.saturating_sub(reach.len().into());
        }
        // Pages that the host will not take back would not be zero for their next owner: then
        // the addresses are lost rather than handed out again.
        if self.memory.discard(*reach).is_ok() {
            let space = if reach.start().0 < Space::Kernel.range().start {
                Space::User
            } else {
                Space::Kernel
            };
            let granules = (u64::from(reach.len()) + GAP_BYTES).div_ceil(GRANULE_BYTES.into());
            books.holes(space).give(reach.start().0, granules);
        }
    }

    pub(super) fn set_bounds(&self, reach: &Reach, off: u32, len: u32) -> Result<(), MemError> {
        let Some(visible) = reach.part(off, len as usize) else {
            let what = "the visible part leaves the region";
            return Err(MemError::BadLayout { bytes: reach.len().into(), what });
        };
        self.change(reach, |entry| entry.visible = visible);
        Ok(())
    }

    pub(super) fn set_perm(&self, reach: &Reach, perm: Perm) {
        self.change(reach, |entry| entry.perm = perm);
    }

    fn change(&self, reach: &Reach, change: impl FnOnce(&mut Entry)) {
        let mut books = self.books();
        if let Some(entry) = books.regions.get_mut(&reach.start().0) {
            change(entry);
            self.memory.show(entry.reach, entry.visible, entry.elements, entry.perm);
            self.epoch.fetch_add(1, Ordering::Release);
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accesses by address, as programs and their helpers make them.
///
/// Addresses are the 64 bits of a register: whatever lies outside the cage faults.
impl Cage {
    /// Copies out.
    ///
    /// # Errors
    /// [`Fault`] when programs may not load all of these bytes.
    pub fn read(&self, addr: impl Into<u64>, into: &mut [u8]) -> Result<(), Fault> {
        let reach = self.check(addr.into(), into.len(), Access::Read)?;
        self.memory.read(reach, into);
        Ok(())
    }

    /// Copies out into a new buffer. The bytes are checked before the buffer is made.
    ///
    /// # Errors
    /// [`Fault`] when programs may not load all of these bytes, or they are more than
    /// [`MAX_COPY_BYTES`].
    #[inline]
    pub fn read_bytes(&self, addr: impl Into<u64>, len: u32) -> Result<Bytes, Fault> {
        let addr = addr.into();
        if len > MAX_COPY_BYTES {
            return Err(Fault { addr, size: len, access: Access::Read });
        }
        let reach = self.check(addr, len as usize, Access::Read)?;
        // Keys and values mostly: a word that is stored as one can be loaded again at once.
        match len {
            4 => self.memory.load(reach).map(|word: u32| Bytes::from_slice(&word.to_le_bytes())),
            8 => self.memory.load(reach).map(|word: u64| Bytes::from_slice(&word.to_le_bytes())),
            _ => {
                let mut bytes = Bytes::from_elem(0, len as usize);
                self.memory.read(reach, &mut bytes);
                Some(bytes)
            }
        }
        .ok_or(fault(addr, len as usize, Access::Read))
    }

    /// [`Cage::read_bytes`] as a `Vec`.
    ///
    /// # Errors
    /// The same.
    pub fn read_vec(&self, addr: impl Into<u64>, len: u32) -> Result<Vec<u8>, Fault> {
        self.read_bytes(addr, len).map(Bytes::into_vec)
    }

    /// Copies out a zero-terminated string, without its zero.
    ///
    /// # Errors
    /// [`Fault`] at the first byte that programs may not load, or when there is no zero in the
    /// first [`MAX_STR_BYTES`].
    pub fn read_str(&self, addr: impl Into<u64>) -> Result<Bytes, Fault> {
        let addr = addr.into();
        let mut text = Bytes::new();
        for at in addr..addr.saturating_add(MAX_STR_BYTES.into()) {
            match self.load(at)? {
                0 => return Ok(text),
                byte => text.push(byte),
            }
        }
        Err(Fault { addr, size: MAX_STR_BYTES, access: Access::Read })
    }

    /// Bytes from `addr` on that programs may access in this way: to the end of the region or
    /// element there, or 0.
    #[must_use]
    pub fn accessible(&self, addr: impl Into<u64>, access: Access) -> u32 {
        let addr = addr.into();
        self.memory.find(addr).filter(|found| found.allows(access)).map_or(0, |found| {
            let end = u64::from(found.reach.start()) + u64::from(found.reach.len());
            u32::try_from(end.saturating_sub(addr)).unwrap_or(0)
        })
    }

    /// Copies in.
    ///
    /// # Errors
    /// [`Fault`] when programs may not store to all of these bytes; then nothing is written.
    pub fn write(&self, addr: impl Into<u64>, from: &[u8]) -> Result<(), Fault> {
        let reach = self.check(addr.into(), from.len(), Access::Write)?;
        self.memory.write(reach, from);
        Ok(())
    }

    /// Sets `len` bytes to `byte`.
    ///
    /// # Errors
    /// [`Fault`] when programs may not store to all of these bytes; then nothing is written.
    pub fn fill(&self, addr: impl Into<u64>, len: u32, byte: u8) -> Result<(), Fault> {
        let reach = self.check(addr.into(), len as usize, Access::Write)?;
        self.memory.fill(reach, byte);
        Ok(())
    }

    /// Copies `len` bytes; the two ranges may overlap.
    ///
    /// # Errors
    /// [`Fault`] when programs may not load the one or store to the other; then nothing is
    /// written.
    pub fn copy(&self, from: impl Into<u64>, to: impl Into<u64>, len: u32) -> Result<(), Fault> {
        let source = self.check(from.into(), len as usize, Access::Read)?;
        let target = self.check(to.into(), len as usize, Access::Write)?;
        self.memory.copy(source, target);
        Ok(())
    }

    /// Whether the bytes equal `other`.
    ///
    /// # Errors
    /// [`Fault`] when programs may not load all of these bytes.
    pub fn equals(&self, addr: impl Into<u64>, other: &[u8]) -> Result<bool, Fault> {
        let reach = self.check(addr.into(), other.len(), Access::Read)?;
        let mut chunk = [0; 64];
        let mut off = 0;
        for expected in other.chunks(chunk.len()) {
            let have = &mut chunk[..expected.len()];
            if let Some(part) = reach.part(off, expected.len()) {
                self.memory.read(part, have);
            }
            if have != expected {
                return Ok(false);
            }
            off += expected.len() as u32;
        }
        Ok(true)
    }

    /// Reads a little-endian word.
    ///
    /// # Errors
    /// [`Fault`] when programs may not load it.
    pub fn load<W: Word>(&self, addr: impl Into<u64>) -> Result<W, Fault> {
        let addr = addr.into();
        let reach = self.check(addr, size_of::<W>(), Access::Read)?;
        self.memory.load(reach).ok_or(fault(addr, size_of::<W>(), Access::Read))
    }

    /// Writes a little-endian word.
    ///
    /// # Errors
    /// [`Fault`] when programs may not store it.
    pub fn store<W: Word>(&self, addr: impl Into<u64>, value: W) -> Result<(), Fault> {
        let addr = addr.into();
        let reach = self.check(addr, size_of::<W>(), Access::Write)?;
        self.memory.store(reach, value).ok_or(fault(addr, size_of::<W>(), Access::Write))
    }

    /// The four bytes at `addr` as a cell for atomic operations, in the host's byte order.
    ///
    /// # Errors
    /// [`Fault`] when programs may not store to it, or it is not aligned.
    pub fn atomic_u32(&self, addr: impl Into<u64>) -> Result<&AtomicU32, Fault> {
        let addr = addr.into();
        let reach = self.check(addr, 4, Access::Write)?;
        self.memory.atomic_u32(reach).ok_or(fault(addr, 4, Access::Write))
    }

    /// The eight bytes at `addr` as a cell for atomic operations, in the host's byte order.
    ///
    /// # Errors
    /// [`Fault`] when programs may not store to it, or it is not aligned.
    pub fn atomic_u64(&self, addr: impl Into<u64>) -> Result<&AtomicU64, Fault> {
        let addr = addr.into();
        let reach = self.check(addr, 8, Access::Write)?;
        self.memory.atomic_u64(reach).ok_or(fault(addr, 8, Access::Write))
    }

    /// Checks that programs may access `len` bytes at `addr`, all in one region or element. No
    /// bytes may be accessed anywhere.
    ///
    /// # Errors
    /// [`Fault`] when they may not.
    pub fn probe(&self, addr: impl Into<u64>, len: u32, access: Access) -> Result<(), Fault> {
        self.check(addr.into(), len as usize, access).map(drop)
    }

    /// What engines keep to access the same bytes again. `None` where programs may not make this
    /// access at `addr`, or where fewer than 8 bytes are accessible.
    #[must_use]
    pub fn window(&self, addr: u64, access: Access) -> Option<Window> {
        self.memory.find(addr).filter(|f| f.allows(access))?.reach.window()
    }

    /// What engines access windows with.
    #[must_use]
    pub const fn view(&self) -> View<'_> {
        self.memory.view()
    }

    /// Offset of `addr` into the region there, when stores to it are hooked.
    #[must_use]
    pub fn hooked_off(&self, addr: u64) -> Option<u32> {
        let found = self.memory.find(addr).filter(|f| f.is_hooked())?;
        u32::try_from(addr).ok()?.checked_sub(found.reach.start().0)
    }

    #[inline]
    fn check(&self, addr: u64, len: usize, access: Access) -> Result<Reach, Fault> {
        let fault = fault(addr, len, access);
        let found: Found = match self.memory.find(addr) {
            Some(found) if found.allows(access) => found,
            // The place of an empty access does not matter.
            _ if len == 0 => return Ok(Reach::default()),
            _ => return Err(fault),
        };
        let off = u32::try_from(addr).map_err(|_| fault)?.wrapping_sub(found.reach.start().0);
        found.reach.part(off, len).ok_or(fault)
    }

    /// The region nearest to `addr` by distance, or `None` in an empty cage.
    #[must_use]
    pub fn describe(&self, addr: u64) -> Option<Near> {
        let addr = u32::try_from(addr).ok()?;
        let books = self.books();
        let before = books.regions.range(..=addr).next_back().map(|(_, e)| e.near(addr));
        let after = books.regions.range(addr..).next().map(|(_, e)| e.near(addr));
        before.into_iter().chain(after).min_by_key(|near| near.place.distance())
    }
}

fn fault(addr: u64, len: usize, access: Access) -> Fault {
    Fault { addr, size: u32::try_from(len).unwrap_or(u32::MAX), access }
}

impl fmt::Debug for Cage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cage").field("host", &self.memory.host()).finish_non_exhaustive()
    }
}

impl Entry {
    fn near(&self, addr: u32) -> Near {
        let (start, len) = (self.visible.start().0, self.visible.len());
        let (start, bytes) = match self.elements {
            None => (start, len),
            Some(Elements { stride, bytes }) => {
                let off = addr.saturating_sub(start).min(len.saturating_sub(1));
                (start + off / stride * stride, bytes)
            }
        };
        let place = match addr.checked_sub(start) {
            None => Place::Before(start - addr),
            Some(off) if off < bytes => Place::At(off),
            Some(off) => Place::Past(off - bytes),
        };
        let (kind, label, perm) = (self.kind, Arc::clone(&self.label), self.perm);
        Near { kind, label, start: GuestAddr(start), bytes, perm, place }
    }
}

impl Place {
    const fn distance(self) -> u32 {
        match self {
            Self::At(_) => 0,
            Self::Before(by) | Self::Past(by) => by,
        }
    }
}

impl Books {
    const fn holes(&mut self, space: Space) -> &mut Holes {
        match space {
            Space::User => &mut self.user,
            Space::Kernel => &mut self.kernel,
        }
    }
}

/// Free granules of one half: first address and how many, never two neighbours.
struct Holes(BTreeMap<u32, u64>);

impl Holes {
    fn new(space: Space) -> Self {
        let range = space.range();
        let granules = u64::from((range.end - range.start) / GRANULE_BYTES);
        Self(BTreeMap::from([(range.start, granules)]))
    }

    /// Takes the lowest run of `granules`.
    fn take(&mut self, granules: u64) -> Option<u32> {
        let (&start, &have) = self.0.iter().find(|&(_, &have)| have >= granules)?;
        self.0.remove(&start);
        if have > granules {
            self.0.insert(end(start, granules), have - granules);
        }
        Some(start)
    }

    fn give(&mut self, mut start: u32, mut granules: u64) {
        if let Some(after) = self.0.remove(&end(start, granules)) {
            granules += after;
        }
        if let Some((&before, &have)) = self.0.range(..start).next_back()
            && end(before, have) == start
        {
            (start, granules) = (before, have + granules);
        }
        self.0.insert(start, granules);
    }
}

/// First address after a run of granules. Both spaces end below 4 GiB, so it cannot wrap.
const fn end(start: u32, granules: u64) -> u32 {
    start + granules as u32 * GRANULE_BYTES
}
