//! The walk over all paths: depth first, with states kept where paths may meet again.

use crate::converge;
use crate::cx::Cx;
use crate::facts::{self, Beliefs};
use crate::log::Log;
use crate::precision;
use crate::prototype::{self, ArgType};
use crate::prune::{Likeness, stands_for};
use crate::reason::{ProtoReason, Reason, Rejection, ValueReason};
use crate::state::{Frame, MemKind, Pointer, PtrTo, Reg, State};
use crate::subprogs::{self, Found};
use crate::trail::{CheckpointId, Places, SegmentId, Trail, TrailStep};
use crate::transfer::{Ids, Next, Step, Trace};
use std::collections::HashMap;
use std::fmt;
use ubpf_abi::helper::DynptrKind;
use ubpf_abi::limits;
use ubpf_abi::program::SubprogId;
use ubpf_abi::verified::Claims;
use ubpf_isa::{Insn, Pc, Reg as Name};

/// A state kept at a place where paths meet.
#[derive(Debug)]
pub struct Checkpoint {
    /// What was known.
    pub state: State,
    /// Numbers that mattered on some way from here.
    pub precise: Places,
    /// The kept state before it on its path.
    parent: Option<CheckpointId>,
    /// Ways from here that are not walked to their end.
    open: u32,
    hits: u32,
    misses: u32,
    /// Ways from here that ended at a state whose own ways are not all walked, so that not all is
    /// known yet of what mattered.
    unsettled: u32,
}

/// A path that ended because its state was like one that it came from, or like one whose ways
/// lead back to that.
struct Loop {
    /// The state it was like.
    like: CheckpointId,
    /// The path.
    segment: SegmentId,
    /// The path's last kept state.
    last: Option<CheckpointId>,
    depth: usize,
    /// When all ways from this state are walked, all is known.
    until: CheckpointId,
}

/// What a verification took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions walked, over all paths.
    pub insns: u32,
    /// States kept.
    pub states: u32,
    /// Most states kept at one time.
    pub peak_states: u32,
}

impl fmt::Display for Stats {
    /// The closing line of the kernel's log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { insns, states, peak_states } = self;
        let limit = limits::MAX_PROCESSED_INSNS;
        write!(f, "processed {insns} insns (limit {limit}) total_states {states} ")?;
        write!(f, "peak_states {peak_states}")
    }
}

/// A path that waits to be walked.
struct Pending {
    /// The jump that it forked from; `None` for the program's entry.
    from: Option<Pc>,
    pc: Pc,
    state: Box<State>,
    segment: SegmentId,
    parent: Option<CheckpointId>,
}

/// Walks every path of an accepted program once more, to note what is believed of registers.
/// `None` when that takes too long.
#[must_use]
pub fn explore_for_claims(cx: &Cx<'_>) -> Option<Claims> {
    let mut walk = Walk::new(cx, None);
    walk.beliefs = Some(Beliefs::new(cx.text.len()));
    walk.run().ok()?;
    walk.beliefs.map(|beliefs| beliefs.claims())
}

/// Walks every path of the program.
///
/// # Errors
/// The first rule that a path breaks.
pub fn explore(cx: &Cx<'_>, stats: &mut Stats, log: Option<&mut Log>) -> Result<Walked, Rejection> {
    let mut walk = Walk::new(cx, log);
    let result = walk.run();
    *stats = walk.stats;
    result.map(|()| Walked { reached: walk.reached, found: walk.found })
}

/// What a walk found out that found no rule broken.
pub struct Walked {
    /// Which slots some path reaches.
    pub reached: Vec<bool>,
    /// The rest.
    pub found: Found,
}

struct Walk<'a, 'l> {
    cx: &'a Cx<'a>,
    log: Option<&'l mut Log>,
    ids: Ids,
    trail: Trail,
    kept: Vec<Checkpoint>,
    /// Kept states by place, newest last.
    at: HashMap<Pc, Vec<CheckpointId>>,
    pending: Vec<Pending>,
    reached: Vec<bool>,
    loops: Vec<Loop>,
    found: Found,
    /// What is believed of registers, where that is to be noted.
    beliefs: Option<Beliefs>,
    stats: Stats,
    alive: u32,
    jumps: u32,
    /// Instructions and jumps walked when a state was last kept.
    last_kept: (u32, u32),
}

