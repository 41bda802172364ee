//! Programs on sockets: events of TCP, messages and streams of a sockmap, and the choice of the
//! socket that receives.

use super::rows::{BOOL, array, decl, long, pointer, since, wide, word, writable};
use crate::func::group;
use crate::prog_types::context::runs_on_context;
use crate::prog_types::skb::fields::{Field, fields, layout};
use crate::prog_types::skb::{self, SkbKind};
use ubpf_abi::ctx::{
    CtxAccess::{None, Read, ReadWrite},
    CtxField,
    CtxFieldKind::{FullSockOrNull, PacketData, PacketEnd, Sock, SockOrNull},
    CtxLayout,
    CtxWidth::{HalfLoads, NarrowFirst, NarrowLoads},
};
use ubpf_abi::prog_type::{
    Fate, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, Verdicts,
};
use ubpf_vm::registry::ProgTypeDef;

static SOCK_OPS: &[CtxField] = &[
    word("op", 0),
    // The rest of the union `args`, which has four elements.
    writable(word("reply", 4)),
    array("args", 8, 4, 3),
    word("family", 20),
    word("remote_ip4", 24),
    word("local_ip4", 28),
    array("remote_ip6", 32, 4, 4),
    array("local_ip6", 48, 4, 4),
    word("remote_port", 64),
    word("local_port", 68),
    word("is_fullsock", 72),
    word("snd_cwnd", 76),
    word("srtt_us", 80),
    word("bpf_sock_ops_cb_flags", 84),
    word("state", 88),
    word("rtt_min", 92),
    word("snd_ssthresh", 96),
    word("rcv_nxt", 100),
    word("snd_nxt", 104),
    word("snd_una", 108),
    word("mss_cache", 112),
    word("ecn_flags", 116),
    word("rate_delivered", 120),
    word("rate_interval_us", 124),
    word("packets_out", 128),
    word("retrans_out", 132),
    word("total_retrans", 136),
    word("segs_in", 140),
    word("data_segs_in", 144),
    word("segs_out", 148),
    word("data_segs_out", 152),
    word("lost_out", 156),
    word("sacked_out", 160),
    writable(word("sk_txhash", 164)),
    long("bytes_received", 168),
    long("bytes_acked", 176),
    since(pointer("sk", 184, FullSockOrNull), 5, 3),
    since(pointer("skb_data", 192, PacketData), 5, 10),
    since(pointer("skb_data_end", 200, PacketEnd), 5, 10),
    since(word("skb_len", 208), 5, 10),
    since(wide(word("skb_tcp_flags", 212), NarrowFirst), 5, 10),
    since(long("skb_hwtstamp", 216), 6, 2),
];

static SK_SKB: &[CtxField] = &fields(&[
    (Field::Mark, None),
    (Field::Priority, ReadWrite),
    (Field::TcIndex, ReadWrite),
    (Field::Cb, Read),
    (Field::Data, Read),
    (Field::DataEnd, Read),
    (Field::Family, Read),
    (Field::RemoteIp4, Read),
    (Field::LocalIp4, Read),
    (Field::RemoteIp6, Read),
    (Field::LocalIp6, Read),
    (Field::RemotePort, Read),
    (Field::LocalPort, Read),
]);

const SK_SKB_LAYOUT: CtxLayout = layout(SK_SKB);
const SKB_KIND: SkbKind = SkbKind {
    layer: PacketLayer::Network,
    access: PacketAccess::ReadWrite,
    layout: &SK_SKB_LAYOUT,
};

static SK_MSG: &[CtxField] = &[
    pointer("data", 0, PacketData),
    pointer("data_end", 8, PacketEnd),
    word("family", 16),
    word("remote_ip4", 20),
    word("local_ip4", 24),
    array("remote_ip6", 28, 4, 4),
    array("local_ip6", 44, 4, 4),
    word("remote_port", 60),
    word("local_port", 64),
    since(word("size", 68), 5, 0),
    since(pointer("sk", 72, Sock), 5, 8),
];

static SK_REUSEPORT: &[CtxField] = &[
    pointer("data", 0, PacketData),
    pointer("data_end", 8, PacketEnd),
    wide(word("len", 16), NarrowLoads),
    wide(word("eth_protocol", 20), HalfLoads),
    wide(word("ip_protocol", 24), NarrowLoads),
    wide(word("bind_inany", 28), NarrowLoads),
    word("hash", 32),
    since(pointer("sk", 40, Sock), 5, 14),
    since(pointer("migrating_sk", 48, SockOrNull), 5, 14),
];

/// The types of this family.
pub const ALL: &[ProgTypeDef] = &[
    runs_on_context!(ProgTypeDecl {
        helpers: &[group::BASE, group::EVENTS, group::NET, group::SOCK_OPS, group::CGROUP],
        ret: BOOL,
        ..decl(
            ProgType::SockOps,
            "Sees events of a cgroup's TCP sockets and sets their parameters.",
            CtxLayout { name: "bpf_sock_ops", size: 224, fields: SOCK_OPS },
        )
    }),
    ProgTypeDef {
        decl: ProgTypeDecl {
            input: InputKind::Packet { from: PacketLayer::Network },
            packet: PacketAccess::ReadWrite,
            helpers: &[group::BASE, group::EVENTS, group::NET, group::SK_SKB],
            verdicts: Verdicts::Named(&[(0, "SK_DROP", Fate::Drop), (1, "SK_PASS", Fate::Pass)]),
            ..decl(
                ProgType::SkSkb,
                "Cuts a sockmap's stream into messages, or redirects them.",
                SK_SKB_LAYOUT,
            )
        },
        prepare: |world, input| skb::prepare(world, input, SKB_KIND),
    },
    runs_on_context!(ProgTypeDecl {
        packet: PacketAccess::ReadWrite,
        helpers: &[group::BASE, group::EVENTS, group::NET, group::SK_MSG],
        verdicts: Verdicts::Named(&[(0, "SK_DROP", Fate::Drop), (1, "SK_PASS", Fate::Pass)]),
        ..decl(
            ProgType::SkMsg,
            "Sees what is sent through a sockmap, and may redirect it.",
            CtxLayout { name: "sk_msg_md", size: 80, fields: SK_MSG },
        )
    }),
    runs_on_context!(ProgTypeDecl {
        packet: PacketAccess::Read,
        helpers: &[group::BASE, group::SK_REUSEPORT],
        verdicts: Verdicts::Named(&[(0, "SK_DROP", Fate::Drop), (1, "SK_PASS", Fate::Pass)]),
        ..decl(
            ProgType::SkReuseport,
            "Chooses the socket of a reuseport group that receives a packet.",
            CtxLayout { name: "sk_reuseport_md", size: 56, fields: SK_REUSEPORT },
        )
    }),
];
