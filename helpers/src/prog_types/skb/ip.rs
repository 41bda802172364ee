//! What helpers read from and write to IP headers.

use super::{Checksum, ETH_P_IP, ETH_P_IPV6, Skb};
use crate::env::mix;
use crate::func::csum;

/// Congestion experienced, as the two low bits of the traffic class say it.
const CE: u8 = 0b11;

impl Skb {
    /// Marks the packet as having met congestion. Whether it is marked afterwards: packets whose
    /// sender does not take part cannot be.
    pub fn set_congested(&mut self) -> bool {
        match self.inner_protocol() {
            ETH_P_IP => self.set_congested_v4().unwrap_or(false),
            ETH_P_IPV6 => self.set_congested_v6().unwrap_or(false),
            _ => false,
        }
    }

    fn network_start(&self, header_len: u32) -> Option<u32> {
        let start = u32::try_from(self.network_off()).ok()?;
        (start.checked_add(header_len)? <= self.len()).then_some(start)
    }

    fn set_congested_v4(&mut self) -> Option<bool> {
        const CHECKSUM_OFF: u32 = 10;
        let start = self.network_start(20)?;
        let [_, class] = self.packet.read_array(start)?;
        if matches!(class & CE, 0 | CE) {
            return Some(class & CE == CE);
        }
        // The header's sum grows by one or two. Added like this, as the kernel does it, a checksum
        // of 0 can become 0xffff.
        let less = 0xfffb + ((u16::from(class) + 1) & u16::from(CE));
        let field = u16::from_le_bytes(self.packet.read_array(start + CHECKSUM_OFF)?);
        let field = csum::add_u16(field, less.swap_bytes());
        self.packet.write(start + CHECKSUM_OFF, &field.to_le_bytes())?;
        self.packet.write(start + 1, &[class | CE])?;
        Some(true)
    }

    fn set_congested_v6(&mut self) -> Option<bool> {
        let start = self.network_start(40)?;
        let first = u32::from_be_bytes(self.packet.read_array(start)?);
        let class = (first >> 20) as u8;
        if matches!(class & CE, 0 | CE) {
            return Some(class & CE == CE);
        }
        let marked = first | u32::from(CE) << 20;
        self.packet.write(start, &marked.to_be_bytes())?;
        if let Checksum::Complete(sum) = self.checksum {
            let sum = csum::add(csum::sub(sum, first.swap_bytes()), marked.swap_bytes());
            self.set_checksum(Checksum::Complete(sum));
        }
        Some(true)
    }

    /// A hash of the flow: of addresses, protocol and ports where there are any. Never 0.
    #[must_use]
    pub fn flow_hash(&self, seed: u64) -> u32 {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        let network = self.network_bytes();
        let (addresses, next, transport) = match self.inner_protocol() {
            ETH_P_IP => {
                let header_len = network.first().map_or(0, |b| usize::from(b & 0xf) * 4);
                (network.get(12..20), network.get(9), network.get(header_len..))
            }
            ETH_P_IPV6 => (network.get(8..40), network.get(6), network.get(40..)),
            _ => (None, None, None),
        };
        let next = next.copied().unwrap_or(0);
        let ports = transport.filter(|_| matches!(next, TCP | UDP)).and_then(|t| t.get(..4));
        let keys = addresses.unwrap_or_default().iter().chain([&next]);
        let keys = keys.chain(ports.unwrap_or_default());
        let hash = keys.fold(mix(seed), |hash, &key| mix(hash ^ u64::from(key)));
        (hash as u32).max(1)
    }
}
