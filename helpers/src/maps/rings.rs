//! Doubly linked rings of slots, many in one array of links.
//!
//! A ring is named by its head, a link that is not a slot's. All operations take constant time;
//! links of slots appear when a slot is first linked.

use super::table::Slot;

/// One link of a ring: a ring's head or a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

/// A ring's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring(pub u32);

impl From<Ring> for At {
    fn from(Ring(head): Ring) -> Self {
        Self(head)
    }
}

#[derive(Clone, Copy)]
struct Links {
    prev: At,
    next: At,
}

/// Some rings, among which slots from `first` on are distributed.
pub(super) struct Rings {
    links: Vec<Links>,
    heads: u32,
    first: u32,
}

impl Rings {
    /// `heads` empty rings for slots from `first` on.
    pub(super) fn new(heads: u32, first: Slot) -> Self {
        let links = (0..heads).map(|head| Links { prev: At(head), next: At(head) }).collect();
        Self { links, heads, first: first.0 }
    }

    fn at(&self, slot: Slot) -> At {
        At(slot.0.wrapping_sub(self.first).wrapping_add(self.heads))
    }

    /// The slot at a link, or `None` at a head.
    pub(super) fn slot(&self, at: At) -> Option<Slot> {
        let index = at.0.checked_sub(self.heads)?;
        Some(Slot(index.wrapping_add(self.first)))
    }

    fn links(&self, at: At) -> Links {
        let alone = Links { prev: at, next: at };
        self.links.get(at.0 as usize).copied().unwrap_or(alone)
    }

    /// The link before; before a head comes the ring's last slot.
    pub(super) fn prev(&self, at: impl Into<At>) -> At {
        self.links(at.into()).prev
    }

    /// The link after; after a head comes the ring's first slot.
    pub(super) fn next(&self, at: impl Into<At>) -> At {
        self.links(at.into()).next
    }

    /// The slot's link.
    pub(super) fn of(&self, slot: Slot) -> At {
        self.at(slot)
    }

    /// The ring's first slot.
    pub(super) fn front(&self, ring: Ring) -> Option<Slot> {
        self.slot(self.next(ring))
    }

    /// Whether the ring has no slot.
    pub(super) fn is_empty(&self, ring: Ring) -> bool {
        self.next(ring) == At::from(ring)
    }

    /// Puts a slot that is in no ring in front of a ring.
    pub(super) fn push_front(&mut self, ring: Ring, slot: Slot) {
        let (at, head) = (self.at(slot), At::from(ring));
        let end = self.links.len() as u32;
        self.links.extend((end..=at.0).map(|new| Links { prev: At(new), next: At(new) }));
        let after = self.next(ring);
        self.set(at, Links { prev: head, next: after });
        self.join(head, at);
        self.join(at, after);
    }

    /// Takes a slot out of its ring.
    pub(super) fn remove(&mut self, slot: Slot) {
        let at = self.at(slot);
        let Links { prev, next } = self.links(at);
        self.join(prev, next);
        self.set(at, Links { prev: at, next: at });
    }

    fn set(&mut self, at: At, links: Links) {
        if let Some(entry) = self.links.get_mut(at.0 as usize) {
            *entry = links;
        }
    }

    fn join(&mut self, before: At, after: At) {
        if let Some(entry) = self.links.get_mut(before.0 as usize) {
            entry.next = after;
        }
        if let Some(entry) = self.links.get_mut(after.0 as usize) {
            entry.prev = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ring, Rings};
    use crate::maps::table::Slot;

    fn forward(rings: &Rings, ring: Ring) -> Vec<u32> {
        let mut at = rings.next(ring);
        let mut slots = Vec::new();
        while let Some(Slot(slot)) = rings.slot(at) {
            slots.push(slot);
            at = rings.next(at);
        }
        slots
    }

    #[test]
    fn slots_move_between_rings() {
        let (a, b) = (Ring(0), Ring(1));
        let mut rings = Rings::new(2, Slot(10));
        for slot in [10, 11, 15] {
            rings.push_front(a, Slot(slot));
        }
        assert_eq!(forward(&rings, a), [15, 11, 10]);
        rings.remove(Slot(11));
        rings.push_front(b, Slot(11));
        assert_eq!(forward(&rings, a), [15, 10]);
        assert_eq!(forward(&rings, b), [11]);
        assert_eq!(rings.slot(rings.prev(a)), Some(Slot(10)));
        rings.remove(Slot(11));
        assert!(rings.is_empty(b));
        assert_eq!(rings.front(b), None);
    }
}
