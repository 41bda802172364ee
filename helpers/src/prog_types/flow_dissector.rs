//! Flow dissectors: programs that find the keys of a packet's flow, in place of the kernel's own.
//!
//! Under test-run there is a frame and no socket buffer around it. What comes out is the keys, not
//! the packet.

use super::ctx::{self, no_memory, refuse};
use super::described::rows::{decl, word};
use super::packet::Linear;
use super::skb::ETH_HLEN;
use super::skb::fields::{Field, layout, only};
use crate::func::group;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::ctx::{CtxAccess::Read, CtxField, CtxLayout};
use ubpf_abi::prog_type::{
    Fate, InputKind, PacketAccess, PacketLayer, ProgType, ProgTypeDecl, Verdicts,
};
use ubpf_vm::mem::{GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::ProgTypeDef;
use ubpf_vm::run::{CtxStoreError, Input, InputError, Output, RunState};
use ubpf_vm::world::World;

static FIELDS: &[CtxField] =
    &only(&[(Field::Data, Read), (Field::DataEnd, Read), (Field::FlowKeys, Read)]);
const LAYOUT: CtxLayout = layout(FIELDS);

/// The program type.
pub const DEF: ProgTypeDef = ProgTypeDef {
    decl: ProgTypeDecl {
        input: InputKind::Packet { from: PacketLayer::Link },
        packet: PacketAccess::Read,
        helpers: &[group::BASE, group::NET, group::FLOW_DISSECTOR],
        verdicts: Verdicts::Named(&[
            (0, "BPF_OK", Fate::Pass),
            (2, "BPF_DROP", Fate::Drop),
            (129, "BPF_FLOW_DISSECTOR_CONTINUE", Fate::Pass),
        ]),
        ..decl(ProgType::FlowDissector, "Finds the keys of a packet's flow.", LAYOUT)
    },
    prepare,
};

/// Bytes that a frame may have: test-run puts it into a page.
const MAX_BYTES: usize = 4096;
/// Bytes of `struct bpf_flow_keys`.
const KEYS_BYTES: usize = 56;

/// Its fields that the kernel fills, and the ones it looks at afterwards.
mod keys {
    pub const NHOFF: u32 = 0;
    pub const THOFF: u32 = 2;
    pub const N_PROTO: u32 = 10;
    pub const FLAGS: u32 = 48;
}

/// What a caller may bring: the struct with its flags set and nothing else.
const KEYS: CtxLayout = CtxLayout {
    name: "bpf_flow_keys",
    size: KEYS_BYTES as u32,
    fields: &[word("flags", keys::FLAGS)],
};

/// A frame under a flow dissector.
#[derive(Debug)]
pub struct FlowRun {
    ctx: Region,
    packet: Linear,
    keys: Region,
    /// The keys that the caller brought; without them none are reported as context.
    given: Option<[u8; KEYS_BYTES]>,
}

fn prepare(world: &World, input: &Input) -> Result<Box<dyn RunState>, InputError> {
    if input.flags != 0 {
        let message = format!("flags {:#x}: flow dissector runs take none", input.flags);
        return Err(refuse(Errno::EINVAL, message));
    }
    let len = input.data.len();
    if !(ETH_HLEN as usize..=MAX_BYTES).contains(&len) {
        let message = format!("packet of {len} bytes: {ETH_HLEN} to {MAX_BYTES} are possible");
        return Err(refuse(Errno::EINVAL, message));
    }
    let given: Option<[u8; KEYS_BYTES]> = ctx::context(input, &KEYS, [0; KEYS_BYTES])?;
    let flags = keys::FLAGS as usize..keys::FLAGS as usize + 4;
    let beside_flags = |(at, byte): (usize, &u8)| *byte != 0 && !flags.contains(&at);
    if given.as_ref().is_some_and(|keys| keys.iter().enumerate().any(beside_flags)) {
        return Err(refuse(Errno::EINVAL, "context: only flags may be set"));
    }
    let cage = world.cage();
    let packet = Linear::new(cage, len as u32, 0, 0, &input.data).map_err(|e| no_memory(&e))?;
    let alloc = |bytes: u32, kind, label: &'static str, perm| {
        let spec = RegionSpec::new(bytes.into(), kind, label).perm(perm);
        cage.alloc(spec).map_err(|e| no_memory(&e))
    };
    let ctx = alloc(LAYOUT.size, RegionKind::Context, LAYOUT.name, Perm::Read)?;
    let keys = alloc(KEYS.size, RegionKind::KernelObject, KEYS.name, Perm::ReadWrite)?;
    let run = FlowRun { ctx, packet, keys, given };
    run.begin().map_err(|_| refuse(Errno::EFAULT, "the context has no room"))?;
    Ok(Box::new(run))
}

impl FlowRun {
    /// The frame.
    #[must_use]
    pub const fn packet(&self) -> &Linear {
        &self.packet
    }

    /// What the program finds.
    fn begin(&self) -> Result<(), ubpf_vm::mem::Fault> {
        const ETHERTYPE: u32 = 12;
        let network = ETH_HLEN as u16;
        let flags = self.given.and_then(|g| g.get(keys::FLAGS as usize..)?.first_chunk().copied());
        self.keys.fill(0, KEYS.size, 0)?;
        self.keys.store(keys::NHOFF, network)?;
        self.keys.store(keys::THOFF, network)?;
        self.keys
            .write(keys::N_PROTO, &self.packet.read_array::<2>(ETHERTYPE).unwrap_or([0; 2]))?;
        self.keys.store(keys::FLAGS, flags.map_or(0, u32::from_le_bytes))?;
        self.ctx.store(Field::Data.off(), self.packet.data_addr().0)?;
        self.ctx.store(Field::DataEnd.off(), self.packet.end_addr().0)?;
        self.ctx.store(Field::FlowKeys.off(), u64::from(self.keys.addr()))
    }

    /// Offsets of headers stay inside the packet and behind each other.
    fn keys(&self) -> Result<Vec<u8>, ubpf_vm::mem::Fault> {
        let len = self.packet.len() as u16;
        let nhoff = self.keys.load::<u16>(keys::NHOFF)?.clamp(ETH_HLEN as u16, len);
        let thoff = self.keys.load::<u16>(keys::THOFF)?.clamp(nhoff, len);
        self.keys.store(keys::NHOFF, nhoff)?;
        self.keys.store(keys::THOFF, thoff)?;
        self.keys.read_vec(0, KEYS.size)
    }
}

impl RunState for FlowRun {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn next_repetition(&mut self, _: &World) -> Result<(), InputError> {
        self.begin().map_err(|_| refuse(Errno::EFAULT, "the context has no room"))
    }

    fn ctx_store(&mut self, _: &World, _: u32, _: u32, _: u64) -> Result<(), CtxStoreError> {
        Err(CtxStoreError)
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        let keys = self.keys().map_err(|_| refuse(Errno::EFAULT, "the flow keys are gone"))?;
        let ctx = self.given.map(|given| given.to_vec());
        Ok(Output { retval: r0 as u32, data: Some(keys), ctx, ..Output::default() })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
