//! Sockets, cgroups, devices and routes as packets meet them.

use super::group::{
    BASE, CGROUP_SKB, CGROUP_SOCK, CGROUP_SOCK_ADDR, CGROUP_SOCKOPT, LWT, LWT_XMIT, SK_MSG,
    SK_REUSEPORT, SK_SKB, SOCK_OPS, SOCKET_FILTER, TC, TRACING_BTF, XDP,
};
use super::skb::skb;
use super::sock;
use crate::env::socket::LISTEN;
use crate::env::{self, Redirect};
use crate::prog_types::skb::Skb;
use crate::prog_types::xdp::XdpRun;
use ubpf_abi::helper::{Arg, Variant};
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::arg::{ArgShape, ReadsWrites};
use ubpf_vm::call::{
    Aligned, CallCx, CtxArg, Fail, FixedMem, MemReadOrEmpty, Sock, SockCommon, TcpSock,
};
use ubpf_vm::call::{ArgReader, HelperArg, args_of};
use ubpf_vm::helper;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(13 clone_redirect, since 4.2,
        "Sends a copy of the packet to a device.",
        groups: &[TC, LWT_XMIT], changes_packet: true),
    helper!(17 get_cgroup_classid, since 4.3,
        "The class id of the task's cgroup.", groups: &[BASE]),
    helper!(23 redirect, since 4.4,
        "Sends the packet to a device once the program returns this result.",
        groups: &[TC, XDP, LWT_XMIT]),
    helper!(24 get_route_realm, since 4.4,
        "The realm of the packet's route.", groups: &[TC, LWT]),
    helper!(46 get_socket_cookie, since 4.12,
    "A number that belongs to the packet's socket alone.",
    groups: &[SOCKET_FILTER, TC, CGROUP_SKB, SK_SKB, SOCK_OPS, CGROUP_SOCK, CGROUP_SOCK_ADDR],
    variants: &[Variant {
        groups: &[TRACING_BTF, SK_REUSEPORT], args: args_of::<(Option<SockCommon>,)>(),
    }]),
    helper!(47 get_socket_uid, since 4.12,
        "The user id of the packet's socket.",
        groups: &[SOCKET_FILTER, TC, CGROUP_SKB, SK_SKB]),
    helper!(79 skb_cgroup_id, since 4.18,
        "Id of the cgroup of the packet's socket.", groups: &[TC, CGROUP_SKB]),
    helper!(83 skb_ancestor_cgroup_id, since 4.19,
        "Id of the ancestor at a level of the cgroup of the packet's socket.",
        groups: &[TC, CGROUP_SKB]),
    helper!(95 sk_fullsock, since 5.1,
        "The socket, where it is a full one.", groups: &[TC, CGROUP_SKB]),
    helper!(96 tcp_sock, since 5.1,
        "The socket, where it is a TCP one.",
        groups: &[TC, CGROUP_SKB, SOCK_OPS, CGROUP_SOCKOPT]),
    helper!(98 get_listener_sock, since 5.1,
        "The socket that listens for the given one.", groups: &[TC, CGROUP_SKB]),
    helper!(122 get_netns_cookie, since 5.7,
        "A number that belongs to the network namespace alone.",
        groups: &[SOCKET_FILTER, TC, CGROUP_SKB, SK_MSG, SOCK_OPS, CGROUP_SOCK,
            CGROUP_SOCK_ADDR, CGROUP_SOCKOPT]),
    helper!(128 sk_cgroup_id, since 5.8,
        "Id of a socket's cgroup.", groups: &[CGROUP_SKB]),
    helper!(129 sk_ancestor_cgroup_id, since 5.8,
        "Id of the ancestor at a level of a socket's cgroup.", groups: &[CGROUP_SKB]),
    helper!(151 skb_cgroup_classid, since 5.10,
        "The class id of the cgroup of the packet's socket.", groups: &[TC]),
    helper!(152 redirect_neigh, since 5.10,
        "Sends the packet to a neighbour behind a device once the program returns this result.",
        groups: &[TC]),
    helper!(155 redirect_peer, since 5.10,
        "Sends the packet to a device's peer once the program returns this result.",
        groups: &[TC]),
    helper!(163 check_mtu, since 5.12,
        "Whether the packet, made larger or smaller, fits a device.",
        groups: &[TC, XDP], gpl_only: true),
];

