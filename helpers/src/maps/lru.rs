//! Which element an LRU map gives up when it needs a slot.
//!
//! Elements are aged in three lists: *active* ones that were looked up, *inactive* ones, and
//! *free* slots. A common LRU hands slots to each CPU in batches: it has free slots of its own,
//! and new elements stay *pending* with the CPU until its next batch. With `NO_COMMON_LRU` each
//! CPU has its own part of the slots and its own lists.
//!
//! Which keys survive is visible to programs, so the order of every step is that of Linux 6.18;
//! `conformance` compares random histories with it. A look-up only sets the node's mark; all
//! lists of a common LRU are behind one lock here.

use super::rings::{At, Ring, Rings};
use super::table::Slot;
use std::sync::{Mutex, MutexGuard, PoisonError};
use ubpf_vm::run::Cpu;

/// What the lists need to know about elements, and do to them.
pub(super) trait Elements {
    /// Whether the element was looked up since its mark was last cleared.
    fn is_referenced(&self, slot: Slot) -> bool;
    /// Clears the mark.
    fn clear_reference(&self, slot: Slot);
    /// Takes the element out of its table; `false` when it was not in.
    fn evict(&self, slot: Slot) -> bool;
}

/// Free slots that a CPU gets from the common lists at a time, at most.
const MAX_BATCH: u32 = 128;
/// Elements looked at in one pass over a list, common LRU.
const COMMON_SCANS: u32 = 128;
/// Slots freed at a time, LRU of one CPU.
const CPU_BATCH: u32 = 4;
/// Elements looked at in one pass over a list, LRU of one CPU.
const CPU_SCANS: u32 = 4;

/// The slots of an LRU map that hold no element, and how more are won.
pub(super) enum Lru {
    /// One for all CPUs.
    Common(Mutex<Common>),
    /// One for each CPU.
    PerCpu {
        /// Slots of a CPU; they are numbered CPU by CPU.
        share: u32,
        /// By CPU.
        lists: Box<[Mutex<Ages>]>,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lru {
    /// One LRU of `slots` unused slots for `cpus` CPUs.
    pub(super) fn common(slots: u32, cpus: u32) -> Self {
        Self::Common(Mutex::new(Common {
            ages: Ages::new(2 * cpus, COMMON_SCANS, 0..slots),
            batch: (slots / cpus / 2).clamp(1, MAX_BATCH),
            next_steal: (0..cpus).collect(),
            homes: Vec::new(),
        }))
    }

    /// An LRU for each CPU, with `slots`, a multiple of `cpus`, divided between them.
    pub(super) fn per_cpu(slots: u32, cpus: u32) -> Self {
        let share = slots / cpus;
        let ages = |cpu| Mutex::new(Ages::new(0, CPU_SCANS, cpu * share..(cpu + 1) * share));
        Self::PerCpu { share, lists: (0..cpus).map(ages).collect() }
    }

    /// Takes a slot for a new element, evicting others if need be.
    pub(super) fn take(&self, Cpu(cpu): Cpu, elements: &impl Elements) -> Option<Slot> {
        match self {
            Self::Common(common) => lock(common).take(cpu, elements),
            Self::PerCpu { lists, .. } => lock(lists.get(cpu as usize)?).take(elements),
        }
    }

    /// Gives back a slot whose element was deleted or never became one.
    pub(super) fn give(&self, slot: Slot, elements: &impl Elements) {
        match self {
            Self::Common(common) => lock(common).give(slot, elements),
            Self::PerCpu { share, lists } => {
                if let Some(ages) = lists.get((slot.0 / share) as usize) {
                    lock(ages).shift(slot, Age::Free, elements);
                }
            }
        }
    }
}

/// One of the three lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Active,
    Inactive,
    Free,
}

const ACTIVE: Ring = Ring(0);
const INACTIVE: Ring = Ring(1);
const FREE: Ring = Ring(2);
const AGES: u32 = 3;

impl Age {
    const fn ring(self) -> Ring {
        match self {
            Self::Active => ACTIVE,
            Self::Inactive => INACTIVE,
            Self::Free => FREE,
        }
    }
}

/// Lists of elements by age. Behind the free list lie slots that were never used.
pub(super) struct Ages {
    rings: Rings,
    /// Age of each slot that is in one of the lists, by slot from the first on.
    ages: Vec<Option<Age>>,
    first: u32,
    fresh: core::ops::Range<u32>,
    active: u32,
    inactive: u32,
    /// Where the next pass over the inactive list begins.
    rotation: At,
    scans: u32,
}

impl Ages {
    fn new(more_rings: u32, scans: u32, slots: core::ops::Range<u32>) -> Self {
        Self {
            rings: Rings::new(AGES + more_rings, Slot(slots.start)),
            ages: Vec::new(),
            first: slots.start,
            fresh: slots,
            active: 0,
            inactive: 0,
            rotation: INACTIVE.into(),
            scans,
        }
    }

