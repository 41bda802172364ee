//! Reasons found in calls and at the program's end.

use super::R;
use super::kfunc::Awake;
use crate::domain::Tnum;
use crate::domain::width::W64;
use crate::state::reg::TypeName;
use std::fmt;
use ubpf_abi::Errno;
use ubpf_abi::format::InvalidFormat;
use ubpf_abi::map::MapType;
use ubpf_abi::prog_type::ProgType;
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
            None => write!(f, "unknown#{}", self.id.cast_signed()),
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

/// Where references and locks must all be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The end of the program.
    Exit,
    /// A tail call.
    TailCall,
    /// A legacy packet load, which ends the program where it fails.
    LegacyLoad,
    /// An exception.
    Throw,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "BPF_EXIT instruction in main prog",
            Self::TailCall => "tail_call",
            Self::LegacyLoad => "BPF_LD_[ABS|IND]",
            Self::Throw => "bpf_throw",
        })
    }
}

/// A part of the program in which not everything may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// While a lock is held.
    SpinLock,
    /// While interrupts are disabled.
    Irq,
    /// An RCU read section.
    Rcu,
    /// While preemption is disabled.
    Preempt,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpinLock => "bpf_spin_lock",
            Self::Irq => "bpf_local_irq_save",
            Self::Rcu => "bpf_rcu_read_lock",
            Self::Preempt => "bpf_preempt_disable",
        })
    }
}

