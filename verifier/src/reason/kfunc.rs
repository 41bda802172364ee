//! Reasons found in calls of kernel functions.

use super::R;
use super::call::Given;
use crate::state::IrqClass;
use std::fmt;
use ubpf_abi::Errno;
use ubpf_abi::btf::Kind;
use ubpf_isa::Pc;

/// A type of the kernel's, as messages write it: `STRUCT task_struct`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", kind_word(self.kind), self.name)
    }
}

/// The kernel's word for a kind, which has none for what is not in BTF.
pub(super) const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Void => "UNKNOWN",
        kind => kind.name(),
    }
}

/// Where what may sleep must not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awake {
    /// In an RCU read section.
    Rcu,
    /// Where preemption is disabled.
    Preempt,
    /// Where interrupts are disabled.
    Irq,
}

impl fmt::Display for Awake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rcu => "rcu_read_lock region",
            Self::Preempt => "non-preemptible region",
            Self::Irq => "IRQ-disabled region",
        })
    }
}
/// Reasons found in calls of kernel functions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KfuncReason {
    /// The kernel has no such function; libbpf does not load the object.
    #[error("extern (func ksym) '{0}': not found in kernel or module BTFs")]
    Missing(String),
    /// Programs like this one may not call it.
    #[error("calling kernel function {0} is not allowed")]
    NotAllowed(String),
    /// Kernel functions are for programs under a licence compatible with the GPL.
    #[error("cannot call kernel function from non-GPL compatible program")]
    Gpl,
    /// A function of a module, of which the program's loader says nothing.
    #[error("failed to find BTF for kernel function")]
    NoModule {
        /// The module's number is negative.
        negative: bool,
    },
    /// The function works for programs that are bound to a device.
    #[error("metadata kfuncs require device-bound program")]
    DeviceBound,
    /// More than 256 different ones.
    #[error("too many different kernel function calls")]
    TooMany,
    /// It may sleep, the program may not.
    #[error("program must be sleepable to call sleepable kfunc {0}")]
    MightSleep(&'static str),
    /// It may sleep, which must not happen here.
    #[error("kernel func {name} is sleepable within {section}")]
    SleepsIn {
        /// The function.
        name: &'static str,
        /// Where it is called.
        section: Awake,
    },
    /// Compiled from code that has no meaning.
    #[error("unexpected __bpf_trap() due to uninitialized variable?")]
    Trap,
    /// A number is expected.
    #[error("{0} is not a scalar")]
    NotScalar(R),
    /// A constant is expected.
    #[error("{0} must be a known constant")]
    NotConstant(R),
    /// A parameter that is neither number nor pointer.
    #[error("Unrecognized arg#{index} type {}", kind.name())]
    ParamKind {
        /// Which, from 0.
        index: usize,
        /// What it is.
        kind: Kind,
    },
    /// Nothing is passed where a pointer is expected.
    #[error("variable ? access var_off=(0x0; 0xffffffffffffffff) disallowed")]
    Uninit,
    /// Null where an object is expected.
    #[error("Possibly NULL pointer passed to trusted arg{0}")]
    PossiblyNull(usize),
    /// An object that cannot be trusted.
    #[error("{0} must be referenced or trusted")]
    NotTrusted(R),
    /// An object that may be gone.
    #[error("{0} must be a rcu pointer")]
    NotRcu(R),
    /// The context is expected.
    #[error("arg#{index} expected pointer to ctx, but got {given}")]
    NotCtx {
        /// Which, from 0.
        index: usize,
        /// What is passed.
        given: Given,
    },
    /// A pointer to a kernel object of a kind that is not taken.
    #[error("arg#{index} is {given} expected {expected} or socket")]
    NotObject {
        /// Which, from 0.
        index: usize,
        /// What is passed.
        given: Given,
        /// What would be taken.
        expected: Given,
    },
    /// An object of another type.
    #[error(
        "kernel function {name} args#{index} expected pointer to {wanted} but {reg} has a pointer to {given}"
    )]
    WrongStruct {
        /// The function.
        name: &'static str,
        /// Which, from 0.
        index: usize,
        /// The type that is expected.
        wanted: Named,
        /// The argument's register.
        reg: R,
        /// The type that is passed.
        given: Named,
    },
    /// An object where the parameter is a pointer to something else.
    #[error("kernel function {name} args#{index} pointer type {to} is not supported")]
    PointerType {
        /// The function.
        name: &'static str,
        /// Which, from 0.
        index: usize,
        /// What the parameter points to.
        to: Named,
    },
    /// Memory where the parameter points to something that is more than bytes.
    #[error("arg#{index} pointer type {to} must point to {void}scalar, or struct with scalar")]
    NotBytes {
        /// Which, from 0.
        index: usize,
        /// What the parameter points to.
        to: Named,
        /// `void, ` where a size follows.
        void: &'static str,
    },
    /// Nobody knows the size of what the parameter points to.
    #[error("arg#{index} reference type('{to}') size cannot be determined: -22")]
    NoSize {
        /// Which, from 0.
        index: usize,
        /// What the parameter points to.
        to: Named,
    },
    /// Memory that does not have the bytes that the size after it says.
    #[error("arg#{index} arg#{next} memory, len pair leads to invalid memory access", next = index + 1)]
    MemoryPair {
        /// The memory, from 0.
        index: usize,
        /// What is wrong with it for the kernel.
        errno: Errno,
    },
    /// A string is expected.
    #[error("arg#{0} doesn't point to a const string")]
    NotString(usize),
    /// A map is expected.
    #[error("pointer in {0} isn't map pointer")]
    NotMap(R),
    /// A subprogram is expected.
    #[error("arg{0} expected pointer to func")]
    NotFunction(usize),
    /// Nothing is passed that could be released.
    #[error("release kernel function {0} expects refcounted PTR_TO_BTF_ID")]
    NothingToRelease(&'static str),
    /// What is released is not held.
    #[error("kfunc {name}#{id} reference has not been acquired before")]
    NotAcquired {
        /// The function.
        name: &'static str,
        /// Its number in the kernel's BTF.
        id: u32,
    },
    /// A read section inside another.
    #[error("nested rcu read lock (kernel function {0})")]
    RcuNested(&'static str),
    /// The end of a read section that did not begin.
    #[error("unmatched rcu read unlock (kernel function {0})")]
    RcuUnmatched(&'static str),
    /// Preemption was not disabled.
    #[error("unmatched attempt to enable preemption (kernel function {0})")]
    PreemptUnmatched(&'static str),
    /// It may be called in RCU read sections alone.
    #[error("kernel func {0} requires RCU critical section protection")]
    NeedsRcu(&'static str),
    /// The result points to something that is no memory.
    #[error("kernel function {name} returns pointer type {to} is not supported")]
    Returns {
        /// The function.
        name: &'static str,
        /// What its result points to.
        to: Named,
    },
    /// The kernel has no struct of its own behind the context.
    #[error("kern ctx type id {0} is not a struct")]
    CtxKind(u32),
    /// A cast to a type that does not exist.
    #[error("Unknown type ID {0} passed to kfunc bpf_rdonly_cast")]
    CastUnknown(u64),
    /// A cast to something that has no members.
    #[error("kfunc bpf_rdonly_cast type ID argument must be of a struct or void")]
    CastKind,
    /// An iterator is expected, which lies on the stack.
    #[error("arg#{0} expected pointer to an iterator on stack")]
    IterNotStack(usize),
    /// There is an iterator already, or something else.
    #[error("expected uninitialized {name} as arg #{index}")]
    IterInit {
        /// Its struct, without `bpf_`.
        name: String,
        /// Which, from 0.
        index: usize,
    },
    /// There is no iterator.
    #[error("expected an initialized {name} as arg #{index}")]
    IterUninit {
        /// Its struct, without `bpf_`.
        name: String,
        /// Which, from 0.
        index: usize,
    },
    /// The RCU read section that the iterator began in is over.
    #[error("expected an RCU CS when using {0}")]
    IterNeedsRcu(&'static str),
    /// An object on the stack whose place is not known.
    #[error("{0} has to be at a constant offset")]
    ObjectVariable(&'static str),
    /// An object on the stack at a place where none fits.
    #[error("cannot pass in {what} at an offset={off}")]
    ObjectOffset {
        /// `iter`, `dynptr` or `irq_flag`.
        what: &'static str,
        /// Offset from the frame pointer.
        off: i64,
    },
    /// Interrupt flags are saved on the stack.
    #[error("arg#{0} doesn't point to an irq flag on stack")]
    IrqNotStack(usize),
    /// Interrupt flags are saved there already.
    #[error("expected uninitialized irq flag as arg#{0}")]
    IrqInit(usize),
    /// No interrupt flags are saved there.
    #[error("expected an initialized irq flag as arg#{0}")]
    IrqUninit(usize),
    /// Interrupt flags that other functions saved.
    #[error(
        "irq flag acquired by {} kfuncs cannot be restored with {} kfuncs",
        irq_class(*saved),
        irq_class(*restored)
    )]
    IrqClass {
        /// Who saved them.
        saved: IrqClass,
        /// Who would restore them.
        restored: IrqClass,
    },
    /// Interrupt flags that were not saved last.
    #[error("cannot restore irq state out of order, expected id={id} acquired at insn_idx={at}")]
    IrqOrder {
        /// The number of those that were.
        id: u32,
        /// Where.
        at: Pc,
    },
    /// Programs of this type do not write packets.
    #[error("the prog does not allow writes to packet data")]
    PacketWrite,
    /// The kernel walks the tasks of a cgroup for some programs alone.
    #[error("css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")]
    TasksOfCss,
}

const fn irq_class(class: IrqClass) -> &'static str {
    match class {
        IrqClass::Native => "native",
        IrqClass::Lock => "lock",
    }
}

impl KfuncReason {
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::Missing(_) => Errno::ESRCH,
            Self::TooMany => Errno::E2BIG,
            Self::Trap => Errno::EFAULT,
            Self::IterNeedsRcu(_) | Self::NoModule { negative: false } => Errno::EPROTO,
            Self::MemoryPair { errno, .. } => *errno,
            Self::NotAllowed(_)
            | Self::MightSleep(_)
            | Self::SleepsIn { .. }
            | Self::PossiblyNull(_)
            | Self::Uninit
            | Self::IrqOrder { .. }
            | Self::NeedsRcu(_) => Errno::EACCES,
            _ => Errno::EINVAL,
        }
    }
}
