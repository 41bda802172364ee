//! The hash table behind all hash map types: which slot holds which key.
//!
//! ```text
//!  buckets[hash & mask]            nodes[slot]                  keys[slot], values[slot]
//!  ┌─────────┬──────┐   slot+1    ┌──────┬──────┬────────┐      in guest memory, see slab
//!  │ version │ head │ ──────────▶ │ next │ hash │ prefix │ ──▶ next node
//!  └─────────┴──────┘             └──────┴──────┴────────┘
//! ```
//!
//! Look-ups take no lock. A writer locks one bucket by making its version odd. A reader that
//! finds its key is done: whatever happened meanwhile, the key was there. One that does not find
//! it believes so only if the version is even and the same as before; else a node it stood on
//! may have moved to another bucket, and it looks again.
//!
//! Bucket count and the order inside a bucket (newest first) are the kernel's, so that with
//! `BPF_F_ZERO_SEED`, which fixes the hash function, iteration visits keys in its order.

use super::jhash::jhash;
use super::slab::{Holds, Reserve, Slab};
use super::sparse::SparseArray;
use std::hint;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::thread;
use ubpf_abi::map::{MapDef, MapFlags};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::mem::{Cage, GuestAddr};

/// Number of an element's node, key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub u32);

/// A slot or none, in 32 bits: 0 is none, `n + 1` is slot `n`.
#[derive(Debug, Default)]
pub(super) struct Link(AtomicU32);

impl Link {
    #[inline]
    pub(super) fn load(&self) -> Option<Slot> {
        self.0.load(Ordering::Acquire).checked_sub(1).map(Slot)
    }

    pub(super) fn store(&self, slot: Option<Slot>) {
        self.0.store(Self::encode(slot), Ordering::Release);
    }

    /// Empties it and gives what was in it.
    pub(super) fn take(&self) -> Option<Slot> {
        self.0.swap(0, Ordering::AcqRel).checked_sub(1).map(Slot)
    }

    pub(super) const fn encode(slot: Option<Slot>) -> u32 {
        match slot {
            Some(Slot(n)) => n + 1,
            None => 0,
        }
    }
}

/// What the host keeps of an element.
#[derive(Default)]
pub(super) struct Node {
    /// The next in its bucket.
    next: Link,
    hash: AtomicU32,
    /// The start of the key; see [`prefix`].
    prefix: [AtomicU64; 2],
    /// The next unused slot, while this one is unused. Not `next`, which readers may still
    /// follow.
    pub(super) next_free: Link,
    /// Looked up since its list last asked, in maps that evict.
    pub(super) referenced: AtomicBool,
}

#[derive(Default)]
struct Bucket {
    head: Link,
    /// Odd while a writer is at work.
    version: AtomicU32,
}

/// How keys are hashed.
enum Hasher {
    /// With the kernel's function and seed 0.
    Zero,
    /// With a fast function. Its seed is always the same, for runs to be reproducible.
    Folded,
}

/// Keys of a map, and the slots that hold them.
pub(super) struct Table {
    key_bytes: usize,
    hasher: Hasher,
    mask: u32,
    buckets: SparseArray<Bucket>,
    nodes: SparseArray<Node>,
    keys: Slab,
}

impl Table {
    /// An empty table for the map, with `slots` elements to choose from.
    ///
    /// # Errors
    /// `ENOMEM` when the keys do not fit into the cage.
    pub(super) fn new(
        cage: &Arc<Cage>,
        def: &MapDef,
        slots: u32,
        reserve: Reserve,
    ) -> Result<Self, Errno> {
        let buckets = def.max_entries.checked_next_power_of_two().ok_or(Errno::E2BIG)?;
        let zero_seed = def.flags.has(MapFlags::ZERO_SEED);
        Ok(Self {
            key_bytes: def.key_size as usize,
            hasher: if zero_seed { Hasher::Zero } else { Hasher::Folded },
            mask: buckets - 1,
            keys: Slab::new(cage, def, Holds::Keys, def.key_size, slots.into(), reserve)?,
            buckets: SparseArray::new(buckets),
            nodes: SparseArray::new(slots),
        })
    }

