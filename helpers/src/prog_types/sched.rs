//! Traffic control: classifiers and actions, which see and change packets between the network
//! stack and a device.

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
    (Field::QueueMapping, ReadWrite),
    (Field::Priority, ReadWrite),
    (Field::TcIndex, ReadWrite),
    (Field::TcClassid, ReadWrite),
    (Field::Data, Read),
    (Field::DataEnd, Read),
    (Field::DataMeta, Read),
    (Field::Tstamp, ReadWrite),
    (Field::WireLen, Read),
    (Field::TstampType, Read),
    (Field::Hwtstamp, Read),
]);
static LAYOUT: CtxLayout = layout(FIELDS);
const KIND: SkbKind =
    SkbKind { layer: PacketLayer::Link, access: PacketAccess::ReadWrite, layout: &LAYOUT };

/// What both types have in common.
const DECL: ProgTypeDecl = ProgTypeDecl {
    prog_type: ProgType::SchedCls,
    doc: "Classifies packets on their way between the network stack and a device.",
    ctx: layout(FIELDS),
    input: InputKind::Packet { from: PacketLayer::Link },
    packet: PacketAccess::ReadWrite,
    helpers: &[group::BASE, group::EVENTS, group::NET, group::TC],
    ret: RetRange::Any,
    verdicts: Verdicts::Named(&[
        (-1, "TC_ACT_UNSPEC", Fate::Pass),
        (0, "TC_ACT_OK", Fate::Pass),
        (1, "TC_ACT_RECLASSIFY", Fate::Pass),
        (2, "TC_ACT_SHOT", Fate::Drop),
        (3, "TC_ACT_PIPE", Fate::Pass),
        (4, "TC_ACT_STOLEN", Fate::Drop),
        (5, "TC_ACT_QUEUED", Fate::Drop),
        (6, "TC_ACT_REPEAT", Fate::Pass),
        (7, "TC_ACT_REDIRECT", Fate::Redirect),
        (8, "TC_ACT_TRAP", Fate::Drop),
    ]),
    legacy_loads: true,
    hooks: &[],
};

/// `sched_cls`.
pub const CLS: ProgTypeDef =
    ProgTypeDef { decl: DECL, prepare: |world, input| skb::prepare(world, input, KIND) };

/// `sched_act`.
pub const ACT: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::SchedAct,
        doc: "Acts on packets that a classifier has chosen.",
        ..DECL
    },
    prepare: |world, input| skb::prepare(world, input, KIND),
};
