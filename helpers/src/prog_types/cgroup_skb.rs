//! Packets that sockets of a cgroup receive or send.

use super::skb::fields::{Field, fields, layout};
use super::skb::{self, SkbKind};
use crate::func::group;
use ubpf_abi::ctx::{
    CtxAccess::{Read, ReadWrite},
    CtxField, CtxLayout,
};
use ubpf_abi::prog_type::{
    AttachType, Fate, Hook, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, RetRange,
    Verdicts,
};
use ubpf_vm::registry::ProgTypeDef;

static FIELDS: &[CtxField] = &fields(&[
    (Field::Mark, ReadWrite),
    (Field::Priority, ReadWrite),
    (Field::Data, Read),
    (Field::DataEnd, Read),
    (Field::Family, Read),
    (Field::RemoteIp4, Read),
    (Field::LocalIp4, Read),
    (Field::RemoteIp6, Read),
    (Field::LocalIp6, Read),
    (Field::RemotePort, Read),
    (Field::LocalPort, Read),
    (Field::Tstamp, ReadWrite),
    (Field::Hwtstamp, Read),
]);
static LAYOUT: CtxLayout = layout(FIELDS);
const KIND: SkbKind =
    SkbKind { layer: PacketLayer::Network, access: PacketAccess::Read, layout: &LAYOUT };

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        prog_type: ProgType::CgroupSkb,
        doc: "Lets packets of a cgroup's sockets pass or drops them.",
        ctx: layout(FIELDS),
        input: InputKind::Packet { from: PacketLayer::Network },
        packet: PacketAccess::Read,
        helpers: &[group::BASE, group::EVENTS, group::NET, group::CGROUP, group::CGROUP_SKB],
        ret: RetRange::Within { min: 0, max: 1 },
        verdicts: Verdicts::Named(&[
            (0, "drop", Fate::Drop),
            (1, "pass", Fate::Pass),
            (2, "drop, congested", Fate::Drop),
            (3, "pass, congested", Fate::Pass),
        ]),
        legacy_loads: false,
        // On egress 2 and 3 ask for congestion to be signalled.
        hooks: &[Hook {
            attach_types: &[AttachType::CGROUP_INET_EGRESS],
            helpers: &[],
            ret: RetRange::Within { min: 0, max: 3 },
        }],
    },
    prepare: |world, input| skb::prepare(world, input, KIND),
};