    /// Hash of a key.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u32 {
        match self.hasher {
            Hasher::Zero => jhash(key, 0),
            Hasher::Folded => folded(key),
        }
    }

    /// The slot's node, made if need be.
    #[inline]
    pub(super) fn node(&self, Slot(slot): Slot) -> Option<&Node> {
        self.nodes.touch(slot)
    }

    /// Hash of the key in the slot.
    pub(super) fn hash_of(&self, slot: Slot) -> Option<u32> {
        Some(self.node(slot)?.hash.load(Ordering::Relaxed))
    }

    /// Address of the key in the slot.
    pub(super) fn key_addr(&self, Slot(slot): Slot) -> Option<GuestAddr> {
        self.keys.addr(slot)
    }

    /// The slot that holds the key.
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &[u8]) -> Option<Slot> {
        let bucket = self.buckets.get(hash & self.mask)?;
        loop {
            let before = bucket.version.load(Ordering::Acquire);
            let found = self.walk(bucket, hash, key);
            if found.is_some() {
                return found;
            }
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && bucket.version.load(Ordering::Relaxed) == before {
                return None;
            }
            hint::spin_loop();
        }
    }

    #[inline]
    fn walk(&self, bucket: &Bucket, hash: u32, key: &[u8]) -> Option<Slot> {
        let wanted = prefix(key);
        let mut next = bucket.head.load();
        while let Some(slot) = next {
            let node = self.nodes.get(slot.0)?;
            let [low, high] = &node.prefix;
            if [low.load(Ordering::Relaxed), high.load(Ordering::Relaxed)] == wanted
                && (key.len() <= PREFIX_BYTES
                    || node.hash.load(Ordering::Relaxed) == hash
                        && self.keys.starts_with(slot.0, key))
            {
                return Some(slot);
            }
            next = node.next.load();
        }
        None
    }

    /// Locks the bucket that keys with this hash belong to. At most one bucket is locked by a
    /// thread at a time.
    ///
    /// # Errors
    /// None that can happen; `ENOMEM` if the bucket did not exist.
    #[inline]
    pub(super) fn lock(&self, hash: u32) -> Result<Locked<'_>, Errno> {
        let bucket = self.buckets.touch(hash & self.mask).ok_or(Errno::ENOMEM)?;
        let mut tries = 0_u32;
        loop {
            let version = bucket.version.load(Ordering::Relaxed) & !1;
            let locked = bucket.version.compare_exchange_weak(
                version,
                version + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if locked.is_ok() {
                return Ok(Locked { table: self, bucket });
            }
            tries += 1;
            if tries.is_multiple_of(64) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    /// Gives an unlinked slot its key.
    ///
    /// # Errors
    /// `ENOMEM` when the cage is full.
    #[inline]
    pub(super) fn set_key(&self, slot: Slot, hash: u32, key: &[u8]) -> Result<(), Errno> {
        let node = self.node(slot).ok_or(Errno::ENOMEM)?;
        self.keys.ensure(slot.0)?;
        node.hash.store(hash, Ordering::Relaxed);
        for (word, value) in node.prefix.iter().zip(prefix(key)) {
            word.store(value, Ordering::Relaxed);
        }
        self.keys.write(slot.0, key)
    }

    fn key(&self, slot: Slot) -> Result<Vec<u8>, Errno> {
        let mut key = vec![0; self.key_bytes];
        self.keys.read(slot.0, &mut key)?;
        Ok(key)
    }

    /// The key after `key` in the table's order; the first for none or one that is not there.
    ///
    /// # Errors
    /// `ENOENT` after the last.
    pub(super) fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let mut from = 0;
        if let Some(key) = key {
            let hash = self.hash(key);
            let bucket = self.lock(hash)?;
            if let Some(slot) = bucket.find(hash, key) {
                if let Some(next) = self.node(slot).and_then(|node| node.next.load()) {
                    return self.key(next);
                }
                from = (hash & self.mask) + 1;
            }
        }
        while let Some(index) = self.buckets.next_touched(from) {
            let empty = self.buckets.get(index).is_none_or(|b| b.head.load().is_none());
            if !empty {
                // The bucket of a hash is found by its low bits: any hash with these will do.
                let bucket = self.lock(index)?;
                if let Some(first) = bucket.bucket.head.load() {
                    return self.key(first);
                }
            }
            from = index + 1;
        }
        Err(Errno::ENOENT)
    }

    /// All keys in the table's order, each bucket as it is at one moment.
    ///
    /// # Errors
    /// None that can happen.
    pub(super) fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut keys = Vec::new();
        let mut from = 0;
        while let Some(index) = self.buckets.next_touched(from) {
            let bucket = self.lock(index)?;
            let mut next = bucket.bucket.head.load();
            while let Some(slot) = next {
                keys.push(self.key(slot)?);
                next = self.node(slot).and_then(|node| node.next.load());
            }
            from = index + 1;
        }
        Ok(keys)
    }

    /// Calls `visit` for every slot in the table's order, without locks: the visitor may change
    /// the table, and the slot that follows is chosen before it is called, as in the kernel.
    /// Returns the number of calls, the stopping one included.
    ///
    /// # Errors
    /// The visitor's.
    pub(super) fn for_each(
        &self,
        mut visit: impl FnMut(Slot) -> Result<ControlFlow<()>, Trap>,
    ) -> Result<u64, Trap> {
        let mut calls = 0;
        let mut from = 0;
        while let Some(index) = self.buckets.next_touched(from) {
            let mut next = self.buckets.get(index).and_then(|b| b.head.load());
            while let Some(slot) = next {
                next = self.nodes.get(slot.0).and_then(|node| node.next.load());
                calls += 1;
                if visit(slot)?.is_break() {
                    return Ok(calls);
                }
            }
            from = index + 1;
        }
        Ok(calls)
    }
}

