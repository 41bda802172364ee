//! Reasons found in arithmetic, comparisons and the use of registers.

use ubpf_abi::Errno;
use ubpf_isa::{AluOp, Reg};

use crate::state::reg::TypeName;

/// A register, as the kernel's messages write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct R(pub Reg);

impl std::fmt::Display for R {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "R{}", self.0.number())
    }
}

/// An operator, as the kernel's messages write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator(pub AluOp);

impl std::fmt::Display for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            AluOp::Add => "+=",
            AluOp::Sub => "-=",
            AluOp::Mul => "*=",
            AluOp::Div => "/=",
            AluOp::SDiv => "s/=",
            AluOp::Or => "|=",
            AluOp::And => "&=",
            AluOp::Lsh => "<<=",
            AluOp::Rsh => ">>=",
            AluOp::Mod => "%=",
            AluOp::SMod => "s%=",
            AluOp::Xor => "^=",
            AluOp::Arsh => "s>>=",
        })
    }
}

/// Reasons found in arithmetic, comparisons and the use of registers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueReason {
    /// A register is read that holds nothing.
    #[error("{0} !read_ok")]
    Uninit(R),
    /// `r10` is written.
    #[error("frame pointer is read only")]
    FramePointer,
    /// Division or remainder by the constant 0.
    #[error("div by zero")]
    DivByZero,
    /// A constant shift by the width or more.
    #[error("invalid shift {0}")]
    Shift(i32),
    /// Arithmetic that pointers of this type do not take.
    #[error("{reg} pointer arithmetic on {to} prohibited")]
    Arithmetic {
        /// The destination.
        reg: R,
        /// Its type.
        to: TypeName,
    },
    /// Arithmetic before the null check.
    #[error("{reg} pointer arithmetic on {to} prohibited, null-check it first")]
    NullArithmetic {
        /// The destination.
        reg: R,
        /// Its type.
        to: TypeName,
    },
    /// Arithmetic on the low half of a pointer.
    #[error("{0} 32-bit pointer arithmetic prohibited")]
    Arithmetic32(R),
    /// Byte swap or negation of a pointer.
    #[error("{0} pointer arithmetic prohibited")]
    UnaryArithmetic(R),
    /// Two pointers combined.
    #[error("{reg} pointer {op} pointer prohibited")]
    TwoPointers {
        /// The destination.
        reg: R,
        /// The operator.
        op: Operator,
    },
    /// A number minus a pointer.
    #[error("{0} tried to subtract pointer from scalar")]
    SubtractPointer(R),
    /// A stack pointer minus a number.
    #[error("{0} subtraction from stack pointer prohibited")]
    SubtractFromStack(R),
    /// A bitwise operation on a pointer.
    #[error("{reg} bitwise operator {op} on pointer prohibited")]
    Bitwise {
        /// The destination.
        reg: R,
        /// The operator.
        op: Operator,
    },
    /// Another operation that pointers do not take.
    #[error("{reg} pointer arithmetic with {op} operator prohibited")]
    PointerOperator {
        /// The destination.
        reg: R,
        /// The operator.
        op: Operator,
    },
    /// A constant too large to add to a pointer.
    #[error("math between {to} pointer and {value} is not allowed")]
    ConstantTooLarge {
        /// The pointer's type.
        to: TypeName,
        /// The constant.
        value: i64,
    },
    /// A constant offset that has grown too large.
    #[error("{to} pointer offset {off} is not allowed")]
    OffsetTooLarge {
        /// The pointer's type.
        to: TypeName,
        /// The offset.
        off: i32,
    },
    /// A number without lower bound added to a pointer.
    #[error("math between {to} pointer and register with unbounded min value is not allowed")]
    Unbounded {
        /// The pointer's type.
        to: TypeName,
    },
    /// A number whose lower bound is too far out added to a pointer.
    #[error("value {value} makes {to} pointer be out of bounds")]
    OutOfBounds {
        /// The pointer's type.
        to: TypeName,
        /// The lower bound.
        value: i64,
    },
    /// The low half of a pointer is moved.
    #[error("{0} partial copy of pointer")]
    PartialCopy(R),
    /// A sign-extending move of a pointer.
    #[error("{0} sign-extension part of pointer")]
    SignExtendPointer(R),
    /// Pointers of kinds that say nothing of each other are compared.
    #[error("{0} pointer comparison prohibited")]
    Comparison(R),
    /// A pointer would become visible to an unprivileged program.
    #[error("{0} leaks addr as return value")]
    LeakAtExit(R),
    /// Two paths use pointers of different types at one instruction that is rewritten for one.
    #[error("same insn cannot be used with different pointers")]
    MixedPointers,
    /// The frame's stack is deeper than the kernel's verifier supports.
    #[error("the call stack of {0} frames is too deep")]
    CallDepth(usize),
    /// The count of a loop is the context: the kernel looks for where the number came from, finds
    /// the entry, and takes that for a bug of its own.
    #[error("verifier bug: backtracking misuse")]
    Backtracking,
    /// The path came back to a state it had before.
    #[error("infinite loop detected at insn {0}")]
    InfiniteLoop(ubpf_isa::Pc),
    /// Too many instructions were walked.
    #[error("BPF program is too large. Processed {0} insn")]
    TooComplex(u32),
    /// Too many branches wait to be walked.
    #[error("The sequence of {0} jumps is too complex.")]
    TooManyBranches(usize),
}

impl ValueReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::DivByZero
            | Self::Shift(_)
            | Self::ConstantTooLarge { .. }
            | Self::OffsetTooLarge { .. }
            | Self::Unbounded { .. }
            | Self::OutOfBounds { .. }
            | Self::MixedPointers
            | Self::InfiniteLoop(_) => Errno::EINVAL,
            Self::Backtracking => Errno::EFAULT,
            Self::CallDepth(_) | Self::TooComplex(_) | Self::TooManyBranches(_) => Errno::E2BIG,
            _ => Errno::EACCES,
        }
    }
}
