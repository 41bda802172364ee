//! Which numbers decided about safety, found by walking back from the decision.
//!
//! A state can stand for another only if the numbers that matter agree; most do not matter. When
//! an instruction's safety depends on a number, the walk goes back over the trail to where
//! that number came from, and marks it in every checkpoint on the way. Where it cannot be told
//! where a number came from, all numbers on the path are taken to matter.

use crate::cx::Cx;
use crate::explore::kept::Kept;
use crate::log::Log;
use crate::state::{Reg, State};
use crate::trail::{CheckpointId, FramePlaces, Note, Places, SegmentId, Trail, TrailStep};
use ubpf_abi::limits::MAX_CALL_FRAMES;
use ubpf_isa::{CallTarget, Insn, Operand, Pc, Reg as Name, RegSet};

/// Numbers of a state that decided about something.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// By frame.
    frames: [FramePlaces; MAX_CALL_FRAMES],
    /// Depth of the running frame.
    depth: usize,
}

impl Wanted {
    /// Nothing, in a state whose running frame is at `depth`.
    #[must_use]
    pub const fn new(depth: usize) -> Self {
        let nothing = FramePlaces { regs: RegSet::EMPTY, slots: 0 };
        Self { frames: [nothing; MAX_CALL_FRAMES], depth }
    }

    /// These places.
    #[must_use]
    pub fn all(depth: usize, places: &Places) -> Self {
        let mut wanted = Self::new(depth);
        for (mine, places) in wanted.frames.iter_mut().zip(&places.frames).take(depth + 1) {
            *mine = *places;
        }
        wanted
    }

    /// The places of one frame.
    pub fn frame_mut(&mut self, depth: usize) -> &mut FramePlaces {
        &mut self.frames[depth.min(MAX_CALL_FRAMES - 1)]
    }

    fn is_empty(&self) -> bool {
        self.frames.iter().all(FramePlaces::is_empty)
    }
}

/// What walking back needs to know of the walk.
pub struct Marking<'a> {
    /// What does not change.
    pub cx: &'a Cx<'a>,
    /// How the walk got there.
    pub trail: &'a Trail,
    /// The kept states.
    pub kept: &'a mut Kept,
    /// Where to tell of it.
    pub log: Option<&'a mut Log>,
}

impl Marking<'_> {
    /// Marks what is wanted of the state at the end of `segment`, before the instruction at `pc`,
    /// and everything it was computed from; whether that marked anything new.
    pub fn mark(&mut self, segment: SegmentId, pc: Pc, wanted: &Wanted) -> bool {
        if wanted.is_empty() {
            return false;
        }
        let (cx, trail) = (self.cx, self.trail);
        let mut back = Back { cx, trail, frames: wanted.frames, top: wanted.depth };
        let mut found = false;
        let mut later = pc;
        let mut at = Some(segment);
        self.tell_stretch(&back, segment, pc, None);
        while let Some(id) = at {
            let (steps, checkpoint, parent) = trail.segment(id);
            for step in steps.iter().rev() {
                if let Some(log) = &mut self.log {
                    log.back_over(cx, back.top, back.frames[back.top], step.pc);
                }
                if back.undo(step, later).is_err() {
                    mark_all(trail, self.kept, segment);
                    return found;
                }
                if back.is_empty() {
                    return found;
                }
                later = step.pc;
            }
            if let Some(kept) = checkpoint.and_then(|id| self.kept.get_mut(id)) {
                found |= back.mark_checkpoint(&kept.state, &mut kept.precise);
                if let Some(log) = &mut self.log {
                    for depth in (0..=back.top).rev() {
                        let state = (&kept.state, &kept.precise);
                        log.back_at(cx, depth, back.frames[depth], state);
                    }
                }
                if back.is_empty() {
                    return found;
                }
                if let Some(parent) = parent
                    && let Some(last) = trail.last_step(parent)
                {
                    let first = self.kept.get(checkpoint.unwrap_or(CheckpointId(0))).map(|k| k.pc);
                    self.tell_stretch(&back, parent, last.pc, first);
                }
            }
            at = parent;
        }
        // Arguments of a function that is verified on its own come from nowhere.
        let arguments = back.top == 0 && back.frames[0].slots == 0;
        if !(arguments && (back.frames[0].regs - RegSet::ARGS) == RegSet::EMPTY) {
            mark_all(trail, self.kept, segment);
        }
        found
    }

    fn tell_stretch(&mut self, back: &Back<'_>, segment: SegmentId, last: Pc, later: Option<Pc>) {
        let Some(log) = &mut self.log else { return };
        let start = checkpoints(self.trail, segment).next().and_then(|id| self.kept.get(id));
        let first = start.map_or(Pc(0), |kept| kept.pc);
        log.back_from(back.top, last, first, later);
    }
}

