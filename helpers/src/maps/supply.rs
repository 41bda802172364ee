//! Unused slots of hash maps that do not evict.
//!
//! Maps that replace elements in place of changing them (so that a reader sees the old value or
//! the new one) keep one spare slot a CPU: the new value goes there, and the old element becomes
//! the spare. So a replacement succeeds in a full map, and a pointer to a replaced value still
//! shows it until the next replacement on that CPU, both as in the kernel.

use super::table::{Link, Slot, Table};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use ubpf_abi::Errno;
use ubpf_vm::run::Cpu;

/// A stack of slots that were used, on top of those that never were.
pub(super) struct Supply {
    /// Top of the stack as in a [`Link`], below a count of changes: an exchange fails if the
    /// top was taken and given back meanwhile.
    top: AtomicU64,
    fresh: AtomicU32,
    end: u32,
}

impl Supply {
    /// The slots from `first` to before `end`, none of them used yet.
    pub(super) const fn new(first: u32, end: u32) -> Self {
        Self { top: AtomicU64::new(0), fresh: AtomicU32::new(first), end }
    }

    /// Takes the slot given back last.
    #[inline]
    pub(super) fn take(&self, table: &Table) -> Option<Slot> {
        let mut top = self.top.load(Ordering::Acquire);
        while let Some(slot) = (top as u32).checked_sub(1).map(Slot) {
            let below = Link::encode(table.node(slot)?.next_free.load());
            match self.exchange(top, below) {
                Ok(()) => return Some(slot),
                Err(now) => top = now,
            }
        }
        let next = |fresh: u32| (fresh < self.end).then(|| fresh + 1);
        self.fresh.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(Slot)
    }

    /// Gives a slot back.
    #[inline]
    pub(super) fn give(&self, table: &Table, slot: Slot) {
        let Some(node) = table.node(slot) else {
            return;
        };
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            node.next_free.store((top as u32).checked_sub(1).map(Slot));
            match self.exchange(top, Link::encode(Some(slot))) {
                Ok(()) => return,
                Err(now) => top = now,
            }
        }
    }

    #[inline]
    fn exchange(&self, old: u64, slot: u32) -> Result<(), u64> {
        let changes = (old >> 32).wrapping_add(1);
        let new = changes << 32 | u64::from(slot);
        self.top.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

/// One spare slot for each CPU.
pub(super) struct Spares(Box<[Link]>);

impl Spares {
    /// The slots from 0 to before `cpus`.
    pub(super) fn new(cpus: u32) -> Self {
        let spare = |slot| {
            let link = Link::default();
            link.store(Some(Slot(slot)));
            link
        };
        Self((0..cpus).map(spare).collect())
    }

    /// Takes the CPU's spare. Where another thread that stands for the same CPU has it, waits
    /// until that one's replacement is done.
    ///
    /// # Errors
    /// `EINVAL` for a CPU that does not exist.
    #[inline]
    pub(super) fn take(&self, Cpu(cpu): Cpu) -> Result<Slot, Errno> {
        let link = self.0.get(cpu as usize).ok_or(Errno::EINVAL)?;
        loop {
            match link.take() {
                Some(slot) => return Ok(slot),
                None => thread::yield_now(),
            }
        }
    }

    /// Makes a slot the CPU's spare, after its own was taken.
    #[inline]
    pub(super) fn put(&self, Cpu(cpu): Cpu, slot: Slot) {
        if let Some(link) = self.0.get(cpu as usize) {
            link.store(Some(slot));
        }
    }
}
