//! `BPF_MAP_TYPE_PERF_EVENT_ARRAY`: a buffer to user space for each CPU.
//!
//! Someone is taken to listen on every CPU, as tools do: slot `n` is the buffer of CPU `n`
//! until user space deletes it; an update opens it again. Buffers are emptied by
//! [`drain_events`](ubpf_vm::map::Map::drain_events) only, and full at [`BUFFER_BYTES`].

use super::create;
use super::guard::{Guarded, Storage};
use super::index::next_index;
use super::references::References;
use std::sync::{Arc, Mutex, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::{Event, Map};
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::PerfEventArray,
        doc: "Perf buffers, one a CPU.",
        ops: &[MapOp::PerfOutput, MapOp::PerfRead],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Bytes of records that all CPUs' buffers hold together.
pub const BUFFER_BYTES: usize = 64 << 20;

/// What a record takes beside its data: `struct perf_event_header` and the data's length.
const RECORD_HEADER_BYTES: usize = 12;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let allowed = MapFlags::NUMA_NODE | MapFlags::PRESERVE_ELEMS | create::USER_ACCESS;
    create::check_fd_array(def, allowed)?;
    let open = References::new(def.max_entries);
    for cpu in 0..def.max_entries.min(world.cpus()) {
        open.set(cpu, cpu)?;
    }
    Ok(Guarded::map(def, PerfEventArray { open, records: Mutex::default() }))
}

/// The buffers.
pub(crate) struct PerfEventArray {
    open: References,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    events: Vec<Event>,
    bytes: usize,
}

/// Which CPU's buffer a program writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The current CPU's (`BPF_F_CURRENT_CPU`).
    Current,
    /// The one in this slot.
    Slot(u32),
}

impl PerfEventArray {
    /// The CPU that the buffer in a slot belongs to.
    ///
    /// # Errors
    /// `E2BIG` for a slot past the end, `ENOENT` for one without a buffer.
    pub(crate) fn find(&self, cpu: Cpu, target: Target) -> Result<Cpu, Errno> {
        let slot = match target {
            Target::Current => cpu.0,
            Target::Slot(slot) => slot,
        };
        if slot >= self.open.len() {
            return Err(Errno::E2BIG);
        }
        self.open.get(slot).map(Cpu).ok_or(Errno::ENOENT)
    }

    /// Sends a record from `cpu`.
    ///
    /// # Errors
    /// `E2BIG` for a slot past the end, `ENOENT` for one without a buffer, `EOPNOTSUPP` for
    /// another CPU's, `ENOSPC` when the buffer is full.
    pub(crate) fn output(&self, cpu: Cpu, target: Target, data: Vec<u8>) -> Result<(), Errno> {
        if self.find(cpu, target)? != cpu {
            return Err(Errno::EOPNOTSUPP);
        }
        let bytes = (RECORD_HEADER_BYTES + data.len()).next_multiple_of(8);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.bytes + bytes > BUFFER_BYTES {
            return Err(Errno::ENOSPC);
        }
        records.bytes += bytes;
        records.events.push(Event { cpu: cpu.0, data });
        Ok(())
    }
}

impl Storage for PerfEventArray {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.open.len())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn store(&self, key: &[u8], _value: &[u8], flags: u64) -> Result<(), Errno> {
        let slot = self.open.check(key, flags)?;
        self.open.set(slot, slot)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.open.remove(key)
    }

    fn drain_events(&self) -> Vec<Event> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *records).events
    }
}
