//! Types of helper parameters. Each knows the [`Arg`] that the verifier checks and how to read
//! its one register, or two for memory with a size.
//!
//! | parameter | the program passes |
//! | --- | --- |
//! | `u64 i64 u32 i32` | any value, cut to the type |
//! | [`CtxArg`] | its context |
//! | [`MapRef`] | a map; [`MapKey`], [`MapValueIn`], [`MapValueOut`] after it have its sizes |
//! | [`MemRead`], [`MemWrite`], [`MemReadWrite`] | a pointer and a size above 0 |
//! | [`MemReadOrEmpty`], … | a pointer and a size, 0 included |
//! | [`FixedMem`] | a pointer to so many bytes |
//! | [`AllocSize`] | a constant, the size of what the call returns |
//! | [`ConstStr`] | a string in read-only memory |
//! | [`Callback`] | a subprogram |
//! | [`Ptr`] with a kind: [`SpinLock`], [`Timer`], [`AllocMem`], [`Sock`], [`BtfPtr`], … | that pointer |
//! | `Option<T>` | `T`, or null |
//! | [`Released`]`<T>` | `T`, whose reference the call takes |
//!
//! Arguments are checked before the body runs, as if the verifier had not been there; what it
//! would have refused traps. Buffers for keys and values are only made after their bytes were
//! found accessible, so no allocation is larger than memory that the guest already has.

use super::CallCx;
use crate::map::Map;
use crate::mem::{Bytes, Fault, GuestAddr};
use core::any::Any;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use ubpf_abi::helper::{
    Arg, ArgKind, CallbackKind, DynptrArg, DynptrKind, HelperId, MemAccess, MemSize, SockKind,
};
use ubpf_abi::{Access, Trap, TrapKind};

/// What the verifier demands of a parameter.
pub trait ArgShape {
    /// Its (first) register.
    const ARG: Arg;
    /// The register after it, for memory with a size.
    const SIZE: Option<Arg> = None;
}

/// A parameter that can be read from registers.
pub trait HelperArg<'a>: ArgShape + Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The trap when the program passes what the declaration forbids.
    fn read(regs: &mut ArgReader<'a, '_>) -> Result<Self, Trap>;
}

/// Hands out argument registers in order.
pub struct ArgReader<'a, 'c> {
    cx: &'c CallCx<'a>,
    helper: HelperId,
    regs: [u64; 5],
    taken: usize,
    map: Option<&'a dyn Map>,
}

impl<'a, 'c> ArgReader<'a, 'c> {
    pub(super) const fn new(cx: &'c CallCx<'a>, helper: HelperId, regs: [u64; 5]) -> Self {
        Self { cx, helper, regs, taken: 0, map: None }
    }

    /// What the helper sees.
    #[must_use]
    pub const fn cx(&self) -> &'c CallCx<'a> {
        self.cx
    }

    /// The next register. No declaration has more than five; one that had would read zeros.
    pub fn take(&mut self) -> u64 {
        let value = self.regs.get(self.taken).copied().unwrap_or(0);
        self.taken += 1;
        value
    }

    /// The next register, which stays next.
    #[must_use]
    pub fn peek(&self) -> u64 {
        self.regs.get(self.taken).copied().unwrap_or(0)
    }

    /// The trap for the register taken last.
    #[must_use]
    pub const fn bad(&self) -> Trap {
        let info = (self.helper.0 as u64) << 8 | self.taken as u64;
        self.cx.trap(TrapKind::BadArgument).with_info(info)
    }

    /// A register that must hold a pointer into the cage, and not null.
    fn take_ptr(&mut self) -> Result<GuestAddr, Trap> {
        match u32::try_from(self.take()) {
            Ok(addr) if addr != 0 => Ok(GuestAddr(addr)),
            _ => Err(self.bad()),
        }
    }

