//! Where headers begin, and what a frame's bytes say about it.

use super::{ETH_P_8021AD, ETH_P_8021Q};

/// Offsets of headers in the packet's buffer, so that they stay true when the packet's start
/// moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// Where the kernel's own buffer would begin. It grows when headroom runs out.
    head: i64,
    pub mac: u32,
    pub network: u32,
    /// Not known until something sets it.
    pub transport: Option<i64>,
    /// Bytes between the two, as the kernel keeps them beside: 0 until something counts them.
    pub mac_len: u32,
}

impl Headers {
    /// Headroom that the kernel gives a packet, and by multiples of which it adds more
    /// (`NET_SKB_PAD`).
    const PAD_BYTES: i64 = 64;

    /// Those of a frame that begins at `mac`.
    pub const fn of_frame(mac: u32, mac_len: u32) -> Self {
        Self {
            head: mac as i64 - Self::PAD_BYTES,
            mac,
            network: mac + mac_len,
            transport: None,
            mac_len: 0,
        }
    }

    /// Makes headroom for `by` bytes in front of `data` in the kernel's buffer.
    ///
    /// When that takes a new buffer, the kernel adds the bytes gained to every header's offset,
    /// also to the mark of an unknown transport header. It wraps, and the header is known from
    /// then on, to lie before anything else.
    pub fn reserve(&mut self, data: u32, by: u32) {
        let missing = i64::from(by) - (i64::from(data) - self.head);
        if missing > 0 {
            let gained = (missing as u64).next_multiple_of(Self::PAD_BYTES as u64) as i64;
            self.head -= gained;
            self.transport = self.transport.or(Some(self.head + gained - 1));
        }
    }

    /// Counts the bytes between link-layer and network header.
    pub const fn count_mac_len(&mut self) {
        self.mac_len = self.network.saturating_sub(self.mac);
    }

    /// All of them `by` bytes further.
    pub fn shifted(self, by: u32) -> Self {
        Self {
            head: self.head + i64::from(by),
            mac: self.mac.saturating_add(by),
            network: self.network.saturating_add(by),
            transport: self.transport.map(|t| t + i64::from(by)),
            ..self
        }
    }
}

/// The protocol that an Ethernet type names, with the two bytes behind it: lengths stand for
/// 802.2, or for raw 802.3 where those bytes are all ones.
pub(super) fn protocol_of(ethertype: u16, behind: Option<[u8; 2]>) -> u16 {
    const ETH_P_802_3_MIN: u16 = 0x0600;
    const ETH_P_802_3: u16 = 0x0001;
    const ETH_P_802_2: u16 = 0x0004;
    match behind {
        _ if ethertype >= ETH_P_802_3_MIN => ethertype,
        Some([0xff, 0xff]) => ETH_P_802_3,
        _ => ETH_P_802_2,
    }
}

/// Whether a VLAN tag follows.
pub(super) const fn is_vlan(protocol: u16) -> bool {
    matches!(protocol, ETH_P_8021Q | ETH_P_8021AD)
}
