//! Hooks of cgroups: what their processes may do with sockets, devices, options and sysctls.

use super::rows::{BOOL, ONE, array, decl, only_for, pointer, since, wide, word, writable};
use crate::func::group;
use crate::prog_types::context::runs_on_context;
use ubpf_abi::ctx::{
    CtxField,
    CtxFieldKind::{PacketData, PacketEnd, Sock},
    CtxLayout,
    CtxWidth::{NarrowFirst, NarrowLoads, NarrowOrWide, Padded},
};
use ubpf_abi::prog_type::{AttachType, Hook, PacketAccess, ProgType, ProgTypeDecl, RetRange};
use ubpf_vm::registry::ProgTypeDef;

const GET: &[AttachType] = &[AttachType::CGROUP_GETSOCKOPT];
const SET: &[AttachType] = &[AttachType::CGROUP_SETSOCKOPT];
const POST_BIND4: &[AttachType] = &[AttachType::CGROUP_INET4_POST_BIND];
const POST_BIND6: &[AttachType] = &[AttachType::CGROUP_INET6_POST_BIND];
const POST_BIND: &[AttachType] =
    &[AttachType::CGROUP_INET4_POST_BIND, AttachType::CGROUP_INET6_POST_BIND];
/// The kernel takes 0 for the creation of a socket.
const CREATE_OR_RELEASE: &[AttachType] =
    &[AttachType(0), AttachType::CGROUP_INET_SOCK_CREATE, AttachType::CGROUP_INET_SOCK_RELEASE];
const INET4: &[AttachType] = &[
    AttachType::CGROUP_INET4_BIND,
    AttachType::CGROUP_INET4_CONNECT,
    AttachType::CGROUP_INET4_GETPEERNAME,
    AttachType::CGROUP_INET4_GETSOCKNAME,
    AttachType::CGROUP_UDP4_SENDMSG,
    AttachType::CGROUP_UDP4_RECVMSG,
];
const INET6: &[AttachType] = &[
    AttachType::CGROUP_INET6_BIND,
    AttachType::CGROUP_INET6_CONNECT,
    AttachType::CGROUP_INET6_GETPEERNAME,
    AttachType::CGROUP_INET6_GETSOCKNAME,
    AttachType::CGROUP_UDP6_SENDMSG,
    AttachType::CGROUP_UDP6_RECVMSG,
];
const SENDMSG4: &[AttachType] = &[AttachType::CGROUP_UDP4_SENDMSG];
const SENDMSG6: &[AttachType] = &[AttachType::CGROUP_UDP6_SENDMSG];
const BIND: &[AttachType] = &[AttachType::CGROUP_INET4_BIND, AttachType::CGROUP_INET6_BIND];
const CONNECT: &[AttachType] =
    &[AttachType::CGROUP_INET4_CONNECT, AttachType::CGROUP_INET6_CONNECT];
/// Unix domain sockets have no address to be bound to on their way to a connection.
const SENDMSG_OR_UNIX: &[AttachType] = &[
    AttachType::CGROUP_UDP4_SENDMSG,
    AttachType::CGROUP_UDP6_SENDMSG,
    AttachType::CGROUP_UNIX_SENDMSG,
    AttachType::CGROUP_UNIX_CONNECT,
];
const RECEIVE_OR_NAME: &[AttachType] = &[
    AttachType::CGROUP_UDP4_RECVMSG,
    AttachType::CGROUP_UDP6_RECVMSG,
    AttachType::CGROUP_UNIX_RECVMSG,
    AttachType::CGROUP_INET4_GETPEERNAME,
    AttachType::CGROUP_INET6_GETPEERNAME,
    AttachType::CGROUP_UNIX_GETPEERNAME,
    AttachType::CGROUP_INET4_GETSOCKNAME,
    AttachType::CGROUP_INET6_GETSOCKNAME,
    AttachType::CGROUP_UNIX_GETSOCKNAME,
];

static SOCK: &[CtxField] = &[
    only_for(writable(word("bound_dev_if", 0)), CREATE_OR_RELEASE),
    wide(word("family", 4), NarrowFirst),
    wide(word("type", 8), NarrowFirst),
    wide(word("protocol", 12), NarrowFirst),
    only_for(writable(word("mark", 16)), CREATE_OR_RELEASE),
    only_for(writable(word("priority", 20)), CREATE_OR_RELEASE),
    only_for(wide(word("src_ip4", 24), NarrowLoads), POST_BIND4),
    only_for(wide(array("src_ip6", 28, 4, 4), NarrowLoads), POST_BIND6),
    only_for(wide(word("src_port", 44), NarrowFirst), POST_BIND),
    since(wide(word("dst_port", 48), Padded), 5, 1),
    since(wide(word("dst_ip4", 52), NarrowLoads), 5, 1),
    since(wide(array("dst_ip6", 56, 4, 4), NarrowLoads), 5, 1),
    since(wide(word("state", 72), NarrowFirst), 5, 1),
    since(wide(word("rx_queue_mapping", 76), NarrowFirst), 5, 8),
];

