//! Lightweight tunnels, segment routing, and IPsec as packets meet it.

use super::group::{LWT_IN, LWT_SEG6LOCAL, LWT_XMIT, TC};
use super::skb::skb;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, CtxArg, Fail, MemRead, MemWrite};
use ubpf_vm::registry::HelperDef;
use ubpf_vm::{describe, helper};

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(66 skb_get_xfrm_state, since 4.18,
        "Copies what IPsec knows of the packet.", groups: &[TC]),
    helper!(73 lwt_push_encap, since 4.18,
        "Puts an outer header in front of the packet.",
        groups: &[LWT_IN, LWT_XMIT], changes_packet: true),
    describe!(74 lwt_seg6_store_bytes(CtxArg, u32, MemRead) -> i64, since 4.18,
        "Writes to the packet's segment routing header.",
        groups: &[LWT_SEG6LOCAL], changes_packet: true),
    describe!(75 lwt_seg6_adjust_srh(CtxArg, u32, i32) -> i64, since 4.18,
        "Makes or removes room in the segment routing header.",
        groups: &[LWT_SEG6LOCAL], changes_packet: true),
    describe!(76 lwt_seg6_action(CtxArg, u32, MemRead) -> i64, since 4.18,
        "Does with the packet what a segment routing rule would.",
        groups: &[LWT_SEG6LOCAL], changes_packet: true),
];

/// No packet has come through IPsec here.
fn skb_get_xfrm_state(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    _index: u32,
    to: MemWrite,
    _flags: u64,
) -> Result<(), Errno> {
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    Err(Errno::EINVAL)
}

fn lwt_push_encap(cx: &mut CallCx<'_>, _: CtxArg, kind: u32, header: MemRead) -> Result<(), Fail> {
    const IP: u32 = 2;
    if kind != IP {
        // Segment routing needs a route, and packets under test-run have none.
        return Err(Errno::EINVAL.into());
    }
    let header = header.bytes(cx).map_err(|_| Errno::EFAULT)?;
    Ok(skb(cx)?.push_ip(&header)?)
}
