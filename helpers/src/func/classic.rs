//! What classic filters ask the kernel for and no eBPF program can: functions inside the kernel,
//! without numbers of their own. See [`ubpf_isa::cbpf::helper`].

use super::group::CLASSIC;
use crate::env::LOOPBACK;
use crate::prog_types::skb::{ETH_HLEN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, Skb};
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::cbpf::helper as ids;
use ubpf_vm::call::{CallCx, CtxArg};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic. They are not in the kernel's list.
pub const ALL: &[HelperDef] = &[
    helper!(0x00c1_a500 skb_get_nlattr, since 2.6,
        "Offset of a netlink attribute, by its type.", groups: &[CLASSIC]),
    helper!(0x00c1_a501 skb_get_nlattr_nest, since 2.6,
        "Offset of a netlink attribute inside another, by its type.", groups: &[CLASSIC]),
    helper!(0x00c1_a502 skb_get_pay_offset, since 3.9,
        "Offset of the payload behind the transport header.", groups: &[CLASSIC]),
    helper!(0x00c1_a503 skb_get_hatype, since 2.6,
        "Hardware type of the packet's device.", groups: &[CLASSIC]),
];

const _: () = {
    let numbers = [ids::NLATTR, ids::NLATTR_NEST, ids::PAY_OFFSET, ids::HATYPE];
    let mut at = 0;
    while at < numbers.len() {
        assert!(ALL[at].decl.id.0 == numbers[at], "these are the numbers that filters call");
        at += 1;
    }
};

fn skb<'c>(cx: &'c mut CallCx<'_>) -> Result<&'c Skb, Trap> {
    let trap = cx.trap(TrapKind::BadArgument);
    cx.run.as_any_mut().downcast_ref().ok_or(trap)
}

fn skb_get_nlattr(cx: &mut CallCx<'_>, _: CtxArg, at: u32, kind: u32) -> Result<u32, Trap> {
    let skb = skb(cx)?;
    Ok(find_attribute(skb, at, skb.len(), kind).unwrap_or(0))
}

fn skb_get_nlattr_nest(cx: &mut CallCx<'_>, _: CtxArg, at: u32, kind: u32) -> Result<u32, Trap> {
    let skb = skb(cx)?;
    let nested = attribute(skb, at).and_then(|(len, _)| {
        let end = at.checked_add(len)?;
        let first = at.checked_add(NLA_HDRLEN)?;
        (end <= skb.len()).then(|| find_attribute(skb, first, end, kind)).flatten()
    });
    Ok(nested.unwrap_or(0))
}

/// Bytes of `struct nlattr`, which also is what attributes are aligned to.
const NLA_HDRLEN: u32 = 4;

/// Length, header included, and type of the attribute at `at`.
fn attribute(skb: &Skb, at: u32) -> Option<(u32, u32)> {
    /// The bits that are flags of the type.
    const FLAGS: u16 = 0xc000;
    let [l0, l1, t0, t1] = skb.packet().read_array(at)?;
    let (len, kind) = (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([t0, t1]));
    Some((len.into(), (kind & !FLAGS).into()))
}

/// Offset of the attribute of type `kind` among those between `at` and `end`.
fn find_attribute(skb: &Skb, mut at: u32, end: u32, kind: u32) -> Option<u32> {
    loop {
        let (len, found) = attribute(skb, at)?;
        if len < NLA_HDRLEN || at.checked_add(len)? > end {
            return None;
        }
        if found == kind {
            return Some(at);
        }
        at = at.checked_add(len.next_multiple_of(NLA_HDRLEN))?;
    }
}

fn skb_get_hatype(cx: &mut CallCx<'_>, _: CtxArg, _a: u32, _x: u32) -> Result<u32, Trap> {
    const ARPHRD_ETHER: u32 = 1;
    const ARPHRD_LOOPBACK: u32 = 772;
    Ok(if skb(cx)?.ifindex() == LOOPBACK { ARPHRD_LOOPBACK } else { ARPHRD_ETHER })
}

fn skb_get_pay_offset(cx: &mut CallCx<'_>, _: CtxArg, _a: u32, _x: u32) -> Result<u32, Trap> {
    let skb = skb(cx)?;
    Ok(payload_offset(skb).unwrap_or(0).min(skb.len()))
}

