//! The walk over all paths: depth first, with states kept where paths may meet again.

pub mod kept;
mod loops;

use crate::cfg::ImplicitLoop;
use crate::converge;
use crate::cx::Cx;
use crate::facts::{self, Beliefs};
use crate::liveness::{Chain, LiveStack};
use crate::log::Log;
use crate::precision::{Marking, Wanted};
use crate::prototype::{self, ArgType};
use crate::prune::{self, Likeness, stands_for};
use crate::reason::{ProtoReason, Reason, Rejection, ValueReason};
use crate::state::{
    Frame, Iter, IterState, MemKind, Object, Pointer, PtrTo, Reg, Space, State, Trust,
};
use crate::subprogs::{self, Found};
use crate::trail::{CheckpointId, Note, SegmentId, Trail, TrailMark, TrailStep};
use crate::transfer::{Ids, Next, Step, Trace};
use kept::{Checkpoint, Kept};
use loops::{BackEdge, Loops};
use std::fmt;
use ubpf_abi::helper::DynptrKind;
use ubpf_abi::limits;
use ubpf_abi::program::SubprogId;
use ubpf_abi::verified::Claims;
use ubpf_isa::{Insn, Pc, Reg as Name};

/// Steps with something to remember after which a state is kept.
const LONG_HISTORY: u32 = 40;

/// What a verification took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Instructions walked, over all paths.
    pub insns: u32,
    /// States kept.
    pub states: u32,
    /// Most states kept at one time.
    pub peak_states: u32,
    /// Most states kept for one instruction at one time.
    pub max_states_per_insn: u32,
}

impl fmt::Display for Stats {
    /// The closing line of the kernel's log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { insns, states, peak_states, max_states_per_insn } = self;
        let limit = limits::MAX_PROCESSED_INSNS;
        write!(f, "processed {insns} insns (limit {limit}) ")?;
        write!(f, "max_states_per_insn {max_states_per_insn} ")?;
        write!(f, "total_states {states} peak_states {peak_states} mark_read 0")
    }
}

/// A path that is walked, or waits to be.
struct Path {
    /// The jump that it forked from, until its first instruction is walked.
    from: Option<Pc>,
    pc: Pc,
    state: Box<State>,
    /// The chain of calls that its running frame was reached by.
    chain: Chain,
    segment: SegmentId,
    /// Its last kept state.
    parent: Option<CheckpointId>,
    /// Steps since then with something to remember.
    history: u32,
    /// The trail when it forked.
    mark: TrailMark,
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

/// Walks every path of an accepted program once more, to note what is believed of registers.
/// `None` when that takes too long.
#[must_use]
pub fn explore_for_claims(cx: &Cx<'_>) -> Option<Claims> {
    let mut walk = Walk::new(cx, None);
    walk.beliefs = Some(Beliefs::new(cx.text.len()));
    walk.run().ok()?;
    walk.beliefs.map(|beliefs| beliefs.claims())
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
    kept: Kept,
    loops: Loops,
    live: LiveStack,
    pending: Vec<Path>,
    reached: Vec<bool>,
    found: Found,
    stats: Stats,
    jumps: u32,
    /// Instructions and jumps walked when a state was last kept.
    last_kept: (u32, u32),
    /// What is believed of registers, where that is to be noted.
    beliefs: Option<Beliefs>,
    /// Scratch space for comparisons.
    matched: prune::Ids,
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
            kept: Kept::new(cx.text.len()),
            loops: Loops::default(),
            live: LiveStack::new(cx.text),
            pending: Vec::new(),
            reached: vec![false; cx.text.len()],
            found: Found::new(cx.text),
            stats: Stats::default(),
            jumps: 0,
            last_kept: (0, 0),
            beliefs: None,
            matched: prune::Ids::default(),
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
                ArgType::UntrustedMem => {
                    let kind = MemKind::Untrusted;
                    Reg::Pointer(Pointer::new(PtrTo::Mem { size: 0, kind }))
                }
                ArgType::Object { id, trusted, nullable } => {
                    let trust = if trusted { Trust::Trusted } else { Trust::Untrusted };
                    let p = Pointer::new(PtrTo::Btf { id, trust, space: Space::Kernel });
                    Reg::Pointer(if nullable { p.or_null(self.ids.pointer()) } else { p })
                }
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
        self.kept.clear();
        self.loops.clear();
        self.trail = Trail::default();
        self.begin(None, start, Box::new(State::new(entry, self.cx.program.section.sleepable)));
        while let Some(mut path) = self.pending.pop() {
            if self.loops.edges() == 0 {
                self.trail.rewind(path.mark);
            }
            path.segment = self.trail.begin(Some(path.segment), None);
            path.chain = self.chain_of(&path.state);
            self.walk(&mut path)?;
            self.live.settle(self.cx.text, self.cx.cfg, path.chain);
            self.close(path.parent);
        }
        Ok(())
    }

