//! Program types: the table of the kernel's types, and what each allows.

pub use crate::attach_type::AttachType;
use crate::ctx::CtxLayout;
use crate::helper::{Arg, HelperDecl, HelperGroup};
use crate::kernel::Version;
use alloc::borrow::Cow;
use alloc::format;
use core::fmt;

macro_rules! prog_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal, $major:literal . $minor:literal;)*) => {
        /// `enum bpf_prog_type`, and what has programs without being one of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProgType {
            $($(#[$doc])* $variant,)*
            /// A type of a host's own, by a number that the host chooses.
            Host(u16),
        }

        impl ProgType {
            /// Every type but a host's, the kernel's by ascending number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kernel's number; 0, `BPF_PROG_TYPE_UNSPEC`, for types that bpf(2) does not load.
            #[must_use]
            pub const fn id(self) -> u32 {
                match self { $(Self::$variant => $id,)* Self::Host(_) => 0 }
            }

            /// The name bpftool and libbpf use, such as `sched_cls`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Host(_) => "host" }
            }

            /// The type with that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|t| t.name() == name)
            }

            /// The kernel that brought it; none brought a host's.
            #[must_use]
            pub const fn since(self) -> Version {
                match self {
                    $(Self::$variant => Version::new($major, $minor),)*
                    Self::Host(_) => Version::new(0, 0),
                }
            }
        }
    };
}

prog_types! {
    /// Socket filter.
    SocketFilter = 1, "socket_filter", 3 . 19;
    /// Kprobe, kretprobe, uprobe, uretprobe, usdt.
    Kprobe = 2, "kprobe", 4 . 1;
    /// Traffic-control classifier.
    SchedCls = 3, "sched_cls", 4 . 1;
    /// Traffic-control action.
    SchedAct = 4, "sched_act", 4 . 1;
    /// Tracepoint with its formatted record.
    Tracepoint = 5, "tracepoint", 4 . 7;
    /// Express data path.
    Xdp = 6, "xdp", 4 . 8;
    /// Perf event.
    PerfEvent = 7, "perf_event", 4 . 9;
    /// Packets of a cgroup.
    CgroupSkb = 8, "cgroup_skb", 4 . 10;
    /// Socket creation in a cgroup.
    CgroupSock = 9, "cgroup_sock", 4 . 10;
    /// Lightweight tunnel, input.
    LwtIn = 10, "lwt_in", 4 . 10;
    /// Lightweight tunnel, output.
    LwtOut = 11, "lwt_out", 4 . 10;
    /// Lightweight tunnel, transmit.
    LwtXmit = 12, "lwt_xmit", 4 . 10;
    /// TCP socket events.
    SockOps = 13, "sock_ops", 4 . 13;
    /// Stream parser and verdict of a sockmap.
    SkSkb = 14, "sk_skb", 4 . 14;
    /// Device access of a cgroup.
    CgroupDevice = 15, "cgroup_device", 4 . 15;
    /// Messages sent through a sockmap.
    SkMsg = 16, "sk_msg", 4 . 17;
    /// Tracepoint with its raw arguments.
    RawTracepoint = 17, "raw_tracepoint", 4 . 17;
    /// Socket addresses of a cgroup.
    CgroupSockAddr = 18, "cgroup_sock_addr", 4 . 17;
    /// Segment routing, local.
    LwtSeg6local = 19, "lwt_seg6local", 4 . 18;
    /// Infrared receiver.
    LircMode2 = 20, "lirc_mode2", 4 . 18;
    /// Choice of a socket in a reuseport group.
    SkReuseport = 21, "sk_reuseport", 4 . 19;
    /// Flow dissector.
    FlowDissector = 22, "flow_dissector", 4 . 20;
    /// Sysctls of a cgroup.
    CgroupSysctl = 23, "cgroup_sysctl", 5 . 2;
    /// Raw tracepoint that may write its buffer.
    RawTracepointWritable = 24, "raw_tracepoint_writable", 5 . 2;
    /// Socket options of a cgroup.
    CgroupSockopt = 25, "cgroup_sockopt", 5 . 3;
    /// fentry, fexit, fmod_ret, tp_btf, iter.
    Tracing = 26, "tracing", 5 . 5;
    /// Kernel operations implemented in BPF.
    StructOps = 27, "struct_ops", 5 . 6;
    /// Extension of another program.
    Ext = 28, "ext", 5 . 6;
    /// Security hooks.
    Lsm = 29, "lsm", 5 . 7;
    /// Socket lookup.
    SkLookup = 30, "sk_lookup", 5 . 9;
    /// Programs run through a system call.
    Syscall = 31, "syscall", 5 . 14;
    /// Netfilter hook.
    Netfilter = 32, "netfilter", 6 . 4;
    /// Classic BPF on packets, as tcpdump compiles it and sockets take it.
    Classic = 0, "cbpf", 2 . 1;
    /// Classic BPF on system calls.
    Seccomp = 0, "seccomp", 3 . 5;
}

impl ProgType {
    /// The type with this number of the kernel's.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| id != 0 && t.id() == id)
    }
}

