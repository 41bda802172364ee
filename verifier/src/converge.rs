//! Making the rounds of a loop alike.
//!
//! A loop whose end the verifier cannot see is walked until a round begins as an earlier one
//! did. Counters would keep them apart for ever, so numbers that differ and do not matter are
//! given up.

use crate::Options;
use crate::prune::{Ids, is_same_number};
use crate::state::{IterState, Object, Pointer, PtrTo, Reg, State};
use crate::trail::Places;
use ubpf_isa::Reg as Name;

/// Whether the iterator that is asked for its next item may have one.
#[must_use]
pub fn may_give_more(state: &State) -> bool {
    let Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) =
        state.frame().regs[Name::R1.index()]
    else {
        return false;
    };
    let off = p.const_off().and_then(|off| i32::try_from(off).ok());
    let object = off.and_then(|off| state.frame_at(depth).stack.object(off));
    matches!(object, Some(Object::Iter(iter)) if iter.state == IterState::Active)
}

/// Gives up the numbers of `state` that differ from `earlier`, but for those that `precise` says
/// mattered. Both are at the same place with the same callers. `ids` is scratch space.
pub fn widen(
    options: &Options,
    ids: &mut Ids,
    state: &mut State,
    earlier: &State,
    precise: &Places,
) {
    ids.clear();
    for depth in (0..state.depth().min(earlier.depth())).rev() {
        let Ok(at) = u8::try_from(depth) else { return };
        let matters = precise.frame(depth);
        let old = earlier.frame_at(at);
        let now = state.frame_at_mut(at);
        let mut widen_one = |now: &mut Reg, old: &Reg| {
            if let (Reg::Number(n), Reg::Number(o)) = (&*now, old)
                && !is_same_number(options, ids, o, n)
            {
                *now = Reg::UNKNOWN;
            }
        };
        for reg in Name::all().filter(|&r| !matters.regs.contains(r)) {
            widen_one(&mut now.regs[reg.index()], &old.regs[reg.index()]);
        }
        let slots = now.stack.slots_mut().iter_mut().zip(old.stack.slots()).enumerate();
        for (_, (now, old)) in slots.filter(|(n, _)| matters.slots & 1 << n == 0) {
            if now.spill_bytes() > 0 && old.spill_bytes() > 0 {
                widen_one(&mut now.reg, &old.reg);
            }
        }
    }
}
