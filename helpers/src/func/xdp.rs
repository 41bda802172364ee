//! The frame under an XDP program.

use super::group::{TRACING_BTF, XDP};
use super::structs::XdpBuff;
use crate::prog_types::xdp::XdpRun;
use ubpf_abi::helper::Variant;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::{BtfPtr, CallCx, CtxArg, Fail, MemRead, MemWrite, args_of};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(44 xdp_adjust_head, since 4.10,
        "Moves the packet's start, and its metadata with it.",
        groups: &[XDP], changes_packet: true),
    helper!(54 xdp_adjust_meta, since 4.15,
        "Moves the start of the metadata in front of the packet.",
        groups: &[XDP], changes_packet: true),
    helper!(65 xdp_adjust_tail, since 4.18,
        "Moves the packet's end; new bytes are zero.",
        groups: &[XDP], changes_packet: true),
    helper!(188 xdp_get_buff_len, since 5.18,
        "Length of the packet, fragments included.", groups: &[XDP],
        variants: &[Variant { groups: &[TRACING_BTF], args: args_of::<(BtfPtr<XdpBuff>,)>() }]),
    helper!(189 xdp_load_bytes, since 5.18,
        "Copies packet bytes out, fragments included.", groups: &[XDP]),
    helper!(190 xdp_store_bytes, since 5.18,
        "Copies bytes into the packet, fragments included.", groups: &[XDP]),
];

/// The frame of this run.
///
/// # Errors
/// The trap of a program that is not run on a frame.
pub(crate) fn frame<'c>(cx: &'c mut CallCx<'_>) -> Result<&'c mut XdpRun, Trap> {
    let trap = cx.trap(TrapKind::Unsupported);
    cx.run.as_any_mut().downcast_mut().ok_or(trap)
}

fn xdp_adjust_head(cx: &mut CallCx<'_>, _: CtxArg, by: i32) -> Result<(), Fail> {
    Ok(frame(cx)?.adjust_head(by)?)
}

fn xdp_adjust_meta(cx: &mut CallCx<'_>, _: CtxArg, by: i32) -> Result<(), Fail> {
    Ok(frame(cx)?.adjust_meta(by)?)
}

fn xdp_adjust_tail(cx: &mut CallCx<'_>, _: CtxArg, by: i32) -> Result<(), Fail> {
    Ok(frame(cx)?.adjust_tail(by)?)
}

fn xdp_get_buff_len(cx: &mut CallCx<'_>, _: CtxArg) -> Result<u32, Trap> {
    Ok(frame(cx)?.len())
}

fn xdp_load_bytes(cx: &mut CallCx<'_>, _: CtxArg, off: u32, to: MemWrite) -> Result<(), Fail> {
    let bytes = frame(cx)?.load(off, to.len())?;
    to.write(cx, &bytes).map_err(|_| Errno::EFAULT.into())
}

fn xdp_store_bytes(cx: &mut CallCx<'_>, _: CtxArg, off: u32, from: MemRead) -> Result<(), Fail> {
    let bytes = from.bytes(cx).map_err(|_| Errno::EFAULT)?;
    Ok(frame(cx)?.store(off, &bytes)?)
}