/// Marks all numbers of all checkpoints on the path.
pub fn mark_all(trail: &Trail, kept: &mut Kept, segment: SegmentId) {
    for id in checkpoints(trail, segment) {
        let Some(kept) = kept.get_mut(id) else { continue };
        for (depth, frame) in kept.state.frames().iter().enumerate() {
            let number = |r: &Name| frame.regs[r.index()].number().is_some();
            *kept.precise.frame_mut(depth) = FramePlaces {
                regs: Name::all().filter(number).collect(),
                slots: frame.stack.numbers_among(u64::MAX),
            };
        }
    }
}

fn checkpoints(trail: &Trail, segment: SegmentId) -> impl Iterator<Item = CheckpointId> {
    let mut at = Some(segment);
    std::iter::from_fn(move || {
        let (_, checkpoint, parent) = trail.segment(at?);
        at = parent;
        Some(checkpoint)
    })
    .flatten()
}

/// It cannot be told where a number came from.
struct Lost;

struct Back<'a> {
    cx: &'a Cx<'a>,
    trail: &'a Trail,
    /// What is wanted, by frame.
    frames: [FramePlaces; MAX_CALL_FRAMES],
    /// Depth of the running frame.
    top: usize,
}

impl Back<'_> {
    fn is_empty(&self) -> bool {
        self.frames.iter().all(FramePlaces::is_empty)
    }

    fn top(&mut self) -> &mut FramePlaces {
        &mut self.frames[self.top]
    }

    fn wants(&self, reg: Name) -> bool {
        self.frames[self.top].regs.contains(reg)
    }

    /// From what is wanted after the step to what is wanted before it. `later` is the instruction
    /// that comes after it.
    fn undo(&mut self, step: &TrailStep, later: Pc) -> Result<(), Lost> {
        let Some(insn) = self.cx.text.insn(step.pc) else { return Ok(()) };
        self.follow_frames(&insn, step, later);
        self.spread(step);
        self.undo_insn(&insn, step)?;
        self.spread(step);
        Ok(())
    }

    /// Goes into the frame that the step ran in.
    fn follow_frames(&mut self, insn: &Insn, step: &TrailStep, later: Pc) {
        let depth = usize::from(step.depth).min(MAX_CALL_FRAMES - 1);
        if depth > self.top {
            // Back over a return: a result comes from the callee, unless a helper was the caller
            // or a tail call took its place.
            let again = self.cx.cfg.calls_back(later);
            let caller = self.top();
            let result = caller.regs & RegSet::of(Name::R0);
            caller.regs = caller.regs - if again { RegSet::CALLER_SAVED } else { result };
            self.top = depth;
            let returned = *insn == Insn::Exit && !again;
            *self.top() =
                FramePlaces { regs: if returned { result } else { RegSet::EMPTY }, slots: 0 };
        } else if depth < self.top {
            // Back over a call: arguments are the caller's registers, unless a helper made them.
            let args = self.top().regs & RegSet::ARGS;
            *self.top() = FramePlaces::default();
            self.top = depth;
            if let Insn::Call(CallTarget::Subprog(_)) = insn {
                self.top().regs |= args;
            }
        }
    }

    fn spread(&mut self, step: &TrailStep) {
        let Note::Tied(id) = step.note else { return };
        let tied = self.trail.tied(id);
        let meets = |(a, b): (&FramePlaces, &FramePlaces)| {
            a.slots & b.slots != 0 || a.regs & b.regs != RegSet::EMPTY
        };
        if self.frames.iter().zip(&tied.frames).any(meets) {
            for (mine, tied) in self.frames.iter_mut().zip(&tied.frames) {
                mine.regs |= tied.regs;
                mine.slots |= tied.slots;
            }
        }
    }

    fn undo_insn(&mut self, insn: &Insn, step: &TrailStep) -> Result<(), Lost> {
        match *insn {
            Insn::Mov { dst, src, .. } => {
                if self.wants(dst) {
                    self.replace(dst, operand(src));
                }
            }
            Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
                if self.wants(dst) {
                    self.replace(dst, Some(src));
                }
            }
            Insn::Alu { dst, src, .. } => {
                if let (true, Some(src)) = (self.wants(dst), operand(src)) {
                    self.want(src);
                }
            }
            Insn::Neg { .. } | Insn::Swap { .. } | Insn::Jump { .. } | Insn::MayGoto { .. } => {}
            Insn::Load { dst, .. } | Insn::LoadAcquire { dst, .. } => self.undo_load(dst, step),
            Insn::Store { base, src, .. } => self.undo_store(base, operand(src), step)?,
            Insn::StoreRelease { base, src, .. } => self.undo_store(base, Some(src), step)?,
            Insn::Atomic { op, base, src, .. } => {
                // The kernel looks for the old value where the register was written before.
                if let Some(old) = op.old_value_to(src)
                    && self.wants(old)
                {
                    self.undo_load(old, step);
                    self.want(old);
                } else {
                    self.undo_store(base, Some(src), step)?;
                }
            }
            Insn::LdImm64 { dst, .. } => self.top().regs.remove(dst),
            Insn::LdAbs { .. } | Insn::LdInd { .. } => {
                if self.wants(Name::R0) {
                    return Err(Lost);
                }
            }
            Insn::Branch { dst, src, .. } => {
                if let Some(src) = operand(src)
                    && (self.wants(dst) || self.wants(src))
                {
                    let (is_dst, is_src) = match step.note {
                        Note::Pointers { dst, src } => (dst, src),
                        _ => (false, false),
                    };
                    if !is_src {
                        self.want(src);
                    }
                    if !is_dst {
                        self.want(dst);
                    }
                }
            }
            Insn::Call(CallTarget::Subprog(_)) => self.top().regs.remove(Name::R0),
            Insn::Call(_) | Insn::CallX { .. } => {
                let left = self.top().regs - RegSet::CALLER_SAVED;
                self.top().regs = left;
            }
            Insn::Exit => {}
        }
        Ok(())
    }

    fn want(&mut self, reg: Name) {
        if reg != Name::FP {
            self.top().regs.insert(reg);
        }
    }

    fn replace(&mut self, dst: Name, src: Option<Name>) {
        self.top().regs.remove(dst);
        if let Some(src) = src {
            self.want(src);
        }
    }

    fn undo_load(&mut self, dst: Name, step: &TrailStep) {
        if self.wants(dst) {
            self.top().regs.remove(dst);
            if let Note::Slot { depth, slot } = step.note
                && let Some(frame) = self.frames.get_mut(usize::from(depth))
            {
                frame.slots |= 1 << slot;
            }
        }
    }

    fn undo_store(&mut self, base: Name, src: Option<Name>, step: &TrailStep) -> Result<(), Lost> {
        // A number that is an address was the difference of two pointers.
        if self.wants(base) {
            return Err(Lost);
        }
        let Note::Slot { depth, slot } = step.note else { return Ok(()) };
        let Some(frame) = self.frames.get_mut(usize::from(depth)) else { return Ok(()) };
        if frame.slots & 1 << slot != 0 {
            frame.slots &= !(1 << slot);
            if let Some(src) = src {
                self.want(src);
            }
        }
        Ok(())
    }

    /// Marks what is wanted in a checkpoint; whether any of it is new. What is no number there, or
    /// is marked already, is wanted no longer.
    fn mark_checkpoint(&mut self, state: &State, precise: &mut Places) -> bool {
        let mut found = false;
        for (depth, places) in self.frames.iter_mut().enumerate().take(self.top + 1) {
            if places.is_empty() {
                continue;
            }
            let Some(frame) = state.frames().get(depth) else { continue };
            let marked = precise.frame_mut(depth);
            for reg in places.regs.iter() {
                let number = matches!(frame.regs[reg.index()], Reg::Number(_));
                if !number || marked.regs.contains(reg) {
                    places.regs.remove(reg);
                }
            }
            places.slots &= frame.stack.numbers_among(places.slots & !marked.slots);
            found |= !places.is_empty();
            marked.regs |= places.regs;
            marked.slots |= places.slots;
        }
        found
    }
}

const fn operand(src: Operand) -> Option<Name> {
    match src {
        Operand::Reg(src) => Some(src),
        Operand::Imm(_) => None,
    }
}