    fn map(&self) -> Result<&'a dyn Map, Trap> {
        self.map.ok_or_else(|| self.bad())
    }

    fn bytes(&mut self, len: u32) -> Result<Bytes, Trap> {
        let addr = self.take();
        self.cx.cage().read_bytes(addr, len).map_err(|e| self.cx.fault(e))
    }
}

macro_rules! scalars {
    ($($ty:ty)*) => {$(
        impl ArgShape for $ty {
            const ARG: Arg = Arg::new(ArgKind::Anything);
        }
        impl HelperArg<'_> for $ty {
            fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
                Ok(regs.take() as $ty)
            }
        }
    )*};
}
scalars!(u64 i64 u32 i32);

impl<T: ArgShape> ArgShape for Option<T> {
    const ARG: Arg = T::ARG.or_null();
    const SIZE: Option<Arg> = T::SIZE;
}

impl<'a, T: HelperArg<'a>> HelperArg<'a> for Option<T> {
    fn read(regs: &mut ArgReader<'a, '_>) -> Result<Self, Trap> {
        if regs.peek() != 0 {
            return T::read(regs).map(Some);
        }
        regs.taken += 1 + usize::from(T::SIZE.is_some());
        Ok(None)
    }
}

/// A parameter whose reference the call takes over.
#[derive(Clone, Copy, Debug)]
pub struct Released<T>(pub T);

impl<T: ArgShape> ArgShape for Released<T> {
    const ARG: Arg = T::ARG.released();
    const SIZE: Option<Arg> = T::SIZE;
}

impl<'a, T: HelperArg<'a>> HelperArg<'a> for Released<T> {
    fn read(regs: &mut ArgReader<'a, '_>) -> Result<Self, Trap> {
        T::read(regs).map(Released)
    }
}

/// The context that the program was entered with.
#[derive(Clone, Copy, Debug)]
pub struct CtxArg(pub GuestAddr);

impl ArgShape for CtxArg {
    const ARG: Arg = Arg::new(ArgKind::Ctx);
}

impl HelperArg<'_> for CtxArg {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let ctx = regs.cx.run.ctx();
        if regs.take() == u64::from(ctx) { Ok(Self(ctx)) } else { Err(regs.bad()) }
    }
}

/// A map of the world.
#[derive(Clone, Copy)]
pub struct MapRef<'a> {
    map: &'a dyn Map,
    addr: GuestAddr,
}

impl<'a> MapRef<'a> {
    /// The address by which programs know it.
    #[must_use]
    pub const fn addr(&self) -> GuestAddr {
        self.addr
    }

    /// What stores its elements, when that is a `T`.
    #[must_use]
    pub fn downcast<T: Any>(&self) -> Option<&'a T> {
        self.map.as_any().downcast_ref()
    }
}

impl Deref for MapRef<'_> {
    type Target = dyn Map;

    fn deref(&self) -> &Self::Target {
        self.map
    }
}

impl fmt::Debug for MapRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapRef").field(&self.map.def().name).finish()
    }
}

impl ArgShape for MapRef<'_> {
    const ARG: Arg = Arg::new(ArgKind::MapPtr);
}

impl<'a> HelperArg<'a> for MapRef<'a> {
    fn read(regs: &mut ArgReader<'a, '_>) -> Result<Self, Trap> {
        let addr = regs.take_ptr()?;
        let map = regs.cx.world.map_ref(addr.into()).ok_or_else(|| regs.bad())?;
        regs.map = Some(map);
        Ok(Self { map, addr })
    }
}

macro_rules! copied {
    ($($(#[$doc:meta])* $name:ident, $kind:expr, $size:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Bytes);

        impl Deref for $name {
            type Target = [u8];

            fn deref(&self) -> &[u8] {
                &self.0
            }
        }

        impl ArgShape for $name {
            const ARG: Arg = Arg::new($kind);
        }

        impl HelperArg<'_> for $name {
            fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
                let len = regs.map()?.def().$size;
                regs.bytes(len).map(Self)
            }
        }
    )*};
}

