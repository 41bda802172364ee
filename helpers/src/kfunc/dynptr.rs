//! Dynptrs: making them, looking into them.

use super::set::COMMON;
use ubpf_abi::kfunc::KfuncFlag::{RetNull, Sleepable, TrustedArgs};
use ubpf_abi::kfunc::{DynptrSource, KfuncSet, KfuncSpecial};
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_dynptr_from_skb, since 6.4, "Makes a dynptr of an skb's packet.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Cgroup, KfuncSet::SchedAct, KfuncSet::SkSkb, KfuncSet::SocketFilter, KfuncSet::Lwt, KfuncSet::Netfilter], flags: &[TrustedArgs], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::Skb))),
    kfunc!(bpf_dynptr_from_skb_meta, since 6.18, "Makes a dynptr of the metadata before an skb's packet.", &[KfuncSet::Tc, KfuncSet::SchedAct], flags: &[TrustedArgs], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::SkbMeta))),
    kfunc!(bpf_dynptr_from_xdp, since 6.4, "Makes a dynptr of a frame.", &[KfuncSet::Xdp], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::Xdp))),
    kfunc!(bpf_dynptr_slice, since 6.4, "Memory of a dynptr, copied where it is not in one piece.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::DynptrSlice { writable: false })),
    kfunc!(bpf_dynptr_slice_rdwr, since 6.4, "Memory of a dynptr to be written, copied where it is not in one piece.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::DynptrSlice { writable: true })),
    kfunc!(bpf_dynptr_adjust, since 6.5, "Narrows what a dynptr shows.", COMMON),
    kfunc!(bpf_dynptr_is_null, since 6.5, "Whether a dynptr shows nothing.", COMMON),
    kfunc!(bpf_dynptr_is_rdonly, since 6.5, "Whether a dynptr may only be read.", COMMON),
    kfunc!(bpf_dynptr_size, since 6.5, "Bytes that a dynptr shows.", COMMON),
    kfunc!(bpf_dynptr_clone, since 6.5, "Makes a second dynptr of the same memory.", COMMON, special: Some(KfuncSpecial::DynptrClone)),
    kfunc!(bpf_dynptr_copy, since 6.16, "Copies from one dynptr to another.", COMMON),
    kfunc!(bpf_dynptr_memset, since 6.17, "Fills memory of a dynptr.", COMMON),
    kfunc!(bpf_probe_read_user_dynptr, since 6.16, "Copies memory of the current process into a dynptr.", COMMON),
    kfunc!(bpf_probe_read_kernel_dynptr, since 6.16, "Copies kernel memory into a dynptr.", COMMON),
    kfunc!(bpf_probe_read_user_str_dynptr, since 6.16, "Copies a string of the current process into a dynptr.", COMMON),
    kfunc!(bpf_probe_read_kernel_str_dynptr, since 6.16, "Copies a string of the kernel's into a dynptr.", COMMON),
    kfunc!(bpf_copy_from_user_dynptr, since 6.16, "Copies memory of the current process into a dynptr, waiting for it.", COMMON, flags: &[Sleepable]),
    kfunc!(bpf_copy_from_user_str_dynptr, since 6.16, "Copies a string of the current process into a dynptr, waiting for it.", COMMON, flags: &[Sleepable]),
    kfunc!(bpf_copy_from_user_task_dynptr, since 6.16, "Copies memory of a process into a dynptr, waiting for it.", COMMON, flags: &[TrustedArgs, Sleepable]),
    kfunc!(bpf_copy_from_user_task_str_dynptr, since 6.16, "Copies a string of a process into a dynptr, waiting for it.", COMMON, flags: &[TrustedArgs, Sleepable]),
];
