//! The packets that every program is run on: what networks carry, and what they should not.
//!
//! Headers are built from fields here, so that the list reads like a test plan; checksums are
//! right unless a packet is there because its checksum is wrong.

/// A packet with a name that says what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub name: &'static str,
    /// The frame, from the Ethernet header.
    pub bytes: Vec<u8>,
}

mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const QINQ: u16 = 0x88a8;
    pub const UNKNOWN: u16 = 0x88b5;
}

mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const FRAGMENT: u8 = 44;
    pub const ICMPV6: u8 = 58;
    pub const NONE: u8 = 59;
    pub const DESTINATION: u8 = 60;
}

mod flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
}

const ALICE: [u8; 4] = [10, 1, 2, 3];
const BOB: [u8; 4] = [192, 0, 2, 80];
const ALICE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3];
const BOB6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 80];
const MAC_LO: [u8; 6] = [0; 6];
const MAC_ALICE: [u8; 6] = [2, 0, 0, 0, 0, 3];
const MAC_BOB: [u8; 6] = [2, 0, 0, 0, 0, 80];
const BROADCAST: [u8; 6] = [0xff; 6];

/// The Internet checksum over parts of even length, but for the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn eth(dst: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &MAC_ALICE, &ethertype.to_be_bytes(), payload].concat()
}

fn vlan(tci: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&tci.to_be_bytes()[..], &ethertype.to_be_bytes(), payload].concat()
}

/// What differs between the IPv4 headers of the list.
#[derive(Clone, Copy)]
struct Ipv4<'a> {
    src: [u8; 4],
    dst: [u8; 4],
    protocol: u8,
    tos: u8,
    ttl: u8,
    /// Flags and fragment offset.
    fragment: u16,
    options: &'a [u8],
}

impl Ipv4<'_> {
    const fn new(protocol: u8) -> Self {
        Self { src: ALICE, dst: BOB, protocol, tos: 0, ttl: 64, fragment: 0x4000, options: &[] }
    }

    fn with(self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let total = (words * 4 + payload.len()) as u16;
        let mut header = vec![0x40 | words as u8, self.tos];
        header.extend(total.to_be_bytes());
        header.extend([0x12, 0x34]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.protocol, 0, 0]);
        header.extend(self.src);
        header.extend(self.dst);
        header.extend(self.options);
        let sum = checksum(&[&header]).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        [&header[..], payload].concat()
    }
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0x0a, 0xbc, 0xde];
    header.extend((payload.len() as u16).to_be_bytes());
    header.extend([next, 63]);
    header.extend(ALICE6);
    header.extend(BOB6);
    [&header[..], payload].concat()
}

/// Fills in the checksum at `at` of a transport header, over it and its pseudo header.
fn transport(mut segment: Vec<u8>, at: usize, src: &[u8], dst: &[u8], protocol: u8) -> Vec<u8> {
    let len = (segment.len() as u32).to_be_bytes();
    let sum = checksum(&[src, dst, &len, &[0, 0, 0, protocol], &segment]).to_be_bytes();
    segment[at..at + 2].copy_from_slice(&sum);
    segment
}

fn tcp_header(sport: u16, dport: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
    header.extend(0x0102_0304_u32.to_be_bytes());
    header.extend(0x0506_0708_u32.to_be_bytes());
    header.extend([0x50, flags]);
    header.extend(64_240_u16.to_be_bytes());
    header.extend([0, 0, 0, 0]);
    [&header[..], payload].concat()
}

