//! Finding sockets, and what they are.

use super::group::{CGROUP_SKB, CGROUP_SOCK_ADDR, NET, SK_LOOKUP, SK_SKB, TC, TRACING_BTF, XDP};
use super::skb::skb;
use super::sock;
use super::structs::{
    MptcpSock, Tcp6Sock, TcpRequestSock, TcpSock, TcpTimewaitSock, Udp6Sock, UnixSock,
};
use crate::env;
use crate::env::socket::{AF_INET, AF_INET6, TCP, UDP};
use crate::prog_types::sk_lookup::LookupRun;
use core::net::{IpAddr, SocketAddr};
use ubpf_abi::helper::{Arg, Variant};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::arg::ArgShape;
use ubpf_vm::call::{
    Acquired, ArgReader, BtfObject, BtfStruct, CallCx, CtxArg, Fail, HelperArg, MemRead, Released,
    Sock, SockCommon, args_of,
};
use ubpf_vm::helper;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(84 sk_lookup_tcp, since 4.20,
        "Finds the TCP socket of a connection, or the one that listens for it.",
        groups: &[TC, XDP, CGROUP_SKB, SK_SKB, CGROUP_SOCK_ADDR], packet_access: true),
    helper!(85 sk_lookup_udp, since 4.20,
        "Finds the UDP socket that receives a packet.",
        groups: &[TC, XDP, CGROUP_SKB, SK_SKB, CGROUP_SOCK_ADDR], packet_access: true),
    helper!(86 sk_release, since 4.20,
        "Releases a socket that a look-up gave.",
        groups: &[TC, XDP, CGROUP_SKB, SK_SKB, SK_LOOKUP, CGROUP_SOCK_ADDR]),
    helper!(99 skc_lookup_tcp, since 5.2,
        "Finds the TCP socket of a connection, in whatever state it is.",
        groups: &[TC, XDP, CGROUP_SKB, SK_SKB, CGROUP_SOCK_ADDR], packet_access: true),
    helper!(124 sk_assign, since 5.7,
    "Makes a socket receive the packet.", groups: &[TC],
    variants: &[Variant {
        groups: &[SK_LOOKUP], args: args_of::<(CtxArg, Option<Sock>, u64)>(),
    }]),
    helper!(136 skc_to_tcp6_sock, since 5.9,
        "The socket as a TCP over IPv6 one, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(137 skc_to_tcp_sock, since 5.9,
        "The socket as a TCP one, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(138 skc_to_tcp_timewait_sock, since 5.9, "The socket as one in time-wait, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(139 skc_to_tcp_request_sock, since 5.9, "The socket as a connection request, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(140 skc_to_udp6_sock, since 5.9,
        "The socket as a UDP over IPv6 one, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(178 skc_to_unix_sock, since 5.16,
        "The socket as a Unix domain one, where it is.", groups: &[NET, TRACING_BTF]),
    helper!(196 skc_to_mptcp_sock, since 5.19,
        "The socket as an MPTCP one, where it is.", groups: &[NET, TRACING_BTF]),
];

/// The addresses and ports that a look-up goes by: the sender's first.
fn tuple(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    fn address<const N: usize>(bytes: &[u8], at: usize, port: usize) -> Option<SocketAddr>
    where
        IpAddr: From<[u8; N]>,
    {
        let ip: [u8; N] = *bytes.get(at..)?.first_chunk()?;
        let port = *bytes.get(port..)?.first_chunk()?;
        Some(SocketAddr::new(ip.into(), u16::from_be_bytes(port)))
    }
    match bytes.len() {
        12 => Some((address::<4>(bytes, 0, 8)?, address::<4>(bytes, 4, 10)?)),
        36 => Some((address::<16>(bytes, 0, 32)?, address::<16>(bytes, 16, 34)?)),
        _ => None,
    }
}

/// Where programs see the socket that a look-up finds.
fn find(
    cx: &mut CallCx<'_>,
    protocol: u8,
    by: &MemRead,
    netns: u64,
    flags: u64,
) -> Option<GuestAddr> {
    let bytes = by.bytes(cx).ok()?;
    let (from, to) = tuple(&bytes)?;
    // Every number below 0 means the packet's own namespace, and there is no other.
    if flags != 0 || (netns as i32) >= 0 {
        return None;
    }
    let ifindex = super::net::packet(cx).map_or(env::LOOPBACK, |(_, ifindex, _)| ifindex);
    let sockets = env::of(cx.world).sockets();
    let id = sockets.find(protocol, from, to, ifindex)?;
    sockets.addr(cx.cage(), id).ok()
}

