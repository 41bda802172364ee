//! What helpers do to a socket buffer: room made and taken away, tags, and the sum over it all.

use super::headers::{is_vlan, protocol_of};
use super::{Checksum, ETH_HLEN, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, Skb, VlanTag};
use crate::func::csum;
use crate::prog_types::ctx::refuse;
use ubpf_abi::Errno;
use ubpf_vm::run::InputError;

/// Bytes of a VLAN tag.
const VLAN_HLEN: u32 = 4;
/// Offset of a tag in the Ethernet header: behind both addresses.
const VLAN_OFF: u32 = 12;
/// Difference between an IPv6 and an IPv4 header.
const V6_EXTRA: u32 = 20;
/// Bytes that helpers let a packet have at most: four pages without the shared info.
const MAX_LEN: u32 = 4 * 4096 - 320;

/// Unfolded sum over `bytes` as a receiving device computes it.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    csum::partial(bytes, 0)
}

/// Flags of `bpf_skb_adjust_room`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room(u64);

impl Room {
    const FIXED_GSO: u64 = 1 << 0;
    const ENCAP_L3_IPV4: u64 = 1 << 1;
    const ENCAP_L3_IPV6: u64 = 1 << 2;
    const ENCAP_L4_GRE: u64 = 1 << 3;
    const ENCAP_L4_UDP: u64 = 1 << 4;
    const NO_CSUM_RESET: u64 = 1 << 5;
    const ENCAP_L2_ETH: u64 = 1 << 6;
    const DECAP_L3_IPV4: u64 = 1 << 7;
    const DECAP_L3_IPV6: u64 = 1 << 8;
    const ENCAP_L2_SHIFT: u32 = 56;
    const ENCAP_L3: u64 = Self::ENCAP_L3_IPV4 | Self::ENCAP_L3_IPV6;
    const DECAP_L3: u64 = Self::DECAP_L3_IPV4 | Self::DECAP_L3_IPV6;
    /// Flags that exist; the top byte is the inner link-layer header's length.
    const ALL: u64 = ((1 << 9) - 1) | 0xff << Self::ENCAP_L2_SHIFT;

    const fn new(flags: u64) -> Option<Self> {
        if flags & !Self::ALL == 0 { Some(Self(flags)) } else { None }
    }

    const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    const fn inner_mac_len(self) -> u32 {
        (self.0 >> Self::ENCAP_L2_SHIFT) as u32
    }
}

impl Skb {
    /// The packet from the network header on.
    pub(super) fn network_bytes(&self) -> Vec<u8> {
        let len = i64::from(self.len()) - self.network_off();
        let len = u32::try_from(len).unwrap_or(0);
        self.load_from(self.network_off(), 0, len).unwrap_or_default()
    }

    /// Fails as test-run does when the complete sum no longer fits the packet.
    pub(super) fn check_sum(&self) -> Result<(), InputError> {
        if csum::fold(self.last_sum) == csum::fold(sum(&self.network_bytes())) {
            return Ok(());
        }
        let message = "the program left a checksum that does not fit the packet";
        Err(refuse(Errno::EBADMSG, message))
    }

    /// Keeps the complete sum right after `old` at `off` became `new`.
    pub(super) fn sum_replaced(&mut self, off: u32, old: &[u8], new: &[u8]) {
        self.sum_removed(off, old);
        self.sum_added(off, new);
    }

    fn sum_removed(&mut self, off: u32, bytes: &[u8]) {
        if let Checksum::Complete(kept) = self.checksum {
            self.set_checksum(Checksum::Complete(csum::block_sub(kept, sum(bytes), off)));
        }
    }

    fn sum_added(&mut self, off: u32, bytes: &[u8]) {
        if let Checksum::Complete(kept) = self.checksum {
            self.set_checksum(Checksum::Complete(csum::block_add(kept, sum(bytes), off)));
        }
    }

