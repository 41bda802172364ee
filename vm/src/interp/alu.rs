//! Handlers of arithmetic, moves and conversions. What they compute is `ubpf_isa`'s to say; here
//! its functions are specialised for each operation, width and operand.

use super::backend::Backend;
use super::machine::Machine;
use super::step::{Handler, Step, Stop};
use core::marker::PhantomData;
use ubpf_isa::{AluOp, Operand, SignExtend, SwapOp, SwapWidth, Width};

/// Where the right operand comes from.
pub(super) trait Source: 'static {
    fn get(m: &Machine<'_, '_>, step: &Step) -> u64;
}

/// From the step's source register.
pub(super) enum FromReg {}
/// From the step's immediate.
pub(super) enum FromImm {}

impl Source for FromReg {
    #[inline(always)]
    fn get(m: &Machine<'_, '_>, step: &Step) -> u64 {
        m.reg(step.src)
    }
}

impl Source for FromImm {
    #[inline(always)]
    fn get(_: &Machine<'_, '_>, step: &Step) -> u64 {
        step.value
    }
}

/// A width as a type.
pub(super) trait IsWidth: 'static {
    const WIDTH: Width;
}
pub(super) enum W32 {}
pub(super) enum W64 {}
impl IsWidth for W32 {
    const WIDTH: Width = Width::W32;
}
impl IsWidth for W64 {
    const WIDTH: Width = Width::W64;
}

/// The function `$f::<$types…, width, source>` for a width and an operand.
macro_rules! by_width_and_source {
    ($f:ident::<$($ty:ty),*>, $width:expr, $src:expr) => {
        match ($width, $src) {
            (Width::W32, Operand::Reg(_)) => $f::<$($ty,)* W32, FromReg>,
            (Width::W32, Operand::Imm(_)) => $f::<$($ty,)* W32, FromImm>,
            (Width::W64, Operand::Reg(_)) => $f::<$($ty,)* W64, FromReg>,
            (Width::W64, Operand::Imm(_)) => $f::<$($ty,)* W64, FromImm>,
        }
    };
}
pub(super) use by_width_and_source;

pub(super) trait IsAluOp: 'static {
    const OP: AluOp;
}

macro_rules! alu_ops {
    ($($op:ident)*) => {
        /// Two-operand operations as types.
        pub(super) mod operations {
            $(
                pub enum $op {}
                impl super::IsAluOp for $op {
                    const OP: ubpf_isa::AluOp = ubpf_isa::AluOp::$op;
                }
            )*
        }

        /// The handler of a two-operand operation.
        pub(super) fn alu<B: Backend>(op: AluOp, width: Width, src: Operand) -> Handler {
            match op {
                $(AluOp::$op => {
                    by_width_and_source!(run_alu::<B, operations::$op>, width, src)
                })*
            }
        }
    };
}
alu_ops!(Add Sub Mul Div SDiv Or And Lsh Rsh Mod SMod Xor Arsh);

/// What works on registers alone and goes on to the next instruction.
pub(super) trait Simple: 'static {
    fn execute(m: &mut Machine<'_, '_>, step: &Step);
}

/// A two-operand operation.
pub(super) struct Binary<O, W, S>(PhantomData<(O, W, S)>);

impl<O: IsAluOp, W: IsWidth, S: Source> Simple for Binary<O, W, S> {
    #[inline(always)]
    fn execute(m: &mut Machine<'_, '_>, step: &Step) {
        let result = O::OP.eval(W::WIDTH, m.reg(step.dst), S::get(m, step));
        m.set(step.dst, result);
    }
}

/// A move.
pub(super) struct Move<W, S>(PhantomData<(W, S)>);

impl<W: IsWidth, S: Source> Simple for Move<W, S> {
    #[inline(always)]
    fn execute(m: &mut Machine<'_, '_>, step: &Step) {
        m.set(step.dst, W::WIDTH.truncate(S::get(m, step)));
    }
}

