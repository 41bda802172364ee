//! Handlers of calls and exits.
//!
//! A subprogram's frame is a frame of the host's stack as well, so that what a callee must
//! preserve is kept there. Both are bounded by the same limit.

use super::Interpreted;
use super::backend::{self, Backend};
use super::machine::Machine;
use super::step::{Handler, RegIndex, Step, Stop};
use crate::call::CallCx;
use ubpf_abi::helper::HelperId;
use ubpf_abi::limits::MAX_TAIL_CALLS;
use ubpf_abi::program::SubprogId;
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Size;

/// The handler of a frame's end.
pub(super) fn exit() -> Handler {
    |m, _, rest, gas| {
        m.core.remaining = gas + rest.len() as i64;
        Stop::Exit
    }
}

/// The handler of what may stand there but not be reached; the trap is the step's target.
pub(super) fn trap() -> Handler {
    |m, step, rest, gas| {
        let kind = TrapKind::from_code(step.target as u8).unwrap_or(TrapKind::Unsupported);
        m.trap(kind, rest, gas)
    }
}

/// The handler of a call of a helper, the step's target.
pub(super) fn helper<B: Backend>() -> Handler {
    run_helper::<B>
}

fn run_helper<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    // Apart, so that nothing of it lies on the stack when the next handler is called.
    if !call_helper(m, step, rest, gas) {
        return Stop::Trap;
    }
    let gas = m.core.remaining - rest.len() as i64;
    B::next(m, rest, gas)
}

#[inline(never)]
fn call_helper<'m>(m: &mut Machine<'m, '_>, step: &'m Step, rest: &'m [Step], gas: i64) -> bool {
    m.core.remaining = gas + rest.len() as i64;
    let code = &m.core.image.code;
    let Some(helper) = code.helpers().get(step.target as usize) else {
        m.trap(TrapKind::UnknownHelper, rest, gas);
        return false;
    };
    let (args, pc) = (m.args(), m.pc(rest));
    let mut cx = CallCx {
        world: m.core.world,
        run: &mut *m.state,
        cpu: m.core.cpu,
        pc,
        guest: &mut *m.core,
    };
    match (helper.body)(&mut cx, args) {
        Ok(r0) => {
            m.set(RegIndex::R0, r0);
            m.refresh_windows();
            true
        }
        Err(trap) => {
            m.core.set_trap(trap);
            false
        }
    }
}

/// The handler of a call of a subprogram, the step's target.
pub(super) fn subprog<B: Backend>() -> Handler {
    run_subprog::<B>
}

fn run_subprog<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    if !call_subprog(m, SubprogId(step.target), rest, gas) {
        return Stop::Trap;
    }
    let gas = m.core.remaining - rest.len() as i64;
    B::next(m, rest, gas)
}

/// The handler of a call of the subprogram whose address the step's destination register holds.
pub(super) fn through_reg<B: Backend>() -> Handler {
    run_through_reg::<B>
}

fn run_through_reg<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let addr = m.reg(step.dst);
    let Some(func) = m.core.image.code.subprog_at(addr) else {
        let trap = Trap::new(TrapKind::BadCallTarget, m.pc(rest)).with_info(addr);
        return m.stop(trap, rest, gas);
    };
    if !call_subprog(m, func, rest, gas) {
        return Stop::Trap;
    }
    let gas = m.core.remaining - rest.len() as i64;
    B::next(m, rest, gas)
}

#[inline(never)]
fn call_subprog<'m>(m: &mut Machine<'m, '_>, func: SubprogId, rest: &'m [Step], gas: i64) -> bool {
    let mut remaining = gas + rest.len() as i64;
    if remaining < 0 {
        remaining = match m.core.allowance.refill(remaining) {
            Ok(remaining) => remaining,
            Err(kind) => {
                m.trap(kind, rest, gas);
                return false;
            }
        };
    }
    let saved = m.save();
    let image = m.core.image;
    let frame = match m.core.push_frame(image, func) {
        Ok(frame) => frame,
        Err(kind) => {
            m.trap(kind, rest, gas);
            return false;
        }
    };
    m.begin(image, &frame);
    let stop = backend::run(m, frame.steps, remaining - frame.steps.len() as i64);
    m.core.pop_frame();
    m.restore(&saved);
    stop == Stop::Exit
}