/// What becomes of a path at a place where states are kept.
enum Visit {
    Known,
    Go,
}

impl<'a, 'l> Walk<'a, 'l> {
    fn new(cx: &'a Cx<'a>, log: Option<&'l mut Log>) -> Self {
        Self {
            cx,
            log,
            ids: Ids::default(),
            trail: Trail::default(),
            kept: Vec::new(),
            at: HashMap::new(),
            pending: Vec::new(),
            reached: vec![false; cx.text.len()],
            loops: Vec::new(),
            found: Found::new(cx.text),
            beliefs: None,
            stats: Stats::default(),
            alive: 0,
            jumps: 0,
            last_kept: (0, 0),
        }
    }

    fn run(&mut self) -> Result<(), Rejection> {
        let mut entry = Frame::new(SubprogId(0), 0, None);
        entry.regs[Name::R1.index()] = Reg::Pointer(Pointer::new(PtrTo::Ctx));
        self.walk_from(entry)?;
        if let Some(id) = self.cx.exception {
            self.found.call(id);
        }
        // What a global function calls may lie before it, so go round until nothing is new.
        while let Some(first) = self.found.next_called(0) {
            let mut next = Some(first);
            while let Some(id) = next {
                let entry = self.global(id)?;
                self.walk_from(entry)?;
                next = self.found.next_called(id.0);
            }
        }
        subprogs::check_depth(self.cx, &self.found)
    }

    /// The frame of a global function, with what its prototype says of its arguments.
    fn global(&mut self, id: SubprogId) -> Result<Frame, Rejection> {
        let (start, _) = self.cx.text.extent(id);
        let args = prototype::of(self.cx, id).map_err(|reason| Rejection::at(start, reason))?;
        if self.cx.exception == Some(id) && !matches!(args[..], [ArgType::Scalar]) {
            return Err(Rejection::at(start, ProtoReason::ExceptionArgs));
        }
        let mut frame = Frame::new(id, 0, None);
        for (reg, arg) in [Name::R1, Name::R2, Name::R3, Name::R4, Name::R5].into_iter().zip(args) {
            frame.regs[reg.index()] = match arg {
                ArgType::Scalar | ArgType::Arena => Reg::UNKNOWN,
                ArgType::Ctx => Reg::Pointer(Pointer::new(PtrTo::Ctx)),
                ArgType::Dynptr => {
                    let id = Some(self.ids.pointer());
                    let dynptr = PtrTo::Dynptr(DynptrKind::Local);
                    Reg::Pointer(Pointer { id, ..Pointer::new(dynptr) })
                }
                ArgType::Mem { size, nullable } => {
                    let p = Pointer::new(PtrTo::Mem { size, kind: MemKind::Plain });
                    Reg::Pointer(if nullable { p.or_null(self.ids.pointer()) } else { p })
                }
            };
        }
        Ok(frame)
    }

    /// Walks all paths that begin with this frame.
    fn walk_from(&mut self, entry: Frame) -> Result<(), Rejection> {
        let (start, _) = self.cx.text.extent(entry.subprog);
        self.at.clear();
        self.alive = 0;
        let segment = self.trail.begin(None, None);
        let state = Box::new(State::new(entry, self.cx.program.section.sleepable));
        self.pending.push(Pending { from: None, pc: start, state, segment, parent: None });
        while let Some(mut path) = self.pending.pop() {
            path.segment = self.trail.begin(Some(path.segment), None);
            if let (Some(log), Some(from)) = (&mut self.log, path.from) {
                log.fork(self.cx, from, path.pc, &path.state);
            }
            self.walk(&mut path)?;
            self.close(path.parent);
        }
        Ok(())
    }

