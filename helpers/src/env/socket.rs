//! Sockets that packets and programs find.

use super::KernelTypes;
use core::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use ubpf_abi::Errno;
use ubpf_vm::mem::{Cage, GuestAddr, Perm, Region, RegionKind, RegionSpec};

/// `IPPROTO_TCP`.
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u8 = 17;
/// `AF_INET`.
pub const AF_INET: u16 = 2;
/// `AF_INET6`.
pub const AF_INET6: u16 = 10;
/// `TCP_ESTABLISHED`.
pub const ESTABLISHED: u8 = 1;
/// `TCP_CLOSE`, in which unconnected UDP sockets are too.
pub const CLOSE: u8 = 7;
/// `TCP_LISTEN`.
pub const LISTEN: u8 = 10;

/// A socket of the network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// What it is bound to; an unspecified address is any.
    pub local: SocketAddr,
    /// What it is connected to.
    pub remote: Option<SocketAddr>,
    /// Its state, as `TCP_*` number it.
    pub state: u8,
    /// The device it is bound to; 0 for none.
    pub ifindex: u32,
    /// Its mark.
    pub mark: u32,
    /// Its priority.
    pub priority: u32,
    /// Its user's id.
    pub uid: u32,
    /// It shares its address with others of a reuseport group.
    pub reuseport: bool,
}

impl Socket {
    /// A listening TCP or an unconnected UDP socket.
    #[must_use]
    pub const fn bound(protocol: u8, local: SocketAddr) -> Self {
        Self {
            protocol,
            local,
            remote: None,
            state: if protocol == TCP { LISTEN } else { CLOSE },
            ifindex: 0,
            mark: 0,
            priority: 0,
            uid: 0,
            reuseport: false,
        }
    }

    /// The same, connected.
    #[must_use]
    pub const fn connected(self, remote: SocketAddr) -> Self {
        Self { remote: Some(remote), state: ESTABLISHED, ..self }
    }

    /// Its address family.
    #[must_use]
    pub const fn family(&self) -> u16 {
        if self.local.is_ipv4() { AF_INET } else { AF_INET6 }
    }

    /// How well it suits a packet that came from `from` to `to`; `None` where it does not.
    fn score(&self, protocol: u8, from: SocketAddr, to: SocketAddr, ifindex: u32) -> Option<u32> {
        let bound = self.local.port() == to.port()
            && self.local.is_ipv4() == to.is_ipv4()
            && (self.ifindex == 0 || self.ifindex == ifindex);
        let exact = self.local.ip() == to.ip();
        if self.protocol != protocol || !bound || !(exact || self.local.ip().is_unspecified()) {
            return None;
        }
        let connected = match self.remote {
            None if protocol == TCP && self.state != LISTEN => return None,
            None => 0,
            Some(remote) if remote == from => 4,
            Some(_) => return None,
        };
        Some(connected + 2 * u32::from(exact) + u32::from(self.ifindex != 0))
    }

    /// Fields of the kernel's `struct sock_common`, by their paths in the struct `name`.
    fn common(&self, name: &str) -> Vec<(String, u64)> {
        let sock = match name {
            "tcp_sock" => "inet_conn.icsk_inet.sk",
            "tcp6_sock" => "tcp.inet_conn.icsk_inet.sk",
            "udp6_sock" => "udp.inet.sk",
            _ => "sk",
        };
        let v4 = |at: Option<SocketAddr>| match at {
            Some(SocketAddr::V4(at)) => u32::from_le_bytes(at.ip().octets()).into(),
            _ => 0,
        };
        let remote_port = self.remote.map_or(0, |at| at.port().swap_bytes());
        let fields = [
            ("__sk_common.skc_family", self.family().into()),
            ("__sk_common.skc_state", self.state.into()),
            ("__sk_common.skc_num", self.local.port().into()),
            ("__sk_common.skc_dport", remote_port.into()),
            ("__sk_common.skc_rcv_saddr", v4(Some(self.local))),
            ("__sk_common.skc_daddr", v4(self.remote)),
            ("__sk_common.skc_bound_dev_if", self.ifindex.into()),
            ("sk_protocol", self.protocol.into()),
            ("sk_mark", self.mark.into()),
        ];
        fields.into_iter().map(|(path, value)| (format!("{sock}.{path}"), value)).collect()
    }

