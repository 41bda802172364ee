//! Which upper halves matter: a backward data-flow analysis over blocks.
//!
//! A 32-bit operation clears the upper half of its result. Where nobody reads that half, an engine
//! need not.

use super::flow::Stretch;
use crate::text::Text;
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, Insn, Operand, Pc, Reg, RegSet, Size, SwapWidth, Width,
};

/// Registers whose upper half may be read behind the last instruction of each block.
pub(super) fn analyse(text: &Text, blocks: &[Stretch]) -> Vec<RegSet> {
    let mut behind = vec![RegSet::EMPTY; blocks.len()];
    let mut before = vec![RegSet::EMPTY; text.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (block, behind) in blocks.iter().zip(&mut behind).rev() {
            let mut backward = insns(text, block).rev().peekable();
            let Some(&(last, insn)) = backward.peek() else { continue };
            let ways = insn.successors(last).flatten();
            *behind = ways
                .filter_map(|to| before.get(to.index()))
                .fold(RegSet::EMPTY, |all, read| all | *read);
            let read = backward.fold(*behind, |after, (_, insn)| reads(&insn, after));
            let start = &mut before[block.extent.0.index()];
            changed |= read != *start;
            *start = read;
        }
    }
    behind
}

/// The instructions of a block.
pub(super) fn insns(text: &Text, block: &Stretch) -> impl DoubleEndedIterator<Item = (Pc, Insn)> {
    let (start, end) = block.extent;
    (start.0..end.0).filter_map(|pc| Some((Pc(pc), text.insn(Pc(pc))?)))
}

/// Registers whose upper half is read by an instruction or, those `after` it, later.
pub(super) fn reads(insn: &Insn, after: RegSet) -> RegSet {
    let set = |operand: Operand| match operand {
        Operand::Reg(reg) => RegSet::of(reg),
        Operand::Imm(_) => RegSet::EMPTY,
    };
    let when = |needed: bool, regs: RegSet| if needed { regs } else { RegSet::EMPTY };
    let read = match *insn {
        // The low half of these results depends on low halves alone.
        Insn::Alu {
            op: AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::And | AluOp::Or | AluOp::Xor,
            width: Width::W64,
            dst,
            src,
        } => when(after.contains(dst), RegSet::of(dst) | set(src)),
        // Counts are taken modulo the width.
        Insn::Alu { op: AluOp::Lsh, width: Width::W64, dst, .. }
        | Insn::Neg { width: Width::W64, dst } => when(after.contains(dst), RegSet::of(dst)),
        Insn::Alu { op: AluOp::Rsh | AluOp::Arsh, width: Width::W64, dst, .. } => RegSet::of(dst),
        Insn::Mov { width: Width::W64, dst, src } => when(after.contains(dst), set(src)),
        Insn::Alu { width: Width::W64, dst, src, .. }
        | Insn::Branch { width: Width::W64, dst, src, .. } => RegSet::of(dst) | set(src),
        Insn::Alu { width: Width::W32, .. }
        | Insn::Neg { width: Width::W32, .. }
        | Insn::Mov { width: Width::W32, .. }
        | Insn::MovSx { .. }
        | Insn::Branch { width: Width::W32, .. }
        | Insn::LdImm64 { .. }
        | Insn::Jump { .. }
        | Insn::MayGoto { .. } => RegSet::EMPTY,
        Insn::Swap { width, dst, .. } => when(width == SwapWidth::W64, RegSet::of(dst)),
        Insn::Load { base, .. } | Insn::LoadAcquire { base, .. } => RegSet::of(base),
        Insn::Store { size, base, src, .. } => RegSet::of(base) | when(size == Size::Dw, set(src)),
        Insn::StoreRelease { size, base, src, .. } => {
            RegSet::of(base) | when(size == Size::Dw, RegSet::of(src))
        }
        Insn::Atomic { op, size, base, src, .. } => {
            let wide = size == AtomicSize::Dw;
            let compared = when(op == AtomicOp::Cmpxchg, RegSet::of(Reg::R0));
            RegSet::of(base) | when(wide, RegSet::of(src) | compared)
        }
        Insn::LdAbs { .. }
        | Insn::LdInd { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Call(_)
        | Insn::CallX { .. }
        | Insn::Exit => insn.uses(),
    };
    (after - insn.defs()) | read
}
