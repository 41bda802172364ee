//! Parameters that are pointers with a meaning: subprograms and kernel objects.

use super::{ArgReader, ArgShape, HelperArg};
use crate::call::CallCx;
use crate::mem::GuestAddr;
use core::fmt;
use core::marker::PhantomData;
use ubpf_abi::Trap;
use ubpf_abi::helper::{Arg, ArgKind, CallbackKind, DynptrArg, DynptrKind, SockKind};

/// With which arguments a subprogram is called back; see [`CallbackKind`].
pub trait CallbackShape {
    /// As data.
    const KIND: CallbackKind;
}

/// A subprogram to call back.
#[derive(Debug)]
pub struct Callback<K> {
    func: u64,
    kind: PhantomData<K>,
}

impl<K> Callback<K> {
    /// The address of the subprogram, as the program loaded it.
    #[must_use]
    pub const fn func(&self) -> u64 {
        self.func
    }

    /// Calls it now.
    ///
    /// # Errors
    /// The trap that ended it.
    pub fn call(&self, cx: &mut CallCx<'_>, args: [u64; 5]) -> Result<u64, Trap> {
        cx.call_guest(self.func, args)
    }
}

impl<K: CallbackShape> ArgShape for Callback<K> {
    const ARG: Arg = Arg::new(ArgKind::Callback(K::KIND));
}

impl<K: CallbackShape> HelperArg<'_> for Callback<K> {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        Ok(Self { func: regs.take(), kind: PhantomData })
    }
}

macro_rules! callbacks {
    ($($name:ident)*) => {
        /// The kinds of callbacks, as types: `Callback<callback::Loop>`.
        pub mod callback {
            use super::{CallbackKind, CallbackShape};
            $(
                #[doc = concat!("See [`CallbackKind::", stringify!($name), "`].")]
                #[derive(Clone, Copy, Debug)]
                pub enum $name {}
                impl CallbackShape for $name {
                    const KIND: CallbackKind = CallbackKind::$name;
                }
            )*
        }
    };
}
callbacks!(Loop ForEachMapElem FindVma Timer UserRingbuf Workqueue RbtreeLess Exception);

/// A pointer that means more than an address; never null.
pub struct Ptr<K> {
    addr: GuestAddr,
    kind: PhantomData<K>,
}

impl<K> Ptr<K> {
    /// The pointer that a helper returns.
    #[must_use]
    pub const fn new(addr: GuestAddr) -> Self {
        Self { addr, kind: PhantomData }
    }

    /// Where it points.
    #[must_use]
    pub const fn addr(&self) -> GuestAddr {
        self.addr
    }
}

impl<K> Clone for Ptr<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Ptr<K> {}

impl<K> fmt::Debug for Ptr<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.addr, f)
    }
}

/// A kind of pointer that helpers take.
pub trait PtrArg {
    /// As data.
    const KIND: ArgKind;
}

impl<K: PtrArg> ArgShape for Ptr<K> {
    const ARG: Arg = Arg::new(K::KIND);
}

impl<K: PtrArg> HelperArg<'_> for Ptr<K> {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        regs.take_ptr().map(Self::new)
    }
}

macro_rules! pointers {
    ($($(#[$doc:meta])* $name:ident = $kind:expr;)*) => {
        /// Kinds of pointers that helpers take, as types.
        pub mod kind {
            use super::*;
            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub enum $name {}
                impl PtrArg for $name {
                    const KIND: ArgKind = $kind;
                }
            )*
        }
        $($(#[$doc])* pub type $name = Ptr<kind::$name>;)*
    };
}

pointers! {
    /// A `struct bpf_spin_lock`.
    SpinLock = ArgKind::SpinLock;
    /// A `struct bpf_timer` in a map value.
    Timer = ArgKind::Timer;
    /// A field that holds a referenced kptr.
    KptrField = ArgKind::Kptr;
    /// Stack memory.
    StackPtr = ArgKind::StackPtr;
    /// Memory from an allocating helper, at its start.
    AllocMem = ArgKind::AllocMem;
    /// Any initialised dynptr.
    DynptrAny = ArgKind::Dynptr(DynptrArg::Any);
    /// A dynptr of a ring buffer record.
    DynptrRingbuf = ArgKind::Dynptr(DynptrArg::Of(DynptrKind::Ringbuf));
    /// Room for a dynptr of local memory.
    DynptrInitLocal = ArgKind::Dynptr(DynptrArg::Init(DynptrKind::Local));
    /// Room for a dynptr of a ring buffer record.
    DynptrInitRingbuf = ArgKind::Dynptr(DynptrArg::Init(DynptrKind::Ringbuf));
    /// A socket of any kind.
    SockCommon = ArgKind::Sock(SockKind::Common);
    /// A full socket.
    Sock = ArgKind::Sock(SockKind::Full);
    /// A TCP socket.
    TcpSock = ArgKind::Sock(SockKind::Tcp);
    /// An AF_XDP socket.
    XdpSock = ArgKind::Sock(SockKind::Xdp);
    /// A per-CPU kernel variable.
    PercpuBtfPtr = ArgKind::PercpuBtfPtr;
}

/// Which kernel structs a [`BtfPtr`] may point to.
pub trait BtfTypes {
    /// Their names.
    const STRUCTS: &'static [&'static str];
}

/// A kernel object of one of the struct types `T`.
pub type BtfPtr<T> = Ptr<Btf<T>>;

/// The kind of a [`BtfPtr`].
#[derive(Clone, Copy, Debug)]
pub struct Btf<T>(PhantomData<T>);

impl<T: BtfTypes> PtrArg for Btf<T> {
    const KIND: ArgKind = ArgKind::BtfPtr(T::STRUCTS);
}