    /// Whether `len` bytes may be written, as `bpf_skb_pull_data` asks.
    ///
    /// # Errors
    /// `ENOMEM` when the packet has fewer.
    pub fn pull(&self, len: u32) -> Result<(), Errno> {
        if len > self.len() { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Cuts the packet or extends it with zeros at its end.
    ///
    /// # Errors
    /// `EINVAL` for a length above [`MAX_LEN`] or that the headers do not allow, `ENOTSUPP` for an
    /// encapsulated packet.
    pub fn change_tail(&mut self, new_len: u32) -> Result<(), Errno> {
        let data = i64::from(self.packet.data_off());
        let last_header = self.headers.transport.filter(|&t| t > data);
        let min_len = last_header.unwrap_or(self.headers.network.into()) - data;
        if new_len > MAX_LEN || i64::from(new_len) < min_len {
            return Err(Errno::EINVAL);
        }
        if self.encapsulated {
            return Err(Errno::ENOTSUPP);
        }
        let old_len = self.len();
        if new_len != old_len && matches!(self.checksum, Checksum::Complete(_)) {
            self.checksum = Checksum::None;
        }
        let by = i64::from(new_len) - i64::from(old_len);
        let by = i32::try_from(by).map_err(|_| Errno::ENOMEM)?;
        self.packet.move_end(by).ok_or(Errno::ENOMEM)?;
        if new_len > old_len {
            self.packet.zero(old_len, new_len - old_len).ok_or(Errno::ENOMEM)?;
        }
        self.reset_gso();
        self.show();
        Ok(())
    }

    /// Puts zero bytes in front of the packet, which becomes the link-layer header's start.
    ///
    /// # Errors
    /// `EINVAL` for a length above [`MAX_LEN`].
    pub fn change_head(&mut self, by: u32) -> Result<(), Errno> {
        let new_len = self.len().checked_add(by).ok_or(Errno::EINVAL)?;
        if i32::try_from(by).is_err() || (self.gso.size == 0 && new_len > MAX_LEN) {
            return Err(Errno::EINVAL);
        }
        self.push(by)?;
        self.packet.zero(0, by).ok_or(Errno::ENOMEM)?;
        self.headers.mac = self.packet.data_off();
        self.headers.count_mac_len();
        self.show();
        Ok(())
    }

    /// Makes room inside the packet (`by` above 0) or takes some away, behind the network header
    /// (`mode` 0) or the link-layer header (1).
    ///
    /// # Errors
    /// As `bpf_skb_adjust_room` gives them.
    pub fn adjust_room(&mut self, by: i32, mode: u32, flags: u64) -> Result<(), Errno> {
        const MAX_BYTES: u32 = 0xfff;
        const NET: u32 = 0;
        const MAC: u32 = 1;
        let room = Room::new(flags).ok_or(Errno::EINVAL)?;
        let len = by.unsigned_abs();
        if len > MAX_BYTES {
            return Err(Errno::EFAULT);
        }
        let base_len = match self.protocol {
            ETH_P_IP => 20,
            ETH_P_IPV6 => 40,
            _ => return Err(Errno::ENOTSUPP),
        };
        let mac_len = self.headers.network.saturating_sub(self.headers.mac);
        let off = match mode {
            NET => mac_len + base_len,
            MAC => mac_len,
            _ => return Err(Errno::ENOTSUPP),
        };
        let shrink = by < 0;
        let min_len = match room.0 & Room::DECAP_L3 {
            0 => base_len,
            _ if !shrink => return Err(Errno::EINVAL),
            Room::DECAP_L3_IPV4 => 20,
            Room::DECAP_L3_IPV6 => 40,
            _ => return Err(Errno::EINVAL),
        };
        // Where headers were cut off, the kernel's difference wraps, and nothing is too short.
        let network_len = self.len().wrapping_sub(self.network_off() as u32);
        let fits = if shrink {
            len < network_len && network_len - len >= min_len
        } else {
            self.len() + len <= MAX_LEN || self.gso.size != 0
        };
        if !fits {
            return Err(Errno::ENOTSUPP);
        }
        let changed = if shrink { self.shrink(off, len, room) } else { self.grow(off, len, room) };
        if changed.is_ok() && !room.has(Room::NO_CSUM_RESET) {
            self.reset_unnecessary();
        }
        self.show();
        changed
    }

    fn grow(&mut self, off: u32, len: u32, room: Room) -> Result<(), Errno> {
        self.allow_gso()?;
        self.headers.reserve(self.packet.data_off(), len);
        let encap = room.has(Room::ENCAP_L3);
        if encap {
            if room.0 & Room::ENCAP_L3 == Room::ENCAP_L3
                || (room.has(Room::ENCAP_L4_GRE) && room.has(Room::ENCAP_L4_UDP))
                || (room.has(Room::ENCAP_L2_ETH) && room.inner_mac_len() < ETH_HLEN)
            {
                return Err(Errno::EINVAL);
            }
            if self.encapsulated {
                return Err(Errno::EALREADY);
            }
            if room.inner_mac_len() > len {
                return Err(Errno::EINVAL);
            }
        }
        let mac_len = self.headers.network.saturating_sub(self.headers.mac);
        self.insert(off, len)?;
        if encap {
            self.encapsulated = true;
            self.headers.network = self.packet.data_off() + mac_len;
            let outer_len = if room.has(Room::ENCAP_L3_IPV6) { 40 } else { 20 };
            if room.has(Room::ENCAP_L4_GRE | Room::ENCAP_L4_UDP) {
                self.headers.transport = Some(i64::from(self.headers.network) + outer_len);
            }
            self.protocol = if room.has(Room::ENCAP_L3_IPV6) { ETH_P_IPV6 } else { ETH_P_IP };
        }
        if self.gso.size != 0 {
            self.gso.segs = 0;
            if !room.has(Room::FIXED_GSO) {
                self.gso.size = self.gso.size.saturating_sub(len as u16);
            }
        }
        Ok(())
    }

    fn shrink(&mut self, off: u32, len: u32, room: Room) -> Result<(), Errno> {
        if room.0 & !(Room::FIXED_GSO | Room::DECAP_L3 | Room::NO_CSUM_RESET) != 0 {
            return Err(Errno::EINVAL);
        }
        self.allow_gso()?;
        self.remove(off, len)?;
        match room.0 & Room::DECAP_L3 {
            Room::DECAP_L3_IPV4 => self.protocol = ETH_P_IP,
            Room::DECAP_L3_IPV6 => self.protocol = ETH_P_IPV6,
            _ => {}
        }
        Ok(())
    }

    /// Segments of test-run have no type, so that none may change its size.
    const fn allow_gso(&self) -> Result<(), Errno> {
        if self.gso.size == 0 { Ok(()) } else { Err(Errno::ENOTSUPP) }
    }

    /// Translates between IPv4 and IPv6 headers' sizes.
    ///
    /// # Errors
    /// `ENOTSUPP` for other protocols or none to change.
    pub fn change_proto(&mut self, to: u16) -> Result<(), Errno> {
        let off = u32::try_from(self.network_off()).map_err(|_| Errno::ENOTSUPP)?;
        match (self.protocol, to) {
            (ETH_P_IP, ETH_P_IPV6) => self.insert(off, V6_EXTRA)?,
            (ETH_P_IPV6, ETH_P_IP) => self.remove(off, V6_EXTRA)?,
            _ => return Err(Errno::ENOTSUPP),
        }
        self.protocol = to;
        self.hash = None;
        // Segments' headers must be looked at anew, which is a kind of its own.
        self.gso.typed = self.gso.size != 0;
        self.show();
        Ok(())
    }

    /// Puts an outer IP header in front of the packet, as a lightweight tunnel does.
    ///
    /// # Errors
    /// `EINVAL` for a header that is none, or longer than 256 bytes.
    pub fn push_ip(&mut self, header: &[u8]) -> Result<(), Errno> {
        const MAX_BYTES: usize = 256;
        const IPV4_BYTES: usize = 20;
        const IPV6_BYTES: usize = 40;
        const CHECKSUM: usize = 10;
        let first = header.first().copied().unwrap_or(0);
        let (protocol, least) = match first >> 4 {
            4 => (ETH_P_IP, usize::from(first & 0xf) * 4),
            6 => (ETH_P_IPV6, IPV6_BYTES),
            _ => return Err(Errno::EINVAL),
        };
        if !(IPV4_BYTES.max(least)..=MAX_BYTES).contains(&header.len()) {
            return Err(Errno::EINVAL);
        }
        let by = u32::try_from(header.len()).map_err(|_| Errno::EINVAL)?;
        self.push(by)?;
        self.packet.write(0, header).ok_or(Errno::ENOMEM)?;
        self.sum_added(0, header);
        self.encapsulated = true;
        self.hash = None;
        self.headers.network = self.packet.data_off();
        self.protocol = protocol;
        let checksum = header.get(CHECKSUM..CHECKSUM + 2);
        if protocol == ETH_P_IP && checksum == Some(&[0, 0]) {
            let sum = csum::fold(sum(header.get(..least).unwrap_or_default()));
            self.packet.write(CHECKSUM as u32, &sum.to_le_bytes()).ok_or(Errno::ENOMEM)?;
        }
        self.show();
        Ok(())
    }

    /// Puts a tag beside the packet; one that is there already moves into it.
    ///
    /// # Errors
    /// `ENOMEM` when the packet cannot grow.
    pub fn vlan_push(&mut self, proto: u16, tci: u16) -> Result<(), Errno> {
        if let Some(tag) = self.vlan {
            self.push(VLAN_HLEN)?;
            self.packet.copy_within(VLAN_HLEN, 0, VLAN_OFF).ok_or(Errno::ENOMEM)?;
            let [p0, p1] = tag.proto.to_be_bytes();
            let [t0, t1] = tag.tci.to_be_bytes();
            let bytes = [p0, p1, t0, t1];
            self.packet.write(VLAN_OFF, &bytes).ok_or(Errno::ENOMEM)?;
            self.sum_added(VLAN_OFF, &bytes);
            self.headers.mac = self.packet.data_off();
            self.headers.network = self.headers.network.saturating_sub(VLAN_HLEN);
            self.protocol = tag.proto;
        }
        let proto = if is_vlan(proto) { proto } else { ETH_P_8021Q };
        self.vlan = Some(VlanTag { proto, tci });
        self.headers.count_mac_len();
        self.show();
        Ok(())
    }

    /// Takes the outermost tag away; the one behind it moves beside the packet.
    ///
    /// # Errors
    /// `ENOMEM` for a packet too short to have the tag it announces.
    pub fn vlan_pop(&mut self) -> Result<(), Errno> {
        let popped = self.pop_tags();
        self.headers.count_mac_len();
        self.show();
        popped
    }

    fn pop_tags(&mut self) -> Result<(), Errno> {
        if self.vlan.take().is_none() {
            if !is_vlan(self.protocol) {
                return Ok(());
            }
            self.pop_inner()?;
        }
        if is_vlan(self.protocol) {
            let proto = self.protocol;
            let tci = self.pop_inner()?;
            self.vlan = Some(VlanTag { proto, tci });
        }
        Ok(())
    }

    /// Takes a tag out of the packet and gives its value.
    fn pop_inner(&mut self) -> Result<u16, Errno> {
        let bytes: [u8; 6] = self.packet.read_array(VLAN_OFF).ok_or(Errno::ENOMEM)?;
        let [p0, p1, t0, t1, inner @ ..] = bytes;
        self.sum_removed(VLAN_OFF, &[p0, p1, t0, t1]);
        let behind = self.packet.read_array(VLAN_OFF + 6);
        self.packet.copy_within(0, VLAN_HLEN, VLAN_OFF).ok_or(Errno::ENOMEM)?;
        self.packet.hide_front(VLAN_HLEN).ok_or(Errno::ENOMEM)?;
        self.protocol = protocol_of(u16::from_be_bytes(inner), behind);
        self.headers.mac += VLAN_HLEN;
        if self.network_off() < ETH_HLEN.into() {
            self.headers.network = self.packet.data_off() + ETH_HLEN;
        }
        Ok(u16::from_be_bytes([t0, t1]))
    }

    /// Inserts `len` zero bytes at `off`: what lies in front of it moves towards the head.
    fn insert(&mut self, off: u32, len: u32) -> Result<(), Errno> {
        let transport_is_network = self.headers.transport == Some(self.headers.network.into());
        self.push(len)?;
        self.packet.copy_within(len, 0, off).ok_or(Errno::ENOMEM)?;
        self.packet.zero(off, len).ok_or(Errno::ENOMEM)?;
        self.headers.mac = self.headers.mac.saturating_sub(len);
        self.headers.network = self.headers.network.saturating_sub(len);
        if transport_is_network {
            self.headers.transport = Some(self.headers.network.into());
        }
        Ok(())
    }

    /// Removes `len` bytes at `off`: what lies in front of them moves towards the tail.
    fn remove(&mut self, off: u32, len: u32) -> Result<(), Errno> {
        let transport_is_network = self.headers.transport == Some(self.headers.network.into());
        let gone = self.load(off, len).ok_or(Errno::ENOMEM)?;
        self.sum_removed(off, &gone);
        self.packet.copy_within(0, len, off).ok_or(Errno::ENOMEM)?;
        self.packet.hide_front(len).ok_or(Errno::ENOMEM)?;
        self.headers.mac += len;
        self.headers.network += len;
        if transport_is_network {
            self.headers.transport = Some(self.headers.network.into());
        }
        Ok(())
    }

    /// Moves the packet's start towards the head, where need be after moving it all back.
    fn push(&mut self, by: u32) -> Result<(), Errno> {
        self.headers.reserve(self.packet.data_off(), by);
        if by > self.packet.headroom() {
            let missing = by - self.packet.headroom();
            self.packet.shift(missing)?;
            self.headers = self.headers.shifted(missing);
        }
        self.packet.show_front(by).ok_or(Errno::ENOMEM)
    }

    /// Gives up segments where there are some to be made.
    const fn reset_gso(&mut self) {
        if self.gso.size != 0 {
            self.gso = super::Gso { size: 0, segs: 0, typed: false };
        }
    }

    fn reset_unnecessary(&mut self) {
        if matches!(self.checksum, Checksum::Unnecessary { .. }) {
            self.checksum = Checksum::None;
        }
    }

    /// The protocol behind any VLAN tags in the packet, 0 where they do not end. The first tag is
    /// looked for where the counted link-layer header ends, which may well be elsewhere.
    #[must_use]
    pub fn inner_protocol(&self) -> u16 {
        const MAX_TAGS: usize = 7;
        if !is_vlan(self.protocol) {
            return self.protocol;
        }
        let first = match self.headers.mac_len {
            0 => ETH_HLEN,
            len => len.saturating_sub(VLAN_HLEN),
        };
        let tags = (first..).step_by(VLAN_HLEN as usize).take(MAX_TAGS);
        let inner = tags.map_while(|off| self.packet.read_array::<4>(off));
        let protocols = inner.map(|[_, _, high, low]| u16::from_be_bytes([high, low]));
        protocols.into_iter().find(|&protocol| !is_vlan(protocol)).unwrap_or(0)
    }
}
