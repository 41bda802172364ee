//! Handlers of jumps, where the budget is looked at.

use super::alu::{FromImm, FromReg, IsWidth, Source, W32, W64, by_width_and_source};
use super::backend::Backend;
use super::machine::Machine;
use super::step::{Handler, Step, Stop};
use ubpf_abi::TrapKind;
use ubpf_abi::limits::MAX_LOOPS;
use ubpf_isa::{CmpOp, Operand, Width};

/// Goes on at the step's target.
#[inline(always)]
fn jump_to<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let Some(to) = m.steps.get(step.target as usize..) else {
        return m.trap(TrapKind::BadPc, rest, gas);
    };
    let mut remaining = gas + rest.len() as i64;
    // Backwards (or to itself) is where the target has more steps behind it.
    if remaining < 0 && to.len() > rest.len() {
        remaining = match m.core.allowance.refill(remaining) {
            Ok(remaining) => remaining,
            Err(kind) => return m.trap(kind, rest, gas),
        };
    }
    B::next(m, to, remaining - to.len() as i64)
}

/// The handler of an unconditional jump.
pub(super) fn jump<B: Backend>() -> Handler {
    run_jump::<B>
}

fn run_jump<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    jump_to::<B>(m, step, rest, gas)
}

pub(super) trait IsCmpOp: 'static {
    const OP: CmpOp;
}

macro_rules! conditions {
    ($($op:ident)*) => {
        /// Conditions as types.
        pub(super) mod conditions {
            $(
                pub enum $op {}
                impl super::IsCmpOp for $op {
                    const OP: ubpf_isa::CmpOp = ubpf_isa::CmpOp::$op;
                }
            )*
        }

        /// The handler of a conditional jump.
        pub(super) fn branch<B: Backend>(op: CmpOp, width: Width, src: Operand) -> Handler {
            match op {
                $(CmpOp::$op => {
                    by_width_and_source!(run_branch::<B, conditions::$op>, width, src)
                })*
            }
        }
    };
}
conditions!(Eq Ne Gt Ge Lt Le Set Sgt Sge Slt Sle);

#[inline(always)]
pub(super) fn run_branch<'m, B: Backend, C: IsCmpOp, W: IsWidth, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    if C::OP.eval(W::WIDTH, m.reg(step.dst), S::get(m, step)) {
        jump_to::<B>(m, step, rest, gas)
    } else {
        B::next(m, rest, gas)
    }
}

/// The handler of `may_goto`.
pub(super) fn may_goto<B: Backend>() -> Handler {
    run_may_goto::<B>
}

fn run_may_goto<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    if m.iterations >= MAX_LOOPS {
        return jump_to::<B>(m, step, rest, gas);
    }
    m.iterations += 1;
    B::next(m, rest, gas)
}
