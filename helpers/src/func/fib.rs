//! Route look-ups over the environment's routing table.

use super::group::{TC, XDP};
use super::net::packet;
use crate::env::{self, Device, Environment, Route};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, CtxArg, Fail, MemReadWrite};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[helper!(69 fib_lookup, since 4.18,
    "Looks up the route of a packet, and the link-layer addresses it leads to.",
    groups: &[TC, XDP], gpl_only: true)];

/// `struct bpf_fib_lookup`.
const PARAMS_BYTES: usize = 64;
const MAIN_TABLE: u32 = 254;

/// `BPF_FIB_LOOKUP_*`.
mod flag {
    pub const DIRECT: u32 = 1 << 0;
    pub const OUTPUT: u32 = 1 << 1;
    pub const SKIP_NEIGH: u32 = 1 << 2;
    pub const TBID: u32 = 1 << 3;
    pub const SRC: u32 = 1 << 4;
    pub const ALL: u32 = (1 << 6) - 1;
}

/// `BPF_FIB_LKUP_RET_*`: why a packet is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Refusal {
    NotForwarded = 4,
    ForwardingDisabled = 5,
    NoNeighbour = 7,
    TooLarge = 8,
    NoSourceAddress = 9,
}

enum Miss {
    Refusal(Refusal),
    Errno(Errno),
}

impl From<Refusal> for Miss {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

fn fib_lookup(
    cx: &mut CallCx<'_>,
    _: CtxArg,
    memory: MemReadWrite,
    flags: u32,
) -> Result<u32, Fail> {
    let (packet_len, _, _) = packet(cx)?;
    let bytes = memory.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let bytes = *bytes.first_chunk::<PARAMS_BYTES>().ok_or(Errno::EINVAL)?;
    if flags & !flag::ALL != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut params = Params(bytes);
    let found = params.lookup(env::of(cx.world), flags, packet_len);
    memory.write(cx, &params.0).map_err(|_| Errno::EFAULT)?;
    match found {
        Ok(()) => Ok(0),
        Err(Miss::Refusal(refusal)) => Ok(refusal as u32),
        Err(Miss::Errno(errno)) => Err(errno.into()),
    }
}

/// The struct's bytes, with its fields by name.
struct Params([u8; PARAMS_BYTES]);

impl Params {
    const FAMILY: usize = 0;
    const TOT_LEN: usize = 6;
    const IFINDEX: usize = 8;
    const RT_METRIC: usize = 12;
    const SOURCE: usize = 16;
    const DESTINATION: usize = 32;
    const TABLE: usize = 48;
    const SMAC: usize = 52;
    const DMAC: usize = 58;

