//! Ending a program, deferring work, what a program asks of itself.

use super::set::{COMMON, GENERIC, SESSIONS};
use crate::env::{self, ClockId};
use crate::func::timer::value_of;
use ubpf_abi::fields::FieldKind;
use ubpf_abi::kfunc::KfuncFlag::{Sleepable, TrustedArgs};
use ubpf_abi::kfunc::{KfuncOnly, KfuncSet, KfuncSpecial};
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{CallCx, Callback, IntFail, MapRef, Timer, Void};
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(__bpf_trap, since 6.17, "Stands where the compiler found that a program has no meaning.", COMMON, special: Some(KfuncSpecial::Trap); trap),
    kfunc!(bpf_throw, since 6.7, "Ends the program at once, from any depth.", GENERIC, special: Some(KfuncSpecial::Throw); throw),
    kfunc!(bpf_wq_init, since 6.10, "Prepares a work item.", COMMON; wq_init),
    kfunc!(bpf_wq_set_callback_impl, since 6.10, "Sets the function that a work item calls.", COMMON, special: Some(KfuncSpecial::WqSetCallback); wq_set_callback),
    kfunc!(bpf_wq_start, since 6.10, "Queues a work item.", COMMON; wq_start),
    kfunc!(bpf_task_work_schedule_signal_impl, since 6.18, "Calls a function in a task before it handles its next signal.", COMMON, flags: &[TrustedArgs], special: Some(KfuncSpecial::TaskWorkSchedule)),
    kfunc!(bpf_task_work_schedule_resume_impl, since 6.18, "Calls a function in a task before it returns to user space.", COMMON, flags: &[TrustedArgs], special: Some(KfuncSpecial::TaskWorkSchedule)),
    kfunc!(bpf_stream_vprintk_impl, since 6.18, "Prints to one of the program's streams.", COMMON, flags: &[TrustedArgs]),
    kfunc!(bpf_session_is_return, since 6.10, "Whether the program runs at the function's return.", &[KfuncSet::Kprobe], special: Some(KfuncSpecial::SessionIsReturn), only: Some(KfuncOnly::At(SESSIONS))),
    kfunc!(bpf_session_cookie, since 6.10, "Eight bytes that a session's two runs have in common.", &[KfuncSet::Kprobe], special: Some(KfuncSpecial::SessionCookie), only: Some(KfuncOnly::At(SESSIONS))),
    kfunc!(bpf_map_sum_elem_count, since 6.6, "Elements in a map, all CPUs together.", COMMON, flags: &[TrustedArgs]; sum_elem_count),
    kfunc!(bpf_get_kmem_cache, since 6.13, "The slab cache that an address lies in.", COMMON, special: Some(KfuncSpecial::Untrusted)),
    kfunc!(bpf_fentry_test1, since 5.18, "For tests of programs around functions.", &[KfuncSet::FmodRet], flags: &[Sleepable]),
    kfunc!(bpf_modify_return_test, since 5.18, "For tests of programs that change return values.", &[KfuncSet::FmodRet]),
    kfunc!(bpf_modify_return_test2, since 6.9, "For tests of programs that change return values.", &[KfuncSet::FmodRet]),
    kfunc!(bpf_modify_return_test_tp, since 6.10, "For tests of programs that change return values.", &[KfuncSet::Common, KfuncSet::FmodRet]),
    kfunc!(update_socket_protocol, since 6.7, "Which protocol a socket is made for.", &[KfuncSet::FmodRet]),
];

/// Ends all frames; whoever began the run makes the cookie its result.
fn throw(cx: &mut CallCx<'_>, cookie: u64) -> Result<Void, Trap> {
    Err(cx.trap(TrapKind::Thrown).with_info(cookie))
}

fn trap(cx: &mut CallCx<'_>) -> Result<Void, Trap> {
    Err(cx.trap(TrapKind::Unsupported))
}

/// Only hash tables count their elements.
fn sum_elem_count(_: &mut CallCx<'_>, map: MapRef<'_>) -> u64 {
    use ubpf_abi::map::MapType::{Hash, LruHash, LruPercpuHash, PercpuHash};
    match map.def().map_type {
        Ok(Hash | LruHash | PercpuHash | LruPercpuHash) => {
            map.keys().map_or(0, |keys| keys.len() as u64)
        }
        _ => 0,
    }
}

/// A work item is a timer that is due at once.
fn wq_init(cx: &mut CallCx<'_>, item: Timer, map: MapRef<'_>, flags: u32) -> Result<(), IntFail> {
    let value = value_of(cx, &map, item.addr(), FieldKind::Workqueue).ok_or(Errno::EINVAL)?;
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    let timers = env::of(cx.world).timers();
    Ok(timers.init(item.addr(), map.addr(), value, ClockId::Monotonic)?)
}

fn wq_set_callback(
    cx: &mut CallCx<'_>,
    item: Timer,
    callback: Callback<callback::Workqueue>,
    flags: u32,
) -> Result<(), IntFail> {
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(env::of(cx.world).timers().set_callback(item.addr(), callback.func())?)
}

fn wq_start(cx: &mut CallCx<'_>, item: Timer, flags: u32) -> Result<(), IntFail> {
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(env::of(cx.world).timers().start(item.addr(), |_| 0)?)
}
