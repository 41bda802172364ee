//! Lightweight tunnels: programs on routes, which see packets from the network header on.

use super::ctx::no_test_run;
use super::skb::fields::{Field, fields, layout};
use super::skb::{self, SkbKind};
use crate::func::group;
use ubpf_abi::ctx::{
    CtxAccess::{Read, ReadWrite},
    CtxField, CtxLayout,
};
use ubpf_abi::prog_type::{
    Fate, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, RetRange, Verdicts,
};
use ubpf_vm::registry::ProgTypeDef;

static FIELDS: &[CtxField] = &fields(&[
    (Field::Mark, ReadWrite),
    (Field::Priority, ReadWrite),
    (Field::Data, Read),
    (Field::DataEnd, Read),
]);
static LAYOUT: CtxLayout = layout(FIELDS);
const KIND: SkbKind =
    SkbKind { layer: PacketLayer::Network, access: PacketAccess::Read, layout: &LAYOUT };
const XMIT_KIND: SkbKind = SkbKind { access: PacketAccess::ReadWrite, ..KIND };

/// What the four types have in common.
const DECL: ProgTypeDecl = ProgTypeDecl {
    prog_type: ProgType::LwtIn,
    doc: "Sees packets that a route with a tunnel receives.",
    ctx: layout(FIELDS),
    input: InputKind::Packet { from: PacketLayer::Network },
    packet: PacketAccess::Read,
    helpers: &[group::BASE, group::EVENTS, group::NET, group::LWT, group::LWT_IN],
    ret: RetRange::Any,
    verdicts: Verdicts::Named(&[
        (0, "BPF_OK", Fate::Pass),
        (2, "BPF_DROP", Fate::Drop),
        (7, "BPF_REDIRECT", Fate::Redirect),
        (128, "BPF_LWT_REROUTE", Fate::Pass),
    ]),
    legacy_loads: false,
    hooks: &[],
};

/// `lwt_in`.
pub const IN: ProgTypeDef =
    ProgTypeDef { decl: DECL, prepare: |world, input| skb::prepare(world, input, KIND) };

/// `lwt_out`.
pub const OUT: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::LwtOut,
        doc: "Sees packets that a route with a tunnel sends.",
        helpers: &[group::BASE, group::EVENTS, group::NET, group::LWT],
        ..DECL
    },
    ..IN
};

/// `lwt_xmit`.
pub const XMIT: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::LwtXmit,
        doc: "Changes packets that a route with a tunnel is about to transmit.",
        packet: PacketAccess::ReadWrite,
        helpers: &[group::BASE, group::EVENTS, group::NET, group::LWT, group::LWT_XMIT],
        ..DECL
    },
    prepare: |world, input| skb::prepare(world, input, XMIT_KIND),
};

/// `lwt_seg6local`.
pub const SEG6LOCAL: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::LwtSeg6local,
        doc: "Acts on packets with a segment routing header.",
        helpers: &[group::BASE, group::EVENTS, group::NET, group::LWT, group::LWT_SEG6LOCAL],
        ..DECL
    },
    prepare: |_, _| Err(no_test_run(ProgType::LwtSeg6local)),
};
