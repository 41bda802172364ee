//! A hash table whose slots come from an LRU: what both evicting types have in common.

use super::hash;
use super::lru::{Elements, Lru};
use super::slab::Reserve;
use super::table::{Slot, Table};
use std::sync::atomic::Ordering;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags};
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The table, and the LRU that decides who leaves it.
pub(super) struct Evicting {
    pub(super) table: Table,
    lru: Lru,
}

/// Checks a definition and rounds `max_entries` as the kernel does: an LRU for each CPU needs
/// as many slots on every one.
pub(super) fn checked(world: &World, def: &MapDef) -> Result<MapDef, Errno> {
    hash::check(def)?;
    let mut def = def.clone();
    if def.flags.has(MapFlags::NO_COMMON_LRU) {
        let (max, cpus) = (def.max_entries, world.cpus());
        def.max_entries = max.checked_next_multiple_of(cpus).unwrap_or(max / cpus * cpus);
        hash::check(&def)?;
    }
    Ok(def)
}

impl Evicting {
    /// An empty table for a definition that was [`checked`].
    pub(super) fn new(world: &World, def: &MapDef) -> Result<Self, Errno> {
        let (slots, cpus) = (def.max_entries, world.cpus());
        let table = Table::new(world.cage(), def, slots, Reserve::AtOnce)?;
        let lru = if def.flags.has(MapFlags::NO_COMMON_LRU) {
            Lru::per_cpu(slots, cpus)
        } else {
            Lru::common(slots, cpus)
        };
        Ok(Self { table, lru })
    }

    /// The key's slot, whether or not it counts as use.
    pub(super) fn find(&self, key: &[u8]) -> Option<Slot> {
        self.table.find(self.table.hash(key), key)
    }

    /// The key's slot, marked as used.
    #[inline]
    pub(super) fn find_and_mark(&self, key: &[u8]) -> Option<Slot> {
        let slot = self.find(key)?;
        self.mark(slot);
        Some(slot)
    }

    /// Marks a slot as used.
    #[inline]
    pub(super) fn mark(&self, slot: Slot) {
        if let Some(node) = self.table.node(slot)
            && !node.referenced.load(Ordering::Relaxed)
        {
            node.referenced.store(true, Ordering::Relaxed);
        }
    }

    /// A slot for a new element.
    ///
    /// # Errors
    /// `ENOMEM` when nothing can be evicted.
    pub(super) fn take_slot(&self, cpu: Cpu) -> Result<Slot, Errno> {
        self.lru.take(cpu, self).ok_or(Errno::ENOMEM)
    }

    /// Gives back a slot that is not in the table. No bucket is locked by the caller: the LRU
    /// locks itself first and buckets then.
    pub(super) fn give_slot(&self, slot: Slot) {
        self.lru.give(slot, self);
    }

    /// Removes a key and shows `last_look` its slot before the slot is used again.
    ///
    /// # Errors
    /// `ENOENT` when it is not there.
    pub(super) fn remove_with<T>(
        &self,
        key: &[u8],
        last_look: impl FnOnce(Slot) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let hash = self.table.hash(key);
        let bucket = self.table.lock(hash)?;
        let slot = bucket.find(hash, key).ok_or(Errno::ENOENT)?;
        let seen = last_look(slot)?;
        bucket.unlink(slot);
        drop(bucket);
        self.give_slot(slot);
        Ok(seen)
    }
}

impl Elements for Evicting {
    fn is_referenced(&self, slot: Slot) -> bool {
        self.table.node(slot).is_some_and(|node| node.referenced.load(Ordering::Relaxed))
    }

    fn clear_reference(&self, slot: Slot) {
        if let Some(node) = self.table.node(slot) {
            node.referenced.store(false, Ordering::Relaxed);
        }
    }

    fn evict(&self, slot: Slot) -> bool {
        let bucket = self.table.hash_of(slot).and_then(|hash| self.table.lock(hash).ok());
        bucket.is_some_and(|bucket| bucket.unlink(slot))
    }
}
