//! What a register, or an eight-byte stack slot, holds.

use crate::domain::Scalar;
use std::fmt;
use ubpf_abi::btf::BtfId;
use ubpf_abi::helper::{DynptrKind, SockKind};
use ubpf_abi::map::MapId;
use ubpf_abi::program::SubprogId;
use ubpf_isa::Width;

/// A value as the verifier knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reg {
    /// Never written on this path, or given up by a call.
    #[default]
    Uninit,
    /// A number.
    Number(Number),
    /// A pointer.
    Pointer(Pointer),
}

impl Reg {
    /// Any number.
    pub const UNKNOWN: Self = Self::Number(Number::new(Scalar::UNKNOWN));

    /// Exactly this number.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        Self::Number(Number::new(Scalar::constant(value)))
    }

    /// The number, if it is one and only one is possible.
    #[must_use]
    pub const fn as_const(&self) -> Option<u64> {
        match self {
            Self::Number(n) => n.value.as_const(),
            Self::Uninit | Self::Pointer(_) => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn number(&self) -> Option<&Number> {
        match self {
            Self::Number(n) => Some(n),
            Self::Uninit | Self::Pointer(_) => None,
        }
    }

    /// The pointer, if it is one.
    #[must_use]
    pub const fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Pointer(p) => Some(p),
            Self::Uninit | Self::Number(_) => None,
        }
    }

    /// Cuts a number's ties to others.
    pub const fn untie(&mut self) {
        if let Self::Number(n) = self {
            n.link = None;
        }
    }

    /// Known to be zero, whether as a number or as a null pointer.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.as_const() == Some(0)
    }
}

/// Numbers with the same id came from one value: what is learned of one holds for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScalarId(pub u32);

/// Ties a number to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The common origin.
    pub id: ScalarId,
    /// What was added to the origin by one constant addition since; `None` when nothing was.
    pub delta: Option<Delta>,
}

/// A constant that was added to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delta {
    /// The constant.
    pub by: i32,
    /// Width of the addition.
    pub width: Width,
}

impl Link {
    /// What was added to the origin.
    #[must_use]
    pub fn by(&self) -> i32 {
        self.delta.map_or(0, |delta| delta.by)
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// What is known of it.
    pub value: Scalar,
    /// Its tie to others.
    pub link: Option<Link>,
}

impl Number {
    /// A number without ties.
    #[must_use]
    pub const fn new(value: Scalar) -> Self {
        Self { value, link: None }
    }
}

/// Pointers with the same id are the same pointer: null checks and range checks of one hold for
/// all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PtrId(pub u32);

/// A resource that must be released before the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefId(pub u32);

/// Which map a pointer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapRef {
    /// The map, or the map of maps it was looked up in.
    pub map: MapId,
    /// Looked up in a map of maps: its template is what is known.
    pub inner: bool,
    /// Tells inner maps of different look-ups apart; 0 for maps known by name.
    pub uid: u32,
}

/// What memory of a fixed size is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemKind {
    /// Memory that may be written.
    Plain,
    /// Memory that may only be read.
    ReadOnly,
    /// Memory of unknown size that may not exist: loads from it cannot fault, and give zeroes.
    Untrusted,
    /// A reserved ring buffer record.
    Ringbuf,
    /// What a dynptr points to.
    DynptrData {
        /// Which one: the memory goes with it.
        dynptr: u32,
    },
    /// A slice of a dynptr, or a copy of it.
    DynptrSlice {
        /// What the dynptr points into: slices of packets go when the packet may move.
        of: DynptrKind,
        /// It may be written.
        writable: bool,
    },
}

impl MemKind {
    /// It may only be read.
    #[must_use]
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Untrusted | Self::DynptrSlice { writable: false, .. })
    }
}

/// How far a pointer to a kernel object can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Valid as long as the program runs, or the reference is held.
    Trusted,
    /// Valid inside the RCU read section.
    Rcu,
    /// Valid to read, may be stale (the kernel's plain `PTR_TO_BTF_ID`).
    Plain,
    /// Only reads that may fault; never an argument.
    Untrusted,
}