    fn age(&self, slot: Slot) -> Option<Age> {
        self.ages.get(slot.0.wrapping_sub(self.first) as usize).copied().flatten()
    }

    fn count(&mut self, age: Option<Age>) -> Option<&mut u32> {
        match age? {
            Age::Active => Some(&mut self.active),
            Age::Inactive => Some(&mut self.inactive),
            Age::Free => None,
        }
    }

    fn set_age(&mut self, slot: Slot, age: Option<Age>) {
        if let Some(count) = self.count(self.age(slot)) {
            *count -= 1;
        }
        if let Some(count) = self.count(age) {
            *count += 1;
        }
        let index = slot.0.wrapping_sub(self.first) as usize;
        if index >= self.ages.len() {
            self.ages.resize(index + 1, None);
        }
        if let Some(entry) = self.ages.get_mut(index) {
            *entry = age;
        }
    }

    /// Moves a slot in front of a ring, whatever ring it was in.
    fn move_to(&mut self, slot: Slot, age: Option<Age>, ring: Ring) {
        if self.rings.of(slot) == self.rotation {
            self.rotation = self.rings.prev(self.rotation);
        }
        self.set_age(slot, age);
        self.rings.remove(slot);
        self.rings.push_front(ring, slot);
    }

    /// Moves a slot in front of the list of an age, its mark cleared.
    fn shift(&mut self, slot: Slot, age: Age, elements: &impl Elements) {
        elements.clear_reference(slot);
        self.move_to(slot, Some(age), age.ring());
    }

    /// The first free slot.
    fn free(&mut self) -> Option<Slot> {
        self.rings.front(FREE).or_else(|| self.fresh.next().map(Slot))
    }

    /// Takes a slot from the lists of one CPU's LRU.
    fn take(&mut self, elements: &impl Elements) -> Option<Slot> {
        self.rotate(elements);
        if self.rings.is_empty(FREE) && self.fresh.is_empty() {
            self.shrink(CPU_BATCH, Age::Free.ring(), Some(Age::Free), elements);
        }
        let slot = self.free()?;
        self.shift(slot, Age::Inactive, elements);
        Some(slot)
    }

    /// Lets elements age: marked ones become or stay active, others inactive.
    fn rotate(&mut self, elements: &impl Elements) {
        if self.inactive < self.active {
            self.rotate_active(elements);
        }
        self.rotate_inactive(elements);
    }

    fn rotate_active(&mut self, elements: &impl Elements) {
        let first = self.rings.next(ACTIVE);
        let mut at = self.rings.prev(ACTIVE);
        for _ in 0..self.scans {
            let Some(slot) = self.rings.slot(at) else {
                return;
            };
            let before = self.rings.prev(at);
            let marked = elements.is_referenced(slot);
            self.shift(slot, if marked { Age::Active } else { Age::Inactive }, elements);
            if at == first {
                return;
            }
            at = before;
        }
    }

    /// Goes on where the last pass stopped, once around at most.
    fn rotate_inactive(&mut self, elements: &impl Elements) {
        if self.rings.is_empty(INACTIVE) {
            return;
        }
        let head = At::from(INACTIVE);
        let mut last = self.rings.next(self.rotation);
        if last == head {
            last = self.rings.next(last);
        }
        let mut at = self.rotation;
        let mut next = head;
        let mut scanned = 0;
        while scanned < self.scans && !self.rings.is_empty(INACTIVE) {
            let Some(slot) = self.rings.slot(at) else {
                at = self.rings.prev(at);
                continue;
            };
            next = self.rings.prev(at);
            if elements.is_referenced(slot) {
                self.shift(slot, Age::Active, elements);
            }
            if at == last {
                break;
            }
            at = next;
            scanned += 1;
        }
        self.rotation = next;
    }

    /// Evicts up to `wanted` elements and moves their slots in front of a ring: inactive ones
    /// without a mark, oldest first; failing that, the oldest that can be.
    fn shrink(&mut self, wanted: u32, ring: Ring, age: Option<Age>, elements: &impl Elements) {
        if self.shrink_inactive(wanted, ring, age, elements) > 0 {
            return;
        }
        let from = if self.rings.is_empty(INACTIVE) { ACTIVE } else { INACTIVE };
        let mut at = self.rings.prev(from);
        while let Some(slot) = self.rings.slot(at) {
            if elements.evict(slot) {
                self.move_to(slot, age, ring);
                return;
            }
            at = self.rings.prev(at);
        }
    }