const TC_ACT_SHOT: u32 = 2;
const TC_ACT_REDIRECT: u32 = 7;
const XDP_ABORTED: u32 = 0;
const XDP_REDIRECT: u32 = 4;
const INGRESS: u64 = 1;

fn redirect(cx: &mut CallCx<'_>, ifindex: u32, flags: u64) -> u32 {
    env::of(cx.world).redirect(Redirect::Device(ifindex));
    let (known, done, refused) = if cx.run.as_any_mut().is::<XdpRun>() {
        (0, XDP_REDIRECT, XDP_ABORTED)
    } else {
        (INGRESS, TC_ACT_REDIRECT, TC_ACT_SHOT)
    };
    if flags & !known == 0 { done } else { refused }
}

fn redirect_peer(cx: &mut CallCx<'_>, ifindex: u32, flags: u64) -> u32 {
    env::of(cx.world).redirect(Redirect::Device(ifindex));
    if flags == 0 { TC_ACT_REDIRECT } else { TC_ACT_SHOT }
}

fn redirect_neigh(
    cx: &mut CallCx<'_>,
    ifindex: u32,
    neighbour: Option<MemReadOrEmpty>,
    flags: u64,
) -> u32 {
    /// `struct bpf_redir_neigh`.
    const NEIGHBOUR_BYTES: u32 = 20;
    env::of(cx.world).redirect(Redirect::Device(ifindex));
    let short = neighbour.is_some_and(|n| !n.is_empty() && n.len() < NEIGHBOUR_BYTES);
    if flags == 0 && !short { TC_ACT_REDIRECT } else { TC_ACT_SHOT }
}

fn clone_redirect(cx: &mut CallCx<'_>, _: CtxArg, ifindex: u32, flags: u64) -> Result<u32, Fail> {
    const NET_RX_DROP: u32 = 1;
    const VLAN_HLEN: u32 = 4;
    if flags & !INGRESS != 0 {
        return Err(Errno::EINVAL.into());
    }
    let env = env::of(cx.world);
    let skb = skb(cx)?;
    if skb.has_untyped_segments() {
        // The kernel lets none out.
        return Err(Errno::EBADMSG.into());
    }
    let device = env.device(ifindex).ok_or(Errno::EINVAL)?;
    if skb.is_empty() || skb.network_off() <= skb.mac_off() {
        return Err(Errno::ERANGE.into());
    }
    if flags & INGRESS != 0 {
        let fits = device.up && skb.len() <= device.max_frame().saturating_add(VLAN_HLEN);
        return Ok(if fits { 0 } else { NET_RX_DROP });
    }
    match device.up {
        // Headers that were made room for and not written cannot be cut into segments.
        true if skb.gso_size() != 0 => Err(Errno::ENOMEM.into()),
        true => Ok(0),
        false => Err(Errno::ENETDOWN.into()),
    }
}

/// Nothing assigns class ids here.
fn get_cgroup_classid(_: &mut CallCx<'_>, _: CtxArg) -> u32 {
    0
}

/// Packets under test-run have no route.
fn get_route_realm(_: &mut CallCx<'_>, _: CtxArg) -> u32 {
    0
}

fn skb_cgroup_classid(_: &mut CallCx<'_>, _: CtxArg) -> u32 {
    0
}

/// Whose cookie is asked for: the context's socket's, or in some types that of any socket.
#[derive(Clone, Copy, Debug)]
struct Whose(u64);

impl ArgShape for Whose {
    const ARG: Arg = CtxArg::ARG;
}

impl HelperArg<'_> for Whose {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        Ok(Self(regs.take()))
    }
}

