//! Descriptions of kernel functions (kfuncs): what the verifier knows beside their prototypes.
//!
//! A helper is called by number and is the same for ever; a kfunc is called by its type in the
//! kernel's BTF, which says what it takes and returns. What BTF does not say is a [`KfuncDecl`]:
//! the flags it is registered with, who may call it, and what is special about it.

use crate::kernel::Version;
use crate::prog_type::{AttachType, ProgType};

/// What a kfunc is registered with: the kernel's `KF_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KfuncFlag {
    /// It returns a reference that the caller owns.
    Acquire,
    /// It takes the reference that an argument carries.
    Release,
    /// It may return null.
    RetNull,
    /// Pointers to kernel objects must be trusted, and never null.
    TrustedArgs,
    /// It may sleep.
    Sleepable,
    /// It may take the machine down.
    Destructive,
    /// As [`KfuncFlag::TrustedArgs`], but what RCU protects will do.
    Rcu,
    /// It begins an iteration.
    IterNew,
    /// It gives an iteration's next item, or null.
    IterNext,
    /// It ends an iteration.
    IterDestroy,
    /// It may be called, and what it gives is valid, in an RCU read section only.
    RcuProtected,
    /// It leaves all registers but its result as they were.
    Fastcall,
    /// It returns an address in the program's arena.
    ArenaRet,
    /// Its first argument is an address in the program's arena.
    ArenaArg1,
    /// Its second argument is an address in the program's arena.
    ArenaArg2,
}

/// Sets that kfuncs are registered in, each for a family of program types
/// (`enum btf_kfunc_hook`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KfuncSet {
    /// Every program type.
    Common,
    /// XDP.
    Xdp,
    /// Traffic-control classifiers.
    Tc,
    /// Kernel operations implemented in BPF.
    StructOps,
    /// Tracing but for kprobes and raw tracepoints, and security hooks.
    Tracing,
    /// Programs run through a system call.
    Syscall,
    /// Nobody calls it; programs that change return values can be attached to it.
    FmodRet,
    /// Hooks of cgroups, TCP socket events included.
    Cgroup,
    /// Traffic-control actions.
    SchedAct,
    /// Stream parsers and verdicts.
    SkSkb,
    /// Socket filters.
    SocketFilter,
    /// Lightweight tunnels.
    Lwt,
    /// Netfilter hooks.
    Netfilter,
    /// Kprobes, uprobes and relatives.
    Kprobe,
}

impl KfuncSet {
    /// The set, beside [`KfuncSet::Common`], that programs of a type may call.
    #[must_use]
    pub const fn of(prog_type: ProgType) -> Option<Self> {
        Some(match prog_type {
            ProgType::Xdp => Self::Xdp,
            ProgType::SchedCls => Self::Tc,
            ProgType::StructOps => Self::StructOps,
            ProgType::Tracing | ProgType::Tracepoint | ProgType::PerfEvent | ProgType::Lsm => {
                Self::Tracing
            }
            ProgType::Syscall => Self::Syscall,
            ProgType::CgroupSkb
            | ProgType::CgroupSock
            | ProgType::CgroupDevice
            | ProgType::CgroupSockAddr
            | ProgType::CgroupSockopt
            | ProgType::CgroupSysctl
            | ProgType::SockOps => Self::Cgroup,
            ProgType::SchedAct => Self::SchedAct,
            ProgType::SkSkb => Self::SkSkb,
            ProgType::SocketFilter => Self::SocketFilter,
            ProgType::LwtIn | ProgType::LwtOut | ProgType::LwtXmit | ProgType::LwtSeg6local => {
                Self::Lwt
            }
            ProgType::Netfilter => Self::Netfilter,
            ProgType::Kprobe => Self::Kprobe,
            ProgType::SkMsg
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
            | ProgType::LircMode2
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::Ext
            | ProgType::SkLookup
            | ProgType::Classic
            | ProgType::Seccomp
            | ProgType::Host(_) => return None,
        })
    }
}

/// What narrows a set down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KfuncOnly {
    /// Programs of this type.
    For(ProgType),
    /// Programs of these attach types.
    At(&'static [AttachType]),
}

