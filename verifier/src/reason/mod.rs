//! Why a program is refused: every reason as data, with the kernel's words for it.
//!
//! A reason says what was found and where; it is never prose put together on the way. The
//! `Display` form is the last line of the kernel's log (6.18), which tools and people search
//! for; explanations are rendered from the data by whoever shows them.

mod call;
mod field;
mod kfunc;
mod map_use;
mod memory;
mod object;
mod own;
mod proto;
mod typed;
mod value;

pub use call::{CallReason, Ending, Given, HelperName, Region, Returned, Section};
pub use field::FieldReason;
pub use kfunc::{Awake, KfuncReason, Named};
pub use map_use::MapUseReason;
pub use memory::{Direction, MemoryReason, NotMemory, Var};
pub use object::ObjectReason;
pub use own::OwnReason;
pub use proto::ProtoReason;
pub use typed::TypedReason;
pub use value::{Operator, R, ValueReason};

use core::fmt;
use ubpf_abi::Errno;
use ubpf_isa::{DecodeError, Pc};

/// What kind of "no" it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A rule of the kernel: it refuses the program too.
    Rule,
    /// ubpf does not model something the program uses. The kernel may take it.
    Unsupported,
    /// The input is not a program.
    Malformed,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rule => "rule",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
        })
    }
}

/// Why a program was refused, and at which instruction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    /// The instruction, where the reason belongs to one.
    pub pc: Option<Pc>,
    /// The reason.
    pub reason: Reason,
}

impl Rejection {
    /// A rejection of the instruction at `pc`.
    #[must_use]
    pub fn at(pc: Pc, reason: impl Into<Reason>) -> Self {
        Self { pc: Some(pc), reason: reason.into() }
    }

    /// A rejection of the program as a whole.
    #[must_use]
    pub fn whole(reason: impl Into<Reason>) -> Self {
        Self { pc: None, reason: reason.into() }
    }

    /// Whether the program uses something that is not modelled, so that nothing is known of what
    /// the kernel would say.
    #[must_use]
    pub const fn is_unsupported(&self) -> bool {
        matches!(self.reason, Reason::Unsupported(_))
    }
}

/// Every reason there is, by the stage that finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum Reason {
    /// The shape of the code, before any path is walked.
    Shape(#[from] ShapeReason),
    /// Arithmetic, comparisons and the use of registers.
    Value(#[from] ValueReason),
    /// Maps that the code names.
    MapUse(#[from] MapUseReason),
    /// Loads and stores.
    Memory(#[from] MemoryReason),
    /// Calls and returns.
    Call(#[from] CallReason),
    /// Fields with rules of their own.
    Field(#[from] FieldReason),
    /// Calls of kernel functions.
    Kfunc(#[from] KfuncReason),
    /// Objects of the program's own.
    Own(#[from] OwnReason),
    /// Objects on the stack.
    Object(#[from] ObjectReason),
    /// Prototypes of global functions.
    Proto(#[from] ProtoReason),
    /// The kernel's own types.
    Typed(#[from] TypedReason),
    /// Something that ubpf does not model yet.
    #[error("ubpf does not model {0}")]
    Unsupported(&'static str),
}

impl Reason {
    /// What kind of refusal it is.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Shape(_)
            | Self::Value(_)
            | Self::MapUse(_)
            | Self::Memory(_)
            | Self::Call(_)
            | Self::Field(_)
            | Self::Kfunc(_)
            | Self::Object(_)
            | Self::Own(_)
            | Self::Proto(_)
            | Self::Typed(_) => Class::Rule,
            Self::Unsupported(_) => Class::Unsupported,
        }
    }

    /// What `BPF_PROG_LOAD` returns.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Shape(r) => r.errno(),
            Self::Value(r) => r.errno(),
            Self::MapUse(r) => r.errno(),
            Self::Memory(r) => r.errno(),
            Self::Call(r) => r.errno(),
            Self::Field(r) => r.errno(),
            Self::Kfunc(r) => r.errno(),
            Self::Object(r) => r.errno(),
            Self::Own(r) => r.errno(),
            Self::Proto(r) => r.errno(),
            Self::Typed(r) => r.errno(),
            Self::Unsupported(_) => Errno::EOPNOTSUPP,
        }
    }
}

/// Reasons found by looking at the code as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeReason {
    /// No instructions, or more than the kernel takes.
    #[error("program has {insns} insns, allowed are 1 to {limit}")]
    Length {
        /// Slots in the program.
        insns: usize,
        /// Most slots that the kernel and the loader's privileges allow.
        limit: u32,
    },
    /// A slot that is no instruction.
    #[error("{}", .0.verifier_message())]
    Decode(DecodeError),
    /// An opcode that LLVM has and the kernel does not.
    #[error("unknown opcode {0:02x}")]
    UnknownOpcode(u8),
    /// The program's types tell of other functions than its code has.
    #[error("number of funcs in func_info doesn't match number of subprogs")]
    FuncInfo,
    /// A call to a subprogram outside the program.
    #[error("call to invalid destination")]
    CallTarget,
    /// More than 256 subprograms.
    #[error("too many subprograms")]
    TooManySubprogs,
    /// Without privileges, subprograms and kernel functions cannot be called.
    #[error(
        "loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN"
    )]
    CallsNeedPrivilege,
    /// More than 64 maps.
    #[error("The total number of maps per program has reached the limit of {0}")]
    TooManyMaps(usize),
    /// A jump out of its subprogram.
    #[error("jump out of range from insn {from} to {to}")]
    JumpOutOfRange {
        /// The jump.
        from: Pc,
        /// Where it would go, which may be before the program.
        to: i64,
    },
    /// A subprogram that could run into the next one.
    #[error("last insn is not an exit or jmp")]
    FallsThrough,
    /// A jump to the second slot of a wide load.
    #[error("jump into the middle of ldimm64 insn {0}")]
    JumpIntoWide(Pc),
    /// No path leads to the instruction.
    #[error("unreachable insn {0}")]
    Unreachable(Pc),
    /// A loop, where loops are not allowed: before kernel 5.3, or without privileges.
    #[error("back-edge from insn {from} to {to}")]
    BackEdge {
        /// The jump back.
        from: Pc,
        /// The loop's head.
        to: Pc,
    },
}

impl ShapeReason {
    const fn errno(&self) -> Errno {
        match self {
            Self::Length { .. } | Self::TooManySubprogs | Self::TooManyMaps(_) => Errno::E2BIG,
            Self::CallsNeedPrivilege => Errno::EPERM,
            Self::Decode(_)
            | Self::UnknownOpcode(_)
            | Self::FuncInfo
            | Self::CallTarget
            | Self::JumpOutOfRange { .. }
            | Self::FallsThrough
            | Self::JumpIntoWide(_)
            | Self::Unreachable(_)
            | Self::BackEdge { .. } => Errno::EINVAL,
        }
    }
}
