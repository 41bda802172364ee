//! Memory of processes, arenas, and other views of kernel objects.

use super::set::COMMON;
use ubpf_abi::kfunc::KfuncFlag::{ArenaArg2, ArenaRet, Fastcall, Sleepable, TrustedArgs};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_vm::kfunc;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_cast_to_kern_ctx, since 6.2, "The kernel's own struct behind the context.", COMMON, flags: &[Fastcall], special: Some(KfuncSpecial::CastToKernCtx)),
    kfunc!(bpf_rdonly_cast, since 6.2, "An address as an object of the kernel's, to be read.", COMMON, flags: &[Fastcall], special: Some(KfuncSpecial::RdonlyCast)),
    kfunc!(bpf_copy_from_user_str, since 6.12, "Copies a string of the current process, waiting for it.", COMMON, flags: &[Sleepable]),
    kfunc!(bpf_copy_from_user_task_str, since 6.15, "Copies a string of a process, waiting for it.", COMMON, flags: &[Sleepable]),
    kfunc!(bpf_arena_alloc_pages, since 6.9, "Maps pages into the arena.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaRet, ArenaArg2]),
    kfunc!(bpf_arena_free_pages, since 6.9, "Takes pages out of the arena.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaArg2]),
    kfunc!(bpf_arena_reserve_pages, since 6.18, "Keeps a part of the arena from being used.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaArg2]),
];