/// What a kfunc does that neither its prototype nor its flags say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KfuncSpecial {
    /// Takes the context, and gives the kernel's own struct behind it.
    CastToKernCtx,
    /// Gives its argument as a kernel object, of a type of the kernel's, that is only read.
    RdonlyCast,
    /// Takes the context, and gives the session's eight bytes.
    SessionCookie,
    /// Takes the context.
    SessionIsReturn,
    /// Begins an RCU read section.
    RcuReadLock,
    /// Ends an RCU read section.
    RcuReadUnlock,
    /// Begins a section that is not preempted.
    PreemptDisable,
    /// Ends a section that is not preempted.
    PreemptEnable,
    /// Disables interrupts.
    IrqSave,
    /// Enables them again.
    IrqRestore,
    /// Takes a resilient lock, or fails.
    ResSpinLock {
        /// Disables interrupts too.
        irq: bool,
    },
    /// Gives a resilient lock back.
    ResSpinUnlock {
        /// Enables interrupts too.
        irq: bool,
    },
    /// Ends the program with a value, from any depth.
    Throw,
    /// Compilers call it where a program has no meaning.
    Trap,
    /// Makes an object of a type of the program's.
    ObjNew {
        /// One for each CPU.
        percpu: bool,
    },
    /// Gives an object back.
    ObjDrop {
        /// One for each CPU.
        percpu: bool,
    },
    /// Takes one more reference to an object that counts them.
    RefcountAcquire,
    /// Puts an object into a list.
    ListPush,
    /// Takes an object out of a list.
    ListPop,
    /// Shows an end of a list.
    ListPeek,
    /// Puts an object into a tree, where the program's order says.
    RbtreeAdd,
    /// Takes an object out of a tree.
    RbtreeRemove,
    /// Shows a node of a tree.
    RbtreePeek,
    /// Makes a dynptr of a packet.
    DynptrFromPacket(DynptrSource),
    /// Makes a dynptr of another.
    DynptrClone,
    /// Gives memory of a dynptr.
    DynptrSlice {
        /// It may be written.
        writable: bool,
    },
    /// What it returns cannot be trusted.
    Untrusted,
    /// It may move the packet.
    ChangesPacket,
    /// Programs that are bound to a network device alone can call it.
    DeviceBound,
    /// Programs that may wait for a lock, and security hooks, alone can begin the iteration.
    TasksOfCss,
    /// Names the function that a work item calls.
    WqSetCallback,
    /// Schedules a function to run in a task.
    TaskWorkSchedule,
}

/// What a dynptr that a kfunc makes points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynptrSource {
    /// A `struct sk_buff`'s packet.
    Skb,
    /// A `struct xdp_buff`'s packet.
    Xdp,
    /// The metadata before an skb's packet.
    SkbMeta,
}

/// What a kfunc is to everybody but the engine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KfuncDecl {
    /// Its name, by which the target BTF has its prototype.
    pub name: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// The kernel that brought it.
    pub since: Version,
    /// What it is registered with.
    pub flags: &'static [KfuncFlag],
    /// Sets that it is registered in.
    pub sets: &'static [KfuncSet],
    /// What narrows the sets down.
    pub only: Option<KfuncOnly>,
    /// What its prototype and flags do not say.
    pub special: Option<KfuncSpecial>,
}

impl KfuncDecl {
    /// A kfunc with no flags, of the given sets.
    #[must_use]
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        since: Version,
        sets: &'static [KfuncSet],
    ) -> Self {
        Self { name, doc, since, flags: &[], sets, only: None, special: None }
    }

    /// Whether it is registered with the flag.
    #[must_use]
    pub fn has(&self, flag: KfuncFlag) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether programs of a type and attach type may call it.
    #[must_use]
    pub fn admits(&self, prog_type: ProgType, attach_type: AttachType) -> bool {
        let set = KfuncSet::of(prog_type);
        let listed = |wanted: Option<KfuncSet>| wanted.is_some_and(|s| self.sets.contains(&s));
        (listed(Some(KfuncSet::Common)) || listed(set))
            && match self.only {
                None => true,
                Some(KfuncOnly::For(only)) => only == prog_type,
                Some(KfuncOnly::At(attach_types)) => attach_types.contains(&attach_type),
            }
    }
}
