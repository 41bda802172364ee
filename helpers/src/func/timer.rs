//! Timers in map values.

use super::group::BASE;
use crate::env::{self, ClockId};
use ubpf_abi::fields::FieldKind;
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{CallCx, Callback, MapRef, Timer};
use ubpf_vm::helper;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(169 timer_init, since 5.15,
        "Makes a timer ready.",
        groups: &[BASE], gpl_only: true, map_op: Some(MapOp::Timer)),
    helper!(170 timer_set_callback, since 5.15,
        "Says what a timer calls.", groups: &[BASE], gpl_only: true),
    helper!(171 timer_start, since 5.15,
        "Starts a timer.", groups: &[BASE], gpl_only: true),
    helper!(172 timer_cancel, since 5.15,
        "Stops a timer.", groups: &[BASE], gpl_only: true),
];

/// Address of the value that a field of a map lies in.
pub(crate) fn value_of(
    cx: &CallCx<'_>,
    map: &MapRef<'_>,
    field: GuestAddr,
    kind: FieldKind,
) -> Option<GuestAddr> {
    let record = env::of(cx.world).fields_of(map.def())?;
    let off = record.only(kind)?.off;
    field.0.checked_sub(off).map(GuestAddr)
}

fn timer_init(cx: &mut CallCx<'_>, timer: Timer, map: MapRef<'_>, flags: u64) -> Result<(), Errno> {
    const REALTIME: u64 = 0;
    const MONOTONIC: u64 = 1;
    const BOOTTIME: u64 = 7;
    let clock = match flags {
        // International atomic time differs from it by whole seconds only.
        REALTIME => ClockId::Tai,
        MONOTONIC => ClockId::Monotonic,
        BOOTTIME => ClockId::Boottime,
        _ => return Err(Errno::EINVAL),
    };
    let value = value_of(cx, &map, timer.addr(), FieldKind::Timer).ok_or(Errno::EINVAL)?;
    env::of(cx.world).timers().init(timer.addr(), map.addr(), value, clock)
}

fn timer_set_callback(
    cx: &mut CallCx<'_>,
    timer: Timer,
    callback: Callback<callback::Timer>,
) -> Result<(), Errno> {
    env::of(cx.world).timers().set_callback(timer.addr(), callback.func())
}

fn timer_start(cx: &mut CallCx<'_>, timer: Timer, ns: u64, flags: u64) -> Result<(), Errno> {
    const ABSOLUTE: u64 = 1 << 0;
    const CPU_PIN: u64 = 1 << 1;
    if flags & !(ABSOLUTE | CPU_PIN) != 0 {
        return Err(Errno::EINVAL);
    }
    let env = env::of(cx.world);
    let due = |clock| match flags & ABSOLUTE {
        0 => env.clock().peek_ns(clock).saturating_add(ns),
        _ => ns,
    };
    env.timers().start(timer.addr(), due)
}

fn timer_cancel(cx: &mut CallCx<'_>, timer: Timer) -> Result<Result<u32, Errno>, Trap> {
    Ok(env::of(cx.world).timers().cancel(timer.addr()).map(u32::from))
}