/// The helper that tail calls are calls of, for traps to name.
const TAIL_CALL: HelperId = HelperId(12);

/// The handler of a tail call.
pub(super) fn tail_call<B: Backend>() -> Handler {
    run_tail_call::<B>
}

fn run_tail_call<'m, B: Backend>(
    m: &mut Machine<'m, '_>,
    _: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    match replace_frame(m, rest, gas) {
        Replaced::Yes => {
            let (steps, gas) = m.resume;
            B::next(m, steps, gas)
        }
        Replaced::No => B::next(m, rest, gas),
        Replaced::Trap => Stop::Trap,
    }
}

/// What became of a tail call.
enum Replaced {
    /// The program to go on with is in [`Machine::resume`].
    Yes,
    /// There is none: go on behind the call.
    No,
    /// The run is done.
    Trap,
}

#[inline(never)]
fn replace_frame<'m>(m: &mut Machine<'m, '_>, rest: &'m [Step], gas: i64) -> Replaced {
    let [_, map, index, ..] = m.args();
    let world = m.core.world;
    let Some(map) = world.map_ref(map) else {
        let argument = u64::from(TAIL_CALL.0) << 8 | 2;
        let trap = Trap::new(TrapKind::BadArgument, m.pc(rest)).with_info(argument);
        m.stop(trap, rest, gas);
        return Replaced::Trap;
    };
    if m.core.tail_calls >= MAX_TAIL_CALLS {
        return Replaced::No;
    }
    let image = match map.prog_at(index as u32).and_then(|id| world.prog(id)) {
        Some(image) => image.as_any().downcast_ref::<Interpreted>(),
        None => return Replaced::No,
    };
    let mut remaining = gas + rest.len() as i64;
    let Some(image) = image else {
        m.trap(TrapKind::Unsupported, rest, gas);
        return Replaced::Trap;
    };
    if remaining < 0 {
        remaining = match m.core.allowance.refill(remaining) {
            Ok(remaining) => remaining,
            Err(kind) => {
                m.trap(kind, rest, gas);
                return Replaced::Trap;
            }
        };
    }
    m.core.tail_calls += 1;
    m.core.pop_frame();
    match m.core.push_frame(image, SubprogId(0)) {
        Ok(frame) => {
            m.begin(image, &frame);
            m.clear_regs();
            m.resume = (frame.steps, remaining - frame.steps.len() as i64);
            Replaced::Yes
        }
        Err(kind) => {
            m.trap(kind, rest, gas);
            Replaced::Trap
        }
    }
}

/// The handler of a legacy packet load at the step's value, plus its source register with
/// `INDEXED`.
pub(super) fn load_packet<B: Backend>(size: Size, indexed: bool) -> Handler {
    match (size, indexed) {
        (Size::B, false) => run_load_packet::<B, 1, false>,
        (Size::B, true) => run_load_packet::<B, 1, true>,
        (Size::H, false) => run_load_packet::<B, 2, false>,
        (Size::H, true) => run_load_packet::<B, 2, true>,
        (Size::W, false) => run_load_packet::<B, 4, false>,
        (Size::W, true) => run_load_packet::<B, 4, true>,
        // The instruction does not exist in this size, so the decoder does not give it.
        (Size::Dw, _) => trap(),
    }
}

fn run_load_packet<'m, B: Backend, const BYTES: u32, const INDEXED: bool>(
    m: &mut Machine<'m, '_>,
    step: &'m Step,
    rest: &'m [Step],
    gas: i64,
) -> Stop {
    let index = if INDEXED { m.reg(step.src) as i32 } else { 0 };
    let off = index.wrapping_add(step.value as i32);
    let size = match BYTES {
        1 => Size::B,
        2 => Size::H,
        _ => Size::W,
    };
    match m.state.load_packet(m.core.world, off, size) {
        Some(value) => {
            m.set(RegIndex::R0, value.into());
            B::next(m, rest, gas)
        }
        None => {
            m.set(RegIndex::R0, 0);
            m.core.remaining = gas + rest.len() as i64;
            Stop::Exit
        }
    }
}