static SOCK_ADDR: &[CtxField] = &[
    word("user_family", 0),
    only_for(writable(wide(word("user_ip4", 4), NarrowLoads)), INET4),
    only_for(writable(wide(array("user_ip6", 8, 4, 4), NarrowOrWide)), INET6),
    writable(wide(word("user_port", 24), NarrowLoads)),
    word("family", 28),
    word("type", 32),
    word("protocol", 36),
    only_for(writable(wide(word("msg_src_ip4", 40), NarrowLoads)), SENDMSG4),
    only_for(writable(wide(array("msg_src_ip6", 44, 4, 4), NarrowOrWide)), SENDMSG6),
    since(pointer("sk", 64, Sock), 5, 3),
];

static DEVICE: &[CtxField] =
    &[wide(word("access_type", 0), NarrowLoads), word("major", 4), word("minor", 8)];

static SYSCTL: &[CtxField] =
    &[wide(word("write", 0), NarrowLoads), writable(wide(word("file_pos", 4), NarrowLoads))];

static SOCKOPT: &[CtxField] = &[
    pointer("sk", 0, Sock),
    pointer("optval", 8, PacketData),
    pointer("optval_end", 16, PacketEnd),
    only_for(word("level", 24), GET),
    only_for(writable(word("level", 24)), SET),
    only_for(word("optname", 28), GET),
    only_for(writable(word("optname", 28)), SET),
    writable(word("optlen", 32)),
    only_for(writable(word("retval", 36)), GET),
];

/// The types of this family.
pub const ALL: &[ProgTypeDef] = &[
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::CGROUP, group::CGROUP_SOCK],
        ret: BOOL,
        ..decl(
            ProgType::CgroupSock,
            "Allows or refuses sockets of a cgroup.",
            CtxLayout { name: "bpf_sock", size: 80, fields: SOCK },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::NET, group::CGROUP, group::CGROUP_SOCK_ADDR],
        ret: BOOL,
        hooks: &[
            Hook { attach_types: RECEIVE_OR_NAME, helpers: &[], ret: ONE },
            // 2 and 3 let an unprivileged process bind to a privileged port.
            Hook {
                attach_types: BIND,
                helpers: &[group::CGROUP_RETVAL],
                ret: RetRange::Within { min: 0, max: 3 },
            },
            Hook {
                attach_types: CONNECT,
                helpers: &[group::CGROUP_RETVAL, group::CGROUP_CONNECT],
                ret: BOOL,
            },
            Hook { attach_types: SENDMSG_OR_UNIX, helpers: &[group::CGROUP_RETVAL], ret: BOOL },
        ],
        ..decl(
            ProgType::CgroupSockAddr,
            "Sees and changes the addresses that a cgroup's sockets use.",
            CtxLayout { name: "bpf_sock_addr", size: 72, fields: SOCK_ADDR },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::CGROUP],
        ret: BOOL,
        ..decl(
            ProgType::CgroupDevice,
            "Allows or refuses access to devices.",
            CtxLayout { name: "bpf_cgroup_dev_ctx", size: 12, fields: DEVICE },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::CGROUP, group::CGROUP_SYSCTL],
        ret: BOOL,
        ..decl(
            ProgType::CgroupSysctl,
            "Allows, refuses or changes accesses to sysctls.",
            CtxLayout { name: "bpf_sysctl", size: 8, fields: SYSCTL },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        packet: PacketAccess::ReadWrite,
        helpers: &[group::BASE, group::EVENTS, group::CGROUP, group::CGROUP_SOCKOPT],
        ret: BOOL,
        hooks: &[Hook { attach_types: SET, helpers: &[group::CGROUP_SETSOCKOPT], ret: BOOL }],
        ..decl(
            ProgType::CgroupSockopt,
            "Sees and changes the options that a cgroup's sockets get and set.",
            CtxLayout { name: "bpf_sockopt", size: 40, fields: SOCKOPT },
        )
    }),
];
