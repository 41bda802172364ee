//! Socket filters: how much of a packet a socket shall receive.

use super::skb::fields::{fields, layout};
use super::skb::{self, SkbKind};
use crate::func::group;
use ubpf_abi::ctx::{CtxField, CtxLayout};
use ubpf_abi::prog_type::{
    InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, RetRange, Verdicts,
};
use ubpf_vm::registry::ProgTypeDef;

static FIELDS: &[CtxField] = &fields(&[]);
static LAYOUT: CtxLayout = layout(FIELDS);
const KIND: SkbKind =
    SkbKind { layer: PacketLayer::Network, access: PacketAccess::None, layout: &LAYOUT };

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::SocketFilter,
        doc: "Decides how many bytes of a packet a socket receives; 0 drops it.",
        ctx: layout(FIELDS),
        input: InputKind::Packet { from: PacketLayer::Network },
        packet: PacketAccess::None,
        helpers: &[group::BASE, group::EVENTS, group::NET, group::SOCKET_FILTER],
        ret: RetRange::Any,
        verdicts: Verdicts::Length,
        legacy_loads: true,
        hooks: &[],
    },
    prepare: |world, input| skb::prepare(world, input, KIND),
};