fn sk_lookup_tcp(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    by: MemRead,
    netns: u64,
    flags: u64,
) -> Option<Acquired<Sock>> {
    let found = find(cx, TCP, &by, netns, flags)?;
    sock::is_full(cx, found).then(|| Acquired(Sock::new(found)))
}

fn sk_lookup_udp(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    by: MemRead,
    netns: u64,
    flags: u64,
) -> Option<Acquired<Sock>> {
    find(cx, UDP, &by, netns, flags).map(|found| Acquired(Sock::new(found)))
}

fn skc_lookup_tcp(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    by: MemRead,
    netns: u64,
    flags: u64,
) -> Option<Acquired<SockCommon>> {
    find(cx, TCP, &by, netns, flags).map(|found| Acquired(SockCommon::new(found)))
}

/// Sockets here live as long as their packets, or the world.
fn sk_release(_: &mut CallCx<'_>, _: Released<SockCommon>) {}

/// A socket to assign. Socket look-ups may pass null; other types must pass a socket.
#[derive(Clone, Copy, Debug)]
struct MaybeSock(Option<GuestAddr>);

impl ArgShape for MaybeSock {
    const ARG: Arg = SockCommon::ARG;
}

impl HelperArg<'_> for MaybeSock {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let socket = Option::<SockCommon>::read(regs)?;
        Ok(Self(socket.map(|socket| socket.addr())))
    }
}

/// Socket look-ups choose; packets of test-run are on no ingress path, and only there sockets can
/// be assigned.
fn sk_assign(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    MaybeSock(socket): MaybeSock,
    flags: u64,
) -> Result<(), Fail> {
    let chosen = socket.and_then(|addr| sock::declared(cx, addr)).map(|(id, _)| id);
    let world = cx.world;
    if let Some(lookup) = cx.run.as_any_mut().downcast_mut::<LookupRun>() {
        return Ok(lookup.select(world, chosen, flags)?);
    }
    skb(cx)?;
    Err(if flags == 0 { Errno::EOPNOTSUPP } else { Errno::EINVAL }.into())
}

/// The kernel's own struct of a socket, where it is a full one of this protocol and family.
fn as_struct<T: BtfStruct>(
    cx: &CallCx<'_>,
    socket: SockCommon,
    protocol: u8,
    families: &[u16],
) -> Option<BtfObject<T>> {
    let (id, declared) = sock::declared(cx, socket.addr())?;
    let fits = declared.protocol == protocol && families.contains(&declared.family());
    if !fits || !sock::is_full(cx, socket.addr()) {
        return None;
    }
    let env = env::of(cx.world);
    let addr = env.sockets().kernel_addr(cx.cage(), env.types(), id, T::NAME).ok()?;
    Some(BtfObject::new(addr))
}

fn skc_to_tcp6_sock(cx: &mut CallCx<'_>, socket: SockCommon) -> Option<BtfObject<Tcp6Sock>> {
    as_struct(cx, socket, TCP, &[AF_INET6])
}

fn skc_to_tcp_sock(cx: &mut CallCx<'_>, socket: SockCommon) -> Option<BtfObject<TcpSock>> {
    as_struct(cx, socket, TCP, &[AF_INET, AF_INET6])
}

fn skc_to_udp6_sock(cx: &mut CallCx<'_>, socket: SockCommon) -> Option<BtfObject<Udp6Sock>> {
    as_struct(cx, socket, UDP, &[AF_INET6])
}

/// Sockets in time-wait are not emulated, and neither are the kinds below.
fn skc_to_tcp_timewait_sock(
    _: &mut CallCx<'_>,
    _: SockCommon,
) -> Option<BtfObject<TcpTimewaitSock>> {
    None
}

fn skc_to_tcp_request_sock(_: &mut CallCx<'_>, _: SockCommon) -> Option<BtfObject<TcpRequestSock>> {
    None
}

fn skc_to_unix_sock(_: &mut CallCx<'_>, _: SockCommon) -> Option<BtfObject<UnixSock>> {
    None
}

fn skc_to_mptcp_sock(_: &mut CallCx<'_>, _: SockCommon) -> Option<BtfObject<MptcpSock>> {
    None
}