    /// It as `struct bpf_sock`.
    fn bytes(&self) -> [u8; SOCK_BYTES] {
        const SOCK_STREAM: u32 = 1;
        const SOCK_DGRAM: u32 = 2;
        let kind = if self.protocol == TCP { SOCK_STREAM } else { SOCK_DGRAM };
        let mut bytes = [0; SOCK_BYTES];
        let mut put = |off: usize, value: &[u8]| {
            bytes.iter_mut().skip(off).zip(value).for_each(|(to, from)| *to = *from);
        };
        put(sock::BOUND_DEV_IF, &self.ifindex.to_le_bytes());
        put(sock::FAMILY, &u32::from(self.family()).to_le_bytes());
        put(sock::TYPE, &kind.to_le_bytes());
        put(sock::PROTOCOL, &u32::from(self.protocol).to_le_bytes());
        put(sock::MARK, &self.mark.to_le_bytes());
        put(sock::PRIORITY, &self.priority.to_le_bytes());
        put(sock::STATE, &u32::from(self.state).to_le_bytes());
        put(sock::RX_QUEUE_MAPPING, &(-1i32).to_le_bytes());
        put(sock::SRC_PORT, &u32::from(self.local.port()).to_le_bytes());
        match self.local {
            SocketAddr::V4(at) => put(sock::SRC_IP4, &at.ip().octets()),
            SocketAddr::V6(at) => put(sock::SRC_IP6, &at.ip().octets()),
        }
        if let Some(remote) = self.remote {
            put(sock::DST_PORT, &remote.port().to_be_bytes());
            match remote {
                SocketAddr::V4(at) => put(sock::DST_IP4, &at.ip().octets()),
                SocketAddr::V6(at) => put(sock::DST_IP6, &at.ip().octets()),
            }
        }
        bytes
    }
}

/// Bytes of `struct bpf_sock`, the form in which programs see sockets.
pub const SOCK_BYTES: usize = 80;

/// Offsets in `struct bpf_sock`.
pub mod sock {
    #![expect(missing_docs, reason = "they are called like the struct's fields")]
    pub const BOUND_DEV_IF: usize = 0;
    pub const FAMILY: usize = 4;
    pub const TYPE: usize = 8;
    pub const PROTOCOL: usize = 12;
    pub const MARK: usize = 16;
    pub const PRIORITY: usize = 20;
    pub const SRC_IP4: usize = 24;
    pub const SRC_IP6: usize = 28;
    pub const SRC_PORT: usize = 44;
    pub const DST_PORT: usize = 48;
    pub const DST_IP4: usize = 52;
    pub const DST_IP6: usize = 56;
    pub const STATE: usize = 72;
    pub const RX_QUEUE_MAPPING: usize = 76;
}

