//! Finding sockets, and what they are.

use super::group::{CGROUP_SKB, CGROUP_SOCK_ADDR, NET, SK_LOOKUP, SK_SKB, TC, TRACING_BTF, XDP};
use super::skb::skb;
use super::structs::{
    MptcpSock, Tcp6Sock, TcpRequestSock, TcpSock, TcpTimewaitSock, Udp6Sock, UnixSock,
};
use ubpf_abi::Errno;
use ubpf_vm::call::arg::Reads;
use ubpf_vm::call::{
    Acquired, BtfObject, CallCx, CtxArg, Fail, FixedMem, MemRead, MemReadOrEmpty, Released, Sock,
    SockCommon,
};
use ubpf_vm::registry::HelperDef;
use ubpf_vm::{describe, helper};

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
    describe!(100 tcp_check_syncookie(SockCommon, MemRead, MemRead) -> i64, since 5.2,
        "Whether the packet acknowledges a SYN cookie of a listening socket.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    describe!(110 tcp_gen_syncookie(SockCommon, MemRead, MemRead) -> i64, since 5.3,
        "Makes a SYN cookie for a listening socket.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(124 sk_assign, since 5.7,
        "Makes a socket receive the packet.", groups: &[TC, SK_LOOKUP]),
    describe!(136 skc_to_tcp6_sock(SockCommon) -> Option<BtfObject<Tcp6Sock>>, since 5.9,
        "The socket as a TCP over IPv6 one, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(137 skc_to_tcp_sock(SockCommon) -> Option<BtfObject<TcpSock>>, since 5.9,
        "The socket as a TCP one, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(138 skc_to_tcp_timewait_sock(SockCommon) -> Option<BtfObject<TcpTimewaitSock>>,
        since 5.9, "The socket as one in time-wait, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(139 skc_to_tcp_request_sock(SockCommon) -> Option<BtfObject<TcpRequestSock>>,
        since 5.9, "The socket as a connection request, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(140 skc_to_udp6_sock(SockCommon) -> Option<BtfObject<Udp6Sock>>, since 5.9,
        "The socket as a UDP over IPv6 one, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(178 skc_to_unix_sock(SockCommon) -> Option<BtfObject<UnixSock>>, since 5.16,
        "The socket as a Unix domain one, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(196 skc_to_mptcp_sock(SockCommon) -> Option<BtfObject<MptcpSock>>, since 5.19,
        "The socket as an MPTCP one, where it is.", groups: &[NET, TRACING_BTF]),
    describe!(204 tcp_raw_gen_syncookie_ipv4(FixedMem<Reads, 20>, MemReadOrEmpty) -> i64,
        since 6.0, "Makes a SYN cookie without a listening socket, over IPv4.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    describe!(205 tcp_raw_gen_syncookie_ipv6(FixedMem<Reads, 40>, MemReadOrEmpty) -> i64,
        since 6.0, "Makes a SYN cookie without a listening socket, over IPv6.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    describe!(206 tcp_raw_check_syncookie_ipv4(FixedMem<Reads, 20>, FixedMem<Reads, 20>) -> i64,
        since 6.0, "Checks a SYN cookie without a listening socket, over IPv4.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    describe!(207 tcp_raw_check_syncookie_ipv6(FixedMem<Reads, 40>, FixedMem<Reads, 20>) -> i64,
        since 6.0, "Checks a SYN cookie without a listening socket, over IPv6.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
];

/// There are no sockets in the emulated network.
fn sk_lookup_tcp(
    _: &mut CallCx<'_>,
    _: CtxArg,
    _tuple: MemRead,
    _netns: u64,
    _flags: u64,
) -> Option<Acquired<Sock>> {
    None
}

fn sk_lookup_udp(
    _: &mut CallCx<'_>,
    _: CtxArg,
    _tuple: MemRead,
    _netns: u64,
    _flags: u64,
) -> Option<Acquired<Sock>> {
    None
}

fn skc_lookup_tcp(
    _: &mut CallCx<'_>,
    _: CtxArg,
    _tuple: MemRead,
    _netns: u64,
    _flags: u64,
) -> Option<Acquired<SockCommon>> {
    None
}

/// Sockets here live as long as their packets.
fn sk_release(_: &mut CallCx<'_>, _: Released<SockCommon>) {}

/// Packets of test-run are on no ingress path, and only there sockets can be assigned.
fn sk_assign(cx: &mut CallCx<'_>, _: CtxArg, _sock: SockCommon, flags: u64) -> Result<(), Fail> {
    skb(cx)?;
    Err(if flags == 0 { Errno::EOPNOTSUPP } else { Errno::EINVAL }.into())
}
