//! What a machine must be able to do for [`emit`](crate::emit) to compile programs for it.
//!
//! The methods are at the level of BPF's ops with the control flow taken apart: registers are
//! BPF's, jump targets are labels, and everything about *when* to charge the budget has been
//! decided. How registers map, how memory is checked and how calls are made is the machine's.

use crate::values::Sum;
use ubpf_abi::TrapKind;
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Operand, Pc, Reg, RegSet, SignExtend, Size, SwapOp,
    SwapWidth, Width,
};
use ubpf_vm::call::NativeFn;
use ubpf_vm::code::{MemAccess, MemMode, OpIndex};
use ubpf_vm::map::MapLayout;

/// What holds for all of the code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How far accesses are trusted.
    pub(crate) mode: MemMode,
    /// Whether ops are counted.
    pub(crate) metered: bool,
    /// Whether another program may have run when a call returns.
    pub(crate) images_change: bool,
    /// Whether somebody wants to know where the code of each op begins.
    pub(crate) marks: bool,
}

/// What a function needs of its frame on the host's stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Those of `r6` to `r9` that it changes.
    pub(crate) changed: RegSet,
    /// Those of `r6` to `r9` that it so much as reads: an entry by tail call finds 0 in them.
    pub(crate) used: RegSet,
    /// Whether it calls anything.
    pub(crate) calls: bool,
    /// Whether it counts iterations for `may_goto`.
    pub(crate) iterates: bool,
    /// Bytes of guest stack to clear.
    pub(crate) stack_bytes: u32,
}

/// One access to memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// The op that makes it.
    pub(crate) op: OpIndex,
    /// Address. In checked code a register and a 16-bit offset; else at most one register besides
    /// a base of `r10`.
    pub(crate) at: Sum,
    /// Whether the register is known to hold no more than 32 bits.
    pub(crate) narrow: bool,
    /// How far it is trusted: as the code's mode says, or not at all.
    pub(crate) trusted: MemAccess,
    /// Which window to try, below [`PLACES`](crate::window::PLACES).
    pub(crate) place: u8,
}

/// When a conditional jump is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// A comparison holds.
    Compare { op: CmpOp, width: Width, dst: Reg, src: Operand },
    /// A register masked is 0, or is not.
    Masked { width: Width, reg: Reg, imm: i32, zero: bool },
    /// The frame's iterations are used up; otherwise they become one fewer.
    Exhausted,
}

/// What a jump costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// So many ops, on the way forward. Negative where the counter was ahead.
    Ahead(i32),
    /// So many ops, after which the counter must not be negative: the budget is spent at this op.
    Back(i32, OpIndex),
}

impl Charge {
    /// Nothing.
    pub(crate) const NONE: Self = Self::Ahead(0);
}

/// An assembler for one machine.
pub(crate) trait MacroAssembler: Sized {
    /// A place in the code, bound or yet to be.
    type Label: Copy;
    /// The machine code.
    type Output;

    /// An assembler for code of about `ops` ops. Everything that functions share comes first.
    fn new(plan: Plan, ops: usize) -> Self;
    /// Ends the code: what lies out of line, and where functions begin.
    fn finish(self, entries: &[Self::Label], tail_entry: Self::Label) -> Self::Output;

    fn label(&mut self) -> Self::Label;
    fn bind(&mut self, label: Self::Label);
    /// The code of an op begins here.
    fn mark(&mut self, op: OpIndex);

    /// Begins a function. With `tail_entry` there is a second entry, for tail calls.
    fn enter(&mut self, frame: Frame, entry: Self::Label, tail_entry: Option<Self::Label>);
    /// Returns from it.
    fn leave(&mut self);

    /// `dst = left op right`.
    fn alu(&mut self, op: AluOp, width: Width, dst: Reg, left: Reg, right: Operand);
    fn neg(&mut self, width: Width, dst: Reg);
    fn mov(&mut self, width: Width, dst: Reg, src: Operand);
    fn mov_sx(&mut self, width: Width, dst: Reg, src: Reg, from: SignExtend);
    fn swap(&mut self, op: SwapOp, width: SwapWidth, dst: Reg);
    /// It may change flags.
    fn constant(&mut self, dst: Reg, value: u64);
    fn sum(&mut self, dst: Reg, sum: Sum);
    /// The same cut to 32 bits; `r10` is no part of it.
    fn narrow_sum(&mut self, dst: Reg, sum: Sum);
    /// `dst = src`, rotated left by less than the width.
    fn rotate(&mut self, width: Width, dst: Reg, src: Reg, by: u32);

    fn load(&mut self, access: Access, size: Size, signed: bool, dst: Reg);
    fn store(&mut self, access: Access, size: Size, src: Operand);
    fn load_acquire(&mut self, access: Access, size: Size, dst: Reg);
    fn store_release(&mut self, access: Access, size: Size, src: Reg);
    fn atomic(&mut self, access: Access, op: AtomicOp, size: AtomicSize, src: Reg);

    /// Takes ops off the counter.
    fn charge(&mut self, ops: i32);
    fn jump(&mut self, target: Self::Label, charge: Charge);
    /// Jumps when the condition holds, or when it does not. The charge is for the jump only.
    fn branch(&mut self, condition: Condition, holds: bool, target: Self::Label, charge: Charge);

    /// The counter is exact when calls and traps are made.
    fn call_helper(&mut self, op: OpIndex, pc: Pc, native: Option<NativeFn>);
    /// `r0` becomes the address of the value under the key at an address, or 0.
    fn lookup(&mut self, layout: MapLayout, key: Access);
    /// `bpf_loop` with a function that is known and flags that are 0: `r1` is how often, `r3` what
    /// the function gets.
    fn call_loop(&mut self, op: OpIndex, target: Self::Label, framed: bool);
    /// `r0` becomes the number of the CPU.
    fn cpu(&mut self);
    /// Makes what comes next start where the machine likes loops to start.
    fn align(&mut self);
    /// `framed`: the function, or one that it calls, may use `r10`.
    fn call_subprog(&mut self, op: OpIndex, target: Self::Label, framed: bool);
    fn call_reg(&mut self, op: OpIndex, target: Reg);
    fn tail_call(&mut self, op: OpIndex);
    fn load_packet(&mut self, op: OpIndex, index: Option<Reg>, imm: i32);
    fn trap(&mut self, op: OpIndex, kind: TrapKind);
}
