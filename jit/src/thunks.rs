//! The functions that generated code calls. All have the machine's C calling convention.
//!
//! They answer in two registers: a value, and whether the run is over. Panics stop here: they may
//! not unwind through generated code, so they are kept in the [`Run`] and go on behind it.

use crate::fault::UNKNOWN_ADDR;
use crate::image::Native;
use crate::run::Run;
use crate::window::{extend, with_word};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use ubpf_abi::limits::MAX_TAIL_CALLS;
use ubpf_abi::{Access, Trap, TrapKind};
use ubpf_isa::{AtomicOp, AtomicSize, Reg, Size};
use ubpf_vm::call::{Answer, CallCx, answer};
use ubpf_vm::code::{Code, MemAccess, Op, OpIndex};
use ubpf_vm::mem::Word;

/// A thunk that takes `r1` to `r5` where they are.
pub(crate) type CallThunk =
    extern "C" fn(u64, u64, u64, u64, u64, &mut CallCx<'_>, &Run<'_>) -> Answer;
/// A thunk that is called out of line, with registers saved: two operands and `r0`.
pub(crate) type SlowThunk = extern "C" fn(&Run<'_>, u64, u64, u64, &mut CallCx<'_>) -> Answer;

#[cold]
fn over(run: &Run<'_>, trap: Trap) -> Answer {
    run.set_trap(trap);
    Answer { value: 0, over: 1 }
}

/// Ends the run at an op in the middle of a block.
#[cold]
fn over_inside(run: &Run<'_>, trap: Trap) -> Answer {
    run.settle();
    over(run, trap)
}

/// Calls a helper that has no body for generated code, or from checked code, whose windows it
/// may change.
pub(crate) extern "C" fn helper(
    r1: u64,
    r2: u64,
    r3: u64,
    r4: u64,
    r5: u64,
    cx: &mut CallCx<'_>,
    run: &Run<'_>,
) -> Answer {
    cx.pc = run.pc();
    let code = run.image.get().code();
    let target = match code.ops().get(run.op().index()) {
        Some(Op::CallHelper { helper }) => code.helper(*helper),
        _ => None,
    };
    let Some(target) = target else { return over(run, run.trap_here(TrapKind::UnknownHelper)) };
    let answer = answer(cx, |cx| (target.body)(cx, [r1, r2, r3, r4, r5]));
    if let Some(windows) = run.windows {
        windows.refresh(run.cage());
    }
    answer
}

/// Ends the run, for the reason that the op has.
pub(crate) extern "C" fn raise(
    run: &Run<'_>,
    kind: u64,
    _: u64,
    _: u64,
    _: &mut CallCx<'_>,
) -> Answer {
    let kind = TrapKind::from_code(kind as u8).unwrap_or(TrapKind::Unsupported);
    over(run, run.trap_here(kind))
}

/// A load that its window does not cover.
pub(crate) extern "C" fn load(
    run: &Run<'_>,
    addr: u64,
    _: u64,
    _: u64,
    _: &mut CallCx<'_>,
) -> Answer {
    let op = run.image.get().code().ops().get(run.op().index());
    let (size, signed, base) = match op {
        Some(Op::Load { size, signed, base, .. }) => (*size, *signed, Some(*base)),
        Some(Op::LoadAcquire { size, .. }) => (*size, false, None),
        _ => return over_inside(run, run.trap_here(TrapKind::BadPc)),
    };
    // A plain load from the frame stays in the frame; generated code does those itself.
    let value = if base == Some(Reg::FP) {
        None
    } else {
        with_word!(size, W => run.cage().load::<W>(addr).ok().map(|word| extend(word, signed)))
    };
    match value {
        Some(value) => {
            if let Some(windows) = run.windows {
                windows.fill(run.cage(), run.place(), addr, Access::Read);
            }
            Answer::value(value)
        }
        None if run.image.get().code().access(run.op()) == MemAccess::Probed => Answer::value(0),
        None => over_inside(run, Trap::memory(Access::Read, run.pc(), addr, size.bytes())),
    }
}

