//! Sockets in maps, messages between them, and what TCP tells of its sockets.

use super::group::{
    CGROUP_CONNECT, CGROUP_SETSOCKOPT, CGROUP_SOCK_ADDR, ITER, SK_MSG, SK_REUSEPORT, SK_SKB,
    SOCK_OPS, TCP_CA,
};
use super::structs::TcpSock;
use ubpf_abi::helper::Variant;
use ubpf_abi::map::MapOp;
use ubpf_vm::call::{
    BtfPtr, CtxArg, MapKey, MapRef, MemRead, MemReadWrite, MemWrite, SockCommon, args_of,
};
use ubpf_vm::describe;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    describe!(49 setsockopt(CtxArg, i32, i32, MemRead) -> i64, since 4.13,
    "Sets an option of the socket.",
    groups: &[SOCK_OPS, CGROUP_SOCK_ADDR],
    variants: &[Variant {
        groups: &[CGROUP_SETSOCKOPT, TCP_CA, ITER], args: args_of::<(SockCommon, i32, i32, MemRead)>(),
    }]),
    describe!(52 sk_redirect_map(CtxArg, MapRef<'_>, u32, u64) -> i64, since 4.14,
        "Sends the packet to the socket at an index.",
        groups: &[SK_SKB], map_op: Some(MapOp::Sockmap)),
    describe!(53 sock_map_update(CtxArg, MapRef<'_>, MapKey, u64) -> i64, since 4.14,
        "Puts the socket into a map.", groups: &[SOCK_OPS], map_op: Some(MapOp::Sockmap)),
    describe!(57 getsockopt(CtxArg, i32, i32, MemWrite) -> i64, since 4.15,
    "Reads an option of the socket.",
    groups: &[SOCK_OPS, CGROUP_SOCK_ADDR],
    variants: &[Variant {
        groups: &[CGROUP_SETSOCKOPT, TCP_CA, ITER], args: args_of::<(SockCommon, i32, i32, MemWrite)>(),
    }]),
    describe!(59 sock_ops_cb_flags_set(CtxArg, i32) -> i64, since 4.16,
        "Chooses what the program is told of the socket.", groups: &[SOCK_OPS]),
    describe!(60 msg_redirect_map(CtxArg, MapRef<'_>, u32, u64) -> i64, since 4.17,
        "Sends the message to the socket at an index.",
        groups: &[SK_MSG], map_op: Some(MapOp::Sockmap)),
    describe!(61 msg_apply_bytes(CtxArg, u32) -> i64, since 4.17,
        "For how many bytes the verdict holds.", groups: &[SK_MSG]),
    describe!(62 msg_cork_bytes(CtxArg, u32) -> i64, since 4.17,
        "How many bytes must have come before the program runs again.", groups: &[SK_MSG]),
    describe!(63 msg_pull_data(CtxArg, u32, u32, u64) -> i64, since 4.17,
        "Makes bytes of the message directly accessible.",
        groups: &[SK_MSG], changes_packet: true),
    describe!(64 bind(CtxArg, MemRead) -> i64, since 4.17,
        "Binds the socket to an address.", groups: &[CGROUP_CONNECT]),
    describe!(70 sock_hash_update(CtxArg, MapRef<'_>, MapKey, u64) -> i64, since 4.18,
        "Puts the socket into a map.", groups: &[SOCK_OPS], map_op: Some(MapOp::Sockhash)),
    describe!(71 msg_redirect_hash(CtxArg, MapRef<'_>, MapKey, u64) -> i64, since 4.18,
        "Sends the message to the socket under a key.",
        groups: &[SK_MSG], map_op: Some(MapOp::Sockhash)),
    describe!(72 sk_redirect_hash(CtxArg, MapRef<'_>, MapKey, u64) -> i64, since 4.18,
        "Sends the packet to the socket under a key.",
        groups: &[SK_SKB], map_op: Some(MapOp::Sockhash)),
    describe!(82 sk_select_reuseport(CtxArg, MapRef<'_>, MapKey, u64) -> i64, since 4.19,
        "Chooses the socket that receives the packet.",
        groups: &[SK_REUSEPORT], map_op: Some(MapOp::SelectReuseport)),
    describe!(90 msg_push_data(CtxArg, u32, u32, u64) -> i64, since 4.20,
        "Inserts bytes into the message.", groups: &[SK_MSG], changes_packet: true),
    describe!(91 msg_pop_data(CtxArg, u32, u32, u64) -> i64, since 5.0,
        "Removes bytes from the message.", groups: &[SK_MSG], changes_packet: true),
    describe!(116 tcp_send_ack(BtfPtr<TcpSock>, u32) -> i64, since 5.6,
        "Makes a TCP socket acknowledge.", groups: &[TCP_CA]),
    describe!(142 load_hdr_opt(CtxArg, MemReadWrite, u64) -> i64, since 5.10,
        "Copies a TCP header option out.", groups: &[SOCK_OPS]),
    describe!(143 store_hdr_opt(CtxArg, MemRead, u64) -> i64, since 5.10,
        "Writes a TCP header option.", groups: &[SOCK_OPS], changes_packet: true),
    describe!(144 reserve_hdr_opt(CtxArg, u32, u64) -> i64, since 5.10,
        "Makes room for a TCP header option.", groups: &[SOCK_OPS]),
];
