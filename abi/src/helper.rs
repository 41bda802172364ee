//! Descriptions of helpers and kfuncs: what the verifier knows about a call.
//!
//! A [`HelperDecl`] is the half of a helper's definition that says nothing about behaviour. It is
//! produced together with the body by the `helper!` macro of `ubpf-vm`, so that the two
//! cannot disagree. Argument kinds follow the kernel's `enum bpf_arg_type` (6.18), with what it
//! packs into flag bits spelled as fields.

use crate::kernel::Version;
use crate::map::MapOp;
use core::fmt;

/// A helper's number, as in the call's `imm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HelperId(pub u32);

impl HelperId {
    /// What stands for a kernel function where a helper's number is expected: no helper has it.
    pub const KFUNC: Self = Self(0);
}

impl fmt::Display for HelperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of helpers that program types admit or refuse together, by name. The set of groups is
/// open: a host that adds program types may name its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HelperGroup(pub &'static str);

/// What a helper does with memory it is handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemAccess {
    /// Reads it; it must be initialised.
    Read,
    /// Writes all of it; it need not be initialised.
    WriteUninit,
    /// Reads and writes it; it must be initialised.
    ReadWrite,
}

/// Where the size of a memory argument comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemSize {
    /// The next argument, an [`ArgKind::Size`].
    NextArg,
    /// Always this many bytes.
    Fixed(u32),
}

/// Which sockets an argument takes or a call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SockKind {
    /// `struct sock_common`: every socket, request and time-wait ones included.
    Common,
    /// `struct sock`, a full socket.
    Full,
    /// `struct tcp_sock`.
    Tcp,
    /// `struct xdp_sock`.
    Xdp,
}

/// What one argument register must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgKind {
    /// Any initialised value, pointers included.
    Anything,
    /// Whatever the register holds, nothing included: a format string decides whether it is read.
    Unchecked,
    /// The program's context, unmodified.
    Ctx,
    /// A map, on which the helper performs its [`HelperDecl::map_op`].
    MapPtr,
    /// Initialised memory of the preceding map's key size.
    MapKey,
    /// Memory of the preceding map's value size.
    MapValue(MemAccess),
    /// Memory.
    Mem {
        /// What the helper does with it.
        access: MemAccess,
        /// How large it is.
        size: MemSize,
        /// Must be aligned to its size.
        aligned: bool,
    },
    /// Size in bytes of the memory in the preceding argument; bounded.
    Size {
        /// Zero is allowed.
        zero_ok: bool,
    },
    /// A known constant: size of the memory the call returns.
    ConstAllocSize {
        /// Zero is allowed.
        zero_ok: bool,
    },
    /// A `struct bpf_spin_lock` in a map value or allocated object.
    SpinLock,
    /// A `struct bpf_timer` in a map value.
    Timer,
    /// A referenced kptr field in a map value or allocated object.
    Kptr,
    /// A zero-terminated string in a read-only map.
    ConstStr,
    /// A subprogram used as callback.
    Callback(CallbackKind),
    /// A pointer to the stack, or null.
    StackPtr,
    /// A dynptr on the stack.
    Dynptr(DynptrArg),
    /// Memory from the ring buffer or another allocating helper, at its start.
    AllocMem,
    /// A socket; BTF pointers to the matching kernel struct do as well.
    Sock(SockKind),
    /// A kernel object of one of these struct types.
    BtfPtr(&'static [&'static str]),
    /// A per-CPU kernel variable.
    PercpuBtfPtr,
}

/// How a dynptr argument is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynptrArg {
    /// Any initialised dynptr.
    Any,
    /// An initialised dynptr of this kind.
    Of(DynptrKind),
    /// An uninitialised one, which the call makes a dynptr of this kind.
    Init(DynptrKind),
}

/// What a dynptr points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynptrKind {
    /// Memory local to the program, such as a map value.
    Local,
    /// A reserved ring buffer record.
    Ringbuf,
    /// A `struct sk_buff`'s packet.
    Skb,
    /// A `struct xdp_buff`'s packet.
    Xdp,
    /// An skb's metadata area, kernel 6.18.
    SkbMeta,
    /// A file, after 6.18.
    File,
}

/// With which arguments and how often a helper calls the program back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallbackKind {
    /// `bpf_loop`: `(u64 index, void *ctx)`, returns 0 or 1.
    Loop,
    /// `bpf_for_each_map_elem`: `(map, key, value, ctx)`, returns 0 or 1.
    ForEachMapElem,
    /// `bpf_find_vma`: `(task, vma, ctx)`.
    FindVma,
    /// `bpf_timer_set_callback`: `(map, key, value)`, later and on its own.
    Timer,
    /// `bpf_user_ringbuf_drain`: `(dynptr, ctx)`.
    UserRingbuf,
    /// `bpf_wq_set_callback`: `(map, key, value)`, later, may sleep.
    Workqueue,
    /// `bpf_rbtree_add`: `(a, b)`, less.
    RbtreeLess,
    /// `bpf_set_exception_callback`.
    Exception,
}

