//! Arrays of references to programs, maps and the like: an index, and a number or nothing.

use super::index::index_below;
use super::sparse::SparseArray;
use super::table::{Link, Slot};
use ubpf_abi::Errno;

/// References by index.
pub(super) struct References {
    links: SparseArray<Link>,
}

impl References {
    /// `entries` empty ones.
    pub(super) fn new(entries: u32) -> Self {
        Self { links: SparseArray::new(entries) }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.links.len()
    }

    /// The reference at an index.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<u32> {
        self.links.get(index)?.load().map(|Slot(number)| number)
    }

    /// The reference under a key.
    pub(super) fn at(&self, key: &[u8]) -> Option<u32> {
        self.get(index_below(key, self.len())?)
    }

    /// Keys of the references that there are: as many as were stored, whatever the length.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let held = self.links.touched().filter(|&index| self.get(index).is_some());
        held.map(|index| index.to_le_bytes().to_vec()).collect()
    }

    /// Checks key and flags of an update as arrays of descriptors do.
    ///
    /// # Errors
    /// `EINVAL` for any flag; `E2BIG` for an index past the end.
    pub(super) fn check(&self, key: &[u8], flags: u64) -> Result<u32, Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        index_below(key, self.len()).ok_or(Errno::E2BIG)
    }

    /// Stores a reference.
    ///
    /// # Errors
    /// `EBADF` for a number that no object can have.
    pub(super) fn set(&self, index: u32, number: u32) -> Result<(), Errno> {
        let link = self.links.touch(index).ok_or(Errno::E2BIG)?;
        if number == u32::MAX {
            return Err(Errno::EBADF);
        }
        link.store(Some(Slot(number)));
        Ok(())
    }

    /// Removes the reference under a key.
    ///
    /// # Errors
    /// `E2BIG` past the end, `ENOENT` where there is none.
    pub(super) fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        let index = index_below(key, self.len()).ok_or(Errno::E2BIG)?;
        let removed = self.links.get(index).and_then(Link::take);
        removed.map(drop).ok_or(Errno::ENOENT)
    }
}
