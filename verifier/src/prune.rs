//! When one state stands for another: whatever is safe from the old one is safe from the new.

use crate::cx::Cx;
use crate::state::stack::Byte;
use crate::state::{Frame, Iter, Link, Number, Object, Pointer, PtrTo, Reg, Slot, State};
use crate::trail::{FramePlaces, Places};
use crate::{Options, Privilege};
use ubpf_isa::{Pc, RegSet};

/// How alike two states must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// The new one must be covered by the old one, in what mattered on the way from it.
    Covered,
    /// The same in everything, whether it mattered so far or not: the way from the old one is
    /// not walked to its end.
    Within,
    /// They must be the same: the program is going round in a circle.
    Same,
}

/// A state that was walked from, with what is known since.
#[derive(Clone, Copy)]
pub struct Old<'a> {
    /// What was known there.
    pub state: &'a State,
    /// Numbers that mattered on the ways from there.
    pub precise: &'a Places,
    /// Stack slots that nothing read on the ways from there, by frame.
    pub dead: &'a [u64],
}

/// Whether `old` stands for `new` at `pc`. `ids` is scratch space.
#[must_use]
pub fn stands_for(
    cx: &Cx<'_>,
    ids: &mut Ids,
    pc: Pc,
    old: Old<'_>,
    new: &State,
    likeness: Likeness,
) -> bool {
    if old.state.depth() != new.depth() {
        return false;
    }
    let mut compare = Compare::new(cx.options, ids, likeness);
    if !compare.held(old.state, new) {
        return false;
    }
    old.state.frames().iter().zip(new.frames()).enumerate().all(|(depth, (a, b))| {
        if a.call() != b.call() || a.loops > b.loops {
            return false;
        }
        let live = cx.live.before(old.state.place_of(depth, pc));
        let dead = old.dead.get(depth).copied().unwrap_or_default();
        compare.frames(a, b, old.precise.frame(depth), live, dead)
    })
}

/// Whether a number is the same as an earlier one, tied to the same others.
#[must_use]
pub fn is_same_number(options: &Options, ids: &mut Ids, old: &Number, new: &Number) -> bool {
    Compare { options, ids, likeness: Likeness::Same }.numbers(old, new, true)
}

/// Old ids and the new ids that play their part.
#[derive(Debug, Default)]
pub struct Ids(Vec<(u32, u32)>);

impl Ids {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Ids correspond one to one.
    fn correspond(&mut self, old: u32, new: u32) -> bool {
        for &(a, b) in &self.0 {
            if a == old || b == new {
                return a == old && b == new;
            }
        }
        self.0.push((old, new));
        true
    }

    /// The same, where a new number without ties plays a part of its own.
    fn without(&mut self, old: u32, new: Option<u32>) -> bool {
        // Ids count from 1, and never get so far.
        let fresh = u32::MAX - self.0.len() as u32;
        self.correspond(old, new.unwrap_or(fresh))
    }
}

struct Compare<'a> {
    options: &'a Options,
    likeness: Likeness,
    ids: &'a mut Ids,
}

impl<'a> Compare<'a> {
    fn new(options: &'a Options, ids: &'a mut Ids, likeness: Likeness) -> Self {
        ids.clear();
        Self { options, likeness, ids }
    }

    fn maybe_ids(&mut self, old: Option<u32>, new: Option<u32>) -> bool {
        match (old, new) {
            (None, None) => true,
            (Some(a), Some(b)) => self.ids.correspond(a, b),
            _ => false,
        }
    }

    /// What must be given back is the same.
    fn held(&mut self, old: &State, new: &State) -> bool {
        let counts = |state: &State| (state.rcu_sections, state.preempt_disabled, state.sleepable);
        counts(old) == counts(new)
            && old.refs.len() == new.refs.len()
            && old
                .refs
                .iter()
                .zip(&new.refs)
                .all(|(a, b)| a.what == b.what && self.ids.correspond(a.id.0, b.id.0))
    }

    fn frames(
        &mut self,
        old: &Frame,
        new: &Frame,
        precise: FramePlaces,
        live: RegSet,
        dead: u64,
    ) -> bool {
        let mut regs = live.iter().map(|r| (r.index(), precise.regs.contains(r)));
        regs.all(|(i, precise)| self.regs(&old.regs[i], &new.regs[i], precise))
            && self.stacks(old, new, precise.slots, dead)
    }

    fn regs(&mut self, old: &Reg, new: &Reg, precise: bool) -> bool {
        match (old, new) {
            (Reg::Uninit, new) => self.likeness == Likeness::Covered || *new == Reg::Uninit,
            (Reg::Number(a), Reg::Number(b)) => self.numbers(a, b, precise),
            (Reg::Pointer(a), Reg::Pointer(b)) => self.pointers(a, b),
            _ => false,
        }
    }

