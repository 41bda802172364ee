//! Sections that are protected, and locks.

use super::set::COMMON;
use core::sync::atomic::Ordering;
use ubpf_abi::kfunc::KfuncFlag::RetNull;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::{CallCx, IntFail, SpinLock, StackPtr, Void};
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_rcu_read_lock, since 6.2, "Begins an RCU read section.", COMMON, special: Some(KfuncSpecial::RcuReadLock); nothing),
    kfunc!(bpf_rcu_read_unlock, since 6.2, "Ends an RCU read section.", COMMON, special: Some(KfuncSpecial::RcuReadUnlock); nothing),
    kfunc!(bpf_preempt_disable, since 6.10, "Begins a section that is not preempted.", COMMON, special: Some(KfuncSpecial::PreemptDisable); nothing),
    kfunc!(bpf_preempt_enable, since 6.10, "Ends a section that is not preempted.", COMMON, special: Some(KfuncSpecial::PreemptEnable); nothing),
    kfunc!(bpf_local_irq_save, since 6.14, "Disables interrupts on this CPU.", COMMON, special: Some(KfuncSpecial::IrqSave); irq_save),
    kfunc!(bpf_local_irq_restore, since 6.14, "Enables interrupts again, if they were.", COMMON, special: Some(KfuncSpecial::IrqRestore); irq_restore),
    kfunc!(bpf_res_spin_lock, since 6.15, "Takes a lock, or fails.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::ResSpinLock { irq: false }); res_spin_lock),
    kfunc!(bpf_res_spin_unlock, since 6.15, "Gives a lock back.", COMMON, special: Some(KfuncSpecial::ResSpinUnlock { irq: false }); res_spin_unlock),
    kfunc!(bpf_res_spin_lock_irqsave, since 6.15, "Takes a lock and disables interrupts, or fails.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::ResSpinLock { irq: true }); res_spin_lock_irqsave),
    kfunc!(bpf_res_spin_unlock_irqrestore, since 6.15, "Gives a lock back and enables interrupts again, if they were.", COMMON, special: Some(KfuncSpecial::ResSpinUnlock { irq: true }); res_spin_unlock_irqrestore),
];

/// Nobody interrupts a program here, and what it reads stays.
fn nothing(_: &mut CallCx<'_>) -> Void {
    Void
}

/// What the kernel keeps in the flags: interrupts were enabled.
const INTERRUPTS: u64 = 1 << 9;

fn irq_save(cx: &mut CallCx<'_>, flags: StackPtr) -> Result<Void, Trap> {
    cx.cage().store(flags.addr(), INTERRUPTS).map_err(|fault| cx.fault(fault))?;
    Ok(Void)
}

fn irq_restore(_: &mut CallCx<'_>, _flags: StackPtr) -> Void {
    Void
}

/// Takes a lock. Who holds it already would wait for ever.
fn res_spin_lock(cx: &mut CallCx<'_>, lock: SpinLock) -> Result<(), IntFail> {
    let cell = cx.cage().atomic_u32(lock.addr()).map_err(|fault| cx.fault(fault))?;
    let taken = cell.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
    Ok(taken.map(drop).map_err(|_| Errno::EDEADLK)?)
}

fn res_spin_unlock(cx: &mut CallCx<'_>, lock: SpinLock) -> Result<Void, Trap> {
    let cell = cx.cage().atomic_u32(lock.addr()).map_err(|fault| cx.fault(fault))?;
    cell.store(0, Ordering::Release);
    Ok(Void)
}

fn res_spin_lock_irqsave(
    cx: &mut CallCx<'_>,
    lock: SpinLock,
    flags: StackPtr,
) -> Result<(), IntFail> {
    res_spin_lock(cx, lock)?;
    irq_save(cx, flags)?;
    Ok(())
}

fn res_spin_unlock_irqrestore(
    cx: &mut CallCx<'_>,
    lock: SpinLock,
    _flags: StackPtr,
) -> Result<Void, Trap> {
    res_spin_unlock(cx, lock)
}
