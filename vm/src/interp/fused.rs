//! Two instructions in one step, which leaves out half of the jumps from handler to handler.
//!
//! A fused handler sits in the step of its first instruction, executes that, and then the one in
//! the step behind it, which keeps a handler of its own: jumps may lead there. So steps still
//! correspond to ops one to one, and neither the budget nor a trap's place is affected.
//!
//! Pairs are made of what compilers emit most: moves, additions, shifts and masks, plain loads and
//! stores, comparisons.

use super::alu::operations as alu;
use super::alu::{Binary, FromImm, FromReg, IsWidth, Move, Simple, Source, W32, W64};
use super::backend::Backend;
use super::jump::{IsCmpOp, conditions as when, run_branch};
use super::machine::Machine;
use super::memory::{self, Zero};
use super::step::{Handler, Step, Stop};
use crate::code::{Code, MemAccess, Op, OpIndex};
use crate::mem::Word;
use core::marker::PhantomData;
use ubpf_abi::TrapKind;
use ubpf_isa::{AluOp, CmpOp, Operand, Reg, Size, Width};

/// The first instruction of a pair, which goes on to the next.
trait First: 'static {
    /// Executes it, unless that takes more than a pair has time for.
    fn attempt(m: &mut Machine<'_, '_>, step: &Step) -> bool;

    /// Executes it alone, where that was so.
    fn alone<'m, B: Backend>(
        m: &mut Machine<'m, '_>,
        step: &'m Step,
        rest: &'m [Step],
        gas: i64,
    ) -> Stop;
}

/// The second instruction of a pair, whatever comes of it.
trait Second: 'static {
    fn run<'m, B: Backend>(
        m: &mut Machine<'m, '_>,
        step: &'m Step,
        rest: &'m [Step],
        gas: i64,
    ) -> Stop;
}

fn run_pair<'m, B: Backend, X: First, Y: Second>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    if !X::attempt(m, step) {
        return X::alone::<B>(m, step, rest, gas);
    }
    match rest.split_first() {
        Some((second, rest)) => Y::run::<B>(m, second, rest, gas),
        None => m.trap(TrapKind::BadPc, rest, gas),
    }
}

/// An instruction that works on registers alone.
struct Plain<X>(PhantomData<X>);
/// A zero-extending load of a word.
struct Load<W>(PhantomData<W>);
/// The same relative to `r10`.
struct LoadFrame<W>(PhantomData<W>);
/// A store of a register's word.
struct Store<W>(PhantomData<W>);
/// The same relative to `r10`.
struct StoreFrame<W>(PhantomData<W>);
/// A conditional jump.
struct Branch<C, W, S>(PhantomData<(C, W, S)>);

impl<X: Simple> First for Plain<X> {
    #[inline(always)]
    fn attempt(m: &mut Machine<'_, '_>, step: &Step) -> bool {
        X::execute(m, step);
        true
    }

    #[inline(always)]
    fn alone<'m, B: Backend>(
        m: &mut Machine<'m, '_>,
        _: &'m Step,
        rest: &'m [Step],
        gas: i64,
    ) -> Stop {
        B::next(m, rest, gas)
    }
}

impl<W: Word> First for Load<W> {
    #[inline(always)]
    fn attempt(m: &mut Machine<'_, '_>, step: &Step) -> bool {
        memory::try_load::<W, Zero>(m, step)
    }

    #[inline(always)]
    fn alone<'m, B: Backend>(
        m: &mut Machine<'m, '_>,
        step: &'m Step,
        rest: &'m [Step],
        gas: i64,
    ) -> Stop {
        memory::run_load_slow::<B, W, Zero>(m, step, rest, gas)
    }
}

macro_rules! seconds {
    ($([$($ty:ident: $bound:path),*] $name:ty => $run:path;)*) => {$(
        impl<$($ty: $bound),*> Second for $name {
            #[inline(always)]
            fn run<'m, B: Backend>(
                m: &mut Machine<'m, '_>,
                step: &'m Step,
                rest: &'m [Step],
                gas: i64,
            ) -> Stop {
                $run(m, step, rest, gas)
            }
        }
    )*};
}

seconds! {
    [W: Word] Load<W> => memory::run_load::<B, W, Zero>;
    [W: Word] LoadFrame<W> => memory::run_load_frame::<B, W, Zero>;
    [W: Word] Store<W> => memory::run_store::<B, W, FromReg>;
    [W: Word] StoreFrame<W> => memory::run_store_frame::<B, W, FromReg>;
    [C: IsCmpOp, W: IsWidth, S: Source] Branch<C, W, S> => run_branch::<B, C, W, S>;
}

impl<X: Simple> Second for Plain<X> {
    #[inline(always)]
    fn run<'m, B: Backend>(
        m: &mut Machine<'m, '_>,
        step: &'m Step,
        rest: &'m [Step],
        gas: i64,
    ) -> Stop {
        X::execute(m, step);
        B::next(m, rest, gas)
    }
}