    /// Walks a path to its end.
    fn walk(&mut self, path: &mut Pending) -> Result<(), Rejection> {
        loop {
            let pc = path.pc;
            self.stats.insns += 1;
            if self.stats.insns > limits::MAX_PROCESSED_INSNS {
                let reason = ValueReason::TooComplex(self.stats.insns);
                return Err(Rejection::at(pc, reason));
            }
            let mark = self.cx.cfg.mark(pc);
            if (mark.prune_point || mark.force_checkpoint)
                && let Visit::Known =
                    self.visit(path).map_err(|reason| Rejection::at(pc, reason))?
            {
                if let Some(log) = &mut self.log {
                    log.safe(pc);
                }
                return Ok(());
            }
            if let Some(reached) = self.reached.get_mut(pc.index()) {
                *reached = true;
            }
            if let Some(beliefs) = &mut self.beliefs {
                beliefs.note(pc, self.cx.live.before(pc), &path.state);
                if self.stats.insns > facts::MAX_CLAIMED_INSNS {
                    return Err(Rejection::at(pc, ValueReason::TooComplex(self.stats.insns)));
                }
            }
            match self.step(path).map_err(|reason| Rejection::at(pc, reason))? {
                Next::Go(next) => path.pc = next,
                Next::Again(call) => {
                    path.pc = call;
                    self.converge(path);
                }
                Next::Fork { here, there, mut other } => {
                    if self.cx.cfg.mark(pc).iter_next {
                        self.converge_round(pc, path.parent, &mut other);
                    }
                    self.fork(path, there, other)?;
                    path.pc = here;
                }
                Next::Later { here, there, other } => {
                    // What it does says nothing of the state that it was set in.
                    let segment = self.trail.begin(None, None);
                    let (from, state) = (Some(path.pc), other);
                    self.wait(Pending { from, pc: there, state, segment, parent: None })?;
                    path.pc = here;
                }
                Next::End => return Ok(()),
            }
        }
    }

    fn step(&mut self, path: &mut Pending) -> Result<Next, Reason> {
        let tied = self.tied(path);
        let depth = path.state.depth() - 1;
        let mut step = Step {
            cx: self.cx,
            ids: &mut self.ids,
            found: &mut self.found,
            state: &mut path.state,
            pc: path.pc,
            trace: Trace::default(),
        };
        let next = step.run();
        let trace = step.trace;
        if let Some(log) = &mut self.log {
            log.insn(self.cx, path.pc, next.is_ok().then_some((&*path.state, &trace)));
        }
        let next = next?;
        if !trace.demands.is_empty() || trace.slot_demand.is_some() {
            let mut wanted = Places::default();
            wanted.frame_mut(depth).regs = trace.demands;
            if let Some((depth, slots)) = trace.slot_demand {
                wanted.frame_mut(depth.into()).slots |= slots;
            }
            precision::mark(self.cx, &self.trail, &mut self.kept, path.segment, wanted);
        }
        if let Some(Insn::Branch { .. } | Insn::Jump { .. }) = self.cx.text.insn(path.pc) {
            self.jumps += 1;
        }
        let tied = tied.map(|places| self.trail.tie(places));
        let (pc, touch, frames) = (path.pc, trace.touch, depth as u8 + 1);
        let callback_end = matches!(next, Next::Again(_));
        self.trail.push(path.segment, TrailStep { pc, touch, frames, callback_end, tied });
        Ok(next)
    }

    /// The numbers that a conditional jump narrows together.
    fn tied(&self, path: &Pending) -> Option<Places> {
        let Some(Insn::Branch { dst, src, .. }) = self.cx.text.insn(path.pc) else { return None };
        let frame = path.state.frame();
        let id = |reg: Name| frame.regs[reg.index()].number().and_then(|n| n.link).map(|l| l.id);
        let src = match src {
            ubpf_isa::Operand::Reg(src) => id(src),
            ubpf_isa::Operand::Imm(_) => None,
        };
        let wanted = [id(dst), src];
        let tied = |reg: &Reg| {
            let id = reg.number().and_then(|n| n.link).map(|l| l.id);
            id.is_some() && wanted.contains(&id)
        };
        if wanted == [None, None] {
            return None;
        }
        let mut places = Places::default();
        for (depth, frame) in path.state.frames().iter().enumerate() {
            let found = places.frame_mut(depth);
            Name::all().filter(|r| tied(&frame.regs[r.index()])).for_each(|r| found.regs.insert(r));
            for (n, slot) in frame.stack.slots().iter().enumerate() {
                if slot.spill_bytes() > 0 && tied(&slot.reg) {
                    found.slots |= 1 << n;
                }
            }
        }
        Some(places)
    }

    fn fork(&mut self, path: &mut Pending, there: Pc, other: Box<State>) -> Result<(), Rejection> {
        if let Some(parent) = path.parent {
            self.kept[parent.0 as usize].open += 1;
        }
        let segment = path.segment;
        let from = Some(path.pc);
        self.wait(Pending { from, pc: there, state: other, segment, parent: path.parent })?;
        path.segment = self.trail.begin(Some(segment), None);
        Ok(())
    }