fn get_socket_cookie(cx: &mut CallCx<'_>, Whose(whose): Whose) -> u64 {
    let env = env::of(cx.world);
    let sockets = env.sockets();
    let addr = u32::try_from(whose).ok().map(GuestAddr);
    if let Some(id) = addr.and_then(|addr| sockets.at(addr)) {
        return sockets.cookie(id);
    }
    let Some(skb) = cx.run.as_any_mut().downcast_mut::<Skb>() else {
        // The socket of other contexts is the first one that there is.
        let first = sockets.first().filter(|_| whose != 0);
        return first.map_or(0, |id| sockets.cookie(id));
    };
    let cookie = skb.cookie().unwrap_or_else(|| env.next_socket_cookie());
    skb.set_cookie(cookie);
    cookie
}

/// Sockets that test-run makes belong to root.
fn get_socket_uid(_: &mut CallCx<'_>, _: CtxArg) -> u32 {
    0
}

fn get_netns_cookie(cx: &mut CallCx<'_>, _: Option<CtxArg>) -> u64 {
    env::of(cx.world).netns_cookie()
}

/// Sockets that test-run makes belong to the caller's cgroup.
fn skb_cgroup_id(cx: &mut CallCx<'_>, _: CtxArg) -> u64 {
    env::of(cx.world).task().cgroup_id()
}

fn skb_ancestor_cgroup_id(cx: &mut CallCx<'_>, _: CtxArg, level: i32) -> u64 {
    env::of(cx.world).task().ancestor_cgroup_id(level)
}

fn sk_cgroup_id(cx: &mut CallCx<'_>, _: SockCommon) -> u64 {
    env::of(cx.world).task().cgroup_id()
}

fn sk_ancestor_cgroup_id(cx: &mut CallCx<'_>, _: SockCommon, level: i32) -> u64 {
    env::of(cx.world).task().ancestor_cgroup_id(level)
}

fn sk_fullsock(cx: &mut CallCx<'_>, socket: SockCommon) -> Option<Sock> {
    sock::is_full(cx, socket.addr()).then(|| Sock::new(socket.addr()))
}

/// Packets' sockets speak no protocol.
fn tcp_sock(_: &mut CallCx<'_>, _: SockCommon) -> Option<TcpSock> {
    None
}

/// Packets' sockets are closed.
fn get_listener_sock(cx: &mut CallCx<'_>, socket: SockCommon) -> Option<Sock> {
    let (_, declared) = sock::declared(cx, socket.addr())?;
    (declared.state == LISTEN).then(|| Sock::new(socket.addr()))
}

/// Length and device of the packet under a program, with its segment size.
pub(super) fn packet(cx: &mut CallCx<'_>) -> Result<(u32, u32, u16), Trap> {
    let trap = cx.trap(TrapKind::Unsupported);
    let run = cx.run.as_any_mut();
    if let Some(skb) = run.downcast_ref::<Skb>() {
        return Ok((skb.len(), skb.ifindex(), skb.gso_size()));
    }
    let frame: &XdpRun = run.downcast_ref().ok_or(trap)?;
    Ok((frame.linear().len(), frame.ifindex(), 0))
}

fn check_mtu(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    ifindex: u32,
    mtu_len: FixedMem<ReadsWrites, 4, Aligned>,
    by: i32,
    flags: u64,
) -> Result<u32, Fail> {
    const SEGS: u64 = 1;
    const FRAG_NEEDED: u32 = 1;
    let (len, own_ifindex, gso_size) = packet(cx)?;
    let known = if cx.run.as_any_mut().is::<XdpRun>() { 0 } else { SEGS };
    let given: u32 = cx.cage().load(mtu_len.addr()).map_err(|_| Errno::EFAULT)?;
    if flags & !known != 0 || (flags & SEGS != 0 && (by != 0 || given != 0)) {
        return Err(Errno::EINVAL.into());
    }
    let ifindex = if ifindex == 0 { own_ifindex } else { ifindex };
    let device = env::of(cx.world).device(ifindex).ok_or(Errno::ENODEV)?;
    let len = if given == 0 { len } else { given.wrapping_add(device.header_len) };
    let len = len.cast_signed().wrapping_add(by);
    let fits = i64::from(len) <= i64::from(device.max_frame()) || gso_size != 0;
    mtu_len.write(cx, &device.mtu.to_le_bytes()).map_err(|_| Errno::EFAULT)?;
    Ok(if fits { 0 } else { FRAG_NEEDED })
}
