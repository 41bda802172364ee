//! Lightweight tunnels, segment routing, and IPsec as packets meet it.

use super::group::{LWT_IN, LWT_SEG6LOCAL, LWT_XMIT, TC};
use ubpf_vm::call::{CtxArg, MemRead, MemWrite};
use ubpf_vm::describe;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    describe!(66 skb_get_xfrm_state(CtxArg, u32, MemWrite, u64) -> i64, since 4.18,
        "Copies what IPsec knows of the packet.", groups: &[TC]),
    describe!(73 lwt_push_encap(CtxArg, u32, MemRead) -> i64, since 4.18,
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