copied! {
    /// A copy of the key in front of which the map was passed.
    MapKey, ArgKind::MapKey, key_size;
    /// A copy of a value for the map that was passed before.
    MapValueIn, ArgKind::MapValue(MemAccess::Read), value_size;
}

/// Room for a value of the map that was passed before.
#[derive(Clone, Copy, Debug)]
pub struct MapValueOut(Span);

impl ArgShape for MapValueOut {
    const ARG: Arg = Arg::new(ArgKind::MapValue(MemAccess::WriteUninit));
}

impl HelperArg<'_> for MapValueOut {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let len = regs.map()?.def().value_size;
        Span::read(regs, len, MemAccess::WriteUninit).map(Self)
    }
}

/// What a helper does with memory it is handed; see [`MemAccess`].
pub trait Mode {
    /// As data.
    const ACCESS: MemAccess;
}

/// Reads memory.
#[derive(Clone, Copy, Debug)]
pub enum Reads {}
/// Writes memory that may be uninitialised.
#[derive(Clone, Copy, Debug)]
pub enum Writes {}
/// Reads and writes memory.
#[derive(Clone, Copy, Debug)]
pub enum ReadsWrites {}

impl Mode for Reads {
    const ACCESS: MemAccess = MemAccess::Read;
}
impl Mode for Writes {
    const ACCESS: MemAccess = MemAccess::WriteUninit;
}
impl Mode for ReadsWrites {
    const ACCESS: MemAccess = MemAccess::ReadWrite;
}

/// Guest memory that was found accessible when the helper was called.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    addr: u64,
    len: u32,
}

impl Span {
    fn read(regs: &mut ArgReader<'_, '_>, len: u32, access: MemAccess) -> Result<Self, Trap> {
        let addr = regs.take();
        let probe = |access| {
            let found = regs.cx.cage().probe(addr, len, access);
            found.map_err(|e| regs.cx.fault(e))
        };
        if matches!(access, MemAccess::Read | MemAccess::ReadWrite) {
            probe(Access::Read)?;
        }
        if matches!(access, MemAccess::WriteUninit | MemAccess::ReadWrite) {
            probe(Access::Write)?;
        }
        Ok(Self { addr, len })
    }

    /// Its first byte, as the program gave it; anything when it is empty.
    #[must_use]
    pub const fn addr(&self) -> u64 {
        self.addr
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of it.
    ///
    /// # Errors
    /// [`Fault`] when it has gone since, or is larger than helpers copy.
    pub fn bytes(&self, cx: &CallCx<'_>) -> Result<Bytes, Fault> {
        cx.cage().read_bytes(self.addr, self.len)
    }

    /// Copies in, from its first byte on.
    ///
    /// # Errors
    /// [`Fault`] when `from` is longer than it.
    pub fn write(&self, cx: &CallCx<'_>, from: &[u8]) -> Result<(), Fault> {
        match u32::try_from(from.len()) {
            Ok(len) if len <= self.len => cx.cage().write(self.addr, from),
            _ => Err(Fault { addr: self.addr, size: self.len, access: Access::Write }),
        }
    }

    /// Makes all of it zero.
    ///
    /// # Errors
    /// [`Fault`] when it has gone since.
    pub fn clear(&self, cx: &CallCx<'_>) -> Result<(), Fault> {
        cx.cage().fill(self.addr, self.len, 0)
    }
}

impl Deref for MapValueOut {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.0
    }
}

/// Memory whose size is the next argument; `EMPTY_OK` when 0 is allowed.
#[derive(Debug)]
pub struct Mem<M, const EMPTY_OK: bool> {
    span: Span,
    mode: PhantomData<M>,
}

/// Initialised memory and its size, at least 1.
pub type MemRead = Mem<Reads, false>;
/// Initialised memory and its size.
pub type MemReadOrEmpty = Mem<Reads, true>;
/// Memory to be written and its size, at least 1.
pub type MemWrite = Mem<Writes, false>;
/// Memory to be written and its size.
pub type MemWriteOrEmpty = Mem<Writes, true>;
/// Initialised memory to be changed and its size, at least 1.
pub type MemReadWrite = Mem<ReadsWrites, false>;
/// Initialised memory to be changed and its size.
pub type MemReadWriteOrEmpty = Mem<ReadsWrites, true>;

