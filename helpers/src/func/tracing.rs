//! What tracing programs ask about the place they trace.

use super::group::{ATTACHED, BASE, INTRUSIVE, ITER, PERF_EVENT, TRACED, TRACING, TRACING_BTF};
use super::structs::{SeqFile, SkBuff, XdpBuff};
use crate::env::{self, ClockId};
use crate::maps::perf_event_array::{PerfEventArray, Target};
use crate::maps::stack_trace::StackTrace;
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, TrapKind};
use ubpf_vm::call::arg::Writes;
use ubpf_vm::call::{
    Aligned, BtfPtr, CallCx, CtxArg, Fail, FixedMem, MapRef, MemRead, MemReadOrEmpty,
    MemReadWriteOrEmpty, MemWrite, MemWriteOrEmpty,
};
use ubpf_vm::registry::HelperDef;
use ubpf_vm::{describe, helper};

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(22 perf_event_read, since 4.3,
        "Reads a hardware counter.",
        groups: &[BASE], gpl_only: true, map_op: Some(MapOp::PerfRead)),
    helper!(27 get_stackid, since 4.6,
        "Number of the current call stack in a map.",
        groups: &[TRACING], gpl_only: true, map_op: Some(MapOp::StackId)),
    describe!(36 probe_write_user(u64, MemRead) -> i64, since 4.8,
        "Writes to memory of the current process.", groups: &[INTRUSIVE], gpl_only: true),
    helper!(55 perf_event_read_value, since 4.15,
        "Copies a hardware counter with the times it was running.",
        groups: &[BASE], gpl_only: true, map_op: Some(MapOp::PerfRead)),
    describe!(56 perf_prog_read_value(CtxArg, MemWrite) -> i64, since 4.15,
        "Copies the counter that the program is attached to.",
        groups: &[PERF_EVENT], gpl_only: true),
    describe!(58 override_return(CtxArg, u64) -> i64, since 4.16,
        "Makes the probed function return at once.", groups: &[INTRUSIVE], gpl_only: true),
    helper!(67 get_stack, since 4.18,
        "Copies the current call stack.", groups: &[TRACING], gpl_only: true),
    describe!(111 skb_output(BtfPtr<SkBuff>, MapRef<'_>, u64, MemReadOrEmpty) -> i64, since 5.5,
        "Sends a record with part of a packet to user space.",
        groups: &[TRACING_BTF], gpl_only: true, map_op: Some(MapOp::PerfOutput)),
    describe!(119 read_branch_records(CtxArg, Option<MemReadWriteOrEmpty>, u64) -> i64, since 5.6,
        "Copies the branches taken before the event.", groups: &[PERF_EVENT], gpl_only: true),
    describe!(121 xdp_output(BtfPtr<XdpBuff>, MapRef<'_>, u64, MemReadOrEmpty) -> i64, since 5.7,
        "Sends a record with part of a frame to user space.",
        groups: &[TRACING_BTF], gpl_only: true, map_op: Some(MapOp::PerfOutput)),
    describe!(126 seq_printf(BtfPtr<SeqFile>, MemRead, Option<MemReadOrEmpty>) -> i64, since 5.8,
        "Prints to the file that an iterator fills.", groups: &[ITER], gpl_only: true),
    describe!(127 seq_write(BtfPtr<SeqFile>, MemReadOrEmpty) -> i64, since 5.8,
        "Writes to the file that an iterator fills.", groups: &[ITER], gpl_only: true),
    describe!(150 seq_printf_btf(BtfPtr<SeqFile>, MemReadOrEmpty, u64) -> i64, since 5.10,
        "Prints an object by its type to the file that an iterator fills.",
        groups: &[ITER], gpl_only: true),
    describe!(173 get_func_ip(CtxArg) -> u64, since 5.15,
        "Address of the traced function.", groups: &[TRACING], gpl_only: true),
    helper!(174 get_attach_cookie, since 5.15,
        "The number given when the program was attached.", groups: &[ATTACHED]),
    describe!(176 get_branch_snapshot(MemWriteOrEmpty, u64) -> i64, since 5.16,
        "Copies the branches that the processor remembers.", groups: &[BASE], gpl_only: true),
    describe!(183 get_func_arg(CtxArg, u32, FixedMem<Writes, 8, Aligned>) -> i64, since 5.17,
        "Copies an argument of the traced function.", groups: &[TRACED]),
    describe!(184 get_func_ret(CtxArg, FixedMem<Writes, 8, Aligned>) -> i64, since 5.17,
        "Copies the result of the traced function.", groups: &[TRACED]),
    describe!(185 get_func_arg_cnt(CtxArg) -> i64, since 5.17,
        "How many arguments the traced function has.", groups: &[TRACED]),
];

/// Programs are not attached here, so that no number was given.
fn get_attach_cookie(_: &mut CallCx<'_>, _: CtxArg) -> u64 {
    0
}

/// The counter behind a slot. Those that programs send records through count nothing.
fn counter(cx: &CallCx<'_>, map: &MapRef<'_>, flags: u64) -> Result<u64, Fail> {
    const INDEX_MASK: u64 = 0xffff_ffff;
    let events = map.downcast::<PerfEventArray>();
    let events = events.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if flags & !INDEX_MASK != 0 {
        return Err(Errno::EINVAL.into());
    }
    let target = match flags & INDEX_MASK {
        INDEX_MASK => Target::Current,
        slot => Target::Slot(slot as u32),
    };
    events.find(cx.cpu, target)?;
    Ok(0)
}

fn perf_event_read(cx: &mut CallCx<'_>, map: MapRef<'_>, flags: u64) -> Result<u64, Fail> {
    counter(cx, &map, flags)
}

fn perf_event_read_value(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    flags: u64,
    to: MemWrite,
) -> Result<(), Fail> {
    /// `struct bpf_perf_event_value`: the counter, and the times it was enabled and running.
    const VALUE_BYTES: u32 = 24;
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    if to.len() != VALUE_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let count = counter(cx, &map, flags)?;
    let running_ns = env::of(cx.world).clock().now_ns(ClockId::Monotonic);
    let value = [count, running_ns, running_ns].map(u64::to_le_bytes);
    Ok(to.write(cx, value.as_flattened()).map_err(|_| Errno::EFAULT)?)
}

/// `BPF_F_SKIP_FIELD_MASK`: how many frames to leave out.
const SKIP_MASK: u64 = 0xff;
/// `BPF_F_USER_STACK`: the stack in user space.
const USER_STACK: u64 = 1 << 8;

/// The call stack that flags ask for.
fn call_stack<'w>(cx: &CallCx<'w>, flags: u64) -> Result<&'w [u64], Errno> {
    let task = env::of(cx.world).task();
    let stack = if flags & USER_STACK == 0 { &task.kernel_stack } else { &task.user_stack };
    let shown = stack.get((flags & SKIP_MASK) as usize..).unwrap_or_default();
    if shown.is_empty() { Err(Errno::EFAULT) } else { Ok(shown) }
}

