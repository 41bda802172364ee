//! The control-flow graph: which instructions can be reached, where loops are, where paths join.
//!
//! One depth-first walk from the entry, through calls, in the kernel's order. It marks the
//! places where states are kept for pruning. [`order`] then numbers the loops and puts each
//! subprogram's instructions in the order that data-flow analyses go over them.

pub(crate) mod callee;
mod order;

pub use callee::CallsBack;

use crate::reason::{Rejection, ShapeReason};
use crate::structure::jump_offset;
use crate::text::{At, Text, named_subprog};
use order::Order;
pub(crate) use order::successors;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::{CallTarget, Flow, Insn, Pc, Slot};

/// What the walk found out about each slot.
#[derive(Clone, Debug)]
pub struct Cfg {
    marks: Vec<Mark>,
    order: Order,
}

/// What the walk found out about one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// States are compared and kept here.
    pub prune_point: bool,
    /// A path may come here from elsewhere than the instruction before.
    pub jump_point: bool,
    /// A state is kept at every visit, for loops that converge only so.
    pub force_checkpoint: bool,
    /// A loop that ends because the kernel sees to it, though no state shows it.
    pub implicit_loop: Option<ImplicitLoop>,
    /// The loop it is part of, counted from 1; 0 in straight code.
    pub scc: u32,
}

/// Instructions whose rounds end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImplicitLoop {
    /// A call that calls subprograms back before it returns.
    CallsBack,
    /// The next item of an open-coded iterator.
    IterNext,
    /// `may_goto`.
    MayGoto,
}

impl Cfg {
    /// Builds the graph.
    ///
    /// # Errors
    /// When an instruction cannot be reached, a jump goes into a wide load, or (where loops are
    /// not allowed) a path comes back to itself.
    pub fn build(
        program: &Program,
        text: &Text,
        exception: Option<SubprogId>,
        loops_allowed: bool,
        platform: &dyn Platform,
    ) -> Result<Self, Rejection> {
        let mut walk = Walk {
            program,
            text,
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
        order::number_loops(text, &mut marks);
        Ok(Self { marks, order: Order::of(text) })
    }

    /// What was found out about the instruction at `pc`.
    #[must_use]
    pub fn mark(&self, pc: Pc) -> Mark {
        self.marks.get(pc.index()).copied().unwrap_or_default()
    }

    /// The call at `pc` calls subprograms back before it returns.
    #[must_use]
    pub fn calls_back(&self, pc: Pc) -> bool {
        self.mark(pc).implicit_loop == Some(ImplicitLoop::CallsBack)
    }

    /// A subprogram's instructions, each after those that can follow it, as far as loops allow.
    #[must_use]
    pub fn postorder(&self, subprog: SubprogId) -> &[Pc] {
        self.order.of_subprog(subprog)
    }

    /// All instructions, subprogram by subprogram, in that order.
    #[must_use]
    pub fn all_postorder(&self) -> &[Pc] {
        self.order.all()
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
    program: &'a Program,
    text: &'a Text,
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
            Insn::Jump { off, .. } => self.mark_target(pc.target(off)),
            Insn::Branch { off, .. } => {
                self.mark(pc).prune_point = true;
                self.mark_target(pc.target(off.into()));
            }
            Insn::MayGoto { off } => {
                self.mark_implicit(pc, ImplicitLoop::MayGoto);
                self.mark_target(pc.target(off.into()));
            }
            Insn::Call(target) => {
                match callee::calls_back(self.program, self.platform, target) {
                    Some(CallsBack::Later) => self.mark(pc).prune_point = true,
                    Some(CallsBack::Now) => {
                        self.mark_implicit(pc, ImplicitLoop::CallsBack);
                        self.mark(pc).jump_point = true;
                    }
                    None => {}
                }
                if callee::is_iter_next(self.program, self.platform, target) {
                    self.mark_implicit(pc, ImplicitLoop::IterNext);
                }
                self.mark_target(Some(next));
                if let CallTarget::Subprog(off) = target {
                    self.mark(pc).prune_point = true;
                    self.mark_target(pc.target(off));
                }
            }
            Insn::LdImm64 { .. } if insn.subprog().is_some() => {
                self.mark(pc).prune_point = true;
                self.mark_target(Some(next));
                self.mark_target(insn.subprog().and_then(|off| pc.target(off)));
            }
            _ => {}
        }
    }

    fn mark(&mut self, pc: Pc) -> &mut Mark {
        &mut self.marks[pc.index()]
    }

    fn mark_implicit(&mut self, pc: Pc, kind: ImplicitLoop) {
        let mark = self.mark(pc);
        mark.prune_point = true;
        mark.force_checkpoint = true;
        mark.implicit_loop = Some(kind);
    }

    /// Paths come here from elsewhere.
    fn mark_target(&mut self, pc: Option<Pc>) {
        if let Some(mark) = pc.and_then(|pc| self.marks.get_mut(pc.index())) {
            mark.prune_point = true;
            mark.jump_point = true;
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
