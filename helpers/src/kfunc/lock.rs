//! Sections that are protected, and locks.

use super::set::COMMON;
use ubpf_abi::kfunc::KfuncFlag::RetNull;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_rcu_read_lock, since 6.2, "Begins an RCU read section.", COMMON, special: Some(KfuncSpecial::RcuReadLock)),
    kfunc!(bpf_rcu_read_unlock, since 6.2, "Ends an RCU read section.", COMMON, special: Some(KfuncSpecial::RcuReadUnlock)),
    kfunc!(bpf_preempt_disable, since 6.10, "Begins a section that is not preempted.", COMMON, special: Some(KfuncSpecial::PreemptDisable)),
    kfunc!(bpf_preempt_enable, since 6.10, "Ends a section that is not preempted.", COMMON, special: Some(KfuncSpecial::PreemptEnable)),
    kfunc!(bpf_local_irq_save, since 6.14, "Disables interrupts on this CPU.", COMMON, special: Some(KfuncSpecial::IrqSave)),
    kfunc!(bpf_local_irq_restore, since 6.14, "Enables interrupts again, if they were.", COMMON, special: Some(KfuncSpecial::IrqRestore)),
    kfunc!(bpf_res_spin_lock, since 6.15, "Takes a lock, or fails.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::ResSpinLock { irq: false })),
    kfunc!(bpf_res_spin_unlock, since 6.15, "Gives a lock back.", COMMON, special: Some(KfuncSpecial::ResSpinUnlock { irq: false })),
    kfunc!(bpf_res_spin_lock_irqsave, since 6.15, "Takes a lock and disables interrupts, or fails.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::ResSpinLock { irq: true })),
    kfunc!(bpf_res_spin_unlock_irqrestore, since 6.15, "Gives a lock back and enables interrupts again, if they were.", COMMON, special: Some(KfuncSpecial::ResSpinUnlock { irq: true })),
];
