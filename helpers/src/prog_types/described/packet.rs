//! Programs on packets inside the network stack.

use super::rows::{BOOL, decl, pointer};
use crate::func::group;
use crate::prog_types::skb::fields::{Field, layout, only};
use ubpf_abi::ctx::{CtxAccess::Read, CtxField, CtxFieldKind, CtxLayout};
use ubpf_abi::prog_type::{
    Fate, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, Verdicts,
};

static FLOW: &[CtxField] =
    &only(&[(Field::Data, Read), (Field::DataEnd, Read), (Field::FlowKeys, Read)]);
static NETFILTER: &[CtxField] = &[
    pointer("state", 0, CtxFieldKind::Pointer("nf_hook_state")),
    pointer("skb", 8, CtxFieldKind::Pointer("sk_buff")),
];

/// The types of this family.
pub const ALL: &[ProgTypeDecl] = &[
    ProgTypeDecl {
        input: InputKind::Packet { from: PacketLayer::Link },
        packet: PacketAccess::Read,
        helpers: &[group::BASE, group::NET, group::FLOW_DISSECTOR],
        verdicts: Verdicts::Named(&[
            (0, "BPF_OK", Fate::Pass),
            (2, "BPF_DROP", Fate::Drop),
            (129, "BPF_FLOW_DISSECTOR_CONTINUE", Fate::Pass),
        ]),
        ..decl(ProgType::FlowDissector, "Finds the keys of a packet's flow.", layout(FLOW))
    },
    ProgTypeDecl {
        input: InputKind::Packet { from: PacketLayer::Network },
        helpers: &[group::BASE],
        ret: BOOL,
        verdicts: Verdicts::Named(&[(0, "NF_DROP", Fate::Drop), (1, "NF_ACCEPT", Fate::Pass)]),
        ..decl(
            ProgType::Netfilter,
            "Lets packets pass a netfilter hook or drops them.",
            CtxLayout { name: "bpf_nf_ctx", size: 16, fields: NETFILTER },
        )
    },
];
