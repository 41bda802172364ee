//! Cgroups and their statistics.

use super::set::{COMMON, GENERIC};
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull, Sleepable};
use ubpf_abi::kfunc::KfuncSet;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_cgroup_acquire, since 6.2, "Takes a reference to a cgroup.", GENERIC, flags: &[Acquire, RetNull, Rcu]),
    kfunc!(bpf_cgroup_release, since 6.2, "Gives a reference to a cgroup back.", GENERIC, flags: &[Release]),
    kfunc!(bpf_cgroup_ancestor, since 6.2, "A cgroup's ancestor at a level.", GENERIC, flags: &[Acquire, RetNull, Rcu]),
    kfunc!(bpf_cgroup_from_id, since 6.3, "The cgroup with a number.", GENERIC, flags: &[Acquire, RetNull]),
    kfunc!(bpf_cgroup_read_xattr, since 6.17, "Reads an extended attribute of a cgroup.", COMMON, flags: &[Rcu]),
    kfunc!(css_rstat_updated, since 6.16, "Notes that statistics of a CPU changed.", &[KfuncSet::Tracing]),
    kfunc!(css_rstat_flush, since 6.16, "Gathers the statistics of all CPUs.", &[KfuncSet::Tracing], flags: &[Sleepable]),
];