/// How a program holds an object of one of its own structs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// It owns it, and must give it away or back.
    Owned,
    /// The same, for one on each CPU.
    PercpuOwned,
    /// A list or a tree owns it, whose lock the program holds.
    Shared,
    /// The same, of an object that counts its references, or of an element that a kptr owns: RCU
    /// keeps it as well.
    SharedRcu,
    /// An element that RCU kept, and no longer does.
    SharedStale,
    /// A kptr owns it; it stays inside the RCU read section.
    Rcu,
    /// The same, for one on each CPU.
    PercpuRcu,
    /// RCU kept it, and no longer does.
    Stale,
    /// Nobody is known to own it: only reads that may fault.
    Untrusted,
}

impl Hold {
    /// How a list or a tree's elements are held, which may count their references.
    #[must_use]
    pub const fn shared(counted: bool) -> Self {
        if counted { Self::SharedRcu } else { Self::Shared }
    }

    /// A list or a tree owns it.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Shared | Self::SharedRcu | Self::SharedStale)
    }

    /// It was made by the program, not only kept in a kptr that it loaded.
    #[must_use]
    pub const fn is_allocated(self) -> bool {
        !matches!(self, Self::PercpuRcu | Self::Untrusted)
    }

    /// The address is not yet that of one CPU's object.
    #[must_use]
    pub const fn is_percpu(self) -> bool {
        matches!(self, Self::PercpuOwned | Self::PercpuRcu)
    }
}

/// Where a kernel object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// In the kernel.
    Kernel,
    /// In the memory of a process.
    User,
    /// In the memory of every CPU: the address is not yet that of one of them.
    Percpu,
}

/// What comparisons with the packet's end have said about a packet pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// This many bytes from the pointer's base are known to exist.
    Bytes(u16),
    /// It is at the end or beyond.
    AtEnd,
    /// It is beyond the end.
    BeyondEnd,
}

impl Extent {
    /// Nothing was compared yet.
    pub const UNKNOWN: Self = Self::Bytes(0);

    /// Whether what was safe with `self` is safe with `other`.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => a <= b,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Extent {
    /// As the kernel's log has it, where the two ends are negative numbers shown unsigned.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(n) => n.fmt(f),
            Self::AtEnd => f.write_str("0xffffffffffffffff"),
            Self::BeyondEnd => f.write_str("0xfffffffffffffffe"),
        }
    }
}

/// What a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PtrTo {
    /// The context.
    Ctx,
    /// The stack of the frame at this depth.
    Stack(u8),
    /// A map object.
    Map(MapRef),
    /// The value of a map's element.
    MapValue(MapRef),
    /// The key of a map's element.
    MapKey(MapRef),
    /// The packet.
    Packet(Extent),
    /// The metadata before the packet.
    PacketMeta(Extent),
    /// The packet's end.
    PacketEnd,
    /// The flow dissector's keys.
    FlowKeys,
    /// A socket.
    Sock(SockKind),
    /// Memory of a fixed size.
    Mem {
        /// Bytes.
        size: u32,
        /// What it is.
        kind: MemKind,
    },
    /// Memory whose size is checked at run time or on attachment.
    Buf {
        /// It may only be read.
        read_only: bool,
    },
    /// What a tracepoint lets programs write; its size is checked on attachment.
    TpBuffer,
    /// The program's arena: accesses that miss it read zeroes and write nothing, so nothing is known
    /// of where in it.
    Arena,
    /// A subprogram.
    Func(SubprogId),
    /// An object of one of the program's own structs.
    Own {
        /// The struct in the program's BTF.
        id: BtfId,
        /// How the program holds it.
        hold: Hold,
    },
    /// A dynptr that the kernel handed over, to be used and not changed.
    Dynptr(DynptrKind),
    /// A kernel object.
    Btf {
        /// Its struct in the target BTF.
        id: BtfId,
        /// How far it can be trusted.
        trust: Trust,
        /// Where it lies.
        space: Space,
    },
}

/// A pointer: what it points to, how far into it, and what else is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// What it points to.
    pub to: PtrTo,
    /// May be null.
    pub nullable: bool,
    /// Identity; `None` where it does not matter.
    pub id: Option<PtrId>,
    /// The reference that it carries.
    pub ref_id: Option<RefId>,
    /// Constant part of the offset.
    pub off: i32,
    /// Variable part of the offset.
    pub var: Scalar,
}

