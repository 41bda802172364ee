//! From ops to steps: which handler executes what, and where its operands go.

use super::backend::Backend;
use super::step::Step;
use super::{alu, call, fused, jump, memory};
use crate::code::{Code, MemAccess, Op, OpIndex};
use ubpf_isa::{Operand, Width};

/// The steps of a program. Where each is to be looked at, none does the work of two.
pub(super) fn steps<B: Backend>(code: &Code) -> Vec<Step> {
    let alone = code.claims().is_some();
    let step = |(op, index)| {
        let index = OpIndex(index);
        let mut step = match (op, code.access(index)) {
            (&Op::Load { size, signed, dst, base, off }, MemAccess::Probed) => {
                let run = memory::load_probed::<B>(size, signed);
                Step::new(run).dst(dst).src(base).signed(off.into())
            }
            (op, _) => step::<B>(op),
        };
        if let Some(run) = (!alone).then(|| fused::pair::<B>(code, index)).flatten() {
            step.run = run;
        }
        step
    };
    code.ops().iter().zip(0..).map(step).collect()
}

/// The step of one op.
pub(super) fn step<B: Backend>(op: &Op) -> Step {
    match *op {
        Op::Alu { op, width, dst, src } => {
            Step::new(alu::alu::<B>(op, width, src)).dst(dst).operand(src)
        }
        Op::Neg { width, dst } => Step::new(alu::neg::<B>(width)).dst(dst),
        Op::Mov { width, dst, src } => Step::new(alu::mov::<B>(width, src)).dst(dst).operand(src),
        Op::MovSx { width, dst, src, from } => {
            Step::new(alu::mov_sx::<B>(width, from)).dst(dst).src(src)
        }
        Op::Swap { op, width, dst } => Step::new(alu::swap::<B>(op, width)).dst(dst).src(dst),
        Op::Const { dst, value } => {
            Step::new(alu::mov::<B>(Width::W64, Operand::Imm(0))).dst(dst).value(value)
        }
        Op::Load { size, signed, dst, base, off } => {
            Step::new(memory::load::<B>(size, signed, base)).dst(dst).src(base).signed(off.into())
        }
        Op::LoadAcquire { size, dst, base, off } => {
            Step::new(memory::load_acquire::<B>(size)).dst(dst).src(base).signed(off.into())
        }
        Op::Store { size, base, off, src } => {
            let step = Step::new(memory::store::<B>(size, base, src)).dst(base).signed(off.into());
            match src {
                Operand::Reg(src) => step.src(src),
                Operand::Imm(imm) => step.target(imm.cast_unsigned()),
            }
        }
        Op::StoreRelease { size, base, off, src } => {
            Step::new(memory::store_release::<B>(size)).dst(base).src(src).signed(off.into())
        }
        Op::Atomic { op, size, base, off, src } => {
            Step::new(memory::atomic::<B>(op, size)).dst(base).src(src).signed(off.into())
        }
        Op::LoadPacket { size, index, imm } => {
            let step = Step::new(call::load_packet::<B>(size, index.is_some())).signed(imm.into());
            match index {
                Some(index) => step.src(index),
                None => step,
            }
        }
        Op::Jump { target } => Step::new(jump::jump::<B>()).target(target.0),
        Op::Branch { op, width, dst, src, target } => {
            let run = jump::branch::<B>(op, width, src);
            Step::new(run).dst(dst).operand(src).target(target.0)
        }
        Op::MayGoto { target } => Step::new(jump::may_goto::<B>()).target(target.0),
        Op::CallHelper { helper } => Step::new(call::helper::<B>()).target(helper.0),
        Op::CallSubprog { subprog } => Step::new(call::subprog::<B>()).target(subprog.0),
        Op::CallReg { target } => Step::new(call::through_reg::<B>()).dst(target),
        Op::TailCall => Step::new(call::tail_call::<B>()),
        Op::Exit => Step::new(call::exit()),
        Op::Trap { kind } => Step::new(call::trap()).target((kind as u8).into()),
    }
}
