//! `BPF_MAP_TYPE_RINGBUF`: records from all CPUs to user space, in order.
//!
//! ```text
//!  consumer ≤ pending ≤ producer, counted in bytes since creation
//!  ┌────────────┬───────┬─────────┐
//!  │ len, flags │ owner │ data …  │ padded to 8 bytes      a record at position mod size
//!  └────────────┴───────┴─────────┘
//! ```
//!
//! Records lie in guest memory, where programs fill them in. One that begins near the end of the
//! ring simply goes on behind it: the region is twice the ring's size, where the kernel maps the
//! same pages twice. `owner` is the address of the map, so that `submit` finds the ring again;
//! the kernel keeps a page offset there.
//!
//! Nothing is consumed until [`drain_events`](ubpf_vm::map::Map::drain_events), so a ring fills
//! up as the kernel's does while nobody reads.

use super::create;
use super::guard::{Guarded, Storage};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::{Event, Map};
use ubpf_vm::mem::{Fault, GuestAddr, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Ringbuf,
        doc: "Ring buffer to user space.",
        ops: &[MapOp::Ringbuf],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Bytes in front of a record's data.
pub(crate) const HEADER_BYTES: u32 = 8;
/// Bytes of memory pages, of which a ring has a power of two.
const PAGE_BYTES: u32 = 4096;
/// Largest record.
const MAX_RECORD_BYTES: u64 = u32::MAX as u64 / 4;
/// In a record's length: not submitted yet.
const BUSY: u32 = 1 << 31;
/// In a record's length: to be skipped.
const DISCARDED: u32 = 1 << 30;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    create::check_flags(def, MapFlags::NUMA_NODE)?;
    create::check_no_extra(def)?;
    let size = def.max_entries;
    if def.key_size != 0
        || def.value_size != 0
        || !size.is_power_of_two()
        || !size.is_multiple_of(PAGE_BYTES)
    {
        return Err(Errno::EINVAL);
    }
    let spec = RegionSpec::new(u64::from(size) * 2, RegionKind::Record, def.name.as_str());
    let records = world.cage().alloc(spec).map_err(|_| Errno::ENOMEM)?;
    Ok(Guarded::map(def, Ringbuf { size, records, positions: Mutex::default() }))
}

/// The ring.
pub(crate) struct Ringbuf {
    size: u32,
    records: Region,
    positions: Mutex<Positions>,
}

#[derive(Clone, Copy, Default)]
struct Positions {
    /// First byte that user space has not read.
    consumer: u64,
    /// First record that was not submitted, when last looked.
    pending: u64,
    /// Next byte to be reserved.
    producer: u64,
}

/// What `bpf_ringbuf_query` can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Bytes between consumer and producer.
    Available,
    /// Bytes of the ring.
    Size,
    /// The consumer's position.
    Consumer,
    /// The producer's position.
    Producer,
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// User space gets it.
    Submit,
    /// User space skips it.
    Discard,
}

/// A record's length with its header, as it is accounted.
const fn record_bytes(len: u32) -> u64 {
    (len as u64 + HEADER_BYTES as u64).next_multiple_of(8)
}

impl Ringbuf {
    fn positions(&self) -> MutexGuard<'_, Positions> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn off(&self, position: u64) -> u32 {
        (position & u64::from(self.size - 1)) as u32
    }

    /// Length and flags of the record at a position.
    fn header(&self, position: u64) -> Result<u32, Fault> {
        self.records.load(self.off(position))
    }

    /// Whether a record of `len` bytes is not larger than the ring, full or not.
    pub(crate) const fn can_hold(&self, len: u32) -> bool {
        record_bytes(len) <= self.size as u64
    }

    /// Reserves a record of `len` bytes for the map at `owner`, and gives the address of its
    /// data; `None` when there is no room.
    pub(crate) fn reserve(&self, owner: GuestAddr, len: u64) -> Option<GuestAddr> {
        if len > MAX_RECORD_BYTES || !self.can_hold(len as u32) {
            return None;
        }
        let len = len as u32;
        let bytes = record_bytes(len);
        let mut at = self.positions();
        while at.pending < at.producer {
            let header = self.header(at.pending).ok()?;
            if header & BUSY != 0 {
                break;
            }
            at.pending = (at.pending + record_bytes(header & !DISCARDED)).min(at.producer);
        }
        let mask = u64::from(self.size - 1);
        let end = at.producer + bytes;
        if end - at.consumer > mask || end - at.pending > mask {
            return None;
        }
        let off = self.off(at.producer);
        self.records.store(off, len | BUSY).ok()?;
        self.records.store(off + 4, owner.0).ok()?;
        at.producer = end;
        self.records.at(off + HEADER_BYTES)
    }

    /// Ends the reservation of the record with this data address.
    ///
    /// # Errors
    /// `EINVAL` when it is no reserved record of this ring.
    pub(crate) fn commit(&self, data: GuestAddr, how: Commit) -> Result<(), Errno> {
        let off = data.0.checked_sub(self.records.addr().0 + HEADER_BYTES).ok_or(Errno::EINVAL)?;
        let positions = self.positions();
        let header: u32 = self.records.load(off).map_err(|_| Errno::EINVAL)?;
        if off >= self.size || !off.is_multiple_of(8) || header & BUSY == 0 {
            return Err(Errno::EINVAL);
        }
        let flag = if how == Commit::Discard { DISCARDED } else { 0 };
        let stored = self.records.store(off, header & !BUSY | flag);
        drop(positions);
        stored.map_err(|_| Errno::EINVAL)
    }

    /// Sends a record.
    ///
    /// # Errors
    /// `EAGAIN` when there is no room.
    pub(crate) fn output(&self, owner: GuestAddr, data: &[u8]) -> Result<(), Errno> {
        let at = self.reserve(owner, data.len() as u64).ok_or(Errno::EAGAIN)?;
        let off = at.0 - self.records.addr().0;
        self.records.write(off, data).map_err(|_| Errno::EFAULT)?;
        self.commit(at, Commit::Submit)
    }

    /// Answers `bpf_ringbuf_query`.
    pub(crate) fn query(&self, query: Query) -> u64 {
        let at = *self.positions();
        match query {
            Query::Available => at.producer - at.consumer,
            Query::Size => self.size.into(),
            Query::Consumer => at.consumer,
            Query::Producer => at.producer,
        }
    }
}

