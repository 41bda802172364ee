//! Sets of CPUs.

use super::set::CPUMASKS;
use ubpf_abi::kfunc::KfuncFlag::{Acquire, Rcu, Release, RetNull, TrustedArgs};
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_cpumask_create, since 6.3, "Makes a set.", CPUMASKS, flags: &[Acquire, RetNull]),
    kfunc!(bpf_cpumask_acquire, since 6.3, "Takes a reference to a set.", CPUMASKS, flags: &[Acquire, TrustedArgs]),
    kfunc!(bpf_cpumask_release, since 6.3, "Gives a reference to a set back.", CPUMASKS, flags: &[Release]),
    kfunc!(bpf_cpumask_first, since 6.3, "The first CPU of a set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_first_zero, since 6.3, "The first CPU that is not in a set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_first_and, since 6.5, "The first CPU of two sets.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_set_cpu, since 6.3, "Adds a CPU.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_clear_cpu, since 6.3, "Takes a CPU out.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_test_cpu, since 6.3, "Whether a CPU is in a set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_test_and_set_cpu, since 6.3, "Adds a CPU; whether it was there.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_test_and_clear_cpu, since 6.3, "Takes a CPU out; whether it was there.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_setall, since 6.3, "Adds every CPU.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_clear, since 6.3, "Takes every CPU out.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_and, since 6.3, "CPUs that are in both sets.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_or, since 6.3, "CPUs that are in either set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_xor, since 6.3, "CPUs that are in one of the sets.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_equal, since 6.3, "Whether two sets are the same.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_intersects, since 6.3, "Whether two sets have a CPU in common.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_subset, since 6.3, "Whether a set contains another.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_empty, since 6.3, "Whether a set has no CPU.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_full, since 6.3, "Whether a set has every CPU.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_copy, since 6.3, "Copies a set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_any_distribute, since 6.5, "Some CPU of a set, another one each time.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_any_and_distribute, since 6.5, "Some CPU of two sets, another one each time.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_weight, since 6.8, "CPUs in a set.", CPUMASKS, flags: &[Rcu]),
    kfunc!(bpf_cpumask_populate, since 6.15, "Fills a set from bytes.", CPUMASKS, flags: &[Rcu]),
];
