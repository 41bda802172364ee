//! Network devices and routes.

use core::net::IpAddr;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its index, from 1 on.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Largest packet in bytes, without the link-layer header.
    pub mtu: u32,
    /// Bytes of its link-layer header.
    pub header_len: u32,
    /// Its link-layer address.
    pub address: [u8; 6],
    /// The link-layer address of everybody.
    pub broadcast: [u8; 6],
    /// It is up.
    pub up: bool,
    /// It forwards packets (`net.ipv4.conf.<device>.forwarding`).
    pub forwarding: bool,
}

impl Device {
    /// The loopback device, as every network namespace has it.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            ifindex: super::LOOPBACK,
            name: "lo".to_owned(),
            mtu: 65536,
            header_len: 14,
            address: [0; 6],
            broadcast: [0; 6],
            up: true,
            forwarding: false,
        }
    }

    /// Bytes of the largest frame, link-layer header included.
    #[must_use]
    pub const fn max_frame(&self) -> u32 {
        self.mtu.saturating_add(self.header_len)
    }
}

/// An entry of the routing table, with the neighbour it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub network: IpAddr,
    /// Bits of the network that count.
    pub prefix_len: u8,
    /// The device it leaves through.
    pub ifindex: u32,
    /// Next hop, where it is not the destination itself.
    pub gateway: Option<IpAddr>,
    /// The next hop's link-layer address; without one there is no neighbour entry.
    pub neighbour: Option<[u8; 6]>,
    /// Routing table, 254 being the main one.
    pub table: u32,
}
