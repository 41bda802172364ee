//! `--env`: the world around the program, from TOML.
//!
//! ```toml
//! cpus = 4
//! seed = 7
//!
//! [clock]                 # without it: the host's clocks
//! start_ns = 1_000_000_000
//! step_ns = 1000          # advance with each reading
//!
//! [task]
//! pid = 42
//! comm = "nginx"
//!
//! [[device]]              # beside lo, which is always there
//! ifindex = 2
//! name = "eth0"
//! mtu = 1500
//! address = "02:00:00:00:00:01"
//!
//! [[route]]
//! to = "10.0.0.0/8"
//! dev = 2
//! via = "192.168.1.1"
//! neighbour = "02:00:00:00:00:02"
//!
//! [[socket]]              # cookies count from 1, in this order
//! protocol = "tcp"
//! local = "10.0.0.1:80"
//! remote = "10.0.0.9:4000"    # without it: listening, or unconnected
//! ```

use crate::failure::Failure;
use crate::files;
use crate::input::hex;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use ubpf::platform::env::{ClockConfig, Device, EnvConfig, LOOPBACK, Route, Socket, Task, socket};

/// The main routing table.
const MAIN_TABLE: u32 = 254;
/// CPUs that a world can have.
const MAX_CPUS: u32 = 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EnvFile {
    cpus: Option<u32>,
    seed: Option<u64>,
    netns_cookie: Option<u64>,
    clock: Option<ClockTable>,
    task: TaskTable,
    device: Vec<DeviceTable>,
    route: Vec<RouteTable>,
    socket: Vec<SocketTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockTable {
    start_ns: u64,
    #[serde(default)]
    step_ns: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TaskTable {
    pid: Option<u32>,
    tgid: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    comm: Option<String>,
    cgroups: Option<Vec<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTable {
    ifindex: u32,
    name: String,
    #[serde(default = "ethernet_mtu")]
    mtu: u32,
    #[serde(default)]
    address: Option<String>,
    #[serde(default = "yes")]
    up: bool,
    #[serde(default)]
    forwarding: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteTable {
    to: String,
    dev: u32,
    via: Option<IpAddr>,
    neighbour: Option<String>,
    table: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SocketTable {
    protocol: Protocol,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    state: Option<u8>,
    #[serde(default)]
    ifindex: u32,
    #[serde(default)]
    mark: u32,
    #[serde(default)]
    priority: u32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    reuseport: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Udp,
}

const fn ethernet_mtu() -> u32 {
    1500
}

const fn yes() -> bool {
    true
}

/// Reads an environment.
///
/// # Errors
/// The file cannot be read, is not TOML, or describes what cannot be.
pub fn read(path: &Path) -> Result<EnvConfig, Failure> {
    let unusable = |cause: String| {
        let name = files::name(path);
        Failure::unusable(format!("{name} does not describe an environment")).because(cause)
    };
    let text = files::read_text(path, files::MAX_TEXT_BYTES)?;
    let file: EnvFile = toml::from_str(&text).map_err(|e| unusable(in_one_line(&e, &text)))?;
    file.config().map_err(unusable)
}

/// What is wrong, with its line.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

impl EnvFile {
    fn config(self) -> Result<EnvConfig, String> {
        let mut config = EnvConfig::default();
        if let Some(cpus) = self.cpus {
            if !(1..=MAX_CPUS).contains(&cpus) {
                return Err(format!("`cpus` must be 1 to {MAX_CPUS}"));
            }
            config.cpus = cpus;
        }
        if let Some(ClockTable { start_ns, step_ns }) = self.clock {
            config.clock = ClockConfig::Virtual { start_ns, step_ns };
        }
        config.seed = self.seed.unwrap_or(config.seed);
        config.netns_cookie = self.netns_cookie.unwrap_or(config.netns_cookie);
        self.task.apply(&mut config.task);
        for table in self.device {
            let device = table.device()?;
            config.devices.retain(|d| d.ifindex != device.ifindex);
            config.devices.push(device);
        }
        for table in self.route {
            config.routes.push(table.route()?);
        }
        for table in self.socket {
            config.sockets.push(table.socket()?);
        }
        Ok(config)
    }
}

impl TaskTable {
    fn apply(self, task: &mut Task) {
        if let Some(pid) = self.pid {
            (task.pid, task.tgid) = (pid, pid);
        }
        task.tgid = self.tgid.unwrap_or(task.tgid);
        task.uid = self.uid.unwrap_or(task.uid);
        task.gid = self.gid.unwrap_or(task.gid);
        if let Some(comm) = self.comm {
            task.comm = Task::comm_of(comm.as_bytes());
        }
        if let Some(cgroups) = self.cgroups {
            task.cgroups = cgroups;
        }
    }
}

impl DeviceTable {
    fn device(self) -> Result<Device, String> {
        if self.ifindex == 0 {
            return Err(format!("device {}: `ifindex` counts from 1", self.name));
        }
        if self.ifindex == LOOPBACK && self.name != "lo" {
            return Err(format!("device {LOOPBACK} is `lo`, not `{}`", self.name));
        }
        Ok(Device {
            ifindex: self.ifindex,
            mtu: self.mtu,
            address: self.address.as_deref().map_or(Ok([0; 6]), mac)?,
            up: self.up,
            forwarding: self.forwarding,
            name: self.name,
            ..Device::loopback()
        })
    }
}

impl SocketTable {
    fn socket(self) -> Result<Socket, String> {
        let Self { local, remote, .. } = self;
        if let Some(remote) = remote
            && remote.is_ipv4() != local.is_ipv4()
        {
            return Err(format!("socket {local}: {remote} is of another family"));
        }
        let bound = Socket::bound(
            match self.protocol {
                Protocol::Tcp => socket::TCP,
                Protocol::Udp => socket::UDP,
            },
            local,
        );
        let socket = match remote {
            Some(remote) => bound.connected(remote),
            None => bound,
        };
        Ok(Socket {
            state: self.state.unwrap_or(socket.state),
            ifindex: self.ifindex,
            mark: self.mark,
            priority: self.priority,
            uid: self.uid,
            reuseport: self.reuseport,
            ..socket
        })
    }
}

impl RouteTable {
    fn route(self) -> Result<Route, String> {
        let (network, prefix_len) = network(&self.to).ok_or_else(|| {
            format!("route to `{}`: expected an address like 10.0.0.0/8", self.to)
        })?;
        Ok(Route {
            network,
            prefix_len,
            ifindex: self.dev,
            gateway: self.via,
            neighbour: self.neighbour.as_deref().map(mac).transpose()?,
            table: self.table.unwrap_or(MAIN_TABLE),
        })
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    hex::parse(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("`{text}` is not a link-layer address like 02:00:00:00:00:01"))
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, len) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let len: u8 = len.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (len <= most).then_some((address, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<EnvConfig, String> {
        let file: EnvFile = toml::from_str(text).map_err(|e| in_one_line(&e, text))?;
        file.config()
    }

    #[test]
    fn an_empty_file_is_the_default_world() {
        let config = config("").unwrap();
        assert_eq!((config.cpus, config.devices.len()), (1, 1));
        assert_eq!(config.clock, ClockConfig::Host);
    }

    #[test]
    fn everything_can_be_said() {
        let config = config(
            r#"
            cpus = 4
            [clock]
            start_ns = 5
            [task]
            pid = 42
            comm = "nginx"
            [[device]]
            ifindex = 2
            name = "eth0"
            address = "02:00:00:00:00:01"
            [[route]]
            to = "10.0.0.0/8"
            dev = 2
            via = "192.168.1.1"
            [[socket]]
            protocol = "udp"
            local = "[::]:53"
            mark = 7
            [[socket]]
            protocol = "tcp"
            local = "10.0.0.1:80"
            remote = "10.0.0.9:4000"
            "#,
        )
        .unwrap();
        assert_eq!((config.sockets[0].protocol, config.sockets[0].mark), (socket::UDP, 7));
        assert_eq!(config.sockets[1].state, socket::ESTABLISHED);
        assert_eq!(config.cpus, 4);
        assert_eq!(config.clock, ClockConfig::Virtual { start_ns: 5, step_ns: 0 });
        assert_eq!((config.task.pid, config.task.tgid), (42, 42));
        assert_eq!(&config.task.comm[..6], b"nginx\0");
        assert_eq!(config.devices[1].address, [2, 0, 0, 0, 0, 1]);
        assert_eq!(config.routes[0].prefix_len, 8);
        assert_eq!(config.routes[0].table, MAIN_TABLE);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("cpus = 0", "`cpus` must be 1 to 1024"),
            ("\ncpu = 1", "line 2: unknown field `cpu`"),
            ("[[device]]\nifindex = 1\nname = \"eth0\"", "device 1 is `lo`, not `eth0`"),
            (
                "[[route]]\nto = \"10.0.0.0/33\"\ndev = 1",
                "route to `10.0.0.0/33`: expected an address",
            ),
            (
                "[[socket]]\nprotocol = \"tcp\"\nlocal = \"0.0.0.0:1\"\nremote = \"[::1]:2\"",
                "socket 0.0.0.0:1: [::1]:2 is of another family",
            ),
        ] {
            let error = config(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
