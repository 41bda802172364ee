//! The socket buffer: what traffic control, socket filters, cgroups and lightweight tunnels see.
//!
//! The context struct in guest memory is the only copy of what programs write there (`mark`, `cb`,
//! …); what helpers compute with (lengths, header positions, the VLAN tag, …) is kept here and
//! shown in the struct after each change.

pub mod captured;
mod edit;
pub mod fields;
mod headers;
mod ip;
mod prepare;

pub use prepare::{SkbKind, prepare};

use super::ctx;
use super::packet::Linear;
use crate::env;
use crate::func::tunnel::Tunnel;
use fields::Field;
use headers::Headers;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::ctx::CtxLayout;
use ubpf_abi::prog_type::{PacketAccess, PacketLayer};
use ubpf_isa::Size;
use ubpf_vm::mem::{GuestAddr, MemError, Region, Word};
use ubpf_vm::run::{CtxStoreError, InputError, Output, RunState};
use ubpf_vm::world::World;

/// Bytes of an Ethernet header.
pub const ETH_HLEN: u32 = 14;
/// `ETH_P_IP`.
pub const ETH_P_IP: u16 = 0x0800;
/// `ETH_P_IPV6`.
pub const ETH_P_IPV6: u16 = 0x86dd;
/// `ETH_P_8021Q`.
pub const ETH_P_8021Q: u16 = 0x8100;
/// `ETH_P_8021AD`.
pub const ETH_P_8021AD: u16 = 0x88a8;

/// A VLAN tag that is kept beside the packet, as a device with tag offload delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// 802.1Q or 802.1ad.
    pub proto: u16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

/// What is known about the packet's checksums (`ip_summed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing.
    None,
    /// Those of this many encapsulations beyond the first were found right.
    Unnecessary {
        /// `csum_level`.
        level: u8,
    },
    /// The sum over everything from the network header on.
    Complete(u32),
}

/// A socket buffer under a program.
#[derive(Debug)]
pub struct Skb {
    /// No other run of the world has it.
    id: u64,
    ctx: Region,
    sock: Region,
    packet: Linear,
    headers: Headers,
    layer: PacketLayer,
    access: PacketAccess,
    layout: &'static CtxLayout,
    /// The context that the caller brought; without one none is reported.
    ctx_in: Option<[u8; fields::BYTES]>,
    ifindex: u32,
    protocol: u16,
    pkt_type: u8,
    vlan: Option<VlanTag>,
    checksum: Checksum,
    /// The last complete sum: test-run judges it even where it is not kept up any more.
    last_sum: u32,
    /// Test-run shall compare the checksum at the end.
    verify_checksum: bool,
    encapsulated: bool,
    hash: Option<u32>,
    gso: Gso,
    tstamp_type: u8,
    cookie: Option<u64>,
    tunnel: Option<Tunnel>,
    /// The kernel's own struct, where a program asked for it.
    kernel: Option<Region>,
}

/// Segmentation that a device is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gso {
    size: u16,
    segs: u16,
    /// It is known of what kind they are, or that this must be found out.
    typed: bool,
}

impl Skb {
    /// The run's number in its world.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The packet from where the program sees it.
    #[must_use]
    pub const fn packet(&self) -> &Linear {
        &self.packet
    }

