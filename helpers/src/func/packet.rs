//! The packet of a run, whatever its program type: bytes copied out and in.

use super::skb::store;
use crate::prog_types::netfilter::HookRun;
use crate::prog_types::skb::Skb;
use crate::prog_types::xdp::XdpRun;
use ubpf_abi::{Errno, TrapKind};
use ubpf_vm::call::{CallCx, Fail};
use ubpf_vm::mem::GuestAddr;

/// Copies packet bytes out.
///
/// # Errors
/// `EFAULT` where a socket buffer does not have them all; as `bpf_xdp_load_bytes` for frames.
pub fn load(cx: &mut CallCx<'_>, off: u32, len: u32) -> Result<Vec<u8>, Fail> {
    let trap = cx.trap(TrapKind::Unsupported);
    let run = cx.run.as_any_mut();
    if let Some(skb) = run.downcast_ref::<Skb>() {
        return Ok(skb.load(off, len).ok_or(Errno::EFAULT)?);
    }
    if let Some(frame) = run.downcast_ref::<XdpRun>() {
        return Ok(frame.load(off, len)?);
    }
    let hook = run.downcast_ref::<HookRun>().ok_or(trap)?;
    Ok(hook.packet().read(off, len).ok_or(Errno::EFAULT)?)
}

/// Copies bytes into the packet.
///
/// # Errors
/// As `bpf_skb_store_bytes` and `bpf_xdp_store_bytes`.
pub fn store_bytes(cx: &mut CallCx<'_>, off: u32, bytes: &[u8], flags: u64) -> Result<(), Fail> {
    let trap = cx.trap(TrapKind::Unsupported);
    let run = cx.run.as_any_mut();
    if let Some(skb) = run.downcast_mut::<Skb>() {
        return store(skb, off, bytes, flags);
    }
    let frame = run.downcast_mut::<XdpRun>().ok_or(trap)?;
    Ok(frame.store(off, bytes)?)
}

/// Bytes of the packet, fragments included.
///
/// # Errors
/// The trap of a program that has no packet.
pub fn len(cx: &mut CallCx<'_>) -> Result<u32, Fail> {
    let trap = cx.trap(TrapKind::Unsupported);
    let run = cx.run.as_any_mut();
    if let Some(skb) = run.downcast_ref::<Skb>() {
        return Ok(skb.len());
    }
    if let Some(frame) = run.downcast_ref::<XdpRun>() {
        return Ok(frame.len());
    }
    Ok(run.downcast_ref::<HookRun>().ok_or(trap)?.packet().len())
}

/// Copies metadata in front of a socket buffer's packet out.
///
/// # Errors
/// `EFAULT` where it does not have them all.
pub fn load_meta(cx: &mut CallCx<'_>, off: u32, len: u32) -> Result<Vec<u8>, Fail> {
    let linear = super::skb::skb(cx)?.packet();
    let before = linear.meta_len().checked_sub(off).ok_or(Errno::EFAULT)?;
    let bytes = if len > before { None } else { linear.read_before(before, len) };
    Ok(bytes.ok_or(Errno::EFAULT)?)
}

/// Copies bytes into the metadata in front of a socket buffer's packet.
///
/// # Errors
/// `EFAULT` where it has no room for them.
pub fn store_meta(cx: &mut CallCx<'_>, off: u32, bytes: &[u8]) -> Result<(), Fail> {
    let skb = super::skb::skb(cx)?;
    Ok(skb.store_meta(off, bytes).ok_or(Errno::EFAULT)?)
}

/// Bytes of metadata in front of a socket buffer's packet.
///
/// # Errors
/// The trap of a program that has no socket buffer.
pub fn meta_len(cx: &mut CallCx<'_>) -> Result<u32, Fail> {
    Ok(super::skb::skb(cx)?.packet().meta_len())
}

/// Where packet bytes lie; `None` where they do not lie in one piece.
pub fn addr(cx: &mut CallCx<'_>, off: u32, len: u32) -> Option<GuestAddr> {
    let run = cx.run.as_any_mut();
    if let Some(frame) = run.downcast_ref::<XdpRun>() {
        return frame.addr(off, len);
    }
    let skb = run.downcast_ref::<Skb>().map(Skb::packet);
    let linear = match skb {
        Some(packet) => packet,
        None => run.downcast_ref::<HookRun>()?.packet(),
    };
    let end = off.checked_add(len)?;
    (end <= linear.len()).then(|| linear.data_addr().checked_add(off)).flatten()
}

/// Where bytes of the metadata lie.
pub fn meta_addr(cx: &mut CallCx<'_>, off: u32, len: u32) -> Option<GuestAddr> {
    let linear = super::skb::skb(cx).ok()?.packet();
    let end = off.checked_add(len)?;
    (end <= linear.meta_len()).then(|| linear.meta_addr().checked_add(off)).flatten()
}
