//! Parts of values that copies do not touch: locks, timers, pointers to objects and the like.
//!
//! User space reads zeros there and cannot write them. An update keeps a lock as it is; it stops
//! timers and gives up pointers, as does the end of an element.

use crate::env::{self, Timers};
use std::sync::Arc;
use ubpf_abi::fields::{FieldKind, Record};
use ubpf_abi::map::MapDef;
use ubpf_vm::mem::{Fault, GuestAddr, Region};
use ubpf_vm::world::World;

/// The fields of a map's values.
#[derive(Default)]
pub(super) struct Special {
    record: Option<Record>,
    timers: Option<Arc<Timers>>,
}

impl Special {
    /// Those that the types of the programs say.
    pub(super) fn of(world: &World, def: &MapDef) -> Self {
        let env = env::of(world);
        let record = env.fields_of(def).filter(|record| !record.fields().is_empty());
        let timers = record.as_ref().map(|_| Arc::clone(env.timers()));
        Self { record, timers }
    }

    /// Whether values have a lock that bpf(2) can take.
    pub(super) fn has_lock(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.has(|kind| *kind == FieldKind::SpinLock))
    }

    /// Offsets and lengths of the fields.
    fn fields(&self) -> impl Iterator<Item = (u32, u32, FieldKind)> {
        let fields = self.record.as_ref().map(Record::fields).unwrap_or_default();
        fields.iter().map(|field| (field.off, field.kind.bytes(), field.kind))
    }

    /// Writes a value at `off` of a region, around its fields.
    #[inline]
    pub(super) fn write(&self, region: &Region, off: u32, value: &[u8]) -> Result<(), Fault> {
        if self.record.is_none() {
            return region.write(off, value);
        }
        let mut from = 0;
        let end = value.len() as u32;
        for (at, bytes, _) in self.fields().chain([(end, 0, FieldKind::Refcount)]) {
            let part = value.get(from as usize..at.min(end) as usize).unwrap_or_default();
            region.write(off + from, part)?;
            from = at.saturating_add(bytes);
        }
        Ok(())
    }

    /// Makes the fields of a copy zero.
    #[inline]
    pub(super) fn hide(&self, value: &mut [u8]) {
        for (at, bytes, _) in self.fields() {
            value.iter_mut().skip(at as usize).take(bytes as usize).for_each(|byte| *byte = 0);
        }
    }

    /// Makes all fields of a new value zero.
    pub(super) fn init(&self, region: &Region, off: u32) -> Result<(), Fault> {
        self.fields().try_for_each(|(at, bytes, _)| region.fill(off + at, bytes, 0))
    }

    /// Gives up what the fields of a value hold; locks stay.
    pub(super) fn free(&self, region: &Region, off: u32) -> Result<(), Fault> {
        for (at, bytes, kind) in self.fields() {
            if kind.is_lock() {
                continue;
            }
            if let (FieldKind::Timer | FieldKind::Workqueue, Some(timers)) = (kind, &self.timers) {
                timers.forget(GuestAddr(region.addr().0.wrapping_add(off).wrapping_add(at)));
            }
            region.fill(off + at, bytes, 0)?;
        }
        Ok(())
    }
}
