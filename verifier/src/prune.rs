//! When one state stands for another: whatever is safe from the old one is safe from the new.

use crate::cx::Cx;
use crate::state::stack::Byte;
use crate::state::{
    Frame, Iter, IterState, Link, Number, Object, Pointer, PtrTo, Reg, Slot, State,
};
use crate::trail::{FramePlaces, Places};
use ubpf_isa::{Pc, Reg as Name};

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

/// Whether `old`, in which `precise` mattered, stands for `new` at `pc`.
#[must_use]
pub fn stands_for(
    cx: &Cx<'_>,
    pc: Pc,
    old: &State,
    precise: &Places,
    new: &State,
    likeness: Likeness,
) -> bool {
    let rounds_differ = likeness == Likeness::Same && old.unrolled != new.unrolled;
    if rounds_differ || old.depth() != new.depth() {
        return false;
    }
    let mut compare = Compare { likeness, ids: Vec::new() };
    if !compare.held(old, new) {
        return false;
    }
    let depth = old.depth();
    old.frames().iter().zip(new.frames()).enumerate().all(|(i, (a, b))| {
        let place = |f: &Frame| (f.return_to, f.subprog, f.callback);
        if place(a) != place(b) || a.loops > b.loops {
            return false;
        }
        let at = if i + 1 == depth { Some(pc) } else { old.frames()[i + 1].return_to };
        let live = at.map_or(ubpf_isa::RegSet::ALL, |pc| cx.live.before(pc));
        // A caller's r0 to r5 were given up when it called.
        let precise = precise.frames.get(i).copied().unwrap_or_default();
        compare.frames(a, b, &precise, live)
    })
}

struct Compare {
    likeness: Likeness,
    /// Old ids and the new ids that play their part.
    ids: Vec<(u32, u32)>,
}

impl Compare {
    /// Ids correspond one to one.
    fn ids(&mut self, old: u32, new: u32) -> bool {
        for &(a, b) in &self.ids {
            if a == old || b == new {
                return a == old && b == new;
            }
        }
        self.ids.push((old, new));
        true
    }

    fn maybe_ids(&mut self, old: Option<u32>, new: Option<u32>) -> bool {
        match (old, new) {
            (None, None) => true,
            (Some(a), Some(b)) => self.ids(a, b),
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
                .all(|(a, b)| a.what == b.what && self.ids(a.id.0, b.id.0))
    }

    fn frames(
        &mut self,
        old: &Frame,
        new: &Frame,
        precise: &FramePlaces,
        live: ubpf_isa::RegSet,
    ) -> bool {
        let all = self.likeness == Likeness::Same;
        Name::all().filter(|&r| all || live.contains(r)).all(|r| {
            let i = r.index();
            self.regs(&old.regs[i], &new.regs[i], precise.regs.contains(r))
        }) && self.stacks(old, new, precise)
    }

    fn regs(&mut self, old: &Reg, new: &Reg, precise: bool) -> bool {
        match (old, new) {
            (Reg::Uninit, new) => self.likeness != Likeness::Same || *new == Reg::Uninit,
            (Reg::Number(a), Reg::Number(b)) => self.numbers(a, b, precise),
            (Reg::Pointer(a), Reg::Pointer(b)) => self.pointers(a, b),
            _ => false,
        }
    }

    fn numbers(&mut self, old: &Number, new: &Number, precise: bool) -> bool {
        match self.likeness {
            Likeness::Same => old.value == new.value && self.links(old.link, new.link),
            Likeness::Covered if !precise => true,
            Likeness::Covered | Likeness::Within => {
                old.value.includes(&new.value)
                    && (old.link.is_none() || self.links(old.link, new.link))
            }
        }
    }

    fn links(&mut self, old: Option<Link>, new: Option<Link>) -> bool {
        match (old, new) {
            (None, None) => true,
            (Some(a), Some(b)) => a.delta == b.delta && self.ids(a.id.0, b.id.0),
            _ => false,
        }
    }

    fn pointers(&mut self, old: &Pointer, new: &Pointer) -> bool {
        let same_ids = self.maybe_ids(old.id.map(|i| i.0), new.id.map(|i| i.0))
            && self.maybe_ids(old.ref_id.map(|i| i.0), new.ref_id.map(|i| i.0));
        if !same_ids || old.nullable != new.nullable || old.off != new.off {
            return false;
        }
        if self.likeness == Likeness::Same {
            return old.to == new.to && old.var == new.var;
        }
        let same_kind = match (old.to, new.to) {
            (PtrTo::Packet(a), PtrTo::Packet(b)) | (PtrTo::PacketMeta(a), PtrTo::PacketMeta(b)) => {
                a.covers(b)
            }
            (PtrTo::MapValue(a), PtrTo::MapValue(b)) | (PtrTo::Map(a), PtrTo::Map(b)) => {
                a.map == b.map && a.inner == b.inner && (a.uid == b.uid || self.ids(a.uid, b.uid))
            }
            (a, b) => a == b,
        };
        same_kind && old.var.includes(&new.var)
    }

    fn stacks(&mut self, old: &Frame, new: &Frame, precise: &FramePlaces) -> bool {
        let none = Slot::default();
        let (a, b) = (old.stack.slots(), new.stack.slots());
        let len = match self.likeness {
            Likeness::Same => a.len().max(b.len()),
            Likeness::Covered | Likeness::Within => a.len(),
        };
        (0..len).all(|n| {
            let (a, b) = (a.get(n).unwrap_or(&none), b.get(n).unwrap_or(&none));
            self.slots(a, b, precise.slots & 1 << n != 0)
        }) && old
            .stack
            .objects()
            .all(|(off, a)| new.stack.object(off).is_some_and(|b| self.objects(a, b)))
    }

    /// Objects of one kind, with ids that play the same part. How often an iterator has given
    /// something says nothing of what is safe.
    fn objects(&mut self, old: &Object, new: &Object) -> bool {
        match (old, new) {
            (Object::Dynptr(a), Object::Dynptr(b)) => {
                a.kind == b.kind
                    && self.ids(a.id.0, b.id.0)
                    && self.maybe_ids(a.ref_id.map(|i| i.0), b.ref_id.map(|i| i.0))
            }
            (Object::Iter(a), Object::Iter(b)) => {
                let known = |i: &Iter| (i.btf_id, i.slots, i.state, i.trust);
                // A round that gave something is no circle.
                let circles = self.likeness == Likeness::Same;
                let rounds_differ = a.state == IterState::Active && a.depth != b.depth;
                !(circles && rounds_differ)
                    && known(a) == known(b)
                    && self.ids(a.ref_id.0, b.ref_id.0)
            }
            (Object::IrqFlag(a), Object::IrqFlag(b)) => {
                a.class == b.class && self.ids(a.ref_id.0, b.ref_id.0)
            }
            _ => false,
        }
    }

    fn slots(&mut self, old: &Slot, new: &Slot, precise: bool) -> bool {
        let bytes = old.bytes.iter().zip(&new.bytes).all(|(a, b)| match (a, b) {
            (Byte::Invalid, b) => self.likeness != Likeness::Same || *b == Byte::Invalid,
            (Byte::Misc, Byte::Misc) => true,
            // Unknown data stands for any data, but not for a pointer.
            (Byte::Misc, Byte::Zero) => self.likeness != Likeness::Same,
            (Byte::Misc, Byte::Spill) => {
                self.likeness != Likeness::Same && new.reg.pointer().is_none()
            }
            (a, b) => a == b,
        });
        bytes && (old.bytes[0] != Byte::Spill || self.regs(&old.reg, &new.reg, precise))
    }
}