fn run_alu<'m, B: Backend, O: IsAluOp, W: IsWidth, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    Binary::<O, W, S>::execute(m, step);
    B::next(m, rest, gas)
}

/// The handler of a move.
pub(super) fn mov<B: Backend>(width: Width, src: Operand) -> Handler {
    by_width_and_source!(run_mov::<B>, width, src)
}

fn run_mov<'m, B: Backend, W: IsWidth, S: Source>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    Move::<W, S>::execute(m, step);
    B::next(m, rest, gas)
}

/// The handler of a negation.
pub(super) fn neg<B: Backend>(width: Width) -> Handler {
    match width {
        Width::W32 => run_neg::<B, W32>,
        Width::W64 => run_neg::<B, W64>,
    }
}

fn run_neg<'m, B: Backend, W: IsWidth>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    m.set(step.dst, W::WIDTH.negate(m.reg(step.dst)));
    B::next(m, rest, gas)
}

/// A function of one register as a type: what is left when operation and width are fixed.
trait Unary: 'static {
    fn eval(value: u64) -> u64;
}

fn run_unary<'m, B: Backend, U: Unary>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    m.set(step.dst, U::eval(m.reg(step.src)));
    B::next(m, rest, gas)
}

macro_rules! unaries {
    ($($name:ident = $value:ident => $result:expr;)*) => {$(
        enum $name {}
        impl Unary for $name {
            #[inline(always)]
            fn eval($value: u64) -> u64 {
                $result
            }
        }
    )*};
}

unaries! {
    Sx8To32 = v => SignExtend::From8.eval(Width::W32, v);
    Sx16To32 = v => SignExtend::From16.eval(Width::W32, v);
    Sx32To32 = v => SignExtend::From32.eval(Width::W32, v);
    Sx8To64 = v => SignExtend::From8.eval(Width::W64, v);
    Sx16To64 = v => SignExtend::From16.eval(Width::W64, v);
    Sx32To64 = v => SignExtend::From32.eval(Width::W64, v);
    Low16 = v => SwapOp::ToLe.eval(SwapWidth::W16, v);
    Low32 = v => SwapOp::ToLe.eval(SwapWidth::W32, v);
    Low64 = v => SwapOp::ToLe.eval(SwapWidth::W64, v);
    Swap16 = v => SwapOp::Bswap.eval(SwapWidth::W16, v);
    Swap32 = v => SwapOp::Bswap.eval(SwapWidth::W32, v);
    Swap64 = v => SwapOp::Bswap.eval(SwapWidth::W64, v);
}

/// The handler of a sign-extending move.
pub(super) fn mov_sx<B: Backend>(width: Width, from: SignExtend) -> Handler {
    match (width, from) {
        (Width::W32, SignExtend::From8) => run_unary::<B, Sx8To32>,
        (Width::W32, SignExtend::From16) => run_unary::<B, Sx16To32>,
        (Width::W32, SignExtend::From32) => run_unary::<B, Sx32To32>,
        (Width::W64, SignExtend::From8) => run_unary::<B, Sx8To64>,
        (Width::W64, SignExtend::From16) => run_unary::<B, Sx16To64>,
        (Width::W64, SignExtend::From32) => run_unary::<B, Sx32To64>,
    }
}

/// The handler of a byte-order conversion, with source and destination the same register.
pub(super) fn swap<B: Backend>(op: SwapOp, width: SwapWidth) -> Handler {
    match (op, width) {
        (SwapOp::ToLe, SwapWidth::W16) => run_unary::<B, Low16>,
        (SwapOp::ToLe, SwapWidth::W32) => run_unary::<B, Low32>,
        (SwapOp::ToLe, SwapWidth::W64) => run_unary::<B, Low64>,
        (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W16) => run_unary::<B, Swap16>,
        (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W32) => run_unary::<B, Swap32>,
        (SwapOp::ToBe | SwapOp::Bswap, SwapWidth::W64) => run_unary::<B, Swap64>,
    }
}
