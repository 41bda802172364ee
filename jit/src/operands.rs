//! Which registers an op reads and writes.

use ubpf_isa::{AtomicOp, Operand, Reg, RegSet};
use ubpf_vm::code::Op;

const fn of(operand: Operand) -> RegSet {
    match operand {
        Operand::Reg(reg) => RegSet::of(reg),
        Operand::Imm(_) => RegSet::EMPTY,
    }
}

/// The registers that an op reads.
pub(crate) const fn uses(op: &Op) -> RegSet {
    match *op {
        Op::Alu { dst, src, .. } | Op::Branch { dst, src, .. } => RegSet::of(dst).union(of(src)),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => RegSet::of(dst),
        Op::Mov { src, .. } => of(src),
        Op::MovSx { src, .. } => RegSet::of(src),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => RegSet::of(base),
        Op::Store { base, src, .. } => RegSet::of(base).union(of(src)),
        Op::StoreRelease { base, src, .. } => RegSet::of(base).union(RegSet::of(src)),
        Op::Atomic { op, base, src, .. } => {
            let both = RegSet::of(base).union(RegSet::of(src));
            match op {
                AtomicOp::Cmpxchg => both.union(RegSet::of(Reg::R0)),
                AtomicOp::Add { .. }
                | AtomicOp::Or { .. }
                | AtomicOp::And { .. }
                | AtomicOp::Xor { .. }
                | AtomicOp::Xchg => both,
            }
        }
        Op::LoadPacket { index, .. } => match index {
            Some(reg) => RegSet::of(reg).union(RegSet::of(Reg::R6)),
            None => RegSet::of(Reg::R6),
        },
        // A subprogram finds all registers as they are.
        Op::CallSubprog { .. } => RegSet::ALL,
        Op::CallReg { .. } => RegSet::ALL,
        Op::CallHelper { .. } => RegSet::ARGS,
        Op::TailCall => RegSet::CALLER_SAVED,
        Op::Exit => RegSet::of(Reg::R0),
        Op::Const { .. } | Op::Jump { .. } | Op::MayGoto { .. } | Op::Trap { .. } => RegSet::EMPTY,
    }
}

/// The registers that an op writes.
pub(crate) const fn defs(op: &Op) -> RegSet {
    match *op {
        Op::Alu { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Mov { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Swap { dst, .. }
        | Op::Const { dst, .. }
        | Op::Load { dst, .. }
        | Op::LoadAcquire { dst, .. } => RegSet::of(dst),
        Op::Atomic { op, src, .. } => match op.old_value_to(src) {
            Some(reg) => RegSet::of(reg),
            None => RegSet::EMPTY,
        },
        Op::LoadPacket { .. } => RegSet::of(Reg::R0),
        Op::CallHelper { .. } | Op::CallSubprog { .. } | Op::CallReg { .. } => RegSet::CALLER_SAVED,
        Op::Store { .. }
        | Op::StoreRelease { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::TailCall
        | Op::Exit
        | Op::Trap { .. } => RegSet::EMPTY,
    }
}