/// An access that was trusted and faulted: the instruction's address, and the guest address, or
/// [`UNKNOWN_ADDR`].
pub(crate) extern "C" fn fault(run: &Run<'_>, ip: u64, addr: u64) -> Answer {
    let image = run.image.get();
    let op = image.op_at(ip as usize).unwrap_or_default();
    run.set_op(op);
    over_inside(run, fault_trap(image.code(), op, addr))
}

/// Why a run ended whose access at this op faulted.
pub(crate) fn fault_trap(code: &Code, op: OpIndex, addr: u64) -> Trap {
    let (access, bytes) = match code.ops().get(op.index()) {
        Some(Op::Load { size, .. } | Op::LoadAcquire { size, .. }) => (Access::Read, size.bytes()),
        Some(Op::Store { size, .. } | Op::StoreRelease { size, .. }) => {
            (Access::Write, size.bytes())
        }
        Some(Op::Atomic { size, .. }) => (Access::Write, size.size().bytes()),
        // The key of an array look-up.
        Some(Op::CallHelper { .. }) => (Access::Read, 4),
        _ => return Trap::new(TrapKind::BadPc, code.pc(op)),
    };
    if addr == UNKNOWN_ADDR {
        return Trap { size: bytes, ..Trap::new(TrapKind::WildAccess, code.pc(op)) };
    }
    Trap::memory(access, code.pc(op), addr, bytes)
}

/// A store that its window does not cover.
pub(crate) extern "C" fn store(
    run: &Run<'_>,
    addr: u64,
    value: u64,
    _: u64,
    cx: &mut CallCx<'_>,
) -> Answer {
    let op = run.image.get().code().ops().get(run.op().index());
    let (size, base) = match op {
        Some(Op::Store { size, base, .. }) => (*size, Some(*base)),
        Some(Op::StoreRelease { size, .. }) => (*size, None),
        _ => return over_inside(run, run.trap_here(TrapKind::BadPc)),
    };
    let fault = Trap::memory(Access::Write, run.pc(), addr, size.bytes());
    if base == Some(Reg::FP) {
        return over_inside(run, fault);
    }
    let cage = run.cage();
    if let Some(off) = cage.hooked_off(addr) {
        return store_ctx(run, off, size, value, fault, cx);
    }
    if with_word!(size, W => cage.store(addr, W::truncate(value)).is_ok()) {
        if let Some(windows) = run.windows {
            windows.fill(cage, run.place(), addr, Access::Write);
        }
        Answer::value(0)
    } else {
        over_inside(run, fault)
    }
}

fn store_ctx(
    run: &Run<'_>,
    off: u32,
    size: Size,
    value: u64,
    fault: Trap,
    cx: &mut CallCx<'_>,
) -> Answer {
    let answer = answer(cx, |cx| {
        let value = size.zero_extend(value);
        match cx.run.ctx_store(cx.world, off, size.bytes(), value) {
            Ok(()) => Ok(0),
            Err(_) => Err(Trap { kind: TrapKind::CtxAccess, ..fault }),
        }
    });
    if answer.over != 0 {
        run.settle();
    }
    answer
}

/// An atomic operation that its window does not cover. The answer is the old value.
pub(crate) extern "C" fn atomic(
    run: &Run<'_>,
    addr: u64,
    src: u64,
    r0: u64,
    _: &mut CallCx<'_>,
) -> Answer {
    let op = run.image.get().code().ops().get(run.op().index());
    let Some(&Op::Atomic { op, size, .. }) = op else {
        return over_inside(run, run.trap_here(TrapKind::BadPc));
    };
    let cage = run.cage();
    let old = match size {
        AtomicSize::W => cage.atomic_u32(addr).ok().map(|cell| rmw_32(cell, op, src, r0)),
        AtomicSize::Dw => cage.atomic_u64(addr).ok().map(|cell| rmw_64(cell, op, src, r0)),
    };
    if let Some(old) = old {
        if let Some(windows) = run.windows {
            windows.fill(cage, run.place(), addr, Access::Write);
        }
        return Answer::value(old);
    }
    let bytes = size.size().bytes();
    let mut trap = Trap::memory(Access::Write, run.pc(), addr, bytes);
    let accessible = cage.probe(addr, bytes, Access::Write).is_ok();
    if accessible && !addr.is_multiple_of(bytes.into()) {
        trap.kind = TrapKind::Misaligned;
    }
    over_inside(run, trap)
}

