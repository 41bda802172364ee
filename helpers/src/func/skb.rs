//! The packet of a socket buffer: bytes, room, tags, type.

use super::group::{
    CGROUP_SKB, FLOW_DISSECTOR, LWT, LWT_XMIT, SK_REUSEPORT, SK_SKB, SOCKET_FILTER, TC,
};
use crate::env;
use crate::prog_types::flow_dissector::FlowRun;
use crate::prog_types::skb::{ETH_P_IP, ETH_P_IPV6, Skb};
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::{CallCx, CtxArg, Fail, MemRead, MemWrite};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(9 skb_store_bytes, since 4.1,
        "Copies bytes into the packet; may keep its checksum right and forget its hash.",
        groups: &[TC, LWT_XMIT, SK_SKB], changes_packet: true),
    helper!(18 skb_vlan_push, since 4.3,
        "Adds a VLAN tag.", groups: &[TC], changes_packet: true),
    helper!(19 skb_vlan_pop, since 4.3,
        "Removes the outermost VLAN tag.", groups: &[TC], changes_packet: true),
    helper!(26 skb_load_bytes, since 4.5,
        "Copies packet bytes out.",
        groups: &[SOCKET_FILTER, TC, CGROUP_SKB, LWT, SK_SKB, FLOW_DISSECTOR, SK_REUSEPORT]),
    helper!(31 skb_change_proto, since 4.8,
        "Makes an IPv4 packet's header as large as IPv6's, or the other way round.",
        groups: &[TC], changes_packet: true),
    helper!(32 skb_change_type, since 4.8,
        "Changes whom the packet is for.", groups: &[TC]),
    helper!(34 get_hash_recalc, since 4.8,
        "The flow's hash, computed where the packet has none.", groups: &[TC, LWT]),
    helper!(38 skb_change_tail, since 4.9,
        "Cuts the packet or extends it at its end.",
        groups: &[TC, LWT_XMIT, SK_SKB], changes_packet: true),
    helper!(39 skb_pull_data, since 4.9,
        "Makes packet bytes directly accessible.",
        groups: &[TC, LWT, SK_SKB], changes_packet: true),
    helper!(41 set_hash_invalid, since 4.9,
        "Forgets the packet's hash.", groups: &[TC, LWT_XMIT]),
    helper!(43 skb_change_head, since 4.10,
        "Puts room in front of the packet.",
        groups: &[TC, LWT_XMIT, SK_SKB], changes_packet: true),
    helper!(48 set_hash, since 4.13,
        "Sets the packet's hash.", groups: &[TC]),
    helper!(50 skb_adjust_room, since 4.13,
        "Makes or removes room behind the link-layer or the network header.",
        groups: &[TC, SK_SKB], changes_packet: true),
    helper!(68 skb_load_bytes_relative, since 4.18,
        "Copies packet bytes out, counted from the link-layer or the network header.",
        groups: &[SOCKET_FILTER, TC, CGROUP_SKB, SK_REUSEPORT]),
    helper!(97 skb_ecn_set_ce, since 5.1,
        "Marks an IP packet as having met congestion, where it can be.",
        groups: &[TC, CGROUP_SKB]),
    helper!(192 skb_set_tstamp, since 5.18,
        "Sets the delivery time and its clock.", groups: &[TC]),
];

/// The socket buffer of this run.
///
/// # Errors
/// The trap of a program that is not run on one.
pub(super) fn skb<'c>(cx: &'c mut CallCx<'_>) -> Result<&'c mut Skb, Trap> {
    let trap = cx.trap(TrapKind::Unsupported);
    cx.run.as_any_mut().downcast_mut().ok_or(trap)
}

fn skb_store_bytes(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    off: u32,
    from: MemRead,
    flags: u64,
) -> Result<(), Fail> {
    let bytes = from.bytes(cx).map_err(|_| Errno::EFAULT)?;
    store(skb(cx)?, off, &bytes, flags)
}

/// Copies bytes into the packet.
///
/// # Errors
/// `EINVAL` for unknown flags, `EFAULT` when they do not fit.
pub(super) fn store(skb: &mut Skb, off: u32, bytes: &[u8], flags: u64) -> Result<(), Fail> {
    const RECOMPUTE_CSUM: u64 = 1 << 0;
    const INVALIDATE_HASH: u64 = 1 << 1;
    if flags & !(RECOMPUTE_CSUM | INVALIDATE_HASH) != 0 {
        return Err(Errno::EINVAL.into());
    }
    skb.store(off, bytes, flags & RECOMPUTE_CSUM != 0)?;
    if flags & INVALIDATE_HASH != 0 {
        skb.set_hash(None);
    }
    Ok(())
}

