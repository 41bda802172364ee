//! From test-run's input to a socket buffer, and its context back.

use super::fields::{self, Field};
use super::headers::{Headers, protocol_of};
use super::{Checksum, ETH_HLEN, ETH_P_IP, ETH_P_IPV6, Gso, Skb, edit};
use crate::env::{self, Device};
use crate::prog_types::ctx::{self, no_memory, refuse};
use crate::prog_types::packet::Linear;
use ubpf_abi::Errno;
use ubpf_abi::ctx::CtxLayout;
use ubpf_abi::prog_type::{PacketAccess, PacketLayer};
use ubpf_vm::mem::{Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::run::{Input, InputError, RunState};
use ubpf_vm::world::World;

/// What test-run puts into its page at most: the page without headroom and shared info.
const MAX_BYTES: usize = 4096 - 64 - 320;
/// The buffer, and where the frame begins in it. Helpers let packets grow to 16 KiB, but tags can
/// still be pushed then, and packets with segments have no limit.
const BUFFER_BYTES: u32 = 128 << 10;
const BUFFER_HEADROOM: u32 = 8 << 10;
/// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`.
const CHECKSUM_COMPLETE: u32 = 1 << 2;
/// `GSO_LEGACY_MAX_SIZE`.
const MAX_WIRE_LEN: u32 = 65536;
/// `PACKET_*` as `pkt_type` has them.
const HOST: u8 = 0;
const BROADCAST: u8 = 1;
const MULTICAST: u8 = 2;
const OTHERHOST: u8 = 3;
/// `struct bpf_sock`.
const SOCK_BYTES: u32 = 80;

/// How a program type sees socket buffers.
#[derive(Clone, Copy, Debug)]
pub struct SkbKind {
    /// The first header it sees.
    pub layer: PacketLayer,
    /// What it may do with packet bytes.
    pub access: PacketAccess,
    /// Its context.
    pub layout: &'static CtxLayout,
}

/// Builds the socket buffer for a run.
///
/// # Errors
/// Where test-run would refuse the input.
pub fn prepare(
    world: &World,
    input: &Input,
    kind: SkbKind,
) -> Result<Box<dyn RunState>, InputError> {
    if input.flags & !CHECKSUM_COMPLETE != 0 {
        let message = format!("flags {:#x}: runs of this type take only 4", input.flags);
        return Err(refuse(Errno::EINVAL, message));
    }
    let given = Ctx::new(ctx::context(input, kind.layout, [0; fields::BYTES])?)?;
    let frame = Frame::new(&input.data)?;
    let device = device(world, &given)?;

    let cage = world.cage();
    let mut packet = Linear::new(cage, BUFFER_BYTES, BUFFER_HEADROOM, 0, &input.data)
        .map_err(|e| no_memory(&e))?;
    let headers = Headers::of_frame(packet.data_off(), ETH_HLEN);
    if kind.layer == PacketLayer::Network {
        // The frame has an Ethernet header, so this cannot fail; nor can hiding it hurt.
        let _ = packet.hide_front(ETH_HLEN);
    }
    given.check_wire_len(packet.len())?;

    let alloc = |bytes: u32, region, label: &'static str, perm| {
        let spec = RegionSpec::new(bytes.into(), region, label).perm(perm);
        cage.alloc(spec).map_err(|e| no_memory(&e))
    };
    let context = RegionKind::Context;
    let ctx = alloc(kind.layout.size, context, kind.layout.name, Perm::Hooked)?;
    let sock = alloc(SOCK_BYTES, RegionKind::KernelObject, "bpf_sock", Perm::Read)?;
    let verify_checksum = input.flags & CHECKSUM_COMPLETE != 0;
    let mut skb = Skb {
        id: env::of(world).next_run(),
        ctx,
        sock,
        packet,
        headers,
        layer: kind.layer,
        access: kind.access,
        layout: kind.layout,
        ctx_in: given.bytes,
        ifindex: device.ifindex,
        protocol: frame.protocol,
        pkt_type: frame.pkt_type(device),
        vlan: None,
        checksum: Checksum::None,
        last_sum: 0,
        verify_checksum,
        encapsulated: false,
        hash: None,
        gso: Gso {
            size: given.field(Field::GsoSize) as u16,
            segs: given.gso_segs()?,
            typed: false,
        },
        tstamp_type: 0,
        cookie: None,
        tunnel: None,
        kernel: None,
    };
    if verify_checksum {
        skb.set_checksum(Checksum::Complete(edit::sum(&skb.network_bytes())));
    }
    skb.fill_ctx(&given);
    skb.fill_sock(&frame.addresses);
    skb.show();
    Ok(Box::new(skb))
}

