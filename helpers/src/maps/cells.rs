//! Arrays of small values that may be absent, and that programs only read: targets of
//! redirects.

use super::index::index_below;
use super::slab::{Holds, Reserve, Slab};
use super::sparse::SparseArray;
use std::sync::atomic::{AtomicBool, Ordering};
use ubpf_abi::Errno;
use ubpf_abi::map::MapDef;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::world::World;

/// Values by index.
pub(super) struct Cells {
    values: Slab,
    present: SparseArray<AtomicBool>,
}

impl Cells {
    /// `max_entries` absent ones.
    ///
    /// # Errors
    /// `ENOMEM` when they do not fit into the cage.
    pub(super) fn new(world: &World, def: &MapDef) -> Result<Self, Errno> {
        let (bytes, rows) = (def.value_size, def.max_entries.into());
        let values = Slab::new(world.cage(), def, Holds::Values, bytes, rows, Reserve::Lazily)?;
        Ok(Self { values, present: SparseArray::new(def.max_entries) })
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.present.len()
    }

    fn present_at(&self, key: &[u8]) -> Option<u32> {
        let index = index_below(key, self.len())?;
        self.present.get(index)?.load(Ordering::Acquire).then_some(index)
    }

    /// Keys of the values that are present.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let keys = self.present.touched().map(|index| index.to_le_bytes().to_vec());
        keys.filter(|key| self.present_at(key).is_some()).collect()
    }

    /// Address of the value under a key.
    pub(super) fn addr(&self, key: &[u8]) -> Option<GuestAddr> {
        self.values.addr(self.present_at(key)?)
    }

    /// A copy of the value under a key.
    ///
    /// # Errors
    /// `ENOENT` where there is none.
    pub(super) fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let index = self.present_at(key).ok_or(Errno::ENOENT)?;
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(index, &mut value)?;
        Ok(value)
    }

    /// Stores a value, or none.
    ///
    /// # Errors
    /// `ENOMEM` when the cage is full.
    pub(super) fn set(&self, index: u32, value: Option<&[u8]>) -> Result<(), Errno> {
        let present = self.present.touch(index).ok_or(Errno::E2BIG)?;
        if let Some(value) = value {
            self.values.ensure(index)?;
            self.values.write(index, value)?;
        }
        present.store(value.is_some(), Ordering::Release);
        Ok(())
    }

    /// Removes the value under a key, if there is one.
    ///
    /// # Errors
    /// `EINVAL` past the end.
    pub(super) fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        let index = index_below(key, self.len()).ok_or(Errno::EINVAL)?;
        self.set(index, None)
    }
}