/// A bucket that this thread may change; unlocked when dropped.
pub(super) struct Locked<'a> {
    table: &'a Table,
    bucket: &'a Bucket,
}

impl Locked<'_> {
    /// The slot that holds the key.
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &[u8]) -> Option<Slot> {
        self.table.walk(self.bucket, hash, key)
    }

    /// Puts a slot in front.
    #[inline]
    pub(super) fn link(&self, slot: Slot) {
        if let Some(node) = self.table.node(slot) {
            node.next.store(self.bucket.head.load());
            self.bucket.head.store(Some(slot));
        }
    }

    /// Takes a slot out, and says whether it was in.
    #[inline]
    pub(super) fn unlink(&self, slot: Slot) -> bool {
        let mut link = &self.bucket.head;
        while let Some(at) = link.load() {
            let Some(node) = self.table.node(at) else {
                return false;
            };
            if at == slot {
                link.store(node.next.load());
                return true;
            }
            link = &node.next;
        }
        false
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let version = self.bucket.version.load(Ordering::Relaxed);
        self.bucket.version.store(version.wrapping_add(1), Ordering::Release);
    }
}

/// Bytes of a key that its node holds, so that most keys are compared without their slab.
const PREFIX_BYTES: usize = 16;

/// The first 16 bytes as two words, with zeros behind a shorter key.
#[inline]
fn prefix(key: &[u8]) -> [u64; 2] {
    let rest = key.get(8..).unwrap_or_default();
    [word(key), word(rest)]
}

/// The first 8 bytes as a word, with zeros behind fewer.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let Ok(word) = <[u8; 4]>::try_from(bytes) {
        return u32::from_le_bytes(word).into();
    }
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Odd constants without structure: digits of pi.
const PI: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