    /// Another path waits to be walked.
    fn wait(&mut self, path: Pending) -> Result<(), Rejection> {
        let from = path.from.unwrap_or(path.pc);
        self.pending.push(path);
        if self.pending.len() > limits::MAX_PENDING_STATES {
            let reason = ValueReason::TooManyBranches(self.pending.len());
            return Err(Rejection::at(from, reason));
        }
        Ok(())
    }

    /// A path ended: kept states all of whose ways are walked are complete.
    fn close(&mut self, mut at: Option<CheckpointId>) {
        while let Some(id) = at {
            let kept = &mut self.kept[id.0 as usize];
            kept.open -= 1;
            at = kept.parent.filter(|_| kept.open == 0);
            if kept.open == 0 {
                self.settle(id);
            }
        }
    }

    /// Compares with the states kept here, and perhaps keeps this one.
    fn visit(&mut self, path: &mut Pending) -> Result<Visit, Reason> {
        let pc = path.pc;
        let checkpoint = self.cx.cfg.mark(pc).force_checkpoint;
        let force = checkpoint || self.trail.steps_since_checkpoint(path.segment) > 400;
        let (insns, jumps) = (self.stats.insns - self.last_kept.0, self.jumps - self.last_kept.1);
        let mut keep = force || jumps >= 2 && insns >= 8;
        let candidates = self.at.get(&pc).cloned().unwrap_or_default();
        let mut evicted = Vec::new();
        for id in candidates.into_iter().rev() {
            let kept = &self.kept[id.0 as usize];
            let mark = self.cx.cfg.mark(pc);
            if kept.open > 0 && (mark.calls_back || mark.iter_next) {
                let goes_on = mark.calls_back || converge::may_give_more(&path.state);
                if goes_on && self.covers(id, pc, &path.state, Likeness::Within) {
                    self.go_round(id, id, path);
                    return Ok(Visit::Known);
                }
                if !force && jumps < 20 && insns < 100 {
                    keep = false;
                }
            } else if kept.open > 0 && kept.state.frame().entries != path.state.frame().entries {
                // Set anew by itself, it runs another time: that is no circle.
                if !force && jumps < 20 && insns < 100 {
                    keep = false;
                }
            } else if kept.open > 0 {
                let same = stands_for(
                    self.cx,
                    pc,
                    &kept.state,
                    &kept.precise,
                    &path.state,
                    Likeness::Same,
                );
                if same {
                    return Err(ValueReason::InfiniteLoop(pc).into());
                }
                if !force && jumps < 20 && insns < 100 {
                    keep = false;
                }
            } else {
                // Claims are of all registers, whether they mattered or not.
                let settled = kept.unsettled == 0 && self.beliefs.is_none();
                let likeness = if settled { Likeness::Covered } else { Likeness::Within };
                if self.covers(id, pc, &path.state, likeness) {
                    if let Some(until) = self.settles_with(id) {
                        self.go_round(id, until, path);
                    } else {
                        self.carry(id, path.segment, path.state.depth());
                    }
                    self.kept[id.0 as usize].hits += 1;
                    return Ok(Visit::Known);
                }
            }
            let kept = &mut self.kept[id.0 as usize];
            if keep {
                kept.misses += 1;
            }
            // A state that is compared in vain again and again is no longer compared. Those by
            // which loops converge get more time.
            let patience = if checkpoint && kept.open > 0 { 64 } else { 3 };
            if kept.misses > kept.hits * patience + patience {
                evicted.push(id);
            }
        }
        if let Some(list) = self.at.get_mut(&pc)
            && !evicted.is_empty()
        {
            list.retain(|id| !evicted.contains(id));
            self.alive -= evicted.len() as u32;
        }
        if keep {
            self.keep(path);
        }
        Ok(Visit::Go)
    }

    fn covers(&self, id: CheckpointId, pc: Pc, state: &State, likeness: Likeness) -> bool {
        let kept = &self.kept[id.0 as usize];
        stands_for(self.cx, pc, &kept.state, &kept.precise, state, likeness)
    }

    /// What mattered on the ways from a kept state matters for the state it stands for; whether
    /// that is new.
    fn carry(&mut self, id: CheckpointId, segment: SegmentId, depth: usize) -> bool {
        let mut wanted = self.kept[id.0 as usize].precise.clone();
        wanted.frames.resize(depth, Default::default());
        precision::mark(self.cx, &self.trail, &mut self.kept, segment, wanted)
    }

