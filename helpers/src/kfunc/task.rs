//! Tasks, and files that belong to them.

use super::set::GENERIC;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull, TrustedArgs};
use ubpf_abi::kfunc::{KfuncOnly, KfuncSet};
use ubpf_abi::prog_type::ProgType;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_task_acquire, since 6.2, "Takes a reference to a task.", GENERIC, flags: &[Acquire, RetNull, Rcu]),
    kfunc!(bpf_task_release, since 6.2, "Gives a reference to a task back.", GENERIC, flags: &[Release]),
    kfunc!(bpf_task_from_pid, since 6.2, "The task with a number of the first namespace's.", GENERIC, flags: &[Acquire, RetNull]),
    kfunc!(bpf_task_from_vpid, since 6.14, "The task with a number of the current task's namespace.", GENERIC, flags: &[Acquire, RetNull]),
    kfunc!(bpf_task_under_cgroup, since 6.5, "Whether a task belongs to a cgroup or one below it.", GENERIC, flags: &[Rcu]),
    kfunc!(bpf_task_get_cgroup1, since 6.8, "The task's cgroup in an old hierarchy.", GENERIC, flags: &[Acquire, RetNull, Rcu]),
    kfunc!(bpf_send_signal_task, since 6.13, "Sends a signal to a task.", GENERIC, flags: &[TrustedArgs]),
    kfunc!(bpf_get_task_exe_file, since 6.12, "The file that a task executes.", &[KfuncSet::Tracing], flags: &[Acquire, RetNull, TrustedArgs], only: Some(KfuncOnly::For(ProgType::Lsm))),
    kfunc!(bpf_put_file, since 6.12, "Gives a reference to a file back.", &[KfuncSet::Tracing], flags: &[Release], only: Some(KfuncOnly::For(ProgType::Lsm))),
];
