//! Classic filters: how much of a captured packet to keep.
//!
//! They see packets as a packet socket does, from the link layer on, and of whatever link type the
//! capture has: it is for whoever compiled the filter to know. The kernel has no test-run for
//! them, so that the context may say whatever a filter can ask for.

use super::skb::captured;
use super::skb::fields::{fields, layout};
use crate::func::group;
use ubpf_abi::ctx::{CtxField, CtxLayout};
use ubpf_abi::prog_type::{
    InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, RetRange, Verdicts,
};
use ubpf_vm::registry::ProgTypeDef;

static FIELDS: &[CtxField] = &fields(&[]);
static LAYOUT: CtxLayout = layout(FIELDS);

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::Classic,
        doc: "Classic BPF, as tcpdump compiles it: decides how many bytes of a packet to keep.",
        ctx: layout(FIELDS),
        input: InputKind::Packet { from: PacketLayer::Captured },
        packet: PacketAccess::None,
        helpers: &[group::BASE, group::CLASSIC],
        ret: RetRange::Any,
        verdicts: Verdicts::Length,
        legacy_loads: true,
        hooks: &[],
    },
    prepare: |world, input| captured::prepare(world, input, &LAYOUT),
};
