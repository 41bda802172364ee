//! How much of its stack a function uses, by its ops alone.

use crate::code::Op;
use ubpf_abi::limits::STACK_BYTES;
use ubpf_isa::{Operand, Reg};

/// Bytes below `r10` that these ops can reach: exact while `r10` is only the base of accesses,
/// all of the frame once its value goes elsewhere, and 0 only where `r10` is never used.
pub(super) fn stack_bytes(ops: &[Op]) -> u32 {
    let mut deepest = 0;
    for op in ops {
        let off = match *op {
            Op::Load { base: Reg::FP, off, .. }
            | Op::LoadAcquire { base: Reg::FP, off, .. }
            | Op::Store { base: Reg::FP, off, src: Operand::Imm(_), .. } => off,
            Op::Store { base: Reg::FP, off, src: Operand::Reg(src), .. }
            | Op::Atomic { base: Reg::FP, off, src, .. }
            | Op::StoreRelease { base: Reg::FP, off, src, .. }
                if src != Reg::FP =>
            {
                off
            }
            _ if uses_fp(op) => return STACK_BYTES,
            _ => continue,
        };
        deepest = deepest.max(off.min(-1).unsigned_abs().into());
    }
    u32::next_multiple_of(deepest, 8).min(STACK_BYTES)
}

fn uses_fp(op: &Op) -> bool {
    let is_fp = |operand: &Operand| *operand == Operand::Reg(Reg::FP);
    match op {
        Op::Alu { dst, src, .. } | Op::Branch { dst, src, .. } => *dst == Reg::FP || is_fp(src),
        Op::Mov { src, .. } => is_fp(src),
        Op::MovSx { src, .. } => *src == Reg::FP,
        Op::Store { base, src, .. } => *base == Reg::FP || is_fp(src),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => *base == Reg::FP,
        Op::Atomic { base, src, .. } | Op::StoreRelease { base, src, .. } => {
            *base == Reg::FP || *src == Reg::FP
        }
        Op::LoadPacket { index, .. } => *index == Some(Reg::FP),
        Op::CallReg { target } => *target == Reg::FP,
        Op::Neg { .. }
        | Op::Swap { .. }
        | Op::Const { .. }
        | Op::Jump { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::CallSubprog { .. }
        | Op::TailCall
        | Op::Exit
        | Op::Trap { .. } => false,
    }
}
