//! Elements of maps: looking up, changing, visiting; tail calls through them.

use super::group::BASE;
use std::ops::ControlFlow;
use ubpf_abi::map::{MapOp, MapType};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{
    CallCx, Callback, CtxArg, Fail, MapKey, MapRef, MapValue, MapValueIn, MapValueOut, StackPtr,
    Void,
};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::HelperDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::{describe, helper};

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(1 map_lookup_elem, since 3.19,
        "Address of the value stored under a key, or null.",
        groups: &[BASE], map_op: Some(MapOp::Lookup), packet_access: true),
    helper!(2 map_update_elem, since 3.19,
        "Stores a value under a key.",
        groups: &[BASE], map_op: Some(MapOp::Update), packet_access: true),
    helper!(3 map_delete_elem, since 3.19,
        "Removes a key and its value.",
        groups: &[BASE], map_op: Some(MapOp::Delete), packet_access: true),
    // The engines perform tail calls themselves: they do not return to the caller.
    describe!(12 tail_call(CtxArg, MapRef<'_>, u32) -> Void, since 4.2,
        "Goes on with the program in a slot of a prog array, if there is one.",
        groups: &[BASE], map_op: Some(MapOp::TailCall)),
    helper!(87 map_push_elem, since 4.20,
        "Adds a value to a queue, stack or Bloom filter.",
        groups: &[BASE], map_op: Some(MapOp::Push), packet_access: true),
    helper!(88 map_pop_elem, since 4.20,
        "Takes the next value out of a queue or stack.",
        groups: &[BASE], map_op: Some(MapOp::Pop)),
    helper!(89 map_peek_elem, since 4.20,
        "Copies the next value of a queue or stack, or asks whether a Bloom filter has one.",
        groups: &[BASE], map_op: Some(MapOp::Peek)),
    helper!(164 for_each_map_elem, since 5.13,
        "Calls a subprogram for every element until it returns 1.",
        groups: &[BASE], map_op: Some(MapOp::ForEach)),
    helper!(195 map_lookup_percpu_elem, since 5.19,
        "Address of the value stored under a key for a CPU, or null.",
        groups: &[BASE], map_op: Some(MapOp::LookupPercpu), packet_access: true),
];

fn map_lookup_elem(cx: &mut CallCx<'_>, map: MapRef<'_>, key: MapKey) -> Option<MapValue> {
    map.lookup(cx.cpu, &key).map(MapValue::new)
}

fn map_update_elem(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    key: MapKey,
    value: MapValueIn,
    flags: u64,
) -> Result<(), Errno> {
    map.update(cx.cpu, &key, &value, flags)
}

fn map_delete_elem(cx: &mut CallCx<'_>, map: MapRef<'_>, key: MapKey) -> Result<(), Errno> {
    map.delete(cx.cpu, &key)
}

fn map_push_elem(
    _cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    value: MapValueIn,
    flags: u64,
) -> Result<(), Errno> {
    map.push(&value, flags)
}

fn map_pop_elem(cx: &mut CallCx<'_>, map: MapRef<'_>, value: MapValueOut) -> Result<(), Fail> {
    give(cx, &value, map.pop())
}

fn map_peek_elem(cx: &mut CallCx<'_>, map: MapRef<'_>, value: MapValueOut) -> Result<(), Fail> {
    if map.def().map_type != Ok(MapType::BloomFilter) {
        return give(cx, &value, map.peek(&[]));
    }
    // Here the value is asked about, and stays as it is.
    let asked = value.bytes(cx).map_err(|fault| cx.fault(fault))?;
    Ok(map.peek(&asked).map(drop)?)
}

/// Hands a value over; where there is none, zeros.
fn give(cx: &CallCx<'_>, to: &MapValueOut, value: Result<Vec<u8>, Errno>) -> Result<(), Fail> {
    let written = match &value {
        Ok(bytes) => to.write(cx, bytes),
        Err(_) => to.clear(cx),
    };
    written.map_err(|fault| cx.fault(fault))?;
    Ok(value.map(drop)?)
}

fn for_each_map_elem(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    callback: Callback<callback::ForEachMapElem>,
    callback_ctx: Option<StackPtr>,
    flags: u64,
) -> Result<Result<u64, Errno>, Trap> {
    if flags != 0 {
        return Ok(Err(Errno::EINVAL));
    }
    let cpu = cx.cpu;
    let callback_ctx = callback_ctx.map_or(0, |ptr| ptr.addr().into());
    let mut visit = |key: GuestAddr, value: GuestAddr| {
        let args = [map.addr().into(), key.into(), value.into(), callback_ctx, 0];
        let stop = callback.call(cx, args)? != 0;
        Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    map.for_each(cpu, &mut visit)
}

fn map_lookup_percpu_elem(
    _cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    key: MapKey,
    cpu: u32,
) -> Option<MapValue> {
    map.lookup_percpu(&key, Cpu(cpu)).map(MapValue::new)
}
