//! The control-flow graph: which instructions can be reached, where loops are, where paths join.
//!
//! One depth-first walk from the entry, through calls, in the kernel's order. It marks the
//! places where states are kept for pruning; strongly connected components (petgraph) then tell
//! loops from straight code.

use crate::reason::{Rejection, ShapeReason};
use crate::structure::jump_offset;
use crate::text::{At, Text, named_subprog};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use ubpf_abi::helper::{ArgKind, CallbackKind, HelperId};
use ubpf_abi::kfunc::{KfuncDecl, KfuncFlag, KfuncSpecial};
use ubpf_abi::object::Extern;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::SubprogId;
use ubpf_isa::{CallTarget, Flow, Insn, Pc, Slot};

/// What the walk found out about each slot.
#[derive(Clone, Debug)]
pub struct Cfg {
    marks: Vec<Mark>,
}

/// What the walk found out about one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// States are compared and kept here.
    pub prune_point: bool,
    /// The instruction is a jump's target or follows one: history is recorded here.
    pub jump_point: bool,
    /// A state is kept at every visit, for loops that converge only so.
    pub force_checkpoint: bool,
    /// A helper call that calls subprograms back: an implicit loop.
    pub calls_back: bool,
    /// A call for an iterator's next item.
    pub iter_next: bool,
    /// The loop it is part of, counted from 1; 0 in straight code.
    pub scc: u32,
}

impl Cfg {
    /// Builds the graph.
    ///
    /// # Errors
    /// When an instruction cannot be reached, a jump goes into a wide load, or (where loops are
    /// not allowed) a path comes back to itself.
    pub fn build(
        text: &Text,
        exception: Option<SubprogId>,
        externs: &[Extern],
        loops_allowed: bool,
        platform: &dyn Platform,
    ) -> Result<Self, Rejection> {
        let mut walk = Walk {
            text,
            externs,
            platform,
            loops_allowed,
            state: vec![State::Unseen; text.len()],
            marks: vec![Mark::default(); text.len()],
        };
        walk.run(Pc(0))?;
        // No code calls the function that handles exceptions.
        if let Some(id) = exception {
            walk.run(text.extent(id).0)?;
        }
        walk.check_reached()?;
        let mut marks = walk.marks;
        mark_loops(text, &mut marks);
        Ok(Self { marks })
    }

    /// What was found out about the instruction at `pc`.
    #[must_use]
    pub fn mark(&self, pc: Pc) -> Mark {
        self.marks.get(pc.index()).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    /// On the walk's stack: a way here is a loop.
    Open,
    Done,
}

struct Walk<'a> {
    text: &'a Text,
    externs: &'a [Extern],
    platform: &'a dyn Platform,
    loops_allowed: bool,
    state: Vec<State>,
    marks: Vec<Mark>,
}

