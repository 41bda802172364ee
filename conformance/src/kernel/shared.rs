//! Memory shared with the kernel: what ring and perf buffers are read from.
//!
//! The kernel writes to it at any time, so it is only ever accessed through atomics: no reference
//! to plain bytes of it exists. Offsets are checked against the mapping's length.
#![allow(unsafe_code)]

use super::sys::last_errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use ubpf_abi::Errno;

/// Memory shared with the kernel, accessed through atomics only.
pub struct Shared {
    base: NonNull<u8>,
    bytes: usize,
    writable: bool,
}

impl Shared {
    /// Maps `bytes` of `fd` from `offset`, both multiples of the page size.
    pub fn map(
        fd: BorrowedFd<'_>,
        offset: usize,
        bytes: usize,
        writable: bool,
    ) -> Result<Self, Errno> {
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, prot, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if base == libc::MAP_FAILED {
            return Err(last_errno());
        }
        let base = NonNull::new(base.cast()).ok_or(Errno::ENOMEM)?;
        Ok(Self { base, bytes, writable })
    }

    /// The address of `N` bytes at `off`, aligned to `N`, if they lie inside.
    fn at<const N: usize>(&self, off: usize) -> Option<NonNull<u8>> {
        let end = off.checked_add(N)?;
        if end > self.bytes || !off.is_multiple_of(N) {
            return None;
        }
        // SAFETY: `off` lies inside the mapping.
        Some(unsafe { self.base.add(off) })
    }

    /// The 64-bit number at `off`, with acquire ordering; 0 outside the mapping.
    pub fn load_u64(&self, off: usize) -> u64 {
        self.at::<8>(off).map_or(0, |p| {
            // SAFETY: eight aligned bytes inside a mapping that lives as long as `self`.
            unsafe { AtomicU64::from_ptr(p.as_ptr().cast()) }.load(Ordering::Acquire)
        })
    }

    /// The 32-bit number at `off`, with acquire ordering; 0 outside the mapping.
    pub fn load_u32(&self, off: usize) -> u32 {
        self.at::<4>(off).map_or(0, |p| {
            // SAFETY: four aligned bytes inside a mapping that lives as long as `self`.
            unsafe { AtomicU32::from_ptr(p.as_ptr().cast()) }.load(Ordering::Acquire)
        })
    }

    /// Stores a 64-bit number with release ordering, where the mapping is writable.
    pub fn store_u64(&self, off: usize, value: u64) {
        if let (Some(p), true) = (self.at::<8>(off), self.writable) {
            // SAFETY: as in `load_u64`, and the mapping is writable.
            unsafe { AtomicU64::from_ptr(p.as_ptr().cast()) }.store(value, Ordering::Release);
        }
    }

    /// Copies `bytes` bytes from `off`, as many as lie inside.
    pub fn read(&self, off: usize, bytes: usize) -> Vec<u8> {
        let end = off.saturating_add(bytes).min(self.bytes);
        (off..end)
            .map_while(|i| self.at::<1>(i))
            .map(|p| {
                // SAFETY: a byte inside the mapping.
                unsafe { AtomicU8::from_ptr(p.as_ptr()) }.load(Ordering::Relaxed)
            })
            .collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference into it outlives it. A
        // failure would only leak it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Bytes in a page of memory.
pub fn page_bytes() -> usize {
    // SAFETY: takes and returns numbers only.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}