    fn get<const N: usize>(&self, off: usize) -> [u8; N] {
        let bytes = self.0.get(off..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    fn set(&mut self, off: usize, bytes: &[u8]) {
        self.0.iter_mut().skip(off).zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn tot_len(&self) -> u16 {
        u16::from_le_bytes(self.get(Self::TOT_LEN))
    }

    fn set_mtu(&mut self, mtu: u32) {
        self.set(Self::TOT_LEN, &(mtu as u16).to_le_bytes());
    }

    /// Source and destination; `None` for families that have no routes.
    fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        const AF_INET: u8 = 2;
        const AF_INET6: u8 = 10;
        let [family] = self.get(Self::FAMILY);
        let v4 = |off| IpAddr::from(self.get::<4>(off));
        let v6 = |off| IpAddr::from(self.get::<16>(off));
        match family {
            AF_INET => Some((v4(Self::SOURCE), v4(Self::DESTINATION))),
            AF_INET6 => Some((v6(Self::SOURCE), v6(Self::DESTINATION))),
            _ => None,
        }
    }

    fn lookup(&mut self, env: &Environment, flags: u32, packet_len: u32) -> Result<(), Miss> {
        let (source, destination) = self.addresses().ok_or(Miss::Errno(Errno::EAFNOSUPPORT))?;
        if stays_on_link(source) || stays_on_link(destination) {
            return Err(Refusal::NotForwarded.into());
        }
        let ifindex = u32::from_le_bytes(self.get(Self::IFINDEX));
        let device = env.device(ifindex).ok_or(Miss::Errno(Errno::ENODEV))?;
        if !device.forwarding {
            return Err(Refusal::ForwardingDisabled.into());
        }
        let table = match flags & (flag::DIRECT | flag::TBID) {
            both if both == flag::DIRECT | flag::TBID => u32::from_le_bytes(self.get(Self::TABLE)),
            _ => MAIN_TABLE,
        };
        let out_of = (flags & flag::OUTPUT != 0).then_some(ifindex);
        let route = best_route(env.routes(), destination, table, out_of);
        let route = route.ok_or(Refusal::NotForwarded)?;
        let out = env.device(route.ifindex).ok_or(Refusal::NotForwarded)?;
        self.fill(route, out, flags, packet_len)
    }

    /// Writes where the packet goes.
    fn fill(
        &mut self,
        route: &Route,
        out: &Device,
        flags: u32,
        packet_len: u32,
    ) -> Result<(), Miss> {
        /// Links add so much to what a device's MTU allows.
        const VLAN_HLEN: u32 = 4;
        let tot_len = self.tot_len();
        if u32::from(tot_len) > out.mtu {
            self.set_mtu(out.mtu);
            return Err(Refusal::TooLarge.into());
        }
        self.set(Self::RT_METRIC, &[0; 4]);
        self.set(Self::IFINDEX, &out.ifindex.to_le_bytes());
        if flags & flag::SRC != 0 {
            // Devices have no addresses here to choose a source from.
            return Err(Refusal::NoSourceAddress.into());
        }
        match route.gateway {
            Some(IpAddr::V4(gateway)) => self.set(Self::DESTINATION, &gateway.octets()),
            Some(IpAddr::V6(gateway)) => self.set(Self::DESTINATION, &gateway.octets()),
            None => {}
        }
        if flags & flag::SKIP_NEIGH == 0 {
            let neighbour = route.neighbour.ok_or(Refusal::NoNeighbour)?;
            self.set(Self::SMAC, &out.address);
            self.set(Self::DMAC, &neighbour);
        }
        self.set(Self::TABLE, &[0; 4]);
        self.set_mtu(out.mtu);
        if tot_len == 0 && (!out.up || packet_len > out.max_frame().saturating_add(VLAN_HLEN)) {
            return Err(Refusal::TooLarge.into());
        }
        Ok(())
    }
}

/// Whether routers leave packets with this IPv6 address alone.
fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

fn best_route(routes: &[Route], to: IpAddr, table: u32, out_of: Option<u32>) -> Option<&Route> {
    routes
        .iter()
        .filter(|r| r.table == table && out_of.is_none_or(|out| out == r.ifindex))
        .filter(|r| contains(r.network, r.prefix_len, to))
        .max_by_key(|r| r.prefix_len)
}

fn contains(network: IpAddr, prefix_len: u8, address: IpAddr) -> bool {
    let bits = |value: u128, width: u32| {
        value.checked_shr(width.saturating_sub(prefix_len.into())).unwrap_or(0)
    };
    let v4 = |a: Ipv4Addr| bits(u32::from(a).into(), 32);
    let v6 = |a: Ipv6Addr| bits(a.into(), 128);
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => v4(network) == v4(address),
        (IpAddr::V6(network), IpAddr::V6(address)) => v6(network) == v6(address),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::EnvConfig;

    fn router() -> Environment {
        let device = |ifindex, mtu| Device {
            ifindex,
            mtu,
            address: [2, 0, 0, 0, 0, ifindex as u8],
            forwarding: true,
            ..Device::loopback()
        };
        let route = |network: [u8; 4], prefix_len, ifindex, neighbour| Route {
            network: network.into(),
            prefix_len,
            ifindex,
            gateway: (ifindex == 3).then_some([10, 0, 0, 254].into()),
            neighbour,
            table: MAIN_TABLE,
        };
        Environment::new(EnvConfig {
            devices: vec![Device::loopback(), device(2, 1500), device(3, 1400)],
            routes: vec![
                route([0, 0, 0, 0], 0, 3, Some([2, 2, 2, 2, 2, 2])),
                route([192, 0, 2, 0], 24, 2, None),
            ],
            ..EnvConfig::default()
        })
    }

    fn ask(ifindex: u32, to: [u8; 4], tot_len: u16, flags: u32) -> (Option<Refusal>, Params) {
        let mut params = Params([0; PARAMS_BYTES]);
        params.set(Params::FAMILY, &[2]);
        params.set(Params::IFINDEX, &ifindex.to_le_bytes());
        params.set(Params::DESTINATION, &to);
        params.set(Params::TOT_LEN, &tot_len.to_le_bytes());
        let refusal = match params.lookup(&router(), flags, 100) {
            Ok(()) => None,
            Err(Miss::Refusal(refusal)) => Some(refusal),
            Err(Miss::Errno(errno)) => panic!("{errno}"),
        };
        (refusal, params)
    }

    #[test]
    fn the_longest_prefix_leads_the_way() {
        let (refusal, params) = ask(2, [8, 8, 8, 8], 0, 0);
        assert_eq!(refusal, None);
        assert_eq!(params.get(Params::IFINDEX), 3u32.to_le_bytes());
        assert_eq!(params.get(Params::DESTINATION), [10, 0, 0, 254]);
        assert_eq!(params.get(Params::DMAC), [2; 6]);
        assert_eq!((params.tot_len(), params.get(Params::SMAC)), (1400, [2, 0, 0, 0, 0, 3]));
        assert_eq!(ask(2, [192, 0, 2, 9], 0, 0).0, Some(Refusal::NoNeighbour));
        assert_eq!(ask(2, [192, 0, 2, 9], 0, flag::SKIP_NEIGH).0, None);
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(ask(1, [8, 8, 8, 8], 0, 0).0, Some(Refusal::ForwardingDisabled));
        assert_eq!(ask(2, [8, 8, 8, 8], 1401, 0).0, Some(Refusal::TooLarge));
        let direct = flag::DIRECT | flag::TBID;
        assert_eq!(ask(2, [8, 8, 8, 8], 0, direct).0, Some(Refusal::NotForwarded));
    }
}
