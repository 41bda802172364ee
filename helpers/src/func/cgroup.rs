//! What cgroup hooks and storage decide on, and infrared receivers.

use super::group::{
    BASE, CGROUP, CGROUP_RETVAL, CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT,
    CGROUP_SYSCTL, LIRC, LWT, SK_MSG, SOCK_OPS, TC,
};
use ubpf_abi::map::MapOp;
use ubpf_vm::call::{
    CtxArg, MapRef, MapValue, MapValueIn, MemRead, MemReadWrite, MemWrite, SockCommon,
};
use ubpf_vm::describe;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    describe!(33 skb_under_cgroup(CtxArg, MapRef<'_>, u32) -> i64, since 4.8,
        "Whether the packet's socket is in the cgroup at an index or below it.",
        groups: &[TC, LWT], map_op: Some(MapOp::UnderCgroup)),
    describe!(37 current_task_under_cgroup(MapRef<'_>, u32) -> i64, since 4.9,
        "Whether the current task is in the cgroup at an index or below it.",
        groups: &[BASE], map_op: Some(MapOp::UnderCgroup)),
    describe!(77 rc_repeat(CtxArg) -> i64, since 4.18,
        "Says that the last key was repeated.", groups: &[LIRC], gpl_only: true),
    describe!(78 rc_keydown(CtxArg, u32, u64, u32) -> i64, since 4.18,
        "Says that a key was pressed.", groups: &[LIRC], gpl_only: true),
    describe!(81 get_local_storage(MapRef<'_>, u64) -> MapValue, since 4.19,
        "The storage of the cgroup that the program is attached to.",
        groups: &[CGROUP], map_op: Some(MapOp::LocalStorage)),
    describe!(92 rc_pointer_rel(CtxArg, i32, i32) -> i64, since 5.0,
        "Says that a pointer has moved.", groups: &[LIRC], gpl_only: true),
    describe!(101 sysctl_get_name(CtxArg, MemReadWrite, u64) -> i64, since 5.2,
        "Copies the sysctl's name.", groups: &[CGROUP_SYSCTL]),
    describe!(102 sysctl_get_current_value(CtxArg, MemWrite) -> i64, since 5.2,
        "Copies the sysctl's value.", groups: &[CGROUP_SYSCTL]),
    describe!(103 sysctl_get_new_value(CtxArg, MemWrite) -> i64, since 5.2,
        "Copies the value to be written to the sysctl.", groups: &[CGROUP_SYSCTL]),
    describe!(104 sysctl_set_new_value(CtxArg, MemRead) -> i64, since 5.2,
        "Replaces the value to be written to the sysctl.", groups: &[CGROUP_SYSCTL]),
    describe!(107 sk_storage_get(MapRef<'_>, SockCommon, Option<MapValueIn>, u64)
            -> Option<MapValue>, since 5.2,
        "The storage that belongs to a socket, made where it is missing and asked for.",
        groups: &[TC, CGROUP_SKB, SK_MSG, SOCK_OPS, CGROUP_SOCK, CGROUP_SOCK_ADDR,
            CGROUP_SOCKOPT],
        map_op: Some(MapOp::SkStorage)),
    describe!(108 sk_storage_delete(MapRef<'_>, SockCommon) -> i64, since 5.2,
        "Deletes the storage that belongs to a socket.",
        groups: &[TC, CGROUP_SKB, SK_MSG, SOCK_OPS, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT],
        map_op: Some(MapOp::SkStorage)),
    describe!(186 get_retval() -> i64, since 5.18,
        "The error that the hook would return.",
        groups: &[CGROUP_SOCK, CGROUP_RETVAL, CGROUP_SOCKOPT]),
    describe!(187 set_retval(i32) -> i64, since 5.18,
        "Sets the error that the hook returns.",
        groups: &[CGROUP_SOCK, CGROUP_RETVAL, CGROUP_SOCKOPT]),
];
