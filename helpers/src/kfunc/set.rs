//! Sets of program types that many kernel functions are registered for.

use ubpf_abi::kfunc::KfuncSet;
use ubpf_abi::prog_type::AttachType;

/// Every program type.
pub const COMMON: &[KfuncSet] = &[KfuncSet::Common];

/// Program types that may own objects.
pub const GENERIC: &[KfuncSet] = &[
    KfuncSet::Xdp,
    KfuncSet::Tc,
    KfuncSet::StructOps,
    KfuncSet::Tracing,
    KfuncSet::Syscall,
    KfuncSet::Cgroup,
];

/// Program types that may own sets of CPUs.
pub const CPUMASKS: &[KfuncSet] = &[KfuncSet::StructOps, KfuncSet::Tracing, KfuncSet::Syscall];

/// Attach types of programs that run at a function's entry and at its return.
pub const SESSIONS: &[AttachType] =
    &[AttachType::TRACE_KPROBE_SESSION, AttachType::TRACE_UPROBE_SESSION];
