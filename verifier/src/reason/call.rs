//! Reasons found in calls and at the program's end.

use super::R;
use crate::state::reg::TypeName;
use std::fmt;
use ubpf_abi::Errno;
use ubpf_abi::map::MapType;
use ubpf_isa::Pc;

/// A helper, as the kernel's messages write it: `bpf_map_lookup_elem#1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperName {
    /// Name without `bpf_`, where the helper is known.
    pub name: Option<&'static str>,
    /// Number.
    pub id: u32,
}

impl fmt::Display for HelperName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "bpf_{name}#{}", self.id),
            None => write!(f, "unknown#{}", self.id),
        }
    }
}

/// The type of a value, as the kernel's messages on arguments write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A number.
    Scalar,
    /// A pointer.
    Pointer(TypeName),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar => f.write_str("scalar"),
            Self::Pointer(name) => name.fmt(f),
        }
    }
}

/// What the program's end or a callback's return was expected to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Smallest value, where it is known.
    pub min: Option<i64>,
    /// Largest value, where it is known.
    pub max: Option<i64>,
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (None, None) => return f.write_str("unknown scalar value"),
            (min, max) => {
                let space = if min.is_some() && max.is_some() { " " } else { "" };
                if let Some(min) = min {
                    write!(f, "smin={min}{space}")?;
                }
                if let Some(max) = max {
                    write!(f, "smax={max}")?;
                }
            }
        }
        Ok(())
    }
}

/// Reasons found in calls and at the program's end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallReason {
    /// The kernel has no such helper.
    #[error("invalid func {0}")]
    UnknownHelper(HelperName),
    /// Programs of this type may not call the helper.
    #[error("program of this type cannot use helper {0}")]
    NotForType(HelperName),
    /// A GPL-only helper in a program that is not.
    #[error("cannot call GPL-restricted function from non-GPL compatible program")]
    GplOnly,
    /// A helper that may sleep, in a program that may not.
    #[error("helper call might sleep in a non-sleepable prog")]
    MightSleep,
    /// An argument of the wrong type.
    #[error("{reg} type={given} expected={expected}")]
    Argument {
        /// The argument's register.
        reg: R,
        /// What it holds.
        given: Given,
        /// What it should hold, the kernel's names separated by commas.
        expected: &'static str,
    },
    /// The map does not support what the helper does.
    #[error("cannot pass map_type {} into func {helper}", *.map_type as u32)]
    MapOp {
        /// The map's type.
        map_type: MapType,
        /// The helper.
        helper: HelperName,
    },
    /// A size that may be negative.
    #[error("{0} min value is negative, either use unsigned or 'var &= const'")]
    NegativeSize(R),
    /// A size that may be zero where it must not be.
    #[error("{reg} invalid zero-sized read: u64=[{min},{max}]")]
    ZeroSize {
        /// The size's register.
        reg: R,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A size without useful upper bound.
    #[error("{0} unbounded memory access, use 'var &= const' or 'if (var < const)'")]
    UnboundedSize(R),
    /// An argument that must be a constant is none.
    #[error("{0} is not a known constant'")]
    NotConstant(R),
    /// Packet memory where the helper takes none.
    #[error("helper access to the packet is not allowed")]
    PacketArgument,
    /// A pointer to stack memory that may not be read.
    #[error("invalid read from stack {reg} off {off}+{n} size {size}")]
    UninitStackArgument {
        /// The argument's register.
        reg: R,
        /// Offset from the frame pointer.
        off: i64,
        /// Which byte.
        n: u32,
        /// Bytes.
        size: u32,
    },
    /// A prog array is needed.
    #[error("tail_call abusing map")]
    TailCallMap,
    /// A tail call while references are held.
    #[error("tail_call would lead to reference leak")]
    TailCallLeak,
    /// References are held at the program's end.
    #[error("Unreleased reference id={id} alloc_insn={at}")]
    Leak {
        /// Number of the reference.
        id: u32,
        /// Where it was acquired.
        at: Pc,
    },
    /// A release of something that is no reference.
    #[error("{0} must be referenced when passed to release function")]
    NotReferenced(R),
    /// A return value outside of what the program type allows.
    #[error("At program exit the register R0 has {returned} should have been in [{min}, {max}]")]
    ReturnRange {
        /// What it may be.
        returned: Returned,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// A pointer is returned where a number is expected.
    #[error("At program exit the register R0 is not a known value ({0})")]
    ReturnsPointer(TypeName),
    /// More frames than allowed.
    #[error("the call stack of {0} frames is too deep")]
    CallDepth(usize),
    /// A subprogram returns a pointer to its own stack.
    #[error("cannot return stack pointer to the caller")]
    ReturnsStack,
    /// A map that the program does not have.
    #[error("fd {0} is not pointing to valid bpf_map")]
    NoMap(i32),
    /// An address in a map that has no single value.
    #[error("no direct value access support for this map type")]
    NoDirectValue,
    /// An address beyond a map's value.
    #[error("invalid access to map value pointer, value_size={value_size} off={off}")]
    DirectValueRange {
        /// Bytes in the value.
        value_size: u32,
        /// Offset.
        off: u32,
    },
}

impl CallReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::CallDepth(_) => Errno::E2BIG,
            Self::NoMap(_) => Errno::EBADF,
            Self::UnknownHelper(_)
            | Self::NotForType(_)
            | Self::GplOnly
            | Self::MightSleep
            | Self::MapOp { .. }
            | Self::TailCallMap
            | Self::TailCallLeak
            | Self::Leak { .. }
            | Self::NotReferenced(_)
            | Self::ReturnRange { .. }
            | Self::ReturnsPointer(_)
            | Self::ReturnsStack
            | Self::NoDirectValue
            | Self::DirectValueRange { .. } => Errno::EINVAL,
            _ => Errno::EACCES,
        }
    }
}
