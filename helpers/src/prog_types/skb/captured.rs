//! A captured packet under a classic filter. There is no test-run for these: any packet does, of
//! whatever link type, and the context may say whatever a filter can ask for.

use super::fields::{self, Field};
use super::headers::{Headers, protocol_of};
use super::{Checksum, ETH_HLEN, Gso, Skb, VlanTag};
use crate::env;
use crate::prog_types::ctx::{self, no_memory};
use crate::prog_types::packet::Linear;
use ubpf_abi::ctx::CtxLayout;
use ubpf_abi::prog_type::{PacketAccess, PacketLayer};
use ubpf_vm::mem::{Perm, RegionKind, RegionSpec};
use ubpf_vm::run::{Input, InputError, RunState};
use ubpf_vm::world::World;

/// Builds the socket buffer for a run.
///
/// What the context does not say is as on a packet that no device received: no device, mark, tag
/// or hash, and for this host. Its protocol is that of an Ethernet frame. Its length, where the
/// context says none, is that of the bytes; a greater one tells of a packet that was cut short
/// when it was captured.
///
/// # Errors
/// Fields that do not exist, values that do not fit them, no memory.
pub fn prepare(
    world: &World,
    input: &Input,
    layout: &'static CtxLayout,
) -> Result<Box<dyn RunState>, InputError> {
    let given = ctx::context(input, layout, [0; fields::BYTES])?.unwrap_or([0; fields::BYTES]);
    let given_field = |field: Field| {
        let bytes = given.get(field.off() as usize..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let on_wire = |field| (given_field(field) as u16).swap_bytes();

    let cage = world.cage();
    let capacity = u32::try_from(input.data.len()).unwrap_or(u32::MAX).max(1);
    let packet = Linear::new(cage, capacity, 0, 0, &input.data).map_err(|e| no_memory(&e))?;
    let spec = RegionSpec::new(layout.size.into(), RegionKind::Context, layout.name);
    let ctx = cage.alloc(spec.perm(Perm::Hooked)).map_err(|e| no_memory(&e))?;
    let sock = RegionSpec::new(1, RegionKind::KernelObject, "bpf_sock").perm(Perm::Read);
    let sock = cage.alloc(sock).map_err(|e| no_memory(&e))?;
    let vlan =
        VlanTag { proto: on_wire(Field::VlanProto), tci: given_field(Field::VlanTci) as u16 };
    let tagged = [Field::VlanPresent, Field::VlanTci, Field::VlanProto];
    let tagged = tagged.into_iter().any(|field| given_field(field) != 0);
    let skb = Skb {
        id: env::of(world).next_run(),
        ctx,
        sock,
        headers: Headers::of_frame(packet.data_off(), ETH_HLEN),
        packet,
        layer: PacketLayer::Captured,
        access: PacketAccess::None,
        layout,
        ctx_in: None,
        ifindex: given_field(Field::Ifindex),
        protocol: match on_wire(Field::Protocol) {
            0 => ethertype(&input.data),
            protocol => protocol,
        },
        pkt_type: given_field(Field::PktType) as u8,
        vlan: tagged.then_some(vlan),
        checksum: Checksum::None,
        last_sum: 0,
        verify_checksum: false,
        encapsulated: false,
        hash: Some(given_field(Field::Hash)),
        gso: Gso::default(),
        tstamp_type: 0,
        cookie: None,
        tunnel: None,
        kernel: None,
    };
    let written = skb.ctx.write(0, &given);
    debug_assert!(written.is_ok(), "the context has the struct's size");
    skb.show();
    skb.show_field(Field::Ifindex, skb.ifindex);
    skb.show_field(Field::Len, skb.len().max(given_field(Field::Len)));
    Ok(Box::new(skb))
}

/// The protocol of an Ethernet frame; 0 for what is too short for one.
fn ethertype(frame: &[u8]) -> u16 {
    let type_and_behind = frame.get(12..).unwrap_or_default();
    type_and_behind.first_chunk().map_or(0, |&ethertype| {
        let behind = type_and_behind.get(2..).and_then(<[u8]>::first_chunk).copied();
        protocol_of(u16::from_be_bytes(ethertype), behind)
    })
}