/// Gives the bytes to the program; what could not be read becomes zero.
fn give(cx: &CallCx<'_>, to: &MemWrite, bytes: Option<Vec<u8>>) -> Result<(), Fail> {
    match bytes {
        Some(bytes) => to.write(cx, &bytes).map_err(|_| Errno::EFAULT.into()),
        None => {
            to.clear(cx).map_err(|_| Errno::EFAULT)?;
            Err(Errno::EFAULT.into())
        }
    }
}

fn skb_load_bytes(cx: &mut CallCx<'_>, _: CtxArg, off: u32, to: MemWrite) -> Result<(), Fail> {
    // Flow dissectors have no socket buffer under test-run, so that nothing can be loaded.
    let without_skb = cx.run.as_any_mut().is::<FlowRun>();
    let bytes = if without_skb { None } else { skb(cx)?.load(off, to.len()) };
    give(cx, &to, bytes)
}

fn skb_load_bytes_relative(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    off: u32,
    to: MemWrite,
    header: u32,
) -> Result<(), Fail> {
    const MAC: u32 = 0;
    const NET: u32 = 1;
    let skb = skb(cx)?;
    let bytes = match header {
        _ if off > 0xffff => None,
        MAC => skb.load_from(skb.mac_off(), off, to.len()),
        NET => skb.load_from(skb.network_off(), off, to.len()),
        _ => None,
    };
    give(cx, &to, bytes)
}

fn skb_pull_data(cx: &mut CallCx<'_>, _: CtxArg, len: u32) -> Result<(), Fail> {
    Ok(skb(cx)?.pull(len)?)
}

fn skb_change_tail(cx: &mut CallCx<'_>, _: CtxArg, len: u32, flags: u64) -> Result<(), Fail> {
    let skb = skb(cx)?;
    Ok(if flags == 0 { skb.change_tail(len) } else { Err(Errno::EINVAL) }?)
}

fn skb_change_head(cx: &mut CallCx<'_>, _: CtxArg, by: u32, flags: u64) -> Result<(), Fail> {
    let skb = skb(cx)?;
    Ok(if flags == 0 { skb.change_head(by) } else { Err(Errno::EINVAL) }?)
}

fn skb_change_type(cx: &mut CallCx<'_>, _: CtxArg, pkt_type: u32) -> Result<(), Fail> {
    Ok(skb(cx)?.set_pkt_type(pkt_type)?)
}

fn skb_change_proto(cx: &mut CallCx<'_>, _: CtxArg, proto: u32, flags: u64) -> Result<(), Fail> {
    let skb = skb(cx)?;
    let proto = (proto as u16).swap_bytes();
    Ok(if flags == 0 { skb.change_proto(proto) } else { Err(Errno::EINVAL) }?)
}

fn skb_adjust_room(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    by: i32,
    mode: u32,
    flags: u64,
) -> Result<(), Fail> {
    Ok(skb(cx)?.adjust_room(by, mode, flags)?)
}

fn skb_vlan_push(cx: &mut CallCx<'_>, _: CtxArg, proto: u32, tci: u32) -> Result<(), Fail> {
    Ok(skb(cx)?.vlan_push((proto as u16).swap_bytes(), tci as u16)?)
}

fn skb_vlan_pop(cx: &mut CallCx<'_>, _: CtxArg) -> Result<(), Fail> {
    Ok(skb(cx)?.vlan_pop()?)
}

fn get_hash_recalc(cx: &mut CallCx<'_>, _: CtxArg) -> Result<u32, Trap> {
    let seed = env::of(cx.world).hash_seed();
    let skb = skb(cx)?;
    let hash = skb.hash().unwrap_or_else(|| skb.flow_hash(seed));
    skb.set_hash(Some(hash));
    Ok(hash)
}

fn set_hash_invalid(cx: &mut CallCx<'_>, _: CtxArg) -> Result<(), Trap> {
    skb(cx)?.set_hash(None);
    Ok(())
}

fn set_hash(cx: &mut CallCx<'_>, _: CtxArg, hash: u32) -> Result<(), Trap> {
    skb(cx)?.set_hash(Some(hash));
    Ok(())
}

fn skb_ecn_set_ce(cx: &mut CallCx<'_>, _: CtxArg) -> Result<u32, Trap> {
    Ok(skb(cx)?.set_congested().into())
}

fn skb_set_tstamp(cx: &mut CallCx<'_>, _: CtxArg, tstamp_ns: u64, clock: u32) -> Result<(), Fail> {
    const REALTIME: u32 = 0;
    const TAI: u32 = 2;
    let skb = skb(cx)?;
    if !matches!(skb.protocol(), ETH_P_IP | ETH_P_IPV6) {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if clock > TAI || (clock != REALTIME && tstamp_ns == 0) {
        return Err(Errno::EINVAL.into());
    }
    skb.set_tstamp(tstamp_ns, clock as u8);
    Ok(())
}