/// A socket with its place in guest memory, taken when a program first sees it.
#[derive(Debug)]
struct Entry {
    socket: Socket,
    cookie: u64,
    seen: OnceLock<Region>,
    /// The kernel's own structs of it, which programs ask for by name.
    structs: Mutex<Vec<(&'static str, Region)>>,
}

/// The sockets of an environment. They stay for as long as it does.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Entry>);

/// Which socket of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketId(usize);

impl Sockets {
    /// These sockets, whose cookies count from `first_cookie` on.
    #[must_use]
    pub fn new(sockets: Vec<Socket>, first_cookie: u64) -> Self {
        let entries = sockets.into_iter().zip(first_cookie..);
        Self(
            entries
                .map(|(socket, cookie)| {
                    let (seen, structs) = (OnceLock::new(), Mutex::default());
                    Entry { socket, cookie, seen, structs }
                })
                .collect(),
        )
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The socket that receives a packet of this protocol.
    #[must_use]
    pub fn find(
        &self,
        protocol: u8,
        from: SocketAddr,
        to: SocketAddr,
        ifindex: u32,
    ) -> Option<SocketId> {
        let scored = self.0.iter().enumerate().filter_map(|(at, entry)| {
            Some((entry.socket.score(protocol, from, to, ifindex)?, core::cmp::Reverse(at)))
        });
        scored.max().map(|(_, core::cmp::Reverse(at))| SocketId(at))
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = SocketId> + use<> {
        (0..self.len()).map(SocketId)
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> Option<SocketId> {
        (!self.is_empty()).then_some(SocketId(0))
    }

    /// The socket with this cookie.
    #[must_use]
    pub fn by_cookie(&self, cookie: u64) -> Option<SocketId> {
        self.0.iter().position(|entry| entry.cookie == cookie).map(SocketId)
    }

    /// The socket at an address that [`Sockets::addr`] gave.
    #[must_use]
    pub fn at(&self, addr: GuestAddr) -> Option<SocketId> {
        let here = |entry: &Entry| entry.seen.get().is_some_and(|region| region.addr() == addr);
        self.0.iter().position(here).map(SocketId)
    }

    /// What it is.
    #[must_use]
    pub fn socket(&self, SocketId(at): SocketId) -> Option<&Socket> {
        self.0.get(at).map(|entry| &entry.socket)
    }

    /// Its cookie.
    #[must_use]
    pub fn cookie(&self, SocketId(at): SocketId) -> u64 {
        self.0.get(at).map_or(0, |entry| entry.cookie)
    }

    /// Where programs see it.
    ///
    /// # Errors
    /// `ENOMEM` when guest memory is exhausted.
    pub fn addr(&self, cage: &Arc<Cage>, SocketId(at): SocketId) -> Result<GuestAddr, Errno> {
        let entry = self.0.get(at).ok_or(Errno::ENOENT)?;
        if entry.seen.get().is_none() {
            let region = region(cage, &entry.socket.bytes())?;
            // Where another thread was faster, its region counts and this one is given back.
            let _ = entry.seen.set(region);
        }
        entry.seen.get().map(Region::addr).ok_or(Errno::ENOMEM)
    }

    /// Where programs see it as the kernel's struct `name`, of which the parts that all sockets
    /// share are filled.
    ///
    /// # Errors
    /// `ENOMEM` when guest memory is exhausted.
    pub fn kernel_addr(
        &self,
        cage: &Arc<Cage>,
        types: &KernelTypes,
        SocketId(at): SocketId,
        name: &'static str,
    ) -> Result<GuestAddr, Errno> {
        let entry = self.0.get(at).ok_or(Errno::ENOENT)?;
        let mut structs = entry.structs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, region)) = structs.iter().find(|(known, _)| *known == name) {
            return Ok(region.addr());
        }
        let fields = entry.socket.common(name);
        let fields: Vec<_> = fields.iter().map(|(path, value)| (path.as_str(), *value)).collect();
        let region = types.object(cage, name, &fields).map_err(|_| Errno::ENOMEM)?;
        let addr = region.addr();
        structs.push((name, region));
        Ok(addr)
    }
}

fn region(cage: &Arc<Cage>, bytes: &[u8]) -> Result<Region, Errno> {
    let spec = RegionSpec::new(bytes.len() as u64, RegionKind::KernelObject, "bpf_sock");
    let region = cage.alloc(spec.perm(Perm::Read)).map_err(|_| Errno::ENOMEM)?;
    region.write(0, bytes).map_err(|_| Errno::ENOMEM)?;
    Ok(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_closest_socket_receives() {
        let any = Socket::bound(TCP, at("0.0.0.0:80"));
        let exact = Socket::bound(TCP, at("10.0.0.1:80"));
        let connected = exact.clone().connected(at("10.0.0.9:4000"));
        let sockets = Sockets::new(vec![any, exact, connected], 7);
        let find = |from, to| sockets.find(TCP, at(from), at(to), 1).map(|id| sockets.cookie(id));
        assert_eq!(find("10.0.0.9:4000", "10.0.0.1:80"), Some(9));
        assert_eq!(find("10.0.0.9:4001", "10.0.0.1:80"), Some(8));
        assert_eq!(find("10.0.0.9:4000", "10.0.0.2:80"), Some(7));
        assert_eq!(find("10.0.0.9:4000", "10.0.0.2:81"), None);
        assert_eq!(sockets.find(UDP, at("10.0.0.9:4000"), at("10.0.0.1:80"), 1), None);
    }

    #[test]
    fn programs_see_the_uapi_struct() {
        let sockets = Sockets::new(vec![Socket::bound(UDP, at("[2001:db8::1]:53"))], 1);
        let cage = Cage::new().unwrap();
        let id = sockets.by_cookie(1).unwrap();
        let addr = sockets.addr(&cage, id).unwrap();
        assert_eq!(sockets.at(addr), Some(id));
        assert_eq!(cage.load::<u32>(addr.0 + sock::FAMILY as u32), Ok(AF_INET6.into()));
        assert_eq!(cage.load::<u32>(addr.0 + sock::SRC_PORT as u32), Ok(53));
        assert_eq!(cage.load::<u16>(addr.0 + sock::SRC_IP6 as u32), Ok(0x0120));
    }
}
