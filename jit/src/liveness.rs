//! Which registers hold a value that somebody still reads.

use crate::blocks::{BlockId, Blocks, End};
use crate::operands::{defs, uses};
use ubpf_isa::{Reg, RegSet};
use ubpf_vm::code::{Code, Op};

/// The registers that are read after each block before they are written.
pub(crate) struct Liveness {
    out: Vec<RegSet>,
    /// A verifier has seen to it that nothing is read that was not written.
    trusted: bool,
}

impl Liveness {
    /// Computes them backwards, until nothing changes.
    pub(crate) fn of(code: &Code, blocks: &Blocks, trusted: bool) -> Self {
        let mut liveness = Self { out: Vec::new(), trusted };
        let mut live_in = vec![RegSet::EMPTY; blocks.len()];
        let mut out = vec![RegSet::EMPTY; blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for index in (0..blocks.len()).rev() {
                let id = BlockId(index as u32);
                let block = blocks.get(id);
                let next = live_in.get(index + 1).copied().unwrap_or(RegSet::EMPTY);
                let after = match block.end {
                    End::Fall | End::Call => next,
                    End::Jump(to) => live_in[to.index()],
                    End::Branch(to) => live_in[to.index()] | next,
                    End::Leave => RegSet::EMPTY,
                };
                out[index] = after;
                let start = block.start.index();
                let ops = &code.ops()[start..start + block.len as usize];
                let before = ops.iter().rev().fold(after, |live, op| liveness.before(op, live));
                changed |= before != live_in[index];
                live_in[index] = before;
            }
        }
        liveness.out = out;
        liveness
    }

    /// The registers that are live behind a block.
    pub(crate) fn behind(&self, block: BlockId) -> RegSet {
        self.out[block.index()]
    }

    /// The registers that are live in front of an op, by those behind it.
    pub(crate) fn before(&self, op: &Op, behind: RegSet) -> RegSet {
        (behind - defs(op)) | self.reads(op)
    }

    /// The registers that an op reads. Subprograms find all registers as they are, but those that
    /// were verified look at their arguments only.
    pub(crate) fn reads(&self, op: &Op) -> RegSet {
        match *op {
            Op::CallSubprog { .. } if self.trusted => RegSet::ARGS | RegSet::of(Reg::FP),
            Op::CallReg { target } if self.trusted => {
                RegSet::ARGS | RegSet::of(Reg::FP) | RegSet::of(target)
            }
            _ => uses(op),
        }
    }
}

/// The register that an op computes, where it does nothing else.
pub(crate) const fn computes(op: &Op) -> Option<Reg> {
    match *op {
        Op::Alu { dst, .. }
        | Op::Neg { dst, .. }
        | Op::Mov { dst, .. }
        | Op::MovSx { dst, .. }
        | Op::Swap { dst, .. }
        | Op::Const { dst, .. } => Some(dst),
        Op::Load { .. }
        | Op::LoadAcquire { .. }
        | Op::Store { .. }
        | Op::StoreRelease { .. }
        | Op::Atomic { .. }
        | Op::LoadPacket { .. }
        | Op::Jump { .. }
        | Op::Branch { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::CallSubprog { .. }
        | Op::CallReg { .. }
        | Op::TailCall
        | Op::Exit
        | Op::Trap { .. } => None,
    }
}
