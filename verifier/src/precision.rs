//! Which numbers decided about safety, found by walking back from the decision.
//!
//! A state can stand for another only if the numbers that matter agree; most do not matter. When
//! an instruction's safety depends on a number, the walk goes back over the trail to where
//! that number came from, and marks it in every checkpoint on the way.

use crate::cx::Cx;
use crate::explore::Checkpoint;
use crate::state::Reg;
use crate::trail::{FramePlaces, Places, SegmentId, Trail, TrailStep};
use crate::transfer::StackTouch;
use ubpf_isa::{CallTarget, Insn, Operand, Reg as Name, RegSet};

/// Marks `wanted`, places of the state at the end of `segment`, and everything they were
/// computed from; whether that marked anything new.
pub fn mark(
    cx: &Cx<'_>,
    trail: &Trail,
    kept: &mut [Checkpoint],
    segment: SegmentId,
    wanted: Places,
) -> bool {
    let mut walk = Back { cx, trail, wanted, found: false };
    let mut at = Some(segment);
    while let Some(id) = at {
        let (steps, checkpoint, parent) = trail.segment(id);
        for step in steps.iter().rev() {
            if walk.wanted.is_empty() {
                return walk.found;
            }
            walk.undo(step);
        }
        if let Some(checkpoint) = checkpoint
            && let Some(kept) = kept.get_mut(checkpoint.0 as usize)
        {
            walk.mark_checkpoint(kept);
        }
        if walk.wanted.is_empty() {
            return walk.found;
        }
        at = parent;
    }
    walk.found
}

struct Back<'a> {
    cx: &'a Cx<'a>,
    trail: &'a Trail,
    wanted: Places,
    /// Something was marked that had not been.
    found: bool,
}