/// What a frame's headers say.
struct Frame {
    destination: [u8; 6],
    protocol: u16,
    addresses: Addresses,
}

/// Source and destination of the network header, in network order; what the socket's are made from.
enum Addresses {
    None,
    V4 { source: [u8; 4], destination: [u8; 4] },
    V6 { source: [u8; 16], destination: [u8; 16] },
}

impl Frame {
    fn new(data: &[u8]) -> Result<Self, InputError> {
        let too_short = |need: u32, what: &str| {
            let message = format!("packet of {} bytes: {what} needs {need}", data.len());
            refuse(Errno::EINVAL, message)
        };
        let (destination, rest) =
            data.split_first_chunk::<6>().ok_or_else(|| too_short(ETH_HLEN, "Ethernet"))?;
        let (ethertype, network) = rest
            .get(6..)
            .and_then(<[u8]>::split_first_chunk::<2>)
            .ok_or_else(|| too_short(ETH_HLEN, "Ethernet"))?;
        if data.len() > MAX_BYTES {
            let message = format!("packet of {} bytes: at most {MAX_BYTES} fit", data.len());
            return Err(refuse(Errno::EINVAL, message));
        }
        let behind = network.first_chunk::<2>().copied();
        let protocol = protocol_of(u16::from_be_bytes(*ethertype), behind);
        let addresses = match protocol {
            ETH_P_IP => addresses_v4(network).ok_or_else(|| too_short(34, "IPv4"))?,
            ETH_P_IPV6 => addresses_v6(network).ok_or_else(|| too_short(54, "IPv6"))?,
            _ => Addresses::None,
        };
        Ok(Self { destination: *destination, protocol, addresses })
    }

    /// Whom the frame is for, as a receiving device tells.
    fn pkt_type(&self, device: &Device) -> u8 {
        match self.destination {
            to if to == device.address => HOST,
            to if to == device.broadcast && to[0] & 1 != 0 => BROADCAST,
            to if to[0] & 1 != 0 => MULTICAST,
            _ => OTHERHOST,
        }
    }
}

fn addresses_v4(header: &[u8]) -> Option<Addresses> {
    let (source, rest) = header.get(12..20)?.split_first_chunk()?;
    Some(Addresses::V4 { source: *source, destination: *rest.first_chunk()? })
}

fn addresses_v6(header: &[u8]) -> Option<Addresses> {
    let (source, rest) = header.get(8..40)?.split_first_chunk()?;
    Some(Addresses::V6 { source: *source, destination: *rest.first_chunk()? })
}

fn device<'w>(world: &'w World, given: &Ctx) -> Result<&'w Device, InputError> {
    let ifindex = match given.field(Field::Ifindex) as u32 {
        0 => env::LOOPBACK,
        ifindex => ifindex,
    };
    env::of(world)
        .device(ifindex)
        .ok_or_else(|| refuse(Errno::ENODEV, format!("context: ifindex {ifindex}: no such device")))
}

/// The context that the caller brought, checked.
struct Ctx {
    bytes: Option<[u8; fields::BYTES]>,
}

/// Fields that the caller may set; all others must be zero.
const SETTABLE: [(Field, usize); 9] = [
    (Field::Mark, 4),
    (Field::Priority, 4),
    (Field::IngressIfindex, 4),
    (Field::Ifindex, 4),
    (Field::Cb, 20),
    (Field::Tstamp, 8),
    (Field::WireLen, 4),
    (Field::GsoSegs, 4),
    (Field::GsoSize, 4),
];
/// The last of them, whose value lies in the struct's last bytes.
const HWTSTAMP: (Field, usize) = (Field::Hwtstamp, 8);

impl Ctx {
    fn new(bytes: Option<[u8; fields::BYTES]>) -> Result<Self, InputError> {
        let mut rest = bytes.unwrap_or([0; fields::BYTES]);
        for (field, len) in SETTABLE.into_iter().chain([HWTSTAMP]) {
            rest.iter_mut().skip(field.off() as usize).take(len).for_each(|b| *b = 0);
        }
        match rest.iter().position(|&b| b != 0) {
            None => Ok(Self { bytes }),
            Some(off) => {
                let message = format!("context: byte {off} of __sk_buff may not be set");
                Err(refuse(Errno::EINVAL, message))
            }
        }
    }

    /// The field's value; 0 without a context.
    fn field(&self, field: Field) -> u64 {
        self.bytes.as_ref().map_or(0, |bytes| number(bytes, field))
    }

    fn check_wire_len(&self, packet_len: u32) -> Result<(), InputError> {
        match self.field(Field::WireLen) as u32 {
            0 => Ok(()),
            len if (packet_len..=MAX_WIRE_LEN).contains(&len) => Ok(()),
            len => {
                let range = format!("{packet_len} to {MAX_WIRE_LEN}");
                let message = format!("context: wire_len {len} is not in {range}");
                Err(refuse(Errno::EINVAL, message))
            }
        }
    }