/// The handler of the op at `index` and the one behind it, where such pairs are made.
pub(super) fn pair<B: Backend>(code: &Code, index: OpIndex) -> Option<Handler> {
    let second = OpIndex(index.0 + 1);
    let ops = [code.ops().get(index.index())?, code.ops().get(second.index())?];
    // Loads that may fail have handlers of their own.
    let probed = [index, second].into_iter().any(|op| code.access(op) == MemAccess::Probed);
    if probed { None } else { first::<B>(ops) }
}

/// `$body` with `$x` standing for the type of a plain instruction, where the op is one that pairs
/// are made of.
macro_rules! with_plain {
    ($op:expr, $x:ident => $body:expr) => {
        match $op {
            Op::Mov { width: Width::W64, src: Operand::Reg(_), .. } => {
                type $x = Plain<Move<W64, FromReg>>;
                $body
            }
            Op::Mov { width: Width::W32, src: Operand::Reg(_), .. } => {
                type $x = Plain<Move<W32, FromReg>>;
                $body
            }
            Op::Mov { width: Width::W64, src: Operand::Imm(_), .. } => {
                type $x = Plain<Move<W64, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::Add, width: Width::W64, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::Add, W64, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::Add, width: Width::W64, src: Operand::Reg(_), .. } => {
                type $x = Plain<Binary<alu::Add, W64, FromReg>>;
                $body
            }
            Op::Alu { op: AluOp::Add, width: Width::W32, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::Add, W32, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::Add, width: Width::W32, src: Operand::Reg(_), .. } => {
                type $x = Plain<Binary<alu::Add, W32, FromReg>>;
                $body
            }
            Op::Alu { op: AluOp::Xor, width: Width::W64, src: Operand::Reg(_), .. } => {
                type $x = Plain<Binary<alu::Xor, W64, FromReg>>;
                $body
            }
            Op::Alu { op: AluOp::Or, width: Width::W64, src: Operand::Reg(_), .. } => {
                type $x = Plain<Binary<alu::Or, W64, FromReg>>;
                $body
            }
            Op::Alu { op: AluOp::And, width: Width::W64, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::And, W64, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::And, width: Width::W32, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::And, W32, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::Lsh, width: Width::W64, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::Lsh, W64, FromImm>>;
                $body
            }
            Op::Alu { op: AluOp::Rsh, width: Width::W64, src: Operand::Imm(_), .. } => {
                type $x = Plain<Binary<alu::Rsh, W64, FromImm>>;
                $body
            }
            _ => {}
        }
    };
}

/// The same for words of memory: `$kind` of the word that an access of this size has.
macro_rules! with_word {
    ($size:expr, $kind:ident, $x:ident => $body:expr) => {
        match $size {
            Size::B => {
                type $x = $kind<u8>;
                $body
            }
            Size::H => {
                type $x = $kind<u16>;
                $body
            }
            Size::W => {
                type $x = $kind<u32>;
                $body
            }
            Size::Dw => {
                type $x = $kind<u64>;
                $body
            }
        }
    };
}

fn first<B: Backend>([op, next]: [&Op; 2]) -> Option<Handler> {
    with_plain!(op, X => return second::<B, X>(next));
    if let Op::Load { size, signed: false, base, .. } = op
        && *base != Reg::FP
    {
        with_word!(size, Load, X => return second::<B, X>(next));
    }
    None
}

fn second<B: Backend, X: First>(op: &Op) -> Option<Handler> {
    with_plain!(op, Y => return Some(run_pair::<B, X, Y>));
    match op {
        Op::Load { size, signed: false, base, .. } if *base == Reg::FP => {
            with_word!(size, LoadFrame, Y => Some(run_pair::<B, X, Y>))
        }
        Op::Load { size, signed: false, .. } => {
            with_word!(size, Load, Y => Some(run_pair::<B, X, Y>))
        }
        Op::Store { size, base, src: Operand::Reg(_), .. } if *base == Reg::FP => {
            with_word!(size, StoreFrame, Y => Some(run_pair::<B, X, Y>))
        }
        Op::Store { size, src: Operand::Reg(_), .. } => {
            with_word!(size, Store, Y => Some(run_pair::<B, X, Y>))
        }
        Op::Branch { op, width, src, .. } => branch::<B, X>(*op, *width, *src),
        _ => None,
    }
}

fn branch<B: Backend, X: First>(op: CmpOp, width: Width, src: Operand) -> Option<Handler> {
    Some(match (op, width, src) {
        (CmpOp::Eq, Width::W64, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Eq, W64, FromImm>>
        }
        (CmpOp::Ne, Width::W64, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Ne, W64, FromImm>>
        }
        (CmpOp::Eq, Width::W32, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Eq, W32, FromImm>>
        }
        (CmpOp::Ne, Width::W32, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Ne, W32, FromImm>>
        }
        (CmpOp::Ne, Width::W64, Operand::Reg(_)) => {
            run_pair::<B, X, Branch<when::Ne, W64, FromReg>>
        }
        (CmpOp::Gt, Width::W64, Operand::Reg(_)) => {
            run_pair::<B, X, Branch<when::Gt, W64, FromReg>>
        }
        (CmpOp::Lt, Width::W64, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Lt, W64, FromImm>>
        }
        (CmpOp::Gt, Width::W64, Operand::Imm(_)) => {
            run_pair::<B, X, Branch<when::Gt, W64, FromImm>>
        }
        _ => return None,
    })
}
