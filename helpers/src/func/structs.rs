//! Kernel structs that helpers take and return pointers to.

use ubpf_vm::call::{BtfStruct, BtfTypes};

macro_rules! structs {
    ($($name:ident = $text:literal;)*) => {$(
        #[doc = concat!("`struct ", $text, "`.")]
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl BtfTypes for $name {
            const STRUCTS: &'static [&'static str] = &[$text];
        }

        impl BtfStruct for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

structs! {
    Cgroup = "cgroup";
    File = "file";
    Inode = "inode";
    LinuxBinprm = "linux_binprm";
    MptcpSock = "mptcp_sock";
    Path = "path";
    PtRegs = "pt_regs";
    SeqFile = "seq_file";
    SkBuff = "sk_buff";
    SockCommonStruct = "sock_common";
    Socket = "socket";
    Task = "task_struct";
    Tcp6Sock = "tcp6_sock";
    TcpRequestSock = "tcp_request_sock";
    TcpSock = "tcp_sock";
    TcpTimewaitSock = "tcp_timewait_sock";
    Udp6Sock = "udp6_sock";
    UnixSock = "unix_sock";
    XdpBuff = "xdp_buff";
}

/// An object of the type that the field in another argument names.
#[derive(Clone, Copy, Debug)]
pub enum OfTheField {}

impl BtfTypes for OfTheField {
    const STRUCTS: &'static [&'static str] = &[];
}