impl fmt::Display for ProgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which values a program may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetRange {
    /// Anything.
    Any,
    /// A number within these bounds, as a signed 32-bit value.
    Within {
        /// Smallest.
        min: i32,
        /// Largest.
        max: i32,
    },
}

/// Direct access to packet bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketAccess {
    /// None.
    None,
    /// Loads only.
    Read,
    /// Loads and stores.
    ReadWrite,
}

/// What one run of a program is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// A packet. Test-run takes it with its Ethernet header in every case; programs that begin at
    /// the network header do not see that header.
    Packet {
        /// The first header that the program sees.
        from: PacketLayer,
    },
    /// The context struct alone.
    Context,
}

/// Where the packet that a program sees begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacketLayer {
    /// At the Ethernet header.
    Link,
    /// At the IP header.
    Network,
    /// Wherever the capture begins, whatever its link type: there may be no Ethernet header.
    Captured,
}

/// What becomes of a packet that a program has returned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It goes on its way.
    Pass,
    /// It ends here.
    Drop,
    /// It goes back out where it came in.
    Bounce,
    /// It goes where the program says.
    Redirect,
}

/// What return values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// They are numbers.
    Numbers,
    /// Some have names: value, name, and what it does to a packet.
    Named(&'static [(i32, &'static str, Fate)]),
    /// So many bytes of the packet, or all that it has, go on; 0 drops it.
    Length,
    /// An action in the upper half and data for it in the lower one: the action's number, its
    /// name, and whether the data says more, such as which error.
    Actions(&'static [(u32, &'static str, bool)]),
}

impl Verdicts {
    /// The name of a return value, with the data that belongs to it: `XDP_PASS`, `ERRNO(13)`.
    #[must_use]
    pub fn name(&self, retval: u32) -> Option<Cow<'static, str>> {
        match self {
            Self::Numbers => None,
            Self::Named(_) => self.named(retval).map(|(name, _)| name.into()),
            Self::Length => Some(if retval == 0 { "drop" } else { "keep" }.into()),
            Self::Actions(actions) => {
                let (action, data) = (retval & 0xffff_0000, retval & 0xffff);
                let (_, name, says_more) = actions.iter().find(|row| row.0 == action)?;
                Some(if *says_more { format!("{name}({data})").into() } else { (*name).into() })
            }
        }
    }

    /// What a return value does to a packet, where that is known.
    #[must_use]
    pub fn fate(&self, retval: u32) -> Option<Fate> {
        match self {
            Self::Numbers | Self::Actions(_) => None,
            Self::Named(_) => self.named(retval).map(|(_, fate)| fate),
            Self::Length => Some(if retval == 0 { Fate::Drop } else { Fate::Pass }),
        }
    }

    fn named(&self, retval: u32) -> Option<(&'static str, Fate)> {
        let Self::Named(rows) = self else { return None };
        let row = rows.iter().find(|(value, ..)| value.cast_unsigned() == retval);
        row.map(|&(_, name, fate)| (name, fate))
    }
}

/// What a program type is to everybody but the code that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgTypeDecl {
    /// The type.
    pub prog_type: ProgType,
    /// What it is for, one sentence.
    pub doc: &'static str,
    /// Its context.
    pub ctx: CtxLayout,
    /// What a run is given.
    pub input: InputKind,
    /// Direct packet access.
    pub packet: PacketAccess,
    /// Helpers it admits.
    pub helpers: &'static [HelperGroup],
    /// Values it may return, where [`ProgTypeDecl::hooks`] says nothing else.
    pub ret: RetRange,
    /// What return values mean, such as 2 = `XDP_PASS`.
    pub verdicts: Verdicts,
    /// Legacy packet loads (`LD_ABS`, `LD_IND`) are allowed.
    pub legacy_loads: bool,
    /// What single attach types change; the first row that names an attach type holds for it.
    pub hooks: &'static [Hook],
}

/// What some attach types change of their program type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Which attach types.
    pub attach_types: &'static [AttachType],
    /// Helpers admitted beside those of the type.
    pub helpers: &'static [HelperGroup],
    /// Values that programs may return, instead of the type's.
    pub ret: RetRange,
}

impl ProgTypeDecl {
    fn hook(&self, attach_type: AttachType) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.attach_types.contains(&attach_type))
    }

    /// The arguments that the helper takes in a program of this type and attach type, which admits
    /// one more group perhaps; `None` where it may not call it.
    #[must_use]
    pub fn args_of(
        &self,
        helper: &HelperDecl,
        attach_type: AttachType,
        one_more: Option<HelperGroup>,
    ) -> Option<&'static [Arg]> {
        let more = self.hook(attach_type).map_or(&[][..], |hook| hook.helpers);
        helper.args_for(|g| self.helpers.contains(g) || more.contains(g) || one_more == Some(*g))
    }

    /// Values that a program of this type and attach type may return.
    #[must_use]
    pub fn ret_of(&self, attach_type: AttachType) -> RetRange {
        self.hook(attach_type).map_or(self.ret, |hook| hook.ret)
    }
}
