//! Where headers begin, and what a frame's bytes say about it.

use super::{ETH_P_8021AD, ETH_P_8021Q};

/// Offsets of headers in the packet's buffer, so that they stay true when the packet's start
/// moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub mac: u32,
    pub network: u32,
    /// Not known until something sets it.
    pub transport: Option<u32>,
}

impl Headers {
    /// All of them `by` bytes further, or as they are where that is impossible.
    pub fn shifted(self, by: u32) -> Self {
        Self {
            mac: self.mac.saturating_add(by),
            network: self.network.saturating_add(by),
            transport: self.transport.map(|t| t.saturating_add(by)),
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