/// What comes to its end with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The program.
    Program,
    /// A callback that a helper calls while the program runs.
    Callback,
    /// A callback that runs later.
    AsyncCallback,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program => "At program exit",
            Self::Callback => "At callback return",
            Self::AsyncCallback => "At async callback return",
        })
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
    /// A helper that is not safe wherever programs of this type may run.
    #[error("helper call is not allowed in probe")]
    NotInProbe,
    /// A helper that needs a function that the program is attached to.
    #[error("func {0} supported only for fentry/fexit/fmod_ret programs")]
    OnlyTraced(HelperName),
    /// The same in programs that are never attached to functions.
    #[error("func {helper} not supported for program type {}", .prog_type.id())]
    NotAtFunction {
        /// The helper.
        helper: HelperName,
        /// The program's type.
        prog_type: ProgType,
    },
    /// A GPL-only helper in a program that is not.
    #[error("cannot call GPL-restricted function from non-GPL compatible program")]
    GplOnly,
    /// A helper that may sleep, in a program that may not.
    #[error("helper call might sleep in a non-sleepable prog")]
    MightSleep,
    /// A helper that may sleep, where that must not happen.
    #[error("sleepable helper {helper} in {section}")]
    SleepsIn {
        /// The helper.
        helper: HelperName,
        /// Where it is called.
        section: Awake,
    },
    /// A global subprogram that may sleep, where that must not happen; what comes before in the
    /// kernel's message takes other lines.
    #[error("a non-sleepable BPF program context")]
    GlobalSleeps,
    /// A global subprogram while a lock is held.
    #[error("use static function instead")]
    GlobalLocked,
    /// Memory that a dynptr cannot be made of.
    #[error("Unsupported reg type {0} for bpf_dynptr_from_mem data")]
    DynptrMemory(Given),
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
    /// Maps of sockets have no values that could be copied out.
    #[error("invalid arg_type for sockmap/sockhash")]
    SocketValue,
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
    /// Nothing is read from or written to the stack.
    #[error("invalid zero-sized read")]
    EmptyStackArgument,
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
    /// The same where the address is not constant.
    #[error("invalid read from stack {reg} var_off {var}+{n} size {size}")]
    UninitStackRange {
        /// The argument's register.
        reg: R,
        /// The variable part of its offset.
        var: Tnum<W64>,
        /// Which byte.
        n: u32,
        /// Bytes.
        size: u32,
    },
    /// A pointer would become visible through a helper.
    #[error("{0} leaks addr into helper function")]
    LeakToHelper(R),
    /// A key is passed before a map.
    #[error("invalid map_ptr to access map->key")]
    KeyWithoutMap,
    /// A value is passed before a map.
    #[error("invalid map_ptr to access map->value")]
    ValueWithoutMap,
    /// A map that programs may only read would be changed.
    #[error("write into map forbidden")]
    MapReadOnly,
    /// A string outside of read-only maps.
    #[error("{0} does not point to a readonly map'")]
    StringMap(R),
    /// A string at no known place.
    #[error("{0} is not a constant address'")]
    StringAddress(R),
    /// A string without end.
    #[error("string is not zero-terminated")]
    Unterminated,
    /// A string that is no format, or one for more arguments than there are.
    #[error(transparent)]
    Format(InvalidFormat),
    /// Arguments of a format that are no whole number of words. The kernel says nothing of it.
    #[error("{0} bytes of arguments to a format are not a multiple of 8")]
    FormatArguments(u64),
    /// Flags that a look-up of local storage has no use for.
    #[error("get_local_storage() doesn't support non-zero flags")]
    StorageFlags,
    /// A prog array is needed.
    #[error("expected prog array map for tail call")]
    TailCallMap,
    /// The map's elements cannot be gone through.
    #[error("callback function not allowed for map")]
    NoForEach,
    /// References are held where they would be lost.
    #[error("{region} would lead to reference leak")]
    Leak {
        /// Number of the reference.
        id: u32,
        /// Where it was acquired.
        at: Pc,
        /// Where it would be lost.
        region: Region,
    },
    /// A section is left without its end.
    #[error("{region} cannot be used inside {section}-ed region")]
    InSection {
        /// Where it would be left.
        region: Region,
        /// The section.
        section: Section,
    },
    /// A release of a reference that is not held.
    #[error("func {0} reference has not been acquired before")]
    NotAcquired(HelperName),
    /// A pointer that is to be released was moved.
    #[error("{0} must have zero offset when passed to release func or trusted arg to kfunc")]
    ReleaseOffset(R),
    /// Two arguments carry references.
    #[error("more than one arg with ref_obj_id {reg} {second} {first}")]
    TwoReferences {
        /// The second one's register.
        reg: R,
        /// The first one's number.
        first: u32,
        /// The second one's number.
        second: u32,
    },
    /// A function's address in a program that says nothing of its functions.
    #[error("missing btf func_info")]
    NoFuncInfo,
    /// A callback that is verified on its own cannot be called by helpers.
    #[error("callback function not static")]
    GlobalCallback,
    /// A callback returns something else than a number.
    #[error("R0 not a scalar value")]
    CallbackResult,
    /// A global function returns something else than a number.
    #[error("At subprogram exit the register R0 is not a scalar value ({0})")]
    SubprogResult(Given),
    /// The arguments of a global function do not fit its prototype.
    #[error("Caller passes invalid args into func#{subprog} ('{name}')")]
    GlobalArgs {
        /// The function's number.
        subprog: u32,
        /// Its name.
        name: String,
        /// What the misfit is for the kernel.
        errno: Errno,
    },
    /// Frames of a call chain that together are too large.
    #[error("combined stack size of {frames} calls is {bytes}. Too large")]
    StackDepth {
        /// Frames in the chain.
        frames: usize,
        /// Bytes in them.
        bytes: u32,
    },
    /// A call chain, walked or not, that is too long.
    #[error("the call stack of {0} frames is too deep !")]
    ChainDepth(usize),
    /// A subprogram that may end the program early returns no number.
    #[error("{0} is only allowed in functions that return 'int'.")]
    EarlyEnd(&'static str),
    /// The same where nothing is known of what it returns.
    #[error("{0} is not allowed in subprogs without BTF")]
    EarlyEndWithoutBtf(&'static str),
    /// Tail calls would pile up frames.
    #[error(
        "tail_calls are not allowed when call stack of previous frames is {0} bytes. Too large"
    )]
    TailCallDepth(u32),
    /// A release of something that is no reference.
    #[error("{0} must be referenced when passed to release function")]
    NotReferenced(R),
    /// A return value outside of what the program type allows.
    #[error("{ending} the register {reg} has {returned} should have been in [{min}, {max}]")]
    ReturnRange {
        /// Where the value is.
        reg: R,
        /// What ends.
        ending: Ending,
        /// What it may be.
        returned: Returned,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// A function that helpers or the kernel call ends the program as if it were its own.
    #[error("bpf_throw kfunc (insn {at}) cannot be called from callback subprog {subprog}")]
    ThrowInCallback {
        /// The call.
        at: Pc,
        /// The number of the subprogram that it is in.
        subprog: u32,
    },
    /// The function that handles exceptions is called like others.
    #[error("insn {0} cannot call exception cb directly")]
    ExceptionCalled(Pc),
    /// The address of a function that nothing calls, which is therefore not in the compiled code.
    /// In kernels up to 6.18 this passes for a bug of the verifier.
    #[error("verifier bug: No program to jit at insn {0} (subprog < 0)")]
    CallbackRemoved(Pc),
    /// A pointer is returned where a number is expected.
    #[error("{ending} the register R0 is not a known value ({given})")]
    ReturnsPointer {
        /// What ends.
        ending: Ending,
        /// The value's type.
        given: Given,
    },
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
            Self::CallDepth(_) | Self::ChainDepth(_) => Errno::E2BIG,
            Self::NoMap(_) => Errno::EBADF,
            Self::CallbackRemoved(_) => Errno::EFAULT,
            Self::NoForEach | Self::OnlyTraced(_) | Self::NotAtFunction { .. } => Errno::ENOTSUPP,
            Self::GlobalArgs { errno, .. } => *errno,
            Self::Argument { .. }
            | Self::NegativeSize(_)
            | Self::ZeroSize { .. }
            | Self::UnboundedSize(_)
            | Self::EmptyStackArgument
            | Self::NotConstant(_)
            | Self::PacketArgument
            | Self::UninitStackArgument { .. }
            | Self::UninitStackRange { .. }
            | Self::LeakToHelper(_)
            | Self::KeyWithoutMap
            | Self::ValueWithoutMap
            | Self::MapReadOnly
            | Self::StringMap(_)
            | Self::StringAddress(_)
            | Self::TwoReferences { .. }
            | Self::DynptrMemory(_)
            | Self::CallbackResult
            | Self::StackDepth { .. }
            | Self::TailCallDepth(_) => Errno::EACCES,
            _ => Errno::EINVAL,
        }
    }
}