/// One argument: what it is, and what may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arg {
    /// What the register must hold.
    pub kind: ArgKind,
    /// Null is allowed.
    pub nullable: bool,
    /// The call takes ownership of the reference.
    pub release: bool,
}

impl Arg {
    /// An argument that must not be null and is not released.
    #[must_use]
    pub const fn new(kind: ArgKind) -> Self {
        Self { kind, nullable: false, release: false }
    }

    /// Null is allowed as well.
    #[must_use]
    pub const fn or_null(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The call releases the reference.
    #[must_use]
    pub const fn released(mut self) -> Self {
        self.release = true;
        self
    }
}

/// What `r0` holds after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetKind {
    /// Nothing; `r0` is unreadable.
    Void,
    /// An unknown 64-bit number, or a negative error.
    Scalar,
    /// A value of the map in the first argument.
    MapValue,
    /// A socket.
    Sock(SockKind),
    /// Memory of the size given by the [`ArgKind::ConstAllocSize`] argument.
    AllocMem,
    /// Memory of this many bytes.
    Mem(u32),
    /// A dynptr's slice of the size given by the [`ArgKind::ConstAllocSize`] argument.
    DynptrSlice,
    /// What the [`ArgKind::PercpuBtfPtr`] argument points to.
    MemOrBtfPtr,
    /// A kernel object of this struct type, trusted.
    BtfPtr(&'static str),
    /// The kptr that was in the field of the [`ArgKind::Kptr`] argument.
    Kptr,
}

/// What a helper returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ret {
    /// What `r0` holds.
    pub kind: RetKind,
    /// `r0` may be null.
    pub nullable: bool,
    /// The caller owns a reference it must release.
    pub acquire: bool,
}

impl Ret {
    /// A return value that is never null and carries no reference.
    #[must_use]
    pub const fn new(kind: RetKind) -> Self {
        Self { kind, nullable: false, acquire: false }
    }

    /// Null is possible.
    #[must_use]
    pub const fn or_null(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Comes with a reference.
    #[must_use]
    pub const fn acquired(mut self) -> Self {
        self.acquire = true;
        self
    }
}

/// What a helper is to everybody but the engine that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelperDecl {
    /// Its number.
    pub id: HelperId,
    /// Its name without the `bpf_` prefix, as in the kernel's `bpf_func_id` list.
    pub name: &'static str,
    /// What it does, one or two sentences.
    pub doc: &'static str,
    /// The kernel that brought it.
    pub since: Version,
    /// Only programs with a GPL-compatible licence may call it.
    pub gpl_only: bool,
    /// It may sleep: sleepable programs only.
    pub might_sleep: bool,
    /// It may move or resize the packet, so packet pointers are lost.
    pub changes_packet: bool,
    /// Arguments that are memory may be packet memory.
    pub packet_access: bool,
    /// Groups it belongs to; a program type that admits one of them may call it.
    pub groups: &'static [HelperGroup],
    /// What it does to the map in its [`ArgKind::MapPtr`] argument.
    pub map_op: Option<MapOp>,
    /// Its arguments in order, at most five.
    pub args: &'static [Arg],
    /// Other arguments that it takes in programs of some groups.
    pub variants: &'static [Variant],
    /// Its result.
    pub ret: Ret,
}

/// The arguments of a helper in programs to which it means something of their own: a socket cookie
/// is that of the context's socket here, and that of any socket there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// A program type that admits one of them may call it so.
    pub groups: &'static [HelperGroup],
    /// The arguments in order, at most five.
    pub args: &'static [Arg],
}

impl HelperDecl {
    /// The arguments it takes in programs that admit some groups; `None` where they may not call
    /// it at all.
    pub fn args_for(&self, admits: impl Fn(&HelperGroup) -> bool) -> Option<&'static [Arg]> {
        if self.groups.iter().any(&admits) {
            return Some(self.args);
        }
        self.variants.iter().find(|v| v.groups.iter().any(&admits)).map(|v| v.args)
    }

    /// A helper of no group, with no flag set and no map operation.
    #[must_use]
    pub const fn new(
        id: HelperId,
        name: &'static str,
        doc: &'static str,
        since: Version,
        args: &'static [Arg],
        ret: Ret,
    ) -> Self {
        Self {
            id,
            name,
            doc,
            since,
            gpl_only: false,
            might_sleep: false,
            changes_packet: false,
            packet_access: false,
            groups: &[],
            map_op: None,
            args,
            variants: &[],
            ret,
        }
    }
}
