//! The two ways from one handler to the next.

use super::machine::Machine;
use super::step::{Step, Stop};
use super::{Interpreted, translate};
use crate::code::{Code, Op};
use crate::engine::{Call, Image, Thread};
use crate::mem::Cage;
use crate::run::{Cpu, NoState};
use crate::world::World;
use std::sync::{Arc, OnceLock};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::{Kernel, TrapKind};
use ubpf_isa::{AluOp, Operand, Reg, Size, Width};

/// How a handler passes control on.
pub(super) trait Backend: 'static {
    /// Executes the first step of `rest`: the last thing that handlers do.
    fn next<'m>(m: &mut Machine<'m, '_>, rest: &'m [Step], gas: i64) -> Stop;
}

/// Calls the next handler, relying on the compiler to make that a jump.
pub(super) enum Threaded {}

impl Backend for Threaded {
    #[inline(always)]
    fn next<'m>(m: &mut Machine<'m, '_>, rest: &'m [Step], gas: i64) -> Stop {
        match rest.split_first() {
            Some((step, rest)) => (step.run)(m, step, rest, gas),
            None => m.trap(TrapKind::BadPc, rest, gas),
        }
    }
}

/// Returns to the loop in [`run`].
pub(super) enum Looped {}

impl Backend for Looped {
    #[inline(always)]
    fn next<'m>(m: &mut Machine<'m, '_>, rest: &'m [Step], gas: i64) -> Stop {
        m.resume = (rest, gas);
        Stop::Next
    }
}

/// Executes steps until the frame is done or the run is.
pub(super) fn run<'m>(m: &mut Machine<'m, '_>, mut rest: &'m [Step], mut gas: i64) -> Stop {
    loop {
        let Some((step, behind)) = rest.split_first() else {
            return m.trap(TrapKind::BadPc, rest, gas);
        };
        match (step.run)(m, step, behind, gas) {
            Stop::Next => (rest, gas) = m.resume,
            stop => return stop,
        }
    }
}

/// Whether this build turns the calls that handlers end with into jumps.
///
/// Found out by doing it: a chain of steps is executed, and the last one looks at how deep the
/// stack is. Optimised builds pass; others, and those where a compiler should ever change its
/// mind, run in the loop.
pub(super) fn calls_are_jumps() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| !cfg!(miri) && chain_depth().is_some_and(|bytes| bytes < 1024))
}

/// Bytes of stack that a chain of threaded steps uses up, or `None` when it cannot be tried.
fn chain_depth() -> Option<u64> {
    let links = [
        Op::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R2, src: Operand::Imm(1) },
        Op::Mov { width: Width::W32, dst: Reg::R3, src: Operand::Reg(Reg::R2) },
        Op::Store { size: Size::Dw, base: Reg::FP, off: -8, src: Operand::Reg(Reg::R2) },
        Op::Load { size: Size::W, signed: false, dst: Reg::R4, base: Reg::FP, off: -8 },
    ];
    let note_stack = |reg| Step::new(note_stack).dst(reg);
    let mut steps = vec![note_stack(Reg::R1)];
    steps.extend(links.iter().cycle().take(64).map(translate::step::<Threaded>));
    steps.push(note_stack(Reg::R0));
    steps.push(translate::step::<Threaded>(&Op::Alu {
        op: AluOp::Sub,
        width: Width::W64,
        dst: Reg::R0,
        src: Operand::Reg(Reg::R1),
    }));
    steps.push(translate::step::<Threaded>(&Op::Exit));
    let program = Arc::new(Program::from_slots(ProgType::SocketFilter, Vec::new()));
    let image = Interpreted { code: Arc::new(Code::bare(program)), steps, unchecked: Vec::new() };
    let world = World::new(Cage::new().ok()?, Kernel::default(), 1, Box::new(()));
    let mut thread = Thread::new(&world, Cpu(0)).ok()?;
    let (func, args) = (SubprogId(0), [0; 5]);
    let call = Call { world: &world, state: &mut NoState, func, args };
    let distance = image.call(&mut thread, call).result.ok()?;
    Some(distance.cast_signed().unsigned_abs())
}

/// Puts a stack address into the step's destination.
fn note_stack<'m>(m: &mut Machine<'m, '_>, step: &'m Step, rest: &'m [Step], gas: i64) -> Stop {
    let here = 0_u8;
    m.set(step.dst, core::hint::black_box(&raw const here).addr() as u64);
    Threaded::next(m, rest, gas)
}
