//! SYN cookies: sequence numbers that say, when they come back, that a connection was asked for.
//!
//! The numbers are made as the kernel makes them, from addresses, ports, the minute and an index of
//! segment sizes, but with a hash of the environment's: nobody but their maker can read them.

use super::group::{TC, XDP};
use super::sock;
use crate::env::socket::{AF_INET6, LISTEN, TCP};
use crate::env::{self, ClockId, mix};
use ubpf_abi::Errno;
use ubpf_vm::call::arg::Reads;
use ubpf_vm::call::{CallCx, FixedMem, MemRead, MemReadOrEmpty, SockCommon};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(100 tcp_check_syncookie, since 5.2,
        "Whether the packet acknowledges a SYN cookie of a listening socket.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(110 tcp_gen_syncookie, since 5.3,
        "Makes a SYN cookie for a listening socket.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(204 tcp_raw_gen_syncookie_ipv4, since 6.0, "Makes a SYN cookie without a listening socket, over IPv4.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(205 tcp_raw_gen_syncookie_ipv6, since 6.0, "Makes a SYN cookie without a listening socket, over IPv6.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(206 tcp_raw_check_syncookie_ipv4, since 6.0, "Checks a SYN cookie without a listening socket, over IPv4.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
    helper!(207 tcp_raw_check_syncookie_ipv6, since 6.0, "Checks a SYN cookie without a listening socket, over IPv6.",
        groups: &[TC, XDP], gpl_only: true, packet_access: true),
];

/// Bytes of headers.
const TCP_BYTES: usize = 20;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
/// Flags of a TCP header.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Segment sizes that a cookie can name.
const SIZES_V4: [u16; 4] = [536, 1300, 1440, 1460];
const SIZES_V6: [u16; 4] = [1220, 1420, 1440, 8940];
/// What is taken where a packet says nothing (`TCP_MSS_DEFAULT`, and IPv6's smallest).
const DEFAULT_V4: u16 = 536;
const DEFAULT_V6: u16 = 1220;

/// Whose headers a packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V4,
    V6,
}

/// The flow of a packet, as a cookie protects it.
struct Flow<'a> {
    addresses: &'a [u8],
    ports: &'a [u8],
    sizes: [u16; 4],
}

impl<'a> Flow<'a> {
    fn new(version: Version, ip: &'a [u8], tcp: &'a [u8]) -> Option<Self> {
        let (addresses, sizes) = match version {
            Version::V4 => (ip.get(12..20)?, SIZES_V4),
            Version::V6 => (ip.get(8..40)?, SIZES_V6),
        };
        Some(Self { addresses, ports: tcp.get(..4)?, sizes })
    }

    fn hash(&self, seed: u64, count: u32, which: u64) -> u32 {
        let bytes = self.addresses.iter().chain(self.ports);
        let start = mix(seed ^ which ^ u64::from(count) << 8);
        bytes.fold(start, |hash, &byte| mix(hash ^ u64::from(byte))) as u32
    }

    /// The largest segment size that a cookie can name and that is not above `mss`, with its index.
    fn size(&self, mss: u16) -> (u32, u16) {
        let named = (0..).zip(self.sizes).filter(|(at, size)| *at == 0 || *size <= mss);
        named.last().unwrap_or_default()
    }

    /// The number for a connection that asked with `seq` and takes segments of `mss` bytes.
    fn make(&self, (seed, minute): (u64, u32), seq: u32, mss: u16) -> u32 {
        let (index, _) = self.size(mss);
        let data = self.hash(seed, minute, 1).wrapping_add(index) & DATA_MASK;
        self.hash(seed, 0, 0).wrapping_add(seq).wrapping_add(minute << DATA_BITS).wrapping_add(data)
    }