    fn numbers(&mut self, old: &Number, new: &Number, precise: bool) -> bool {
        let id = |n: &Number| n.link.map(|l| l.id.0);
        let delta = |n: &Number| n.link.and_then(|l: Link| l.delta);
        if self.likeness == Likeness::Same {
            return old.value == new.value
                && delta(old) == delta(new)
                && self.maybe_ids(id(old), id(new));
        }
        // Without privileges every number matters.
        let precise = precise || self.options.privilege == Privilege::Unprivileged;
        if self.likeness == Likeness::Covered && !precise {
            return true;
        }
        // A new number may be tied to others where the old one was not: that says only more.
        old.value.includes(&new.value)
            && id(old).is_none_or(|a| delta(old) == delta(new) && self.ids.without(a, id(new)))
    }

    fn pointers(&mut self, old: &Pointer, new: &Pointer) -> bool {
        if old.nullable != new.nullable || old.off != new.off {
            return false;
        }
        let ranges_may_differ = self.likeness != Likeness::Same;
        let same = match (old.to, new.to) {
            (PtrTo::Packet(a), PtrTo::Packet(b)) | (PtrTo::PacketMeta(a), PtrTo::PacketMeta(b))
                if ranges_may_differ =>
            {
                a.covers(b) && old.var.includes(&new.var)
            }
            (
                a @ (PtrTo::MapKey(_) | PtrTo::MapValue(_) | PtrTo::Mem { .. } | PtrTo::Buf { .. }),
                b,
            ) if ranges_may_differ => a == b && old.var.includes(&new.var),
            (a, b) => a == b && old.var == new.var,
        };
        same && self.maybe_ids(old.id.map(|i| i.0), new.id.map(|i| i.0))
            && self.maybe_ids(old.ref_id.map(|i| i.0), new.ref_id.map(|i| i.0))
    }

    fn stacks(&mut self, old: &Frame, new: &Frame, precise: u64, dead: u64) -> bool {
        let slots = new.stack.slots();
        old.stack
            .slots()
            .iter()
            .enumerate()
            .filter(|(n, _)| dead & 1 << n == 0)
            .all(|(n, a)| self.slots(a, slots.get(n), precise & 1 << n != 0))
            && old.stack.objects().all(|(off, a)| {
                let first = (-off) as u32 / 8 - 1;
                dead & 1_u64.wrapping_shl(first) != 0
                    || new.stack.object(off).is_some_and(|b| self.objects(a, b))
            })
    }

    /// Objects of one kind, with ids that play the same part. How often an iterator has given
    /// something says nothing of what is safe.
    fn objects(&mut self, old: &Object, new: &Object) -> bool {
        match (old, new) {
            (Object::Dynptr(a), Object::Dynptr(b)) => {
                a.kind == b.kind && self.maybe_ids(a.ref_id.map(|i| i.0), b.ref_id.map(|i| i.0))
            }
            (Object::Iter(a), Object::Iter(b)) => {
                let known = |i: &Iter| (i.btf_id, i.slots, i.state, i.trust);
                known(a) == known(b) && self.ids.correspond(a.ref_id.0, b.ref_id.0)
            }
            (Object::IrqFlag(a), Object::IrqFlag(b)) => {
                a.class == b.class && self.ids.correspond(a.ref_id.0, b.ref_id.0)
            }
            _ => false,
        }
    }

    fn slots(&mut self, old: &Slot, new: Option<&Slot>, precise: bool) -> bool {
        if self.likeness != Likeness::Covered && new.is_none_or(|new| new.bytes != old.bytes) {
            return false;
        }
        // With privileges memory of which nothing is known may as well never have been written.
        let uninit_ok = self.options.privilege == Privilege::Privileged;
        let anything = |b: &Byte| *b == Byte::Invalid || uninit_ok && *b == Byte::Misc;
        if old.bytes.iter().all(anything) {
            return true;
        }
        let Some(new) = new else { return false };
        // A spilled number and memory of which nothing is known are both numbers.
        if let (Some(a), Some(b)) = (as_number(old, uninit_ok), as_number(new, uninit_ok)) {
            return self.numbers(&a, &b, precise);
        }
        let bytes_fit = old.bytes.iter().zip(&new.bytes).all(|(a, b)| match (a, b) {
            (a, _) if anything(a) => true,
            (Byte::Misc, Byte::Zero) => true,
            (a, b) => a == b,
        });
        bytes_fit && (old.bytes[0] != Byte::Spill || self.regs(&old.reg, &new.reg, precise))
    }
}

/// The number that eight bytes of a slot are, if they are one.
fn as_number(slot: &Slot, uninit_ok: bool) -> Option<Number> {
    if slot.spill_bytes() == 8 {
        return slot.reg.number().copied();
    }
    let unknown = |b: &Byte| *b == Byte::Misc || uninit_ok && *b == Byte::Invalid;
    let all = slot.bytes.iter().all(unknown);
    all.then_some(Number::new(crate::domain::Scalar::UNKNOWN))
}