fn udp_header(sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&sport.to_be_bytes()[..], &dport.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

fn tcp4(ip: Ipv4<'_>, sport: u16, dport: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let segment = tcp_header(sport, dport, flags, payload);
    let segment = transport(segment, 16, &ip.src, &ip.dst, protocol::TCP);
    eth(MAC_LO, ethertype::IPV4, &ip.with(&segment))
}

fn udp4(ip: Ipv4<'_>, sport: u16, dport: u16, payload: &[u8]) -> Vec<u8> {
    let datagram = udp_header(sport, dport, payload);
    let datagram = transport(datagram, 6, &ip.src, &ip.dst, protocol::UDP);
    eth(MAC_LO, ethertype::IPV4, &ip.with(&datagram))
}

fn udp6(next: u8, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let datagram = udp_header(5353, 53, payload);
    let datagram = transport(datagram, 6, &ALICE6, &BOB6, protocol::UDP);
    eth(MAC_LO, ethertype::IPV6, &ipv6(next, &[extensions, &datagram].concat()))
}

fn icmp4(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0, 0, 7, 0, 1], payload].concat();
    let sum = checksum(&[&message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    eth(MAC_LO, ethertype::IPV4, &Ipv4::new(protocol::ICMP).with(&message))
}

/// A DNS query for the labels of `name`.
fn dns(name: &str, flags: u16, questions: u16) -> Vec<u8> {
    let mut message = [0xabcd_u16, flags, questions, 0, 0, 0].map(u16::to_be_bytes).concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// The whole list, in an order that the stateful programs (connections, buckets, leases) see.
#[must_use]
pub fn corpus() -> Vec<Packet> {
    let tcp = Ipv4::new(protocol::TCP);
    let udp = Ipv4::new(protocol::UDP);
    let back = Ipv4 { src: BOB, dst: ALICE, ..tcp };
    let plain = udp4(udp, 1234, 5678, b"payload");
    let inner = eth(MAC_BOB, ethertype::IPV4, &udp.with(&udp_header(1, 2, b"inside")));
    let vxlan = [&[8, 0, 0, 0, 0, 0x30, 0x39, 0][..], &inner].concat();
    let hop_by_hop = [protocol::DESTINATION, 0, 1, 4, 0, 0, 0, 0];
    let destination = [protocol::UDP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let fragment6 = [protocol::UDP, 0, 0x00, 0xb9, 0, 0, 0, 9];
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &MAC_ALICE, &ALICE, &[0; 6], &BOB, &[0; 18]].concat();
    let mut wrong_sum = plain.clone();
    wrong_sum[24] ^= 0xff;
    let named = |name, bytes| Packet { name, bytes };
    vec![
        named("tcp syn", tcp4(tcp, 40000, 443, flag::SYN, b"")),
        named("tcp syn ack", tcp4(back, 443, 40000, flag::SYN | flag::ACK, b"")),
        named("tcp ack", tcp4(tcp, 40000, 443, flag::ACK, b"")),
        named("tcp data", tcp4(tcp, 40000, 443, flag::PSH | flag::ACK, b"GET / HTTP/1.1\r\n\r\n")),
        named("tcp fin", tcp4(tcp, 40000, 443, flag::FIN | flag::ACK, b"")),
        named("tcp fin back", tcp4(back, 443, 40000, flag::FIN | flag::ACK, b"")),
        named("tcp rst", tcp4(tcp, 40001, 25, flag::RST, b"")),
        named("tcp to a blocked port", tcp4(tcp, 40002, 4444, flag::SYN, b"")),
        named("tcp to a tail call", tcp4(Ipv4 { ttl: 4, ..tcp }, 1, 2, flag::ACK, b"")),
        named("udp", plain.clone()),
        named("udp again", plain.clone()),
        named("udp from elsewhere", udp4(Ipv4 { src: [203, 0, 113, 9], ..udp }, 9, 9, b"x")),
        named("udp odd length", udp4(udp, 7, 7, &counted(33))),
        named("udp without payload", udp4(udp, 7, 7, b"")),
        named(
            "udp with options",
            udp4(Ipv4 { options: &[1, 1, 1, 0], ..udp }, 7, 53, &dns("a.b", 0x100, 1)),
        ),
        named("udp wrong checksum", wrong_sum),
        named("expedited", udp4(Ipv4 { tos: 0xb8, ..udp }, 5060, 5060, &counted(60))),
        named("class 1", udp4(Ipv4 { tos: 0x21, ..udp }, 5060, 5060, &counted(8))),
        named("class 4", udp4(Ipv4 { tos: 0x83, ..udp }, 5060, 5060, &counted(8))),
        named("icmp echo", icmp4(8, &counted(48))),
        named("icmp reply", icmp4(0, b"")),
        named("dns query", udp4(udp, 33333, 53, &dns("www.Example.COM", 0x100, 1))),
        named("dns query again", udp4(udp, 33334, 53, &dns("WWW.example.com", 0x100, 1))),
        named("dns answer", udp4(udp, 33333, 53, &dns("www.example.com", 0x8180, 1))),
        named("dns long name", udp4(udp, 33333, 53, &dns(&["label"; 12].join("."), 0x100, 1))),
        named(
            "dns bad label",
            udp4(udp, 33333, 53, &[&dns("x", 0x100, 1)[..12], &[0xc0, 12]].concat()),
        ),
        named("vxlan", udp4(udp, 50000, 4789, &vxlan)),
        named("vxlan without its flag", udp4(udp, 50000, 4789, &[0; 8])),
        named("first fragment", udp4(Ipv4 { fragment: 0x2000, ..udp }, 1, 2, &counted(64))),
        named(
            "later fragment",
            eth(MAC_LO, ethertype::IPV4, &Ipv4 { fragment: 0x0008, ..udp }.with(&counted(40))),
        ),
        named("ipv6 udp", udp6(protocol::UDP, &[], &dns("v6.test", 0x100, 1))),
        named(
            "ipv6 extension headers",
            udp6(protocol::HOP_BY_HOP, &[&hop_by_hop[..], &destination].concat(), b"ext"),
        ),
        named("ipv6 fragment", udp6(protocol::FRAGMENT, &fragment6, &counted(24))),
        named("ipv6 no next header", eth(MAC_LO, ethertype::IPV6, &ipv6(protocol::NONE, b""))),
        named(
            "ipv6 tcp",
            eth(
                MAC_LO,
                ethertype::IPV6,
                &ipv6(
                    protocol::TCP,
                    &transport(
                        tcp_header(1, 22, flag::SYN, b""),
                        16,
                        &ALICE6,
                        &BOB6,
                        protocol::TCP,
                    ),
                ),
            ),
        ),
        named(
            "icmpv6",
            eth(MAC_LO, ethertype::IPV6, &ipv6(protocol::ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1])),
        ),
        named("vlan", eth(MAC_LO, ethertype::VLAN, &vlan(0x2064, ethertype::IPV4, &plain[14..]))),
        named(
            "vlan ipv6",
            eth(MAC_LO, ethertype::VLAN, &vlan(7, ethertype::IPV6, &ipv6(protocol::NONE, b""))),
        ),
        named(
            "qinq",
            eth(
                MAC_LO,
                ethertype::QINQ,
                &vlan(100, ethertype::VLAN, &vlan(200, ethertype::IPV4, &plain[14..])),
            ),
        ),
        named("vlan truncated", eth(MAC_LO, ethertype::VLAN, &[0, 1])),
        named("arp", eth(BROADCAST, ethertype::ARP, &arp)),
        named("to another host", eth(MAC_BOB, ethertype::IPV4, &plain[14..])),
        named("broadcast", eth(BROADCAST, ethertype::IPV4, &plain[14..])),
        named("multicast", eth([1, 0, 0x5e, 0, 0, 1], ethertype::IPV4, &plain[14..])),
        named("unknown ethertype", eth(MAC_LO, ethertype::UNKNOWN, &counted(46))),
        named("length instead of ethertype", eth(MAC_LO, 46, &counted(46))),
        named("only ethernet", eth(MAC_LO, ethertype::UNKNOWN, b"")),
        named("ipv4 header cut", plain[..24].to_vec()),
        named("ipv4 without transport", plain[..34].to_vec()),
        named("udp header cut", plain[..38].to_vec()),
        named("ipv4 header length too small", [&plain[..14], &[0x44], &plain[15..]].concat()),
        named("ipv4 header length too large", [&plain[..14], &[0x4f], &plain[15..]].concat()),
        named("ipv6 header cut", eth(MAC_LO, ethertype::IPV6, &[0x60; 24])),
        named("13 bytes", counted(13)),
        named("empty", Vec::new()),
        named("60 zeros", vec![0; 60]),
        named("64 ones", vec![0xff; 64]),
        named(
            "garbage",
            (0_u32..200).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        ),
        named("full size", udp4(udp, 1, 2, &counted(1472))),
        named("3000 bytes", udp4(udp, 3, 4, &counted(2958))),
        named("3520 bytes", udp4(udp, 3, 4, &counted(3520 - 42))),
        named("jumbo", udp4(udp, 5, 6, &counted(8958))),
        named("largest ipv4", udp4(udp, 5, 6, &counted(65_535 - 28))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_lengths_cover_the_borders() {
        let corpus = corpus();
        let names: HashSet<_> = corpus.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), corpus.len());
        for len in [0, 13, 14, 34, 3520] {
            assert!(corpus.iter().any(|p| p.bytes.len() == len), "no packet of {len} bytes");
        }
    }

    #[test]
    fn header_checksums_verify() {
        let packet = udp4(Ipv4::new(protocol::UDP), 1, 2, b"odd");
        assert_eq!(checksum(&[&packet[14..34]]), 0);
        let pseudo = [&ALICE[..], &BOB, &[0, 17, 0, 11]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[34..]]), 0);
    }
}