    /// Whether `cookie` was made for this flow, `seq`, and a recent minute.
    fn knows(&self, (seed, minute): (u64, u32), cookie: u32, seq: u32) -> bool {
        /// Minutes for which a cookie holds.
        const MAX_AGE: u32 = 2;
        let rest = cookie.wrapping_sub(self.hash(seed, 0, 0)).wrapping_sub(seq);
        let age = minute.wrapping_sub(rest >> DATA_BITS) & (u32::MAX >> DATA_BITS);
        let made = minute.wrapping_sub(age);
        let index = rest.wrapping_sub(self.hash(seed, made, 1)) & DATA_MASK;
        age < MAX_AGE && (index as usize) < self.sizes.len()
    }
}

/// Bits of a cookie below the minute.
const DATA_BITS: u32 = 24;
const DATA_MASK: u32 = (1 << DATA_BITS) - 1;

/// What cookies are made with now.
fn secret(cx: &CallCx<'_>) -> (u64, u32) {
    const MINUTE_NS: u64 = 60_000_000_000;
    let env = env::of(cx.world);
    (env.hash_seed(), (env.clock().now_ns(ClockId::MonotonicCoarse) / MINUTE_NS) as u32)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.copied().map_or(0, u32::from_be_bytes)
}

fn flags(tcp: &[u8]) -> u8 {
    tcp.get(13).copied().unwrap_or(0)
}

/// The segment size that a TCP header's options ask for.
fn segment_size(tcp: &[u8]) -> Option<u16> {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const MSS: u8 = 2;
    let mut options = tcp.get(TCP_BYTES..).unwrap_or_default();
    while let Some((&kind, rest)) = options.split_first() {
        options = match kind {
            END => return None,
            NOP => rest,
            _ => {
                let len = usize::from(*rest.first()?);
                if kind == MSS && len == 4 {
                    let size = u16::from_be_bytes(*options.get(2..)?.first_chunk()?);
                    return (size != 0).then_some(size);
                }
                options.get(len.max(2)..)?
            }
        };
    }
    None
}

/// A TCP header is whole and as long as it says.
fn check_header(tcp: &[u8]) -> Result<(), Errno> {
    let words = tcp.get(12).map_or(0, |byte| usize::from(byte >> 4));
    if tcp.len() < TCP_BYTES || tcp.len() != words * 4 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// A cookie takes part in connections to a listening TCP socket only.
fn check_listener(cx: &CallCx<'_>, socket: &SockCommon) -> Result<bool, Errno> {
    let declared = sock::declared(cx, socket.addr()).map(|(_, socket)| socket);
    let listener = declared.filter(|s| s.protocol == TCP && s.state == LISTEN);
    listener.map(|socket| socket.family() == AF_INET6).ok_or(Errno::EINVAL)
}

/// Checks the IP header of a packet to a socket.
fn check_version(ip: &[u8], is_v6: bool) -> Result<(), Errno> {
    match ip.first().map(|byte| byte >> 4) {
        _ if ip.len() < IPV4_BYTES => Err(Errno::EINVAL),
        Some(4) => Ok(()),
        Some(6) if ip.len() >= IPV6_BYTES && is_v6 => Ok(()),
        Some(6) => Err(Errno::EINVAL),
        _ => Err(Errno::EPROTONOSUPPORT),
    }
}

fn tcp_check_syncookie(
    cx: &mut CallCx<'_>,
    socket: SockCommon,
    ip: MemRead,
    tcp: MemRead,
) -> Result<(), Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let tcp = tcp.bytes(cx).map_err(|_| Errno::EFAULT)?;
    if tcp.len() < TCP_BYTES {
        return Err(Errno::EINVAL);
    }
    let is_v6 = check_listener(cx, &socket)?;
    if flags(&tcp) & (ACK | RST | SYN) != ACK {
        return Err(Errno::ENOENT);
    }
    check_version(&ip, is_v6)?;
    // No queue has ever been full here, so that no cookie was sent.
    Err(Errno::ENOENT)
}

fn tcp_gen_syncookie(
    cx: &mut CallCx<'_>,
    socket: SockCommon,
    ip: MemRead,
    tcp: MemRead,
) -> Result<u64, Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let tcp = tcp.bytes(cx).map_err(|_| Errno::EFAULT)?;
    check_header(&tcp)?;
    let is_v6 = check_listener(cx, &socket)?;
    if flags(&tcp) & (SYN | ACK | FIN | RST) != SYN {
        return Err(Errno::EINVAL);
    }
    check_version(&ip, is_v6)?;
    // Cookies are for full queues.
    Err(Errno::ENOENT)
}