/// Ethernet types beside those that other programs ask for.
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_TEB: u16 = 0x6558;
const ETH_P_MPLS: [u16; 2] = [0x8847, 0x8848];
const ETH_P_PPP_SES: u16 = 0x8864;

mod ipproto {
    pub const HOPOPTS: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IGMP: u8 = 2;
    pub const IPIP: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const IPV6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ICMPV6: u8 = 58;
    pub const DSTOPTS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDPLITE: u8 = 136;
}

/// What a header is followed by.
enum Next {
    /// The header of a network protocol.
    Network(u16),
    /// The header of a transport protocol.
    Transport(u8),
    /// Nothing that would be looked into.
    End,
}

/// Walks the headers as the kernel's flow dissector does. `None` where it gives up.
fn payload_offset(skb: &Skb) -> Option<u32> {
    let mut at = u32::try_from(skb.network_off()).ok()?;
    let mut next = Next::Network(skb.protocol());
    loop {
        (at, next) = match next {
            Next::Network(protocol) => network_header(skb, at, protocol)?,
            Next::Transport(protocol) => match extension_header(skb, at, protocol)? {
                Some(further) => further,
                None => return Some(at.saturating_add(transport_header(skb, at, protocol))),
            },
            Next::End => return Some(at),
        };
    }
}

fn network_header(skb: &Skb, at: u32, protocol: u16) -> Option<(u32, Next)> {
    let packet = skb.packet();
    Some(match protocol {
        ETH_P_IP => {
            let header = packet.read_array::<20>(at)?;
            let len = u32::from(header[0] & 0xf) * 4;
            if len < 20 {
                return None;
            }
            let fragment = u16::from_be_bytes([header[6], header[7]]);
            let at = at.checked_add(len)?;
            if fragment & 0x1fff != 0 { (at, Next::End) } else { (at, Next::Transport(header[9])) }
        }
        ETH_P_IPV6 => {
            let header = packet.read_array::<40>(at)?;
            (at.checked_add(40)?, Next::Transport(header[6]))
        }
        ETH_P_8021Q | ETH_P_8021AD => {
            let [_, _, high, low] = packet.read_array(at)?;
            (at.checked_add(4)?, Next::Network(u16::from_be_bytes([high, low])))
        }
        ETH_P_PPP_SES => {
            const PPP_IP: [u8; 2] = [0x00, 0x21];
            const PPP_IPV6: [u8; 2] = [0x00, 0x57];
            let [.., high, low] = packet.read_array::<8>(at)?;
            let inner = match [high, low] {
                PPP_IP => ETH_P_IP,
                PPP_IPV6 => ETH_P_IPV6,
                _ => return None,
            };
            (at.checked_add(8)?, Next::Network(inner))
        }
        ETH_P_ARP => (at, Next::End),
        mpls if ETH_P_MPLS.contains(&mpls) => (at, Next::End),
        _ => return None,
    })
}

/// Headers between network and transport: options, fragments and tunnels. `Some(None)` where the
/// protocol is none of these.
#[expect(clippy::option_option, reason = "giving up is not having found the last header")]
fn extension_header(skb: &Skb, at: u32, protocol: u8) -> Option<Option<(u32, Next)>> {
    let packet = skb.packet();
    Some(Some(match protocol {
        ipproto::HOPOPTS | ipproto::ROUTING | ipproto::DSTOPTS => {
            let [next, len] = packet.read_array(at)?;
            (at.checked_add((u32::from(len) + 1) * 8)?, Next::Transport(next))
        }
        ipproto::FRAGMENT => {
            let [next, _, high, low, ..] = packet.read_array::<8>(at)?;
            let first = u16::from_be_bytes([high, low]) & 0xfff8 == 0;
            (at.checked_add(8)?, if first { Next::Transport(next) } else { Next::End })
        }
        ipproto::IPIP => (at, Next::Network(ETH_P_IP)),
        ipproto::IPV6 => (at, Next::Network(ETH_P_IPV6)),
        ipproto::GRE => {
            /// Checksum, key and sequence number, four bytes each.
            const OPTIONAL: [u8; 3] = [0x80, 0x20, 0x10];
            let [flags, version, high, low] = packet.read_array(at)?;
            if version & 7 != 0 || flags & 0x40 != 0 {
                return Some(None);
            }
            let optional = OPTIONAL.iter().filter(|&&bit| flags & bit != 0).count() as u32;
            let at = at.checked_add(4 + 4 * optional)?;
            match u16::from_be_bytes([high, low]) {
                ETH_P_TEB => {
                    let [high, low] = packet.read_array(at.checked_add(ETH_HLEN - 2)?)?;
                    let inner = u16::from_be_bytes([high, low]);
                    (at.checked_add(ETH_HLEN)?, Next::Network(inner))
                }
                inner => (at, Next::Network(inner)),
            }
        }
        _ => return Some(None),
    }))
}