macro_rules! rmw {
    ($name:ident, $cell:ty, $word:ty) => {
        fn $name(cell: &$cell, op: AtomicOp, src: u64, r0: u64) -> u64 {
            let (src, order) = (src as $word, Ordering::SeqCst);
            let old = match op {
                AtomicOp::Add { .. } => cell.fetch_add(src, order),
                AtomicOp::Or { .. } => cell.fetch_or(src, order),
                AtomicOp::And { .. } => cell.fetch_and(src, order),
                AtomicOp::Xor { .. } => cell.fetch_xor(src, order),
                AtomicOp::Xchg => cell.swap(src, order),
                AtomicOp::Cmpxchg => match cell.compare_exchange(r0 as $word, src, order, order) {
                    Ok(old) | Err(old) => old,
                },
            };
            old.into()
        }
    };
}
rmw!(rmw_32, AtomicU32, u32);
rmw!(rmw_64, AtomicU64, u64);

/// A legacy packet load at an offset. The answer is the value, or 1 << 32 when there is none.
pub(crate) extern "C" fn load_packet(
    run: &Run<'_>,
    off: u64,
    _: u64,
    _: u64,
    cx: &mut CallCx<'_>,
) -> Answer {
    let size = match run.image.get().code().ops().get(run.op().index()) {
        Some(Op::LoadPacket { size, .. }) => *size,
        _ => Size::B,
    };
    answer(cx, |cx| {
        let loaded = cx.run.load_packet(cx.world, off as i32, size);
        Ok(loaded.map_or(NO_PACKET_BYTES, u64::from))
    })
}

/// What [`load_packet`] answers where the packet has no such bytes.
pub(crate) const NO_PACKET_BYTES: u64 = 1 << 32;

/// The entry of the function whose guest address a register holds.
pub(crate) extern "C" fn resolve(
    run: &Run<'_>,
    addr: u64,
    _: u64,
    _: u64,
    _: &mut CallCx<'_>,
) -> Answer {
    let image = run.image.get();
    match image.code().subprog_at(addr).and_then(|id| image.entry(id)) {
        Some(entry) => Answer::value(entry.addr() as u64),
        None => over(run, run.trap_here(TrapKind::BadCallTarget).with_info(addr)),
    }
}

/// `bpf_tail_call`: the entry of the program to go on with, or 0 to go on behind the call.
pub(crate) extern "C" fn tail_call(
    run: &Run<'_>,
    map: u64,
    index: u64,
    _: u64,
    cx: &mut CallCx<'_>,
) -> Answer {
    answer(cx, |_| {
        let Some(map) = run.world.map_ref(map) else {
            return Err(run.trap_here(TrapKind::BadArgument).with_info(12 << 8 | 2));
        };
        if run.tail_calls.get() >= MAX_TAIL_CALLS {
            return Ok(0);
        }
        let Some(image) = map.prog_at(index as u32).and_then(|id| run.world.prog(id)) else {
            return Ok(0);
        };
        let now = run.image.get();
        let target = image.as_any().downcast_ref::<Native>();
        let Some(image) = target.and_then(|target| target.follower_of(now)) else {
            return Err(run.trap_here(TrapKind::Unsupported));
        };
        if run.counter.get() < 0 {
            return Err(run.trap_here(TrapKind::BudgetExhausted));
        }
        run.tail_calls.set(run.tail_calls.get() + 1);
        run.image.set(image);
        Ok(image.tail_entry().addr() as u64)
    })
}