impl<M, const EMPTY_OK: bool> Deref for Mem<M, EMPTY_OK> {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl<M: Mode, const EMPTY_OK: bool> ArgShape for Mem<M, EMPTY_OK> {
    const ARG: Arg =
        Arg::new(ArgKind::Mem { access: M::ACCESS, size: MemSize::NextArg, aligned: false });
    const SIZE: Option<Arg> = Some(Arg::new(ArgKind::Size { zero_ok: EMPTY_OK }));
}

impl<M: Mode, const EMPTY_OK: bool> HelperArg<'_> for Mem<M, EMPTY_OK> {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let size = regs.regs.get(regs.taken + 1).copied().unwrap_or(0);
        let span = u32::try_from(size)
            .map_err(|_| Fault { addr: regs.peek(), size: u32::MAX, access: Access::Read })
            .map_err(|fault| regs.cx.fault(fault))
            .and_then(|len| Span::read(regs, len, M::ACCESS))?;
        regs.take();
        if span.is_empty() && !EMPTY_OK {
            return Err(regs.bad());
        }
        Ok(Self { span, mode: PhantomData })
    }
}

/// Whether memory of a fixed size must be aligned to that size.
pub trait Alignment {
    /// As data.
    const ALIGNED: bool;
}
/// Aligned to its size.
#[derive(Clone, Copy, Debug)]
pub enum Aligned {}
/// At any address.
#[derive(Clone, Copy, Debug)]
pub enum Unaligned {}
impl Alignment for Aligned {
    const ALIGNED: bool = true;
}
impl Alignment for Unaligned {
    const ALIGNED: bool = false;
}

/// `BYTES` bytes of memory.
#[derive(Debug)]
pub struct FixedMem<M, const BYTES: u32, A = Unaligned> {
    span: Span,
    mode: PhantomData<(M, A)>,
}

impl<M, const BYTES: u32, A> Deref for FixedMem<M, BYTES, A> {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl<M: Mode, const BYTES: u32, A: Alignment> ArgShape for FixedMem<M, BYTES, A> {
    const ARG: Arg = Arg::new(ArgKind::Mem {
        access: M::ACCESS,
        size: MemSize::Fixed(BYTES),
        aligned: A::ALIGNED,
    });
}

impl<M: Mode, const BYTES: u32, A: Alignment> HelperArg<'_> for FixedMem<M, BYTES, A> {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let span = Span::read(regs, BYTES, M::ACCESS)?;
        if A::ALIGNED && !span.addr.is_multiple_of(BYTES.into()) {
            return Err(regs.bad());
        }
        Ok(Self { span, mode: PhantomData })
    }
}

macro_rules! alloc_sizes {
    ($($(#[$doc:meta])* $name:ident $zero_ok:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl ArgShape for $name {
            const ARG: Arg = Arg::new(ArgKind::ConstAllocSize { zero_ok: $zero_ok });
        }

        impl HelperArg<'_> for $name {
            fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
                let size = regs.take();
                if size == 0 && !$zero_ok { Err(regs.bad()) } else { Ok(Self(size)) }
            }
        }
    )*};
}

alloc_sizes! {
    /// A constant above 0: bytes of the memory that the call returns. Unbounded here.
    AllocSize false;
    /// A constant: bytes of the memory that the call returns. Unbounded here.
    AllocSizeOrZero true;
}

/// A zero-terminated string in read-only memory, without its zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConstStr(Bytes);

impl Deref for ConstStr {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl ArgShape for ConstStr {
    const ARG: Arg = Arg::new(ArgKind::ConstStr);
}

impl HelperArg<'_> for ConstStr {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        let addr = regs.take();
        regs.cx.cage().read_str(addr).map(Self).map_err(|e| regs.cx.fault(e))
    }
}

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