    /// The path goes on as one that is still being walked. What matters there is not all known,
    /// nor is it for the states that the path came through since `until`.
    fn go_round(&mut self, like: CheckpointId, until: CheckpointId, path: &Pending) {
        let (segment, last, depth) = (path.segment, path.parent, path.state.depth());
        self.carry(like, segment, depth);
        self.count_unsettled(last, until, |n| n + 1);
        self.loops.push(Loop { like, segment, last, depth, until });
    }

    fn count_unsettled(
        &mut self,
        last: Option<CheckpointId>,
        until: CheckpointId,
        count: impl Fn(u32) -> u32,
    ) {
        let mut at = last;
        while let Some(id) = at {
            let kept = &mut self.kept[id.0 as usize];
            kept.unsettled = count(kept.unsettled);
            at = kept.parent.filter(|_| id != until);
        }
    }

    /// The outermost state that a loop through `id` leads back to.
    fn settles_with(&self, id: CheckpointId) -> Option<CheckpointId> {
        if self.kept[id.0 as usize].unsettled == 0 {
            return None;
        }
        let parents = |id: &CheckpointId| self.kept[id.0 as usize].parent;
        let through = |l: &&Loop| std::iter::successors(l.last, parents).any(|at| at == id);
        self.loops.iter().filter(through).map(|l| l.until).min()
    }

    /// All ways from a kept state are walked: what matters on them goes round the loops that
    /// lead back to it until nothing is new.
    fn settle(&mut self, id: CheckpointId) {
        let rounds: Vec<Loop> = self.loops.extract_if(.., |l| l.until == id).collect();
        if rounds.is_empty() {
            return;
        }
        while rounds.iter().any(|l| self.carry(l.like, l.segment, l.depth)) {}
        for round in &rounds {
            self.count_unsettled(round.last, id, |n| n - 1);
        }
        // Inside another loop its rounds may still bring something new.
        if let Some(until) = self.settles_with(id) {
            for round in rounds {
                self.count_unsettled(round.last, until, |n| n + 1);
                self.loops.push(Loop { until, ..round });
            }
        }
    }

    /// Back at a call that called back: numbers that do not matter and change from round to
    /// round are given up, so that the rounds become alike.
    fn converge(&mut self, path: &mut Pending) {
        let earlier = self.at.get(&path.pc).into_iter().flatten().rev();
        let earlier = earlier.map(|id| &self.kept[id.0 as usize]).find(|kept| {
            let places = |s: &State| s.frames().iter().map(|f| f.return_to).collect::<Vec<_>>();
            kept.open > 0 && places(&kept.state) == places(&path.state)
        });
        if let Some(earlier) = earlier {
            converge::widen(&mut path.state, &earlier.state, &earlier.precise);
        }
    }

    /// The same where an iterator gave an item: compared is the round before, whose beginning
    /// was kept before `last`, that of this round.
    fn converge_round(&self, pc: Pc, last: Option<CheckpointId>, state: &mut State) {
        let earlier = self.at.get(&pc).into_iter().flatten().rev().filter(|id| Some(**id) != last);
        let earlier = earlier.map(|id| &self.kept[id.0 as usize]).find(|kept| {
            let places = |s: &State| s.frames().iter().map(|f| f.return_to).collect::<Vec<_>>();
            kept.open > 0 && places(&kept.state) == places(state)
        });
        if let Some(earlier) = earlier {
            converge::widen(state, &earlier.state, &earlier.precise);
        }
    }

    fn keep(&mut self, path: &mut Pending) {
        let id = CheckpointId(self.kept.len() as u32);
        self.kept.push(Checkpoint {
            state: (*path.state).clone(),
            precise: Places::default(),
            parent: path.parent,
            open: 1,
            hits: 0,
            misses: 0,
            unsettled: 0,
        });
        self.at.entry(path.pc).or_default().push(id);
        path.segment = self.trail.begin(Some(path.segment), Some(id));
        path.parent = Some(id);
        self.last_kept = (self.stats.insns, self.jumps);
        self.stats.states += 1;
        self.alive += 1;
        self.stats.peak_states = self.stats.peak_states.max(self.alive);
    }
}
