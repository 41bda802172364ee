//! What cgroup hooks and storage decide on, and infrared receivers.

use super::group::{
    BASE, CGROUP, CGROUP_RETVAL, CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT,
    CGROUP_SYSCTL, LIRC, LWT, SK_MSG, SOCK_OPS, TC, TCP_CA, TRACING_BTF,
};
use super::sock;
use super::structs::SockCommonStruct;
use crate::env;
use crate::maps::cgroup_array::CgroupArray;
use crate::maps::cgroup_storage::CgroupStorage;
use crate::maps::local_storage::LocalStorage;
use crate::prog_types::context::ContextRun;
use crate::prog_types::skb::Skb;
use ubpf_abi::helper::Variant;
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::{
    BtfPtr, CallCx, CtxArg, Fail, MapRef, MapValue, MapValueIn, MemRead, MemReadWrite, MemWrite,
    SockCommon, args_of,
};
use ubpf_vm::registry::HelperDef;
use ubpf_vm::{describe, helper};

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(33 skb_under_cgroup, since 4.8,
        "Whether the packet's socket is in the cgroup at an index or below it.",
        groups: &[TC, LWT], map_op: Some(MapOp::UnderCgroup)),
    helper!(37 current_task_under_cgroup, since 4.9,
        "Whether the current task is in the cgroup at an index or below it.",
        groups: &[BASE], map_op: Some(MapOp::UnderCgroup)),
    describe!(77 rc_repeat(CtxArg) -> i64, since 4.18,
        "Says that the last key was repeated.", groups: &[LIRC], gpl_only: true),
    describe!(78 rc_keydown(CtxArg, u32, u64, u32) -> i64, since 4.18,
        "Says that a key was pressed.", groups: &[LIRC], gpl_only: true),
    helper!(81 get_local_storage, since 4.19,
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
    helper!(107 sk_storage_get, since 5.2,
        "The storage that belongs to a socket, made where it is missing and asked for.",
        groups: &[TC, CGROUP_SKB, SK_MSG, SOCK_OPS, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT, TCP_CA],
        variants: &[
            Variant {
                groups: &[CGROUP_SOCK],
                args: args_of::<(MapRef<'_>, CtxArg, Option<MapValueIn>, u64)>(),
            },
            Variant {
                groups: &[TRACING_BTF],
                args: args_of::<(MapRef<'_>, Option<BtfPtr<SockCommonStruct>>, Option<MapValueIn>, u64)>(),
            },
        ],
        map_op: Some(MapOp::SkStorage)),
    helper!(108 sk_storage_delete, since 5.2,
        "Deletes the storage that belongs to a socket.",
        groups: &[TC, CGROUP_SKB, SK_MSG, SOCK_OPS, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT, TCP_CA],
        variants: &[Variant {
            groups: &[TRACING_BTF],
            args: args_of::<(MapRef<'_>, Option<BtfPtr<SockCommonStruct>>)>(),
        }],
        map_op: Some(MapOp::SkStorage)),
    helper!(186 get_retval, since 5.18,
        "The error that the hook would return.",
        groups: &[CGROUP_SOCK, CGROUP_RETVAL, CGROUP_SOCKOPT]),
    helper!(187 set_retval, since 5.18,
        "Sets the error that the hook returns.",
        groups: &[CGROUP_SOCK, CGROUP_RETVAL, CGROUP_SOCKOPT]),
];

/// Whether the task is in the cgroup at an index of the map. Packets' sockets are where it is.
fn under_cgroup(cx: &CallCx<'_>, map: &MapRef<'_>, index: u32) -> Result<u32, Fail> {
    let array = map.downcast::<CgroupArray>().ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    let id = array.cgroup_id(index)?;
    Ok(env::of(cx.world).task().cgroups.contains(&id).into())
}

fn skb_under_cgroup(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    map: MapRef<'_>,
    index: u32,
) -> Result<u32, Fail> {
    under_cgroup(cx, &map, index)
}

fn current_task_under_cgroup(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    index: u32,
) -> Result<u32, Fail> {
    under_cgroup(cx, &map, index)
}

fn get_local_storage(cx: &mut CallCx<'_>, map: MapRef<'_>, _flags: u64) -> Result<MapValue, Trap> {
    let bad = cx.trap(TrapKind::BadArgument);
    let storage = map.downcast::<CgroupStorage>().ok_or(bad)?;
    let cpu = cx.cpu;
    let run = cx.run.as_any_mut().downcast_ref::<Skb>().map(Skb::id);
    storage.of_run(run, cpu).map(MapValue::new).ok_or(bad)
}

fn sk_storage_get(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    socket: SockCommon,
    first: Option<MapValueIn>,
    flags: u64,
) -> Result<Option<MapValue>, Trap> {
    const CREATE: u64 = 1;
    let storage = map.downcast::<LocalStorage>();
    let storage = storage.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if flags > CREATE || !sock::is_full(cx, socket.addr()) {
        return Ok(None);
    }
    let first = first.as_deref().unwrap_or_default();
    let owner = sock::owner(cx, socket.addr());
    let value = storage.get_or_make(owner, (flags == CREATE).then_some(first));
    Ok(value.map(MapValue::new))
}

fn sk_storage_delete(cx: &mut CallCx<'_>, map: MapRef<'_>, socket: SockCommon) -> Result<(), Fail> {
    let storage = map.downcast::<LocalStorage>();
    let storage = storage.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if !sock::is_full(cx, socket.addr()) {
        return Err(Errno::EINVAL.into());
    }
    Ok(storage.delete(sock::owner(cx, socket.addr()))?)
}

/// The run of a hook that returns an error number.
fn hook<'c>(cx: &'c mut CallCx<'_>) -> Result<&'c mut ContextRun, Trap> {
    let trap = cx.trap(TrapKind::Unsupported);
    cx.run.as_any_mut().downcast_mut().ok_or(trap)
}

fn get_retval(cx: &mut CallCx<'_>) -> Result<i32, Trap> {
    Ok(hook(cx)?.retval())
}

fn set_retval(cx: &mut CallCx<'_>, retval: i32) -> Result<(), Trap> {
    hook(cx)?.set_retval(retval);
    Ok(())
}
