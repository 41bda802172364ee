//! Which registers are known to have zeros in their upper half.

use crate::blocks::{BlockId, Blocks, End};
use crate::operands::defs;
use ubpf_isa::{AluOp, Operand, Reg, RegSet, Size, SwapWidth, Width};
use ubpf_vm::code::{Code, Op};

/// The narrow registers at the start of each block.
pub(crate) struct Narrow {
    at_start: Vec<RegSet>,
}

impl Narrow {
    /// Follows the program until nothing changes, from the hope that everything is narrow.
    pub(crate) fn of(code: &Code, blocks: &Blocks) -> Self {
        let mut at_start = vec![RegSet::ALL - RegSet::of(Reg::FP); blocks.len()];
        for (id, block) in blocks.iter() {
            if block.is_entry {
                at_start[id.index()] = RegSet::EMPTY;
            }
        }
        let mut changed = true;
        while changed {
            changed = false;
            for (id, block) in blocks.iter() {
                let start = block.start.index();
                let ops = &code.ops()[start..start + block.len as usize];
                let narrow = ops.iter().fold(at_start[id.index()], |narrow, op| after(op, narrow));
                let mut lead = |to: BlockId, back: bool| {
                    if let Some(known) = at_start.get_mut(to.index()) {
                        let both = *known & narrow;
                        changed |= back && both != *known;
                        *known = both;
                    }
                };
                match block.end {
                    End::Fall | End::Call => lead(id.next(), false),
                    End::Jump(to) => lead(to, to <= id),
                    End::Branch(to) => {
                        lead(to, to <= id);
                        lead(id.next(), false);
                    }
                    End::Leave => {}
                }
            }
        }
        Self { at_start }
    }

    pub(crate) fn at_start(&self, block: BlockId) -> RegSet {
        self.at_start[block.index()]
    }
}

/// The narrow registers behind an op.
pub(crate) fn after(op: &Op, narrow: RegSet) -> RegSet {
    let is = |reg: Reg| narrow.contains(reg);
    let of = |operand: Operand| match operand {
        Operand::Reg(reg) => is(reg),
        Operand::Imm(imm) => imm >= 0,
    };
    let result = match *op {
        Op::Alu { width: Width::W32, .. }
        | Op::Neg { width: Width::W32, .. }
        | Op::Mov { width: Width::W32, .. }
        | Op::MovSx { width: Width::W32, .. } => true,
        Op::Alu { op, width: Width::W64, dst, src } => match op {
            AluOp::And => is(dst) || of(src),
            AluOp::Or | AluOp::Xor => is(dst) && of(src),
            AluOp::Rsh => is(dst) || matches!(src, Operand::Imm(by) if by & 63 >= 32),
            AluOp::Div | AluOp::Mod => is(dst),
            _ => false,
        },
        Op::Mov { width: Width::W64, src, .. } => of(src),
        Op::Const { value, .. } => u32::try_from(value).is_ok(),
        Op::Swap { width, .. } => width != SwapWidth::W64,
        Op::Load { size, signed: false, .. } => size != Size::Dw,
        Op::LoadAcquire { size, .. } => size != Size::Dw,
        Op::LoadPacket { .. } => true,
        _ => false,
    };
    let written = defs(op);
    if result { narrow | written } else { narrow - written }
}