fn get_stackid(cx: &mut CallCx<'_>, _: CtxArg, map: MapRef<'_>, flags: u64) -> Result<u32, Fail> {
    const FAST_CMP: u64 = 1 << 9;
    const REUSE: u64 = 1 << 10;
    let stacks = map.downcast::<StackTrace>();
    let stacks = stacks.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if flags & !(SKIP_MASK | USER_STACK | FAST_CMP | REUSE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let stack = call_stack(cx, flags)?;
    let stack = stack.get(..stack.len().min(stacks.frames() as usize)).unwrap_or_default();
    Ok(stacks.id(stack, flags & FAST_CMP != 0, flags & REUSE != 0)?)
}

fn get_stack(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    to: MemWriteOrEmpty,
    flags: u64,
) -> Result<u32, Errno> {
    const ADDRESS_BYTES: usize = 8;
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    let known = flags & !(SKIP_MASK | USER_STACK) == 0;
    if !known || !(to.len() as usize).is_multiple_of(ADDRESS_BYTES) {
        return Err(Errno::EINVAL);
    }
    let stack = call_stack(cx, flags)?.iter().take(to.len() as usize / ADDRESS_BYTES);
    let bytes: Vec<u8> = stack.flat_map(|address| address.to_le_bytes()).collect();
    to.write(cx, &bytes).map_err(|_| Errno::EFAULT)?;
    Ok(bytes.len() as u32)
}