/// Bytes of the transport header, where they are known.
fn transport_header(skb: &Skb, at: u32, protocol: u8) -> u32 {
    match protocol {
        ipproto::TCP => {
            let offset = at.checked_add(12).and_then(|at| skb.packet().read_array::<1>(at));
            offset.map_or(0, |[byte]| u32::from((byte & 0xf0) >> 2).max(20))
        }
        ipproto::UDP | ipproto::UDPLITE | ipproto::ICMP | ipproto::ICMPV6 | ipproto::IGMP => 8,
        ipproto::DCCP | ipproto::SCTP => 12,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::payload_offset;
    use crate::env::{EnvConfig, Environment};
    use crate::prog_types::classic::DEF;
    use crate::prog_types::skb::Skb;
    use ubpf_abi::Kernel;
    use ubpf_vm::mem::Cage;
    use ubpf_vm::run::Input;
    use ubpf_vm::world::World;

    fn offset(frame: &[&[u8]]) -> Option<u32> {
        let environment = Box::new(Environment::new(EnvConfig::default()));
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, environment);
        let input = Input { data: frame.concat(), ..Input::default() };
        let mut state = (DEF.prepare)(&world, &input).unwrap();
        let skb = state.as_any_mut().downcast_ref::<Skb>().unwrap();
        payload_offset(skb)
    }

    fn ipv4(protocol: u8, fragment: u16) -> [u8; 20] {
        let [high, low] = fragment.to_be_bytes();
        let mut header =
            [0x45, 0, 0, 0, 0, 0, high, low, 64, protocol, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        header[3] = 40;
        header
    }

    #[test]
    fn payload_begins_behind_the_last_header() {
        let mac = [0; 12];
        let (ip, ip6, vlan, arp) = ([8, 0], [0x86, 0xdd], [0x81, 0], [8, 6]);
        let mut tcp = [0; 40];
        tcp[12] = 0x80;
        assert_eq!(offset(&[&mac, &ip, &ipv4(6, 0), &tcp]), Some(14 + 20 + 32));
        assert_eq!(offset(&[&mac, &ip, &ipv4(17, 0x4000), &[0; 8]]), Some(14 + 20 + 8));
        assert_eq!(offset(&[&mac, &vlan, &[0, 5], &ip, &ipv4(1, 0), &[0; 8]]), Some(18 + 20 + 8));
        // Later fragments have no transport header, first ones do.
        assert_eq!(offset(&[&mac, &ip, &ipv4(17, 3), &[0; 8]]), Some(14 + 20));
        assert_eq!(offset(&[&mac, &ip, &ipv4(17, 0x2000), &[0; 8]]), Some(14 + 20 + 8));
        // Tunnels are looked into.
        assert_eq!(offset(&[&mac, &ip, &ipv4(4, 0), &ipv4(17, 0), &[0; 8]]), Some(14 + 48));
        let gre = [0x20, 0, 8, 0, 0, 0, 0, 1];
        assert_eq!(offset(&[&mac, &ip, &ipv4(47, 0), &gre, &ipv4(17, 0)]), Some(14 + 20 + 8 + 28));
        let mut v6 = [0; 40];
        (v6[0], v6[6]) = (0x60, 0);
        assert_eq!(offset(&[&mac, &ip6, &v6, &[58, 0, 0, 0, 0, 0, 0, 0], &[0; 8]]), Some(14 + 56));
        assert_eq!(offset(&[&mac, &arp, &[0; 28]]), Some(14));
        // What is not known, or not all there, has none.
        assert_eq!(offset(&[&mac, &[0x12, 0x34], &[0; 28]]), None);
        assert_eq!(offset(&[&mac, &ip, &[0x45; 10]]), None);
        assert_eq!(offset(&[]), None);
    }
}