/// Folds words into a running product: high and low half of a 128-bit multiplication.
#[inline]
fn folded(key: &[u8]) -> u32 {
    let mut state = PI[0] ^ key.len() as u64;
    let mut rest = key;
    loop {
        let product = u128::from(state ^ word(rest)) * u128::from(PI[1]);
        state = product as u64 ^ (product >> 64) as u64;
        match rest.get(8..) {
            None | Some([]) => return state as u32,
            Some(more) => rest = more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::{Slot, Table, folded};
    use crate::maps::slab::Reserve;
    use std::collections::HashSet;
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use ubpf_abi::Errno;
    use ubpf_abi::map::MapType;
    use ubpf_vm::mem::Cage;

    fn table(key_bytes: u32, slots: u32) -> Table {
        let cage = Cage::new().unwrap();
        let def = def(MapType::Hash, key_bytes, 8, slots);
        Table::new(&cage, &def, slots, Reserve::AtOnce).unwrap()
    }

    fn insert(table: &Table, slot: Slot, key: &[u8]) {
        let hash = table.hash(key);
        table.set_key(slot, hash, key).unwrap();
        table.lock(hash).unwrap().link(slot);
    }

    fn remove(table: &Table, key: &[u8]) -> Option<Slot> {
        let hash = table.hash(key);
        let bucket = table.lock(hash).unwrap();
        bucket.find(hash, key).filter(|&slot| bucket.unlink(slot))
    }

    #[test]
    fn finds_what_is_linked_and_nothing_else() {
        for key_bytes in [1, 3, 4, 5, 8, 12, 16, 40] {
            let table = table(key_bytes, 100);
            let key = |n: u8| {
                let mut key = vec![7; key_bytes as usize];
                key[key_bytes as usize - 1] = n;
                key
            };
            for n in 0..100 {
                insert(&table, Slot(n.into()), &key(n));
            }
            for n in (0..100).step_by(3) {
                assert_eq!(remove(&table, &key(n)), Some(Slot(n.into())));
            }
            for n in 0..120 {
                let there = n < 100 && n % 3 != 0;
                let found = table.find(table.hash(&key(n)), &key(n));
                assert_eq!(found, there.then_some(Slot(n.into())), "{key_bytes} bytes, key {n}");
            }
            assert_eq!(table.keys().unwrap().len(), 66);
        }
    }

    #[test]
    fn walking_by_key_and_by_visit_agree() {
        let table = table(4, 64);
        for n in 0..40_u32 {
            insert(&table, Slot(n), &n.to_le_bytes());
        }
        let mut walked = Vec::new();
        let mut next = table.next_key(None);
        while let Ok(key) = next {
            next = table.next_key(Some(&key));
            walked.push(key);
        }
        assert_eq!(next, Err(Errno::ENOENT));
        assert_eq!(walked, table.keys().unwrap());
        let mut visited = Vec::new();
        let calls = table.for_each(|slot| {
            visited.push(table.key(slot).unwrap());
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(calls, Ok(40));
        assert_eq!(visited, walked);
        assert_eq!(table.next_key(Some(&99_u32.to_le_bytes())), Ok(walked[0].clone()));
    }

    #[test]
    fn short_keys_spread_over_buckets() {
        let low: HashSet<u32> = (0..4096_u32).map(|n| folded(&n.to_le_bytes()) & 4095).collect();
        assert!(low.len() > 2300, "{} of 4096 buckets used", low.len());
    }

    /// A key that stays is found at every moment, while its neighbours come and go and their
    /// slots are used for other keys.
    #[test]
    fn readers_never_miss_a_key_that_stays() {
        let table = table(4, 8);
        let stays = 1000_u32.to_le_bytes();
        insert(&table, Slot(7), &stays);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..200_000_u32 {
                    let key = (round % 50).to_le_bytes();
                    let slot = Slot(round % 7);
                    insert(&table, slot, &key);
                    assert_eq!(remove(&table, &key), Some(slot));
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                assert_eq!(table.find(table.hash(&stays), &stays), Some(Slot(7)));
            }
        });
    }
}