/// The cookie that answers a SYN, and the segment size that it names in the upper half.
fn generate(
    cx: &CallCx<'_>,
    ip: &[u8],
    tcp: &MemReadOrEmpty,
    version: Version,
) -> Result<u64, Errno> {
    let tcp = tcp.bytes(cx).map_err(|_| Errno::EFAULT)?;
    check_header(&tcp)?;
    let default = match version {
        Version::V4 => DEFAULT_V4,
        Version::V6 => DEFAULT_V6,
    };
    let mss = segment_size(&tcp).unwrap_or(default);
    let flow = Flow::new(version, ip, &tcp).ok_or(Errno::EINVAL)?;
    let cookie = flow.make(secret(cx), word(&tcp, 4), mss);
    Ok(u64::from(cookie) | u64::from(flow.size(mss).1) << 32)
}

/// Whether an ACK brings a cookie back.
fn check(
    cx: &CallCx<'_>,
    ip: &[u8],
    tcp: &FixedMem<Reads, 20>,
    version: Version,
) -> Result<(), Errno> {
    let tcp = tcp.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let flow = Flow::new(version, ip, &tcp).ok_or(Errno::EINVAL)?;
    let (seq, cookie) = (word(&tcp, 4).wrapping_sub(1), word(&tcp, 8).wrapping_sub(1));
    if flow.knows(secret(cx), cookie, seq) { Ok(()) } else { Err(Errno::EACCES) }
}

fn tcp_raw_gen_syncookie_ipv4(
    cx: &mut CallCx<'_>,
    ip: FixedMem<Reads, 20>,
    tcp: MemReadOrEmpty,
) -> Result<u64, Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    generate(cx, &ip, &tcp, Version::V4)
}

fn tcp_raw_gen_syncookie_ipv6(
    cx: &mut CallCx<'_>,
    ip: FixedMem<Reads, 40>,
    tcp: MemReadOrEmpty,
) -> Result<u64, Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    generate(cx, &ip, &tcp, Version::V6)
}

fn tcp_raw_check_syncookie_ipv4(
    cx: &mut CallCx<'_>,
    ip: FixedMem<Reads, 20>,
    tcp: FixedMem<Reads, 20>,
) -> Result<(), Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    check(cx, &ip, &tcp, Version::V4)
}

fn tcp_raw_check_syncookie_ipv6(
    cx: &mut CallCx<'_>,
    ip: FixedMem<Reads, 40>,
    tcp: FixedMem<Reads, 20>,
) -> Result<(), Errno> {
    let ip = ip.bytes(cx).map_err(|_| Errno::EFAULT)?;
    check(cx, &ip, &tcp, Version::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_holds_for_its_flow_and_two_minutes() {
        let ip: Vec<u8> = (0..20).collect();
        let tcp: Vec<u8> = (100..120).collect();
        let flow = Flow::new(Version::V4, &ip, &tcp).unwrap();
        let cookie = flow.make((7, 100), 1234, 1460);
        for (minute, holds) in [(100, true), (101, true), (102, false), (99, false)] {
            assert_eq!(flow.knows((7, minute), cookie, 1234), holds, "minute {minute}");
        }
        assert!(!flow.knows((8, 100), cookie, 1234));
        assert!(!flow.knows((7, 100), cookie, 1238));
    }

    #[test]
    fn segment_sizes_are_found_among_options() {
        let header = |options: &[u8]| [&[0; TCP_BYTES][..], options].concat();
        assert_eq!(segment_size(&header(&[1, 1, 2, 4, 5, 0xb4])), Some(1460));
        assert_eq!(segment_size(&header(&[3, 3, 7, 2, 4, 1, 0])), Some(256));
        for none in [&[][..], &[0, 2, 4, 1, 0], &[2, 4, 1], &[8, 0], &[2, 3, 1, 0]] {
            assert_eq!(segment_size(&header(none)), None, "{none:?}");
        }
    }
}