    /// A path that begins with a state of its own.
    fn begin(&mut self, from: Option<Pc>, pc: Pc, state: Box<State>) {
        let segment = self.trail.begin(None, None);
        let (chain, mark) = (Chain::UNKNOWN, self.trail.mark());
        let (parent, history) = (None, 0);
        self.pending.push(Path { from, pc, state, chain, segment, parent, history, mark });
    }

    /// The chain of calls that leads to the state's running frame.
    fn chain_of(&mut self, state: &State) -> Chain {
        let mut chain = None;
        for frame in state.frames() {
            let from = chain.and_then(|chain| Some((chain, frame.call()?)));
            chain = Some(self.live.enter(from, self.cx.text, frame.subprog));
        }
        chain.unwrap_or(Chain::UNKNOWN)
    }

    /// Walks a path to its end.
    fn walk(&mut self, path: &mut Path) -> Result<(), Rejection> {
        loop {
            let pc = path.pc;
            self.stats.insns += 1;
            if self.stats.insns > limits::MAX_PROCESSED_INSNS {
                let reason = ValueReason::TooComplex(self.stats.insns);
                return Err(Rejection::at(pc, reason));
            }
            if self.cx.cfg.mark(pc).prune_point
                && let Visit::Known =
                    self.visit(path).map_err(|reason| Rejection::at(pc, reason))?
            {
                if let Some(log) = &mut self.log {
                    log.safe(path.from, pc);
                }
                return Ok(());
            }
            if let (Some(log), Some(from)) = (&mut self.log, path.from.take()) {
                log.fork(self.cx, from, pc, &path.state);
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
                    self.converge(call, &mut path.state, None);
                }
                Next::Fork { here, there, other } => {
                    self.fork(path, there, other)?;
                    path.pc = here;
                }
                Next::Round { here, there, mut other } => {
                    self.converge(pc, &mut other, path.parent);
                    self.fork(path, there, other)?;
                    path.pc = here;
                }
                Next::Later { here, there, other } => {
                    self.begin(Some(pc), there, other);
                    self.check_pending(pc)?;
                    path.pc = here;
                }
                Next::End => return Ok(()),
            }
        }
    }

    fn step(&mut self, path: &mut Path) -> Result<Next, Reason> {
        let (pc, frames) = (path.pc, path.state.depth());
        let insn = self.cx.text.insn(pc);
        let mut step = Step {
            cx: self.cx,
            ids: &mut self.ids,
            found: &mut self.found,
            live: &mut self.live,
            chain: path.chain,
            state: &mut path.state,
            pc,
            trace: Trace::default(),
        };
        let next = step.run();
        let trace = step.trace;
        if let Some(log) = &mut self.log {
            log.insn(self.cx, pc, next.is_ok().then_some((&*path.state, &trace)));
        }
        let next = next?;
        if path.state.depth() == frames {
            self.live.commit(path.chain, pc);
        } else {
            self.live.leave_open();
            if path.state.depth() < frames {
                self.live.settle(self.cx.text, self.cx.cfg, path.chain);
            }
            path.chain = self.chain_of(&path.state);
        }
        for reg in trace.demands.iter() {
            let mut wanted = Wanted::new(frames - 1);
            wanted.frame_mut(frames - 1).regs.insert(reg);
            self.marking().mark(path.segment, pc, &wanted);
        }
        if let Some((depth, slots)) = trace.slot_demand {
            let mut wanted = Wanted::new(frames - 1);
            wanted.frame_mut(depth.into()).slots = slots;
            self.marking().mark(path.segment, pc, &wanted);
        }
        self.jumps += u32::from(insn.as_ref().is_some_and(is_jump));
        let note = match trace.tied {
            Some(tied) => Note::Tied(self.trail.tie(tied)),
            None => trace.note,
        };
        let remembered = note != Note::Plain || self.cx.cfg.mark(pc).jump_point;
        path.history += u32::from(remembered);
        self.trail.push(path.segment, TrailStep { pc, depth: frames as u8 - 1, note });
        Ok(next)
    }

    fn marking(&mut self) -> Marking<'_> {
        Marking {
            cx: self.cx,
            trail: &self.trail,
            kept: &mut self.kept,
            log: self.log.as_deref_mut(),
        }
    }

    fn fork(&mut self, path: &mut Path, there: Pc, other: Box<State>) -> Result<(), Rejection> {
        if let Some(parent) = path.parent.and_then(|id| self.kept.get_mut(id)) {
            parent.open += 1;
        }
        self.pending.push(Path {
            from: Some(path.pc),
            pc: there,
            state: other,
            chain: path.chain,
            segment: path.segment,
            parent: path.parent,
            history: path.history,
            mark: self.trail.mark(),
        });
        path.segment = self.trail.begin(Some(path.segment), None);
        self.check_pending(path.pc)
    }

    fn check_pending(&self, pc: Pc) -> Result<(), Rejection> {
        if self.pending.len() > limits::MAX_PENDING_STATES {
            return Err(Rejection::at(pc, ValueReason::TooManyBranches(self.pending.len())));
        }
        Ok(())
    }

    /// A path ended: kept states all of whose ways are walked are complete.
    fn close(&mut self, mut at: Option<CheckpointId>) {
        while let Some(id) = at {
            let Some(kept) = self.kept.get_mut(id) else { return };
            kept.open -= 1;
            if kept.open > 0 {
                return;
            }
            let (parent, visit) = (kept.parent, kept.visit);
            if let Some(visit) = visit
                && let Some(edges) = self.loops.leave(visit, id)
            {
                self.kept.count_peak(self.loops.edges(), &mut self.stats);
                loops::go_along(&mut self.marking(), &edges);
                self.loops.close(visit);
            }
            self.kept.drop_evicted(id, self.loops.is_open(visit));
            at = parent;
        }
    }

    /// Compares with the states kept here, and perhaps keeps this one.
    fn visit(&mut self, path: &mut Path) -> Result<Visit, Reason> {
        let pc = path.pc;
        let mark = self.cx.cfg.mark(pc);
        let force = mark.force_checkpoint || path.history > LONG_HISTORY;
        let (insns, jumps) = (self.stats.insns - self.last_kept.0, self.jumps - self.last_kept.1);
        let mut keep = force || jumps >= 2 && insns >= 8;
        self.clean(pc, &path.state);
        let mut count = 0;
        let mut before = None;
        let mut at = self.kept.first(pc, &path.state);
        while let Some(id) = at {
            at = self.kept.next(id);
            count += 1;
            let Some(kept) = self.kept.get(id) else { break };
            if kept.pc != pc {
                before = Some(id);
                continue;
            }
            let (open, unsettled) = (kept.open > 0, self.loops.is_open(kept.visit));
            let found = if open {
                self.matches_open(id, path, mark.implicit_loop)?
            } else {
                // Claims are of all registers, whether they mattered or not.
                let whole = unsettled || self.beliefs.is_some();
                let likeness = if whole { Likeness::Within } else { Likeness::Covered };
                self.covers(id, pc, &path.state, likeness).then_some(unsettled)
            };
            if let Some(goes_round) = found {
                self.end_at(id, path, goes_round);
                return Ok(Visit::Known);
            }
            // In a loop only some rounds are kept: each of them is different.
            if open && !force && jumps < 20 && insns < 100 {
                keep = false;
            }
            let Some(kept) = self.kept.get_mut(id) else { break };
            kept.misses += u32::from(keep);
            // A state that is compared in vain again and again is no longer compared. Those by
            // which loops converge get more time.
            let patience = if mark.force_checkpoint && open { 64 } else { 3 };
            if kept.misses > kept.hits * patience + patience {
                self.kept.evict(before, id, unsettled);
            } else {
                before = Some(id);
            }
        }
        self.stats.max_states_per_insn = self.stats.max_states_per_insn.max(count);
        if keep && self.kept.has_room() {
            self.keep(path);
        }
        Ok(Visit::Go)
    }

    /// States from which all ways are walked need not be compared in what no way read.
    fn clean(&mut self, pc: Pc, state: &State) {
        let mut at = self.kept.first(pc, state);
        while let Some(id) = at {
            at = self.kept.next(id);
            let Some(kept) = self.kept.get_mut(id) else { return };
            let done = kept.cleaned || kept.open > 0 || kept.pc != pc;
            if done || self.loops.is_open(kept.visit) || !kept.state.has_callers_of(state) {
                continue;
            }
            kept.cleaned = true;
            for (depth, frame) in kept.state.frames().iter().enumerate() {
                let precise = kept.precise.frames.get_mut(depth);
                let live = self.cx.live.before(kept.state.place_of(depth, pc));
                let slots = if frame.stack.slots().is_empty() {
                    u64::MAX
                } else {
                    self.live.live(kept.chain, pc, depth as u8, |call| self.cx.cfg.calls_back(call))
                };
                if let Some(precise) = precise {
                    precise.regs = precise.regs & live;
                    precise.slots &= slots;
                }
                if slots != u64::MAX {
                    kept.dead.resize(depth + 1, 0);
                    kept.dead[depth] = !slots;
                }
            }
        }
    }

    /// Whether the path is back at a state that it came from, or one like it: then whether it
    /// goes round a loop that is still walked.
    fn matches_open(
        &mut self,
        id: CheckpointId,
        path: &Path,
        implicit: Option<ImplicitLoop>,
    ) -> Result<Option<bool>, Reason> {
        let Some(kept) = self.kept.get(id) else { return Ok(None) };
        let (pc, new) = (path.pc, &path.state);
        // Another entry into the same function that runs on its own is no round.
        let entries = |state: &State| state.frame().entries;
        if entries(&kept.state) > 0 && entries(&kept.state) != entries(new) {
            return Ok(None);
        }
        let (goes_round, may_match) = match implicit {
            Some(ImplicitLoop::IterNext) => (true, true),
            Some(ImplicitLoop::MayGoto) => (true, kept.state.may_gotos != new.may_gotos),
            Some(ImplicitLoop::CallsBack) => (false, true),
            None => {
                let same = kept.state.frame().regs == new.frame().regs
                    && kept.state.may_gotos == new.may_gotos
                    && kept.state.unrolled == new.unrolled
                    && kept.state.depth() == new.depth();
                if same
                    && !rounds_differ(&kept.state, new)
                    && self.covers(id, pc, &path.state, Likeness::Same)
                {
                    return Err(ValueReason::InfiniteLoop(pc).into());
                }
                return Ok(None);
            }
        };
        if !may_match || !self.covers(id, pc, new, Likeness::Within) {
            return Ok(None);
        }
        // An iterator that gave its last item ends its loop by itself.
        let ended = implicit == Some(ImplicitLoop::IterNext) && !converge::may_give_more(new);
        Ok((!ended).then_some(goes_round))
    }

    fn covers(&mut self, id: CheckpointId, pc: Pc, state: &State, likeness: Likeness) -> bool {
        let Some(kept) = self.kept.get(id) else { return false };
        stands_for(self.cx, &mut self.matched, pc, kept.old(), state, likeness)
    }

    /// The path ends, because what follows is known from a kept state: what mattered there
    /// matters here. Where it goes round a loop that is not all known yet.
    fn end_at(&mut self, id: CheckpointId, path: &Path, goes_round: bool) {
        let depth = path.state.depth() - 1;
        let Some(kept) = self.kept.get_mut(id) else { return };
        kept.hits += 1;
        let (wanted, visit) = (Wanted::all(depth, &kept.precise), kept.visit);
        if let Some(log) = &mut self.log {
            log.propagates(&kept.precise);
        }
        self.marking().mark(path.segment, path.pc, &wanted);
        if let (true, Some(visit)) = (goes_round, visit) {
            self.loops.add(visit, BackEdge { like: id, segment: path.segment, depth });
            self.kept.count_peak(self.loops.edges(), &mut self.stats);
        }
    }

    /// Back at a loop that ends by itself: numbers that do not matter and change from round to
    /// round are given up, so that the rounds become alike. `here` is the state kept for this
    /// very round.
    fn converge(&mut self, pc: Pc, state: &mut State, here: Option<CheckpointId>) {
        let earlier = |(id, kept): &(CheckpointId, &Checkpoint)| {
            kept.open > 0 && Some(*id) != here && kept.state.has_callers_of(state)
        };
        let earlier = self.kept.iter(pc, state).find(earlier);
        if let Some((_, earlier)) = earlier {
            let (options, ids) = (self.cx.options, &mut self.matched);
            converge::widen(options, ids, state, &earlier.state, &earlier.precise);
        }
    }

    fn keep(&mut self, path: &mut Path) {
        let visit = self.loops.visit(self.cx, &path.state, path.pc);
        let state = (*path.state).clone();
        let id = self.kept.add(Checkpoint::new(path.pc, state, path.chain, path.parent, visit));
        if let Some(visit) = visit {
            self.loops.enter(visit, id);
        }
        path.segment = self.trail.begin(Some(path.segment), Some(id));
        path.parent = Some(id);
        path.history = 0;
        self.last_kept = (self.stats.insns, self.jumps);
        self.stats.states += 1;
        self.kept.count_peak(self.loops.edges(), &mut self.stats);
    }
}

/// What the kernel counts as a jump when it decides where to keep states.
const fn is_jump(insn: &Insn) -> bool {
    matches!(
        insn,
        Insn::Jump { .. }
            | Insn::Branch { .. }
            | Insn::MayGoto { .. }
            | Insn::Call(_)
            | Insn::CallX { .. }
            | Insn::Exit
    )
}

/// An iterator has given more in one of the states than in the other.
fn rounds_differ(old: &State, new: &State) -> bool {
    let iterating = |object: &Object| match object {
        Object::Iter(iter @ Iter { state: IterState::Active, .. }) => Some(iter.depth),
        _ => None,
    };
    old.objects().any(|(depth, off, object)| {
        let now = new.frames().get(usize::from(depth)).and_then(|f| f.stack.object(off));
        iterating(object).is_some_and(|rounds| now.and_then(iterating) != Some(rounds))
    })
}