    /// Bytes of the packet.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.packet.len()
    }

    /// Whether the packet has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device it is on.
    #[must_use]
    pub const fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Its protocol, an Ethernet type.
    #[must_use]
    pub const fn protocol(&self) -> u16 {
        self.protocol
    }

    /// Address of its socket, in the layout of `struct bpf_sock`.
    #[must_use]
    pub const fn sock(&self) -> GuestAddr {
        self.sock.addr()
    }

    /// The kernel's own struct of the packet as it is now: where programs see it.
    ///
    /// # Errors
    /// When guest memory is exhausted.
    pub fn kernel_struct(&mut self, world: &World) -> Result<GuestAddr, MemError> {
        let data = u64::from(self.packet.data_addr());
        let end = u64::from(self.packet.data_off()) + u64::from(self.packet.len());
        let number = |field: Field| {
            let value: Result<u32, _> = self.ctx.load(field.off());
            value.map_or(0, u64::from)
        };
        let fields = [
            ("len", self.len().into()),
            ("data", data),
            ("head", data - u64::from(self.packet.data_off())),
            ("tail", end),
            ("end", end),
            ("protocol", self.protocol.swap_bytes().into()),
            ("mark", number(Field::Mark)),
            ("priority", number(Field::Priority)),
            ("skb_iif", number(Field::IngressIfindex)),
            ("hash", self.hash.unwrap_or(0).into()),
            ("pkt_type", self.pkt_type.into()),
            ("mac_header", self.headers.mac.into()),
            ("network_header", self.headers.network.into()),
        ];
        env::of(world).types().show(world.cage(), "sk_buff", &fields, &mut self.kernel)
    }

    /// Whether programs may write to the packet.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        matches!(self.access, PacketAccess::ReadWrite)
    }

    /// Its socket's cookie, where it has one already.
    #[must_use]
    pub const fn cookie(&self) -> Option<u64> {
        self.cookie
    }

    /// Gives its socket a cookie.
    pub const fn set_cookie(&mut self, cookie: u64) {
        self.cookie = Some(cookie);
    }

    /// Its tunnel metadata, where a program gave it some.
    #[must_use]
    pub const fn tunnel(&self) -> Option<&Tunnel> {
        self.tunnel.as_ref()
    }

    /// The same, to be changed.
    pub const fn tunnel_mut(&mut self) -> Option<&mut Tunnel> {
        self.tunnel.as_mut()
    }

    /// Gives it tunnel metadata.
    pub fn set_tunnel(&mut self, tunnel: Tunnel) {
        self.tunnel = Some(tunnel);
    }

    /// Bytes of a segment, 0 without segmentation.
    #[must_use]
    pub const fn gso_size(&self) -> u16 {
        self.gso.size
    }

    /// Whether it has segments of which nobody knows the kind, as test-run makes them.
    #[must_use]
    pub const fn has_untyped_segments(&self) -> bool {
        self.gso.size != 0 && !self.gso.typed
    }

    /// Bytes that precede the network header in the packet; negative when it lies before.
    #[must_use]
    pub fn network_off(&self) -> i64 {
        i64::from(self.headers.network) - i64::from(self.packet.data_off())
    }

    /// Bytes that precede the link-layer header in the packet; negative when it lies before, as
    /// for programs that begin at the network header.
    #[must_use]
    pub fn mac_off(&self) -> i64 {
        i64::from(self.headers.mac) - i64::from(self.packet.data_off())
    }

    /// What is known about its checksums.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Replaces what is known about its checksums.
    pub const fn set_checksum(&mut self, checksum: Checksum) {
        if let Checksum::Complete(sum) = checksum {
            self.last_sum = sum;
        }
        self.checksum = checksum;
    }

    /// Its flow hash, where it has one.
    #[must_use]
    pub const fn hash(&self) -> Option<u32> {
        self.hash
    }

    /// Sets or forgets its flow hash.
    pub fn set_hash(&mut self, hash: Option<u32>) {
        self.hash = hash;
        self.show();
    }

    /// Changes whom it is for.
    ///
    /// # Errors
    /// `EINVAL` unless both the old and the new type are one of host, broadcast, multicast and
    /// other host.
    pub fn set_pkt_type(&mut self, pkt_type: u32) -> Result<(), Errno> {
        match u8::try_from(pkt_type) {
            Ok(new @ 0..=3) if self.pkt_type <= 3 => {
                self.pkt_type = new;
                self.show();
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Sets the delivery time and its clock.
    pub fn set_tstamp(&mut self, ns: u64, clock: u8) {
        self.tstamp_type = clock;
        self.show_field(Field::Tstamp, ns);
        self.show_field(Field::TstampType, clock);
    }

    /// A copy of packet bytes, or `None` when they are not all there.
    #[must_use]
    pub fn load(&self, off: u32, len: u32) -> Option<Vec<u8>> {
        if i32::try_from(off).is_err() {
            return None;
        }
        self.packet.read(off, len)
    }

    /// Bytes at `off` from a header that may lie in front of the packet.
    #[must_use]
    pub fn load_from(&self, header_off: i64, off: u32, len: u32) -> Option<Vec<u8>> {
        let start = header_off.checked_add(off.into())?;
        if let Ok(start) = u32::try_from(start) {
            return self.packet.read(start, len);
        }
        let before = u32::try_from(start.checked_neg()?).ok()?;
        self.packet.read_before(before, len)
    }

    /// Copies bytes into the packet, with the sum over it kept right where `sum` says so.
    ///
    /// # Errors
    /// `EFAULT` when they do not fit.
    pub fn store(&mut self, off: u32, bytes: &[u8], sum: bool) -> Result<(), Errno> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::EFAULT)?;
        let old = self.load(off, len).ok_or(Errno::EFAULT)?;
        self.packet.write(off, bytes).ok_or(Errno::EFAULT)?;
        if sum {
            self.sum_replaced(off, &old, bytes);
        }
        Ok(())
    }

    /// Copies bytes into the metadata in front of the packet; `None` where there is no room.
    #[must_use]
    pub fn store_meta(&mut self, off: u32, bytes: &[u8]) -> Option<()> {
        self.packet.write_meta(off, bytes)
    }

    /// Shows in the context struct what helpers changed.
    fn show(&self) {
        let vlan = self.vlan.unwrap_or(VlanTag { proto: 0, tci: 0 });
        self.show_field(Field::Len, self.packet.len());
        self.show_field(Field::PktType, u32::from(self.pkt_type));
        self.show_field(Field::Protocol, u32::from(self.protocol.swap_bytes()));
        self.show_field(Field::VlanPresent, u32::from(self.vlan.is_some()));
        self.show_field(Field::VlanTci, u32::from(vlan.tci));
        self.show_field(Field::VlanProto, u32::from(vlan.proto.swap_bytes()));
        self.show_field(Field::Hash, self.hash.unwrap_or(0));
        self.show_field(Field::Data, self.packet.data_addr().0);
        self.show_field(Field::DataEnd, self.packet.end_addr().0);
        self.show_field(Field::DataMeta, self.packet.meta_addr().0);
        self.show_field(Field::GsoSegs, u32::from(self.gso.segs));
        self.show_field(Field::GsoSize, u32::from(self.gso.size));
    }

    fn show_field(&self, field: Field, value: impl Word) {
        let stored = self.ctx.store(field.off(), value);
        debug_assert!(stored.is_ok(), "{field:?} lies inside the context");
    }

    /// The context struct as programs left it.
    fn ctx_bytes(&self) -> [u8; fields::BYTES] {
        let mut bytes = [0; fields::BYTES];
        let read = self.ctx.read(0, &mut bytes);
        debug_assert!(read.is_ok(), "the context has the struct's size");
        bytes
    }
}

