//! Open-coded iterators: begin, next, end.

use super::set::COMMON;
use ubpf_abi::kfunc::KfuncFlag::{
    IterDestroy, IterNew, IterNext, Rcu, RcuProtected, RetNull, Sleepable, TrustedArgs,
};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_iter_num_new, since 6.4, "Begins to count.", COMMON, flags: &[IterNew]),
    kfunc!(bpf_iter_num_next, since 6.4, "The next number.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_num_destroy, since 6.4, "Ends counting.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_bits_new, since 6.11, "Begins to go through the bits that are set in memory.", COMMON, flags: &[IterNew]),
    kfunc!(bpf_iter_bits_next, since 6.11, "The next bit that is set.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_bits_destroy, since 6.11, "Ends going through bits.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_task_new, since 6.7, "Begins to go through tasks.", COMMON, flags: &[TrustedArgs, IterNew, RcuProtected]),
    kfunc!(bpf_iter_task_next, since 6.7, "The next task.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_task_destroy, since 6.7, "Ends going through tasks.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_task_vma_new, since 6.7, "Begins to go through the mapped areas of a task.", COMMON, flags: &[Rcu, IterNew]),
    kfunc!(bpf_iter_task_vma_next, since 6.7, "The next mapped area.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_task_vma_destroy, since 6.7, "Ends going through mapped areas.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_css_new, since 6.7, "Begins to go through the cgroups below one.", COMMON, flags: &[TrustedArgs, IterNew, RcuProtected]),
    kfunc!(bpf_iter_css_next, since 6.7, "The next cgroup.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_css_destroy, since 6.7, "Ends going through cgroups.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_css_task_new, since 6.7, "Begins to go through the tasks of a cgroup.", COMMON, flags: &[TrustedArgs, IterNew], special: Some(KfuncSpecial::TasksOfCss)),
    kfunc!(bpf_iter_css_task_next, since 6.7, "The next task of the cgroup.", COMMON, flags: &[RetNull, IterNext]),
    kfunc!(bpf_iter_css_task_destroy, since 6.7, "Ends going through the tasks of a cgroup.", COMMON, flags: &[IterDestroy]),
    kfunc!(bpf_iter_kmem_cache_new, since 6.13, "Begins to go through slab caches.", COMMON, flags: &[Sleepable, IterNew]),
    kfunc!(bpf_iter_kmem_cache_next, since 6.13, "The next slab cache.", COMMON, flags: &[RetNull, Sleepable, IterNext]),
    kfunc!(bpf_iter_kmem_cache_destroy, since 6.13, "Ends going through slab caches.", COMMON, flags: &[Sleepable, IterDestroy]),
    kfunc!(bpf_iter_dmabuf_new, since 6.16, "Begins to go through shared buffers.", COMMON, flags: &[Sleepable, IterNew]),
    kfunc!(bpf_iter_dmabuf_next, since 6.16, "The next shared buffer.", COMMON, flags: &[RetNull, Sleepable, IterNext]),
    kfunc!(bpf_iter_dmabuf_destroy, since 6.16, "Ends going through shared buffers.", COMMON, flags: &[Sleepable, IterDestroy]),
];