impl Walk<'_> {
    fn run(&mut self, entry: Pc) -> Result<(), Rejection> {
        // Each entry is an instruction and how many of its ways out were taken.
        if self.state.get(entry.index()) != Some(&State::Unseen) {
            return Ok(());
        }
        let mut stack = vec![(entry, 0)];
        self.state[entry.index()] = State::Open;
        self.marks[entry.index()].prune_point = true;
        while let Some(top) = stack.last_mut() {
            let (pc, taken) = *top;
            top.1 += 1;
            match self.way_out(pc, taken) {
                Some(next) => {
                    if self.enter(pc, next)? {
                        stack.push((next, 0));
                    }
                }
                None => {
                    self.state[pc.index()] = State::Done;
                    stack.pop();
                }
            }
        }
        Ok(())
    }

    /// The `n`th way on from `pc`, in the kernel's order: what follows, then the target.
    fn way_out(&mut self, pc: Pc, n: usize) -> Option<Pc> {
        let insn = match self.text.at(pc)? {
            At::Insn(insn) => insn,
            At::WideTail => return None,
            // What has a field wrong leads where its opcode says, until a path gets there and
            // fails.
            At::Bad(error) => return self.bad_way_out(pc, error.slot(), n),
        };
        if n == 0 {
            self.mark_insn(pc, &insn);
        }
        let next = Pc(pc.0 + insn.slots());
        let ways = match insn.flow() {
            Flow::Next => [Some(next), None],
            Flow::Jump(off) => [pc.target(off), None],
            Flow::Branch(off) | Flow::Call(off) => [Some(next), pc.target(off)],
            Flow::Exit => [None, None],
        };
        let function = match insn {
            Insn::LdImm64 { .. } => insn.subprog().and_then(|off| pc.target(off)),
            _ => None,
        };
        ways.into_iter().flatten().chain(function).nth(n)
    }

    fn bad_way_out(&self, pc: Pc, slot: Slot, n: usize) -> Option<Pc> {
        const EXIT: u8 = 0x95;
        const GOTO: u8 = 0x05;
        const GOTOL: u8 = 0x06;
        let next = Some(Pc(pc.0 + 1)).filter(|next| next.index() < self.text.len());
        let target = jump_offset(&slot).or_else(|| named_subprog(&slot));
        let target = target.and_then(|off| pc.target(off));
        let ways = match slot.opcode {
            EXIT => [None, None],
            GOTO | GOTOL => [None, target],
            _ => [next, target],
        };
        ways.into_iter().flatten().nth(n)
    }

    /// Goes from `from` to `to`; whether `to` is new.
    fn enter(&mut self, from: Pc, to: Pc) -> Result<bool, Rejection> {
        if let Some(At::WideTail) = self.text.at(to) {
            return Err(Rejection::at(to, ShapeReason::JumpIntoWide(Pc(to.0 - 1))));
        }
        match self.state.get_mut(to.index()) {
            Some(seen @ State::Unseen) => {
                *seen = State::Open;
                Ok(true)
            }
            Some(State::Done) => Ok(false),
            Some(State::Open) if self.loops_allowed => Ok(false),
            Some(State::Open) => Err(Rejection::at(from, ShapeReason::BackEdge { from, to })),
            None => {
                Err(Rejection::at(from, ShapeReason::JumpOutOfRange { from, to: i64::from(to.0) }))
            }
        }
    }

    fn mark_insn(&mut self, pc: Pc, insn: &Insn) {
        let next = Pc(pc.0 + insn.slots());
        match *insn {
            Insn::Jump { off, .. } => {
                if let Some(target) = pc.target(off) {
                    self.mark_prune(target);
                    self.mark_jump(target);
                }
            }
            Insn::Branch { off, .. } => {
                self.mark_prune(pc);
                self.mark_jump(next);
                if let Some(target) = pc.target(off.into()) {
                    self.mark_jump(target);
                }
            }
            Insn::MayGoto { off } => {
                self.mark_prune(pc);
                self.mark_checkpoint(pc);
                self.mark_jump(next);
                if let Some(target) = pc.target(off.into()) {
                    self.mark_jump(target);
                }
            }
            Insn::Call(CallTarget::Helper(id)) => match self.callback(HelperId(id)) {
                // A function that is called later may set itself anew, and again.
                Some(CallbackKind::Timer) => {
                    self.mark_prune(pc);
                    self.mark_checkpoint(pc);
                }
                Some(_) => self.mark_callback(pc),
                None => {}
            },
            Insn::Call(CallTarget::Kfunc { btf_id, .. }) => {
                let Some(decl) = self.kfunc(btf_id) else { return };
                if decl.has(KfuncFlag::IterNext) {
                    self.mark_prune(pc);
                    self.mark_checkpoint(pc);
                    if let Some(mark) = self.marks.get_mut(pc.index()) {
                        mark.iter_next = true;
                    }
                }
                match decl.special {
                    Some(KfuncSpecial::RbtreeAdd) => self.mark_callback(pc),
                    Some(KfuncSpecial::WqSetCallback | KfuncSpecial::TaskWorkSchedule) => {
                        self.mark_prune(pc);
                    }
                    _ => {}
                }
            }
            Insn::Call(CallTarget::Subprog(off)) => {
                self.mark_prune(pc);
                self.mark_jump(next);
                if let Some(target) = pc.target(off) {
                    self.mark_jump(target);
                }
            }
            _ => {}
        }
    }

    /// How the helper calls back, if it does.
    fn callback(&self, id: HelperId) -> Option<CallbackKind> {
        self.platform.helper(id)?.args.iter().find_map(|arg| match arg.kind {
            ArgKind::Callback(kind) => Some(kind),
            _ => None,
        })
    }

    fn kfunc(&self, target: i32) -> Option<KfuncDecl> {
        let symbol = self.externs.get(target.cast_unsigned() as usize)?;
        self.platform.kfunc(&symbol.name).copied()
    }

    /// The call goes on as if it had not called back, and beside it waits a path that does.
    fn mark_callback(&mut self, pc: Pc) {
        self.mark_prune(pc);
        self.mark_checkpoint(pc);
        self.mark_jump(pc);
        if let Some(mark) = self.marks.get_mut(pc.index()) {
            mark.calls_back = true;
        }
    }

    fn mark_prune(&mut self, pc: Pc) {
        if let Some(mark) = self.marks.get_mut(pc.index()) {
            mark.prune_point = true;
        }
    }

    fn mark_jump(&mut self, pc: Pc) {
        if let Some(mark) = self.marks.get_mut(pc.index()) {
            mark.jump_point = true;
        }
    }

    fn mark_checkpoint(&mut self, pc: Pc) {
        if let Some(mark) = self.marks.get_mut(pc.index()) {
            mark.force_checkpoint = true;
        }
    }

    fn check_reached(&self) -> Result<(), Rejection> {
        let tail = |pc: Pc| matches!(self.text.at(pc), Some(At::WideTail));
        (0..self.text.len() as u32)
            .map(Pc)
            .find(|&pc| self.state[pc.index()] != State::Done && !tail(pc))
            .map_or(Ok(()), |pc| Err(Rejection::at(pc, ShapeReason::Unreachable(pc))))
    }
}

/// Numbers the loops: components of more than one instruction, or with an edge to themselves.
/// Calls are edges to the next instruction only, so loops never cross subprograms.
fn mark_loops(text: &Text, marks: &mut [Mark]) {
    let mut graph = DiGraph::<(), ()>::with_capacity(text.len(), text.len() * 2);
    for _ in 0..text.len() {
        graph.add_node(());
    }
    for (pc, insn) in text.insns() {
        for to in insn.successors(pc).flatten().filter(|to| to.index() < text.len()) {
            graph.add_edge(NodeIndex::new(pc.index()), NodeIndex::new(to.index()), ());
        }
    }
    let mut number = 0;
    // Kosaraju's algorithm, because it does not recurse: programs have up to a million slots.
    for component in kosaraju_scc(&graph) {
        let [first, ..] = component[..] else { continue };
        if component.len() > 1 || graph.contains_edge(first, first) {
            number += 1;
            for node in component {
                marks[node.index()].scc = number;
            }
        }
    }
}