impl RunState for Skb {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }

    fn ctx_store(
        &mut self,
        _: &World,
        off: u32,
        size: u32,
        value: u64,
    ) -> Result<(), CtxStoreError> {
        const QUEUE_MAPPING: u32 = Field::QueueMapping.off();
        const TC_INDEX: u32 = Field::TcIndex.off();
        const TC_CLASSID: u32 = Field::TcClassid.off();
        ctx::writable(self.layout, off, size).ok_or(CtxStoreError)?;
        let value = match off {
            // The largest number says that there is no mapping; larger ones are not stored.
            QUEUE_MAPPING if value as u32 >= u16::MAX.into() => return Ok(()),
            TC_INDEX | TC_CLASSID => value & u64::from(u16::MAX),
            _ => value,
        };
        let stored = match size {
            1 => self.ctx.store(off, value as u8),
            2 => self.ctx.store(off, value as u16),
            4 => self.ctx.store(off, value as u32),
            _ => self.ctx.store(off, value),
        };
        stored.map_err(|_| CtxStoreError)
    }

    fn load_packet(&mut self, _: &World, off: i32, size: Size) -> Option<u32> {
        /// Offsets from here on count from the network header.
        const NET_OFF: i64 = -0x10_0000;
        /// Offsets from here on, below the other, count from the link-layer header.
        const LL_OFF: i64 = -0x20_0000;
        let (header, off) = match i64::from(off) {
            off @ 0.. => (0, off),
            off if off >= NET_OFF => (self.network_off(), off - NET_OFF),
            off if off >= LL_OFF => (self.mac_off(), off - LL_OFF),
            _ => return None,
        };
        let len = size.bytes();
        let bytes = self.load_from(header, u32::try_from(off).ok()?, len)?;
        Some(bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn finish(&mut self, _: &World, r0: u64) -> Result<Output, InputError> {
        if self.verify_checksum {
            self.check_sum()?;
        }
        let mut data = match self.layer {
            PacketLayer::Link | PacketLayer::Captured => Vec::new(),
            PacketLayer::Network => vec![0; ETH_HLEN as usize],
        };
        data.extend(self.packet.visible());
        let ctx = self.ctx_in.map(|ctx_in| prepare::ctx_out(ctx_in, &self.ctx_bytes()));
        let meta_len = self.packet.meta_len();
        Ok(Output { retval: r0 as u32, data: Some(data), meta_len, ctx })
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
