//! Objects that programs make: each a piece of guest memory with a count of references.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_vm::mem::{Cage, GuestAddr, Perm, Region, RegionKind, RegionSpec};

/// Bytes that all objects of a world have together, at most.
const MAX_BYTES: u64 = 64 << 20;

/// Objects by address.
#[derive(Debug, Default)]
pub struct Heap(Mutex<Objects>);

#[derive(Debug, Default)]
struct Objects {
    by_addr: BTreeMap<GuestAddr, Object>,
    bytes: u64,
}

#[derive(Debug)]
struct Object {
    region: Region,
    references: u32,
    /// Bytes from one CPU's copy to the next, where each CPU has one.
    stride: u32,
}

impl Heap {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new object of zeros, with one reference; of each CPU one, where `copies` says how many.
    ///
    /// # Errors
    /// `ENOMEM` when there is no room.
    pub fn alloc(
        &self,
        cage: &Arc<Cage>,
        label: &'static str,
        bytes: u32,
        copies: u32,
        perm: Perm,
    ) -> Result<GuestAddr, Errno> {
        let stride = bytes.max(1).checked_next_multiple_of(8).ok_or(Errno::ENOMEM)?;
        let all = u64::from(stride) * u64::from(copies.max(1));
        let mut objects = self.objects();
        if objects.bytes + all > MAX_BYTES {
            return Err(Errno::ENOMEM);
        }
        let spec = RegionSpec::new(all, RegionKind::KernelObject, label).perm(perm);
        let region = cage.alloc(spec).map_err(|_| Errno::ENOMEM)?;
        let addr = region.addr();
        objects.bytes += all;
        objects.by_addr.insert(addr, Object { region, references: 1, stride });
        Ok(addr)
    }

    /// Takes one more reference to the object at `addr`. Whether there is one.
    pub fn acquire(&self, addr: GuestAddr) -> bool {
        let mut objects = self.objects();
        let Some(object) = objects.by_addr.get_mut(&addr) else { return false };
        object.references = object.references.saturating_add(1);
        true
    }

    /// Gives a reference back; the last one takes the object with it. Whether there was one.
    pub fn release(&self, addr: GuestAddr) -> bool {
        let mut objects = self.objects();
        let Some(object) = objects.by_addr.get_mut(&addr) else { return false };
        object.references -= 1;
        if object.references == 0
            && let Some(object) = objects.by_addr.remove(&addr)
        {
            objects.bytes -= u64::from(object.region.len());
        }
        true
    }

    /// Address of a CPU's copy of the object at `addr`.
    #[must_use]
    pub fn copy_of(&self, addr: GuestAddr, cpu: u32) -> Option<GuestAddr> {
        let objects = self.objects();
        let object = objects.by_addr.get(&addr)?;
        let off = object.stride.checked_mul(cpu).filter(|off| *off < object.region.len())?;
        addr.checked_add(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_live_as_long_as_their_references() {
        let (cage, heap) = (Cage::new().unwrap(), Heap::default());
        let addr = heap.alloc(&cage, "object", 12, 2, Perm::ReadWrite).unwrap();
        assert_eq!(heap.copy_of(addr, 1), addr.checked_add(16));
        assert_eq!(heap.copy_of(addr, 2), None);
        assert!(heap.acquire(addr) && heap.release(addr));
        assert_eq!(cage.load::<u64>(addr), Ok(0));
        assert!(heap.release(addr) && !heap.release(addr));
        assert!(cage.load::<u64>(addr).is_err());
        let all = heap.alloc(&cage, "object", MAX_BYTES as u32 + 8, 1, Perm::Read);
        assert_eq!(all, Err(Errno::ENOMEM));
    }
}
