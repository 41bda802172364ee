//! Control flow and locks.

use super::group::BASE;
use core::sync::atomic::Ordering;
use ubpf_abi::limits::MAX_LOOPS;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{CallCx, Callback, Fail, SpinLock, StackPtr, Void};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(93 spin_lock, since 5.1,
        "Takes the lock in a map value.", groups: &[BASE]),
    helper!(94 spin_unlock, since 5.1,
        "Releases the lock in a map value.", groups: &[BASE]),
    helper!(181 loop_, since 5.17,
        "Calls a subprogram up to 2^23 times, until it returns 1.",
        name: "loop", groups: &[BASE]),
];

/// Tries after which a lock is taken to be held for ever, which verified programs cannot do.
const MAX_TRIES: u32 = 1 << 22;

fn spin_lock(cx: &mut CallCx<'_>, lock: SpinLock) -> Result<Void, Trap> {
    let cell = cx.cage().atomic_u32(lock.addr()).map_err(|fault| cx.fault(fault))?;
    for tried in 0..MAX_TRIES {
        if cell.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return Ok(Void);
        }
        if tried % 64 == 63 {
            std::thread::yield_now();
        }
    }
    Err(cx.trap(TrapKind::HostLimit))
}

fn spin_unlock(cx: &mut CallCx<'_>, lock: SpinLock) -> Result<Void, Trap> {
    let cell = cx.cage().atomic_u32(lock.addr()).map_err(|fault| cx.fault(fault))?;
    cell.store(0, Ordering::Release);
    Ok(Void)
}

fn loop_(
    cx: &mut CallCx<'_>,
    count: u32,
    callback: Callback<callback::Loop>,
    callback_cx: Option<StackPtr>,
    flags: u64,
) -> Result<u64, Fail> {
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    if count > MAX_LOOPS {
        // The verifier inlines the call when it knows the flags to be 0, and then returns the
        // error by a move of 32 bits.
        return Ok(u64::from(Errno::E2BIG.to_ret() as u32));
    }
    let callback_cx = callback_cx.map_or(0, |ptr| ptr.addr().into());
    for index in 0..count {
        if callback.call(cx, [index.into(), callback_cx, 0, 0, 0])? != 0 {
            return Ok(u64::from(index) + 1);
        }
    }
    Ok(count.into())
}
