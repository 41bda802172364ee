//! `BPF_MAP_TYPE_USER_RINGBUF`: records from user space to programs, in order.
//!
//! User space sends a record with [`push`](ubpf_vm::map::Map::push). Records lie one after the
//! other in guest memory, as they would in the kernel's ring; what a program has seen makes room.

use super::create;
use super::guard::{Guarded, Storage};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::{GuestAddr, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::UserRingbuf,
        doc: "Ring buffer from user space.",
        ops: &[MapOp::UserRingbuf],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Bytes in front of a record's data.
const HEADER_BYTES: u32 = 8;
/// Bytes of memory pages, of which a ring has a power of two.
const PAGE_BYTES: u32 = 4096;
/// `BPF_RINGBUF_DISCARD_BIT`, as a flag of a push: user space gave the record up.
const DISCARDED: u64 = 1 << 30;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    create::check_flags(def, MapFlags::NUMA_NODE)?;
    create::check_no_extra(def)?;
    let size = def.max_entries;
    let pages = size.is_power_of_two() && size.is_multiple_of(PAGE_BYTES);
    if def.key_size != 0 || def.value_size != 0 || !pages {
        return Err(Errno::EINVAL);
    }
    // Records that reach the ring's end go on behind it: the kernel maps its pages twice.
    let spec = RegionSpec::new(u64::from(size) * 2, RegionKind::Record, def.name.as_str());
    let records = world.cage().alloc(spec).map_err(|_| Errno::ENOMEM)?;
    let ring =
        UserRingbuf { size, records, queue: Mutex::default(), taken: AtomicBool::new(false) };
    Ok(Guarded::map(def, ring))
}

/// The ring.
pub(crate) struct UserRingbuf {
    size: u32,
    records: Region,
    queue: Mutex<Queue>,
    /// A program is taking records.
    taken: AtomicBool,
}

#[derive(Default)]
struct Queue {
    /// Offset of the next record, and its length; `None` where user space gave it up.
    records: VecDeque<(u32, Option<u32>, u32)>,
    producer: u32,
    used: u32,
}

/// A record, as programs meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    /// It was given up.
    Discarded,
    /// It has bytes.
    Data {
        /// Where.
        addr: GuestAddr,
        /// How many.
        len: u32,
    },
}

/// The right to take records.
pub(crate) struct Taking<'a>(&'a UserRingbuf);

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

impl UserRingbuf {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to take records; `None` while somebody has it.
    pub(crate) fn take(&self) -> Option<Taking<'_>> {
        (!self.taken.swap(true, Ordering::Acquire)).then(|| Taking(self))
    }

    /// The next record, which stays until [`UserRingbuf::release`]; one that was given up is gone.
    pub(crate) fn next(&self) -> Option<Sample> {
        let mut queue = self.queue();
        let (off, len, bytes) = *queue.records.front()?;
        match len.and_then(|len| Some((self.records.at(off)?, len))) {
            Some((addr, len)) => Some(Sample::Data { addr, len }),
            None => {
                queue.records.pop_front();
                queue.used -= bytes;
                Some(Sample::Discarded)
            }
        }
    }

    /// Takes the record that was looked at away.
    pub(crate) fn release(&self) {
        let mut queue = self.queue();
        if let Some((_, _, bytes)) = queue.records.pop_front() {
            queue.used -= bytes;
        }
    }
}

impl Storage for UserRingbuf {
    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        let len = u32::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
        let bytes = len.checked_add(HEADER_BYTES).and_then(|len| len.checked_next_multiple_of(8));
        let bytes = bytes.filter(|&bytes| bytes <= self.size).ok_or(Errno::E2BIG)?;
        let mut queue = self.queue();
        if bytes > self.size - queue.used {
            return Err(Errno::ENOSPC);
        }
        let at = queue.producer + HEADER_BYTES;
        self.records.write(at, value).map_err(|_| Errno::EFAULT)?;
        let shown = (flags & DISCARDED == 0).then_some(len);
        queue.records.push_back((at, shown, bytes));
        queue.producer = (queue.producer + bytes) % self.size;
        queue.used += bytes;
        Ok(())
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn store(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn remove(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::*;
    use ubpf_abi::Kernel;
    use ubpf_vm::mem::Cage;

    #[test]
    fn records_come_in_order_and_make_room() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let map = create(&world, &def(MapType::UserRingbuf, 0, 0, 4096)).unwrap();
        let ring = map.as_any().downcast_ref::<UserRingbuf>().unwrap();
        for round in 0..10_u8 {
            map.push(&[round; 2000], 0).unwrap();
            map.push(&[round; 1000], DISCARDED).unwrap();
            assert_eq!(map.push(&[0; 2000], 0), Err(Errno::ENOSPC));
            let Some(Sample::Data { addr, len: 2000 }) = ring.next() else { panic!("a record") };
            assert_eq!(world.cage().load::<u8>(addr.0 + 1999), Ok(round));
            ring.release();
            assert_eq!(ring.next(), Some(Sample::Discarded));
            assert_eq!(ring.next(), None);
        }
        assert_eq!(map.push(&[0; 4096], 0), Err(Errno::E2BIG));
        let taking = ring.take();
        assert!(taking.is_some() && ring.take().is_none());
    }
}
