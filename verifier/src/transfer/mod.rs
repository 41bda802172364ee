//! What one instruction does to a state.
//!
//! Each family of instructions has its module; all of them work on a [`Step`], which is the
//! state with what may be changed beside it. Nothing here knows about other paths: a step says
//! which registers decided about safety ([`Demands`]) and which ways lead on ([`Next`]), and
//! exploration does the rest.

mod alu;
mod arena;
mod atomic;
mod call;
mod field;
mod jump;
mod kfunc;
mod map;
mod mem;
mod object;
mod own;
mod sock;
mod typed;

use crate::cx::Cx;
use crate::domain::{Scalar, Tnum};
use crate::liveness::{Chain, LiveStack};
use crate::reason::{R, Reason, ShapeReason, ValueReason};
use crate::state::stack::Span;
use crate::state::{Frame, Link, PtrId, RefId, Reg, ScalarId, State};
use crate::subprogs::Found;
use crate::text::At;
use crate::trail::{Note, Places};
use ubpf_isa::{Insn, Pc, Reg as Name, RegSet, SwapOp, SwapWidth};

/// Sources of fresh ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ids(u32);

impl Ids {
    const fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }

    /// An id for numbers of a common origin.
    pub const fn scalar(&mut self) -> ScalarId {
        ScalarId(self.next())
    }

    /// An id for copies of a pointer.
    pub const fn pointer(&mut self) -> PtrId {
        PtrId(self.next())
    }

    /// An id for a reference.
    pub const fn reference(&mut self) -> RefId {
        RefId(self.next())
    }
}

/// What a step needed and touched.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Registers of the running frame whose exact value decided about safety.
    pub demands: Demands,
    /// A stack slot whose exact value did: its frame's depth, and its bit.
    pub slot_demand: Option<(u8, u64)>,
    /// What walking back over it must know.
    pub note: Note,
    /// Numbers tied to those that it compared, with them, where there is more than one.
    pub tied: Option<Places>,
    /// Registers of the running frame that it read or wrote.
    pub shown: RegSet,
    /// Stack slots of the running frame that it wrote, by bit.
    pub shown_slots: u64,
}

/// Registers that are demanded, in the order in which they were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands {
    regs: [Option<Name>; Name::COUNT],
}