impl Back<'_> {
    /// From what is wanted after the step to what is wanted before it.
    fn undo(&mut self, step: &TrailStep) {
        let Some(insn) = self.cx.text.insn(step.pc) else { return };
        self.spread(step);
        self.undo_insn(&insn, step);
        self.spread(step);
    }

    fn spread(&mut self, step: &TrailStep) {
        let Some(tied) = step.tied.map(|id| self.trail.tied(id)) else { return };
        if self.wanted.meets(tied) {
            self.wanted.extend(tied);
        }
    }

    fn top(&mut self) -> &mut FramePlaces {
        let last = self.wanted.frames.len().saturating_sub(1);
        self.wanted.frame_mut(last)
    }

    fn undo_insn(&mut self, insn: &Insn, step: &TrailStep) {
        let wants = |walk: &mut Self, reg: Name| walk.top().regs.contains(reg);
        match *insn {
            Insn::Mov { dst, src, .. } => {
                if wants(self, dst) {
                    self.replace(dst, operand(src));
                }
            }
            Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
                if wants(self, dst) {
                    self.replace(dst, Some(src));
                }
            }
            Insn::Alu { dst, src, .. } => {
                if let (true, Some(src)) = (wants(self, dst), operand(src)) {
                    self.top().regs.insert(src);
                }
            }
            Insn::Neg { .. } | Insn::Swap { .. } | Insn::Jump { .. } | Insn::MayGoto { .. } => {}
            Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => {
                if wants(self, dst) {
                    self.top().regs.remove(dst);
                    self.slots(step.touch, |places, slots| places.slots |= slots);
                }
            }
            Insn::Store { src, .. } => self.undo_store(step.touch, operand(src)),
            Insn::StoreRelease { src, .. } => self.undo_store(step.touch, Some(src)),
            Insn::Atomic { op, src, .. } => {
                if let Some(old) = op.old_value_to(src)
                    && wants(self, old)
                {
                    self.top().regs.remove(old);
                    self.slots(step.touch, |places, slots| places.slots |= slots);
                }
                self.undo_store(step.touch, Some(src));
            }
            Insn::LdImm64 { dst, .. } => self.top().regs.remove(dst),
            Insn::LdAbs { .. } | Insn::LdInd { .. } => {
                let left = self.top().regs - RegSet::CALLER_SAVED;
                self.top().regs = left;
            }
            Insn::Branch { dst, src, .. } => {
                let src = operand(src);
                if wants(self, dst) || src.is_some_and(|src| wants(self, src)) {
                    self.top().regs.insert(dst);
                    if let Some(src) = src {
                        self.top().regs.insert(src);
                    }
                }
            }
            Insn::Call(CallTarget::Subprog(_)) if self.deeper_than(step) => self.leave_callee(),
            Insn::Call(_) if self.deeper_than(step) => self.leave_callback(),
            // A tail call that returned for its caller.
            Insn::Call(_) if self.wanted.frames.len() < usize::from(step.frames) => {
                self.enter_callee(true);
            }
            Insn::Call(_) | Insn::CallX { .. } => {
                let left = self.top().regs - RegSet::CALLER_SAVED;
                self.top().regs = left;
            }
            Insn::Exit => self.enter_callee(step.callback_end),
        }
    }

    fn replace(&mut self, dst: Name, src: Option<Name>) {
        let top = self.top();
        top.regs.remove(dst);
        if let Some(src) = src {
            top.regs.insert(src);
        }
    }

    fn undo_store(&mut self, touch: Option<StackTouch>, src: Option<Name>) {
        let Some(touch) = touch else { return };
        let (mask, depth) = (slot_mask(&touch), usize::from(touch.depth));
        let places = self.wanted.frame_mut(depth);
        // Only a store that covers one slot surely is where its value came from.
        if places.slots & mask != 0 {
            if mask.is_power_of_two() {
                places.slots &= !mask;
            }
            if let Some(src) = src {
                self.top().regs.insert(src);
            }
        }
    }

    fn slots(&mut self, touch: Option<StackTouch>, f: impl FnOnce(&mut FramePlaces, u64)) {
        if let Some(touch) = touch {
            f(self.wanted.frame_mut(usize::from(touch.depth)), slot_mask(&touch));
        }
    }

    /// Back over a call: the callee's arguments are the caller's registers.
    fn leave_callee(&mut self) {
        let args = self.wanted.frames.pop().unwrap_or_default().regs & RegSet::ARGS;
        if self.wanted.frames.is_empty() {
            self.wanted.frames.push(FramePlaces::default());
        }
        let top = self.top();
        let kept = top.regs - RegSet::CALLER_SAVED;
        top.regs = kept | args;
    }

    /// The step entered a frame.
    fn deeper_than(&self, step: &TrailStep) -> bool {
        self.wanted.frames.len() > usize::from(step.frames)
    }

    /// Back over the call of a callback, whose arguments come from the helper.
    fn leave_callback(&mut self) {
        self.wanted.frames.pop();
    }

    /// Back over a return: the caller's `r0` is the callee's, unless a helper was the caller.
    fn enter_callee(&mut self, callback: bool) {
        let top = self.top();
        let result = if callback { RegSet::EMPTY } else { top.regs & RegSet::of(Name::R0) };
        top.regs = top.regs - RegSet::CALLER_SAVED;
        self.wanted.frames.push(FramePlaces { regs: result, slots: 0 });
    }

    /// Marks what is wanted; what is no number here, or is marked already, is done.
    fn mark_checkpoint(&mut self, kept: &mut Checkpoint) {
        for (depth, places) in self.wanted.frames.iter_mut().enumerate() {
            let Some(frame) = kept.state.frames().get(depth) else { continue };
            let marked = kept.precise.frame_mut(depth);
            for reg in Name::all() {
                let number = matches!(frame.regs[reg.index()], Reg::Number(_));
                if !number || marked.regs.contains(reg) {
                    places.regs.remove(reg);
                }
            }
            for (n, slot) in frame.stack.slots().iter().enumerate() {
                if slot.spilled_number().is_none() {
                    places.slots &= !(1 << n);
                }
            }
            places.slots &= mask_below(frame.stack.slots().len()) & !marked.slots;
            self.found |= !places.is_empty();
            marked.regs |= places.regs;
            marked.slots |= places.slots;
        }
    }
}

const fn operand(src: Operand) -> Option<Name> {
    match src {
        Operand::Reg(src) => Some(src),
        Operand::Imm(_) => None,
    }
}

const fn mask_below(slots: usize) -> u64 {
    if slots >= 64 { u64::MAX } else { (1 << slots) - 1 }
}

/// The slots that a stack access covers, by bit.
fn slot_mask(touch: &StackTouch) -> u64 {
    let last = touch.span.len.saturating_sub(1);
    let (deep, shallow) = (touch.span.place(0).0, touch.span.place(last).0);
    mask_below(deep + 1) & !mask_below(shallow)
}