    fn gso_segs(&self) -> Result<u16, InputError> {
        let segs = self.field(Field::GsoSegs);
        u16::try_from(segs).map_err(|_| {
            refuse(Errno::EINVAL, format!("context: gso_segs {segs} is more than 65535"))
        })
    }
}

fn number(bytes: &[u8; fields::BYTES], field: Field) -> u64 {
    let len = SETTABLE.into_iter().chain([HWTSTAMP]).find(|(f, _)| *f == field);
    let len = len.map_or(0, |(_, len)| len.min(8));
    let bytes = bytes.iter().skip(field.off() as usize).take(len);
    bytes.rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The context that test-run gives back: the caller's, with what the program may have changed.
pub(super) fn ctx_out(mut given: [u8; fields::BYTES], now: &[u8; fields::BYTES]) -> Vec<u8> {
    // gso_size is taken and never given back; ifindex, where the caller left it out, is.
    let back = SETTABLE.into_iter().chain([HWTSTAMP]).filter(|(f, _)| *f != Field::GsoSize);
    for (field, len) in back {
        let start = field.off() as usize;
        let places = given.iter_mut().zip(now).skip(start).take(len);
        places.for_each(|(to, from)| *to = *from);
    }
    given.to_vec()
}

impl Skb {
    /// Writes what a caller may set, and what never changes, into the context struct.
    fn fill_ctx(&self, given: &Ctx) {
        let wire_len = match (given.bytes, given.field(Field::WireLen)) {
            (Some(_), 0) => self.packet.len(),
            (_, len) => len as u32,
        };
        for field in [Field::Mark, Field::Priority, Field::IngressIfindex] {
            self.show_field(field, given.field(field) as u32);
        }
        for field in [Field::Tstamp, Field::Hwtstamp] {
            self.show_field(field, given.field(field));
        }
        if let Some(bytes) = &given.bytes {
            let cb = Field::Cb.off() as usize;
            let cb = bytes.get(cb..cb + 20).unwrap_or_default();
            let written = self.ctx.write(Field::Cb.off(), cb);
            debug_assert!(written.is_ok(), "cb lies inside the context");
        }
        self.show_field(Field::Ifindex, self.ifindex);
        self.show_field(Field::WireLen, wire_len);
        self.show_field(Field::Sk, u64::from(self.sock.addr()));
    }

    /// Gives the socket the addresses of the packet: the packet's source is the local one. Fields
    /// of the context struct that mirror the socket get them too.
    fn fill_sock(&self, addresses: &Addresses) {
        const TCP_CLOSE: u32 = 7;
        const AF_INET: u32 = 2;
        const AF_INET6: u32 = 10;
        let sock = SockFields(&self.sock);
        sock.write(sock::STATE, &TCP_CLOSE.to_le_bytes());
        sock.write(sock::RX_QUEUE_MAPPING, &(-1i32).to_le_bytes());
        let family = match addresses {
            Addresses::None => return,
            Addresses::V4 { source, destination } => {
                sock.write(sock::SRC_IP4, source);
                sock.write(sock::DST_IP4, destination);
                self.show_bytes(Field::LocalIp4, source);
                self.show_bytes(Field::RemoteIp4, destination);
                AF_INET
            }
            Addresses::V6 { source, destination } => {
                sock.write(sock::SRC_IP6, source);
                sock.write(sock::DST_IP6, destination);
                self.show_bytes(Field::LocalIp6, source);
                self.show_bytes(Field::RemoteIp6, destination);
                AF_INET6
            }
        };
        sock.write(sock::FAMILY, &family.to_le_bytes());
        self.show_field(Field::Family, family);
    }

    fn show_bytes(&self, field: Field, bytes: &[u8]) {
        let written = self.ctx.write(field.off(), bytes);
        debug_assert!(written.is_ok(), "{field:?} lies inside the context");
    }
}

/// Offsets in `struct bpf_sock`.
mod sock {
    pub const FAMILY: u32 = 4;
    pub const SRC_IP4: u32 = 24;
    pub const SRC_IP6: u32 = 28;
    pub const DST_IP4: u32 = 52;
    pub const DST_IP6: u32 = 56;
    pub const STATE: u32 = 72;
    pub const RX_QUEUE_MAPPING: u32 = 76;
}

struct SockFields<'a>(&'a Region);

impl SockFields<'_> {
    fn write(&self, off: u32, bytes: &[u8]) {
        let written = self.0.write(off, bytes);
        debug_assert!(written.is_ok(), "byte {off} lies inside struct bpf_sock");
    }
}