impl Demands {
    /// Demands one more.
    pub fn add(&mut self, reg: Name) {
        if !self.iter().any(|known| known == reg)
            && let Some(free) = self.regs.iter_mut().find(|free| free.is_none())
        {
            *free = Some(reg);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Name> {
        self.regs.iter().copied().map_while(|reg| reg)
    }
}

/// Where a path goes on.
#[derive(Debug)]
pub enum Next {
    /// To one place.
    Go(Pc),
    /// Two ways: this state goes to `here`, the other one to `there`.
    Fork {
        /// Where the state that was stepped goes on.
        here: Pc,
        /// Where the other one does.
        there: Pc,
        /// The other state.
        other: Box<State>,
    },
    /// Two ways, of which the other one is one more round of a loop that ends by itself: numbers
    /// that no round needs are given up in it.
    Round {
        /// Where the state that was stepped goes on.
        here: Pc,
        /// Where the other one does.
        there: Pc,
        /// The other state.
        other: Box<State>,
    },
    /// To one place; beside it a function that is called later, on its own.
    Later {
        /// Where the state that was stepped goes on.
        here: Pc,
        /// Where the function begins.
        there: Pc,
        /// Its state.
        other: Box<State>,
    },
    /// Back to the call that a callback was called from, which may call it again.
    Again(Pc),
    /// The path ends, and all is well.
    End,
}

/// One instruction on its way through a state.
pub struct Step<'a> {
    /// What does not change.
    pub cx: &'a Cx<'a>,
    /// Fresh ids.
    pub ids: &'a mut Ids,
    /// What is found out about whole subprograms.
    pub found: &'a mut Found,
    /// Which stack slots are read and overwritten.
    pub live: &'a mut LiveStack,
    /// The chain of calls that leads to the running frame.
    pub chain: Chain,
    /// The state, before and after.
    pub state: &'a mut State,
    /// The instruction's place.
    pub pc: Pc,
    /// What it needed and touched.
    pub trace: Trace,
}

impl Step<'_> {
    /// Executes the instruction at `pc`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn run(&mut self) -> Result<Next, Reason> {
        let insn = match self.cx.text.at(self.pc) {
            Some(At::Insn(insn)) => insn,
            Some(At::Bad(error)) => return Err(ShapeReason::Decode(error).into()),
            Some(At::WideTail) | None => return Err(ShapeReason::FallsThrough.into()),
        };
        let next = Pc(self.pc.0 + insn.slots());
        match insn {
            Insn::Alu { op, width, dst, src } => self.alu(op, width, dst, src)?,
            Insn::Mov { width, dst, src } => self.mov(width, dst, src)?,
            Insn::MovSx { width, dst, src, from } => self.mov_sx(width, dst, src, from)?,
            Insn::Neg { width, dst } => self.unary(dst, |n| n.neg(width))?,
            Insn::Swap { op, width, dst } => self.unary(dst, |n| swapped(op, width, n))?,
            Insn::Load { size, signed, dst, base, off } => {
                self.load(size, signed, dst, base, off)?
            }
            Insn::Store { size, base, off, src } => self.store(size, base, off, src)?,
            Insn::LdImm64 { dst, imm } => self.wide(dst, imm)?,
            Insn::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src)?,
            Insn::LoadAcquire { size, dst, base, off } => {
                self.load_acquire(size, dst, base, off)?
            }
            Insn::StoreRelease { size, base, off, src } => {
                self.store_release(size, base, off, src)?
            }
            Insn::LdAbs { .. } => self.legacy_load(None)?,
            Insn::LdInd { src, .. } => self.legacy_load(Some(src))?,
            Insn::AddrSpaceCast { cast, dst, src } => self.cast_space(cast, dst, src)?,
            Insn::MayGoto { off } => {
                let here = self.pc.target(off.into()).ok_or(ShapeReason::FallsThrough)?;
                let mut other = Box::new(self.state.clone());
                other.may_gotos += 1;
                return Ok(Next::Round { here, there: next, other });
            }
            Insn::CallX { .. } => return Err(Reason::Unsupported("calls through registers")),
            Insn::Jump { off, .. } => {
                return self.pc.target(off).map(Next::Go).ok_or(ShapeReason::FallsThrough.into());
            }
            Insn::Branch { op, width, dst, src, off } => {
                let target = self.pc.target(off.into()).ok_or(ShapeReason::FallsThrough)?;
                return self.branch(op, width, dst, src, next, target);
            }
            Insn::Call(target) => return self.call(target, next),
            Insn::Exit => return self.exit(),
        }
        Ok(Next::Go(next))
    }

    fn frame(&self) -> &Frame {
        self.state.frame()
    }

    fn frame_at(&self, depth: u8) -> &Frame {
        self.state.frame_at(depth)
    }

    fn frame_at_mut(&mut self, depth: u8) -> &mut Frame {
        self.state.frame_at_mut(depth)
    }

    /// The value of a register, which must have one.
    fn read(&mut self, reg: Name) -> Result<Reg, Reason> {
        self.trace.shown.insert(reg);
        match self.frame().regs[reg.index()] {
            Reg::Uninit => Err(ValueReason::Uninit(R(reg)).into()),
            value => Ok(value),
        }
    }

    /// The frame pointer is no destination. That is judged before what would be written to it.
    fn check_writable(&self, reg: Name) -> Result<(), Reason> {
        if reg == Name::FP { Err(ValueReason::FramePointer.into()) } else { Ok(()) }
    }

    /// Gives a register a value.
    fn set(&mut self, reg: Name, value: Reg) -> Result<(), Reason> {
        self.check_writable(reg)?;
        self.trace.shown.insert(reg);
        self.state.frame_mut().regs[reg.index()] = value;
        Ok(())
    }

    /// The exact value of this register decided about safety, if it is a number.
    fn demand(&mut self, reg: Name) {
        if self.frame().regs[reg.index()].number().is_some() {
            self.trace.demands.add(reg);
        }
    }

    /// The step accesses these bytes of a stack.
    fn touch_stack(&mut self, depth: u8, span: Span) {
        if usize::from(depth) + 1 == self.state.depth() {
            self.trace.shown_slots |= slot_set(span);
        }
        let subprog = self.frame_at(depth).subprog;
        self.found.stack_used(subprog, span.off.unsigned_abs());
    }

    /// The step may read these bytes of a stack, so what they hold matters before it.
    fn reads_stack(&mut self, depth: u8, span: Span) {
        self.live.read(self.chain, depth, self.pc, slot_set(span));
    }

    /// The step surely overwrites the slots that these bytes lie in, all of them.
    fn overwrites_stack(&mut self, depth: u8, span: Span) {
        self.live.write(depth, slot_set(span));
    }

    /// A register was spilled to the slot, or filled from it.
    fn note_slot(&mut self, depth: u8, slot: usize) {
        self.trace.note = Note::Slot { depth, slot: slot as u8 };
    }

    /// Ties a register's number to the copy that is about to be made of it.
    fn link(&mut self, reg: Name) {
        if self.frame().regs[reg.index()].number().is_some() {
            tie_to_copy(&mut self.state.frame_mut().regs[reg.index()], self.ids);
        }
    }
}

/// Ties a number to the copy that is about to be made of it. Constants need no tie, and one that
/// already went through an addition starts anew.
fn tie_to_copy(reg: &mut Reg, ids: &mut Ids) {
    let Reg::Number(n) = reg else { return };
    n.link = n.link.filter(|link| link.delta.is_none());
    if n.link.is_none() && n.value.as_const().is_none() {
        n.link = Some(Link { id: ids.scalar(), delta: None });
    }
}

/// A byte-swapped number: each bit is known where it came from, ranges follow from the bits.
fn swapped(op: SwapOp, width: SwapWidth, n: &Scalar) -> Scalar {
    if op == SwapOp::ToLe {
        return n.truncate(width.bits());
    }
    let swap = |v: u64| match width {
        SwapWidth::W16 => u64::from((v as u16).swap_bytes()),
        SwapWidth::W32 => u64::from((v as u32).swap_bytes()),
        SwapWidth::W64 => v.swap_bytes(),
    };
    let bits = Tnum::new(swap(n.bits.value()), swap(n.bits.mask()));
    Scalar { bits, ..Scalar::UNKNOWN }.truncate(width.bits())
}

/// Slots by bit.
fn slot_set(span: Span) -> u64 {
    span.slots().filter(|&n| n < u64::BITS as usize).fold(0, |set, n| set | 1 << n)
}
