//! Reasons found in loads and stores.

use super::R;
use crate::domain::Tnum;
use crate::domain::width::W64;
use crate::state::reg::TypeName;
use std::fmt;
use ubpf_abi::limits::STACK_BYTES;
use ubpf_abi::{Access, Errno};

/// The variable part of an offset, as the kernel's messages write it: a plain number where it
/// is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(pub Tnum<W64>);

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_const() {
            Some(0) => f.write_str("0"),
            Some(v) => write!(f, "{v:#x}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `read from` or `write to`, as the kernel's messages on the stack have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction(pub Access);

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Access::Read => "read from",
            Access::Write => "write to",
        })
    }
}

/// Reasons found in loads and stores.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryReason {
    /// A value of this type cannot be dereferenced.
    #[error("{reg} invalid mem access '{to}'")]
    NotMemory {
        /// The address register.
        reg: R,
        /// Its type: `scalar`, or a pointer's.
        to: NotMemory,
    },
    /// The lowest possible address is before the memory.
    #[error("{0} min value is negative, either use unsigned index or do a if (index >=0) check.")]
    NegativeMin(R),
    /// The lowest possible access is outside.
    #[error("{0} min value is outside of the allowed memory range")]
    MinOutside(R),
    /// The highest possible access is outside.
    #[error("{0} max value is outside of the allowed memory range")]
    MaxOutside(R),
    /// The offset has no useful upper bound.
    #[error("{0} unbounded memory access, make sure to bounds check any such access")]
    Unbounded(R),
    /// The packet is not known to be that long.
    #[error("{0} offset is outside of the packet")]
    OutsidePacket(R),
    /// This program type may not write packets.
    #[error("cannot write into packet")]
    PacketWrite,
    /// A context access that its layout does not allow.
    #[error("invalid bpf_context access off={off} size={size}")]
    Ctx {
        /// Byte offset.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// A store to a map itself, not to one of its values.
    #[error("only read from {0} is supported")]
    MapWrite(&'static str),
    /// A load from before a map.
    #[error("{reg} is {map} invalid negative access: off={off}")]
    NegativeMap {
        /// The address register.
        reg: R,
        /// The kernel's struct of the map.
        map: &'static str,
        /// Offset.
        off: i32,
    },
    /// An access outside of the flow keys.
    #[error("invalid access to flow keys off={off} size={size}")]
    FlowKeys {
        /// Offset.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// A load that matches no field of a socket.
    #[error("{reg} invalid {to} access off={off} size={size}")]
    Sock {
        /// The address register.
        reg: R,
        /// The socket's type.
        to: TypeName,
        /// Byte offset.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// A pointer that must be unmodified has an offset.
    #[error("dereference of modified {to} ptr {reg} off={off} disallowed")]
    Modified {
        /// The address register.
        reg: R,
        /// Its type.
        to: TypeName,
        /// Its offset.
        off: i32,
    },
    /// The same with a negative offset.
    #[error("negative offset {to} ptr {reg} off={off} disallowed")]
    NegativeOffset {
        /// The address register.
        reg: R,
        /// Its type.
        to: TypeName,
        /// Its offset.
        off: i32,
    },
    /// The same with an offset that is not a constant.
    #[error("variable {to} access var_off={var} disallowed")]
    Variable {
        /// The pointer's type.
        to: TypeName,
        /// The variable part.
        var: Tnum<W64>,
    },
    /// A misaligned access where alignment is required.
    #[error("misaligned {what}access off {var}+{off}+{insn_off} size {size}")]
    Misaligned {
        /// `stack ` or another kind of memory, with a space behind it.
        what: &'static str,
        /// The variable part.
        var: Var,
        /// The pointer's constant part.
        off: i32,
        /// The instruction's offset.
        insn_off: i32,
        /// Bytes.
        size: u32,
    },
    /// A misaligned access to the packet where alignment is required.
    #[error("misaligned packet access off {ip_align}+{var}+{off}+{insn_off} size {size}")]
    MisalignedPacket {
        /// Bytes that packets are taken to begin behind an aligned address.
        ip_align: i32,
        /// The variable part.
        var: Var,
        /// The pointer's constant part.
        off: i32,
        /// The instruction's offset.
        insn_off: i32,
        /// Bytes.
        size: u32,
    },
    /// A stack access outside of the stack.
    #[error("invalid {direction} stack {reg} off={off} size={size}")]
    OutsideStack {
        /// Read or write.
        direction: Direction,
        /// The address register.
        reg: R,
        /// Offset from the frame pointer.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// A stack access that may be outside of the stack.
    #[error("invalid variable-offset {direction} stack {reg} var_off={var} off={off} size={size}")]
    MaybeOutsideStack {
        /// Read or write.
        direction: Direction,
        /// The address register.
        reg: R,
        /// The variable part.
        var: Tnum<W64>,
        /// The constant part.
        off: i64,
        /// Bytes.
        size: u32,
        /// Which end is outside, for the kernel.
        errno: Errno,
    },
    /// A stack access without bounds.
    #[error("invalid unbounded variable-offset {direction} stack {reg}")]
    UnboundedStack {
        /// Read or write.
        direction: Direction,
        /// The address register.
        reg: R,
    },
    /// Stack bytes that were never written are read.
    #[error("invalid read from stack off {off}+{n} size {size}")]
    UninitStack {
        /// Offset from the frame pointer.
        off: i64,
        /// Which byte.
        n: u32,
        /// Bytes.
        size: u32,
    },
    /// Less than a whole pointer is spilled.
    #[error("invalid size of register spill")]
    SpillSize,
    /// Less than a whole spilled pointer is filled.
    #[error("invalid size of register fill")]
    FillSize,
    /// A pointer to the stack is spilled to a caller's frame, where it would outlive its own.
    #[error("cannot spill pointers to stack into stack frame of the caller")]
    SpillToCaller,
    /// A spilled pointer is partly overwritten.
    #[error("attempt to corrupt spilled pointer on stack")]
    CorruptSpill,
    /// A map that programs may not read or write.
    #[error("{verb} map forbidden, value_size={value_size} off={off} size={size}")]
    MapForbids {
        /// `write into` or `read from`.
        verb: &'static str,
        /// Bytes in the map's value.
        value_size: u32,
        /// Offset into the value.
        off: i64,
        /// Bytes.
        size: u32,
    },
    /// Memory of this kind has no atomic operations.
    #[error("BPF_ATOMIC {verb} {reg} {to} is not allowed")]
    NotAtomic {
        /// `stores into` or `loads from`.
        verb: &'static str,
        /// The address register.
        reg: R,
        /// Its type.
        to: TypeName,
    },
    /// Legacy packet loads in a program that has no packet of the old kind.
    #[error("BPF_LD_[ABS|IND] instructions not allowed for this program type")]
    LegacyLoad,
    /// Legacy packet loads find the packet through `r6`.
    #[error("at the time of BPF_LD_ABS|IND R6 != pointer to skb")]
    LegacyCtx,
    /// A map's key is written.
    #[error("write to change key {0} not allowed")]
    KeyWrite(R),
    /// A conversion of addresses in a program without an arena.
    #[error("addr_space_cast insn can only be used in a program that has an associated arena")]
    NoArena,
    /// Memory that may only be read is written.
    #[error("{reg} cannot write into {to}")]
    ReadOnly {
        /// The address register.
        reg: R,
        /// Its type.
        to: TypeName,
    },
    /// A pointer would become visible to an unprivileged program.
    #[error("{reg} leaks addr into {into}")]
    Leak {
        /// The register stored.
        reg: R,
        /// `map`, `mem`, `ctx`, `packet`.
        into: &'static str,
    },
}

/// The type of a value that is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMemory {
    /// A number.
    Scalar,
    /// A pointer to something that has no bytes to access, or that may be null.
    Pointer(TypeName),
}

impl fmt::Display for NotMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar => f.write_str("scalar"),
            Self::Pointer(name) => name.fmt(f),
        }
    }
}

impl MemoryReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            // Begun on the stack, ended above it.
            Self::OutsideStack { off, size, .. }
                if *off >= -(STACK_BYTES as i64) && *off < 0 && *off + *size as i64 > 0 =>
            {
                Errno::EINVAL
            }
            Self::MaybeOutsideStack { errno, .. } => *errno,
            Self::NoArena | Self::SpillToCaller | Self::LegacyLoad | Self::LegacyCtx => {
                Errno::EINVAL
            }
            _ => Errno::EACCES,
        }
    }
}