    fn shrink_inactive(
        &mut self,
        wanted: u32,
        ring: Ring,
        age: Option<Age>,
        elements: &impl Elements,
    ) -> u32 {
        let mut freed = 0;
        let mut at = self.rings.prev(INACTIVE);
        for _ in 0..self.scans {
            let Some(slot) = self.rings.slot(at) else {
                break;
            };
            at = self.rings.prev(at);
            if elements.is_referenced(slot) {
                self.shift(slot, Age::Active, elements);
            } else if elements.evict(slot) {
                self.move_to(slot, age, ring);
                freed += 1;
                if freed == wanted {
                    break;
                }
            }
        }
        freed
    }
}

/// Where a slot of a common LRU is while it is with a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Free(u32),
    Pending(u32),
}

impl Home {
    const fn ring(self) -> Ring {
        match self {
            Self::Free(cpu) => Ring(AGES + 2 * cpu),
            Self::Pending(cpu) => Ring(AGES + 2 * cpu + 1),
        }
    }
}

/// A common LRU: the lists by age, and for each CPU its free slots and its pending elements.
pub(super) struct Common {
    ages: Ages,
    /// Free slots that a CPU gets at a time.
    batch: u32,
    /// For each CPU, which one it takes a slot from next when nothing else is left.
    next_steal: Box<[u32]>,
    /// For each slot that is with a CPU, where.
    homes: Vec<Option<Home>>,
}

impl Common {
    fn home(&self, slot: Slot) -> Option<Home> {
        self.homes.get(slot.0 as usize).copied().flatten()
    }

    fn set_home(&mut self, slot: Slot, home: Option<Home>) {
        let index = slot.0 as usize;
        if index >= self.homes.len() {
            self.homes.resize(index + 1, None);
        }
        if let Some(entry) = self.homes.get_mut(index) {
            *entry = home;
        }
    }

    fn bring_home(&mut self, slot: Slot, home: Home) {
        self.ages.move_to(slot, None, home.ring());
        self.set_home(slot, Some(home));
    }

    fn take(&mut self, cpu: u32, elements: &impl Elements) -> Option<Slot> {
        if self.ages.rings.is_empty(Home::Free(cpu).ring()) {
            self.refill(cpu, elements);
        }
        let slot = match self.ages.rings.front(Home::Free(cpu).ring()) {
            Some(slot) => slot,
            None => self.steal(cpu, elements)?,
        };
        elements.clear_reference(slot);
        self.bring_home(slot, Home::Pending(cpu));
        Some(slot)
    }

    /// Gets a CPU a batch of free slots, after its pending elements have joined the lists.
    fn refill(&mut self, cpu: u32, elements: &impl Elements) {
        let (free, pending) = (Home::Free(cpu), Home::Pending(cpu).ring());
        while let Some(slot) = self.ages.rings.slot(self.ages.rings.prev(pending)) {
            let marked = elements.is_referenced(slot);
            self.ages.shift(slot, if marked { Age::Active } else { Age::Inactive }, elements);
            self.set_home(slot, None);
        }
        self.ages.rotate(elements);
        let mut got = 0;
        while got < self.batch
            && let Some(slot) = self.ages.free()
        {
            self.bring_home(slot, free);
            got += 1;
        }
        if got < self.batch {
            self.ages.shrink(self.batch - got, free.ring(), None, elements);
            // What was freed lies in front, in the CPU's ring already.
            let mut at = self.ages.rings.next(free.ring());
            while let Some(slot) = self.ages.rings.slot(at)
                && self.home(slot).is_none()
            {
                self.set_home(slot, Some(free));
                at = self.ages.rings.next(at);
            }
        }
    }

    /// Takes a slot from a CPU, one after the other: a free one, else its oldest pending element.
    fn steal(&mut self, cpu: u32, elements: &impl Elements) -> Option<Slot> {
        let cpus = self.next_steal.len() as u32;
        let first = *self.next_steal.get(cpu as usize)?;
        let mut from = first;
        let mut found = None;
        loop {
            if found.is_none() {
                found = self.ages.rings.front(Home::Free(from).ring());
            }
            if found.is_none() {
                found = self.evict_pending(from, elements);
            }
            from = (from + 1) % cpus;
            if found.is_some() || from == first {
                break;
            }
        }
        if let Some(next) = self.next_steal.get_mut(cpu as usize) {
            *next = from;
        }
        found
    }

    fn evict_pending(&self, cpu: u32, elements: &impl Elements) -> Option<Slot> {
        let ring = Home::Pending(cpu).ring();
        for marked_too in [false, true] {
            let mut at = self.ages.rings.prev(ring);
            while let Some(slot) = self.ages.rings.slot(at) {
                let may = marked_too || !elements.is_referenced(slot);
                if may && elements.evict(slot) {
                    return Some(slot);
                }
                at = self.ages.rings.prev(at);
            }
        }
        None
    }

    fn give(&mut self, slot: Slot, elements: &impl Elements) {
        match self.home(slot) {
            Some(Home::Pending(cpu)) => {
                elements.clear_reference(slot);
                self.bring_home(slot, Home::Free(cpu));
            }
            Some(Home::Free(_)) => {}
            None => self.ages.shift(slot, Age::Free, elements),
        }
    }
}