impl Pointer {
    /// A pointer to the start of something.
    #[must_use]
    pub fn new(to: PtrTo) -> Self {
        Self { to, nullable: false, id: None, ref_id: None, off: 0, var: Scalar::constant(0) }
    }

    /// The same, perhaps null.
    #[must_use]
    pub const fn or_null(mut self, id: PtrId) -> Self {
        self.nullable = true;
        self.id = Some(id);
        self
    }

    /// The whole offset, if it is a constant.
    #[must_use]
    pub fn const_off(&self) -> Option<i64> {
        self.var.as_const().map(|v| i64::from(self.off).wrapping_add(v as i64))
    }

    /// The kernel's name of the type, as its log and its messages spell it.
    #[must_use]
    pub const fn type_name(&self) -> TypeName {
        TypeName(self.to, self.nullable)
    }
}

/// A pointer type in the kernel's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeName(PtrTo, bool);

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, name) = match self.0 {
            PtrTo::Ctx => ("", "ctx"),
            PtrTo::Stack(_) => ("", "fp"),
            // What a map of maps gives is a value until it is known not to be null.
            PtrTo::Map(_) if self.1 => ("", "map_value"),
            PtrTo::Map(_) => ("", "map_ptr"),
            PtrTo::MapValue(_) => ("", "map_value"),
            PtrTo::MapKey(_) => ("", "map_key"),
            PtrTo::Packet(_) => ("", "pkt"),
            PtrTo::PacketMeta(_) => ("", "pkt_meta"),
            PtrTo::PacketEnd => ("", "pkt_end"),
            PtrTo::FlowKeys => ("", "flow_keys"),
            PtrTo::Sock(SockKind::Common) => ("", "sock_common"),
            PtrTo::Sock(SockKind::Full) => ("", "sock"),
            PtrTo::Sock(SockKind::Tcp) => ("", "tcp_sock"),
            PtrTo::Sock(SockKind::Xdp) => ("", "xdp_sock"),
            PtrTo::Mem { kind, .. } => match kind {
                MemKind::Plain
                | MemKind::DynptrData { .. }
                | MemKind::DynptrSlice { writable: true, .. } => ("", "mem"),
                MemKind::ReadOnly | MemKind::DynptrSlice { writable: false, .. } => {
                    ("rdonly_", "mem")
                }
                MemKind::Untrusted => ("rdonly_untrusted_", "mem"),
                MemKind::Ringbuf => ("ringbuf_", "mem"),
            },
            PtrTo::Buf { read_only: true } => ("rdonly_", "buf"),
            PtrTo::Buf { read_only: false } => ("", "buf"),
            PtrTo::TpBuffer => ("", "tp_buffer"),
            PtrTo::Arena => ("", "arena"),
            PtrTo::Func(_) => ("", "func"),
            PtrTo::Dynptr(_) => ("", "dynptr_ptr"),
            PtrTo::Own { hold, .. } => match hold {
                Hold::Owned | Hold::Shared => ("", "ptr_"),
                Hold::PercpuOwned => ("percpu_", "ptr_"),
                Hold::Rcu | Hold::SharedRcu => ("rcu_", "ptr_"),
                Hold::PercpuRcu => ("percpu_rcu_", "ptr_"),
                Hold::Stale | Hold::SharedStale | Hold::Untrusted => ("untrusted_", "ptr_"),
            },
            PtrTo::Btf { trust, space, .. } => {
                f.write_str(match space {
                    Space::Kernel => "",
                    Space::User => "user_",
                    Space::Percpu => "percpu_",
                })?;
                match trust {
                    Trust::Trusted => ("trusted_", "ptr_"),
                    Trust::Rcu => ("rcu_", "ptr_"),
                    Trust::Plain => ("", "ptr_"),
                    Trust::Untrusted => ("untrusted_", "ptr_"),
                }
            }
        };
        let null = match (self.1, self.0) {
            (false, _) => "",
            (true, PtrTo::Btf { .. } | PtrTo::Own { .. }) => "or_null_",
            (true, _) => "_or_null",
        };
        write!(f, "{prefix}{name}{null}")
    }
}