impl Storage for Ringbuf {
    fn update(&self, _cpu: Cpu, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn delete(&self, _cpu: Cpu, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// Consumes all records up to the first that is not submitted. Which CPU sent a record the
    /// ring does not know; they are all said to be of CPU 0.
    fn drain_events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut at = self.positions();
        while at.consumer < at.producer {
            let Some(header) = self.header(at.consumer).ok().filter(|h| h & BUSY == 0) else {
                break;
            };
            let len = header & !DISCARDED;
            let data = self.records.read_vec(self.off(at.consumer) + HEADER_BYTES, len);
            if let (Ok(data), 0) = (data, header & DISCARDED) {
                events.push(Event { cpu: 0, data });
            }
            at.consumer = (at.consumer + record_bytes(len)).min(at.producer);
            at.pending = at.pending.max(at.consumer);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::{Commit, DEF, Query, Ringbuf};
    use std::sync::Arc;
    use ubpf_abi::map::MapType;
    use ubpf_abi::{Errno, Kernel};
    use ubpf_vm::map::Map;
    use ubpf_vm::mem::{Cage, GuestAddr};
    use ubpf_vm::world::World;

    const OWNER: GuestAddr = GuestAddr(0xf000_0000);

    /// A ring of 4096 bytes.
    fn map() -> Arc<dyn Map> {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        (DEF.create)(&world, &def(MapType::Ringbuf, 0, 0, 4096)).unwrap()
    }

    fn ring(map: &Arc<dyn Map>) -> &Ringbuf {
        map.as_any().downcast_ref().unwrap()
    }

    fn drained(map: &Arc<dyn Map>) -> Vec<Vec<u8>> {
        map.drain_events().into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn one_record_cannot_fill_the_ring() {
        let map = map();
        let ring = ring(&map);
        assert_eq!(ring.reserve(OWNER, 4088), None);
        assert!(ring.reserve(OWNER, 4080).is_some());
        assert_eq!(ring.query(Query::Producer), 4088);
        assert_eq!(ring.output(OWNER, &[]), Err(Errno::EAGAIN));
    }

    #[test]
    fn a_ring_that_nobody_reads_fills_up() {
        let map = map();
        let ring = ring(&map);
        // 13 bytes and a header take 24; 170 of them fit below 4096.
        let sent = (0..).take_while(|&n| ring.output(OWNER, &[n as u8; 13]).is_ok()).count();
        assert_eq!(sent, 170);
        assert_eq!(ring.query(Query::Available), 170 * 24);
        assert_eq!(drained(&map).len(), 170);
        assert_eq!(ring.query(Query::Available), 0);
        assert_eq!(ring.query(Query::Consumer), 170 * 24);
        // The next record goes over the ring's end.
        assert_eq!(ring.output(OWNER, &[7; 100]), Ok(()));
        assert_eq!(drained(&map), [[7; 100]]);
    }

    #[test]
    fn records_come_in_the_order_of_their_reservation() {
        let map = map();
        let ring = ring(&map);
        let first = ring.reserve(OWNER, 8).unwrap();
        let dropped = ring.reserve(OWNER, 8).unwrap();
        assert_eq!(ring.output(OWNER, b"second"), Ok(()));
        assert!(drained(&map).is_empty());
        assert_eq!(ring.commit(dropped, Commit::Discard), Ok(()));
        assert_eq!(ring.query(Query::Available), 48);
        assert_eq!(ring.commit(first, Commit::Submit), Ok(()));
        assert_eq!(drained(&map), [vec![0; 8], b"second".to_vec()]);
    }

    #[test]
    fn only_reserved_records_can_be_committed() {
        let map = map();
        let ring = ring(&map);
        let record = ring.reserve(OWNER, 16).unwrap();
        for wrong in [0, record.0 - 8, record.0 + 8, record.0 + 1, u32::MAX] {
            assert_eq!(ring.commit(GuestAddr(wrong), Commit::Submit), Err(Errno::EINVAL));
        }
        assert_eq!(ring.commit(record, Commit::Submit), Ok(()));
        assert_eq!(ring.commit(record, Commit::Submit), Err(Errno::EINVAL));
    }
}
