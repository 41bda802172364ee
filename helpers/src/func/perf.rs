//! Records through perf buffers.

use super::group::EVENTS;
use crate::maps::perf_event_array::{PerfEventArray, Target};
use crate::prog_types::skb::Skb;
use crate::prog_types::xdp::XdpRun;
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, TrapKind};
use ubpf_vm::call::{CallCx, CtxArg, Fail, MapRef, MemReadOrEmpty};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[helper!(25 perf_event_output, since 4.4,
    "Copies a record, and bytes of the packet behind it, into a CPU's perf buffer.",
    groups: &[EVENTS], gpl_only: true, map_op: Some(MapOp::PerfOutput))];

/// `BPF_F_INDEX_MASK`; all ones is `BPF_F_CURRENT_CPU`.
const INDEX_MASK: u64 = 0xffff_ffff;
/// `BPF_F_CTXLEN_MASK`: how many bytes of the packet to append.
const CTX_LEN_MASK: u64 = 0xf_ffff << 32;

fn perf_event_output(
    cx: &mut CallCx<'_>,
    _ctx: CtxArg,
    map: MapRef<'_>,
    flags: u64,
    data: MemReadOrEmpty,
) -> Result<(), Fail> {
    let buffers = map.downcast::<PerfEventArray>();
    let buffers = buffers.ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if flags & !(INDEX_MASK | CTX_LEN_MASK) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut record = data.bytes(cx).map_err(|fault| cx.fault(fault))?.to_vec();
    let packet_bytes = ((flags & CTX_LEN_MASK) >> 32) as u32;
    if packet_bytes > 0 {
        record.extend(packet_start(cx, packet_bytes)?);
    }
    let target = match flags & INDEX_MASK {
        INDEX_MASK => Target::Current,
        slot => Target::Slot(slot as u32),
    };
    Ok(buffers.output(cx.cpu, target, record)?)
}

/// The packet's first bytes; runs without a packet take no length.
fn packet_start(cx: &mut CallCx<'_>, len: u32) -> Result<Vec<u8>, Errno> {
    let run = cx.run.as_any_mut();
    if let Some(skb) = run.downcast_ref::<Skb>() {
        return skb.load(0, len).ok_or(Errno::EFAULT);
    }
    match run.downcast_ref::<XdpRun>() {
        Some(xdp) => xdp.load(0, len).map_err(|_| Errno::EFAULT),
        None => Err(Errno::EINVAL),
    }
}
