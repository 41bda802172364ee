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

mod memory;
mod pointer;

pub use memory::{
    Aligned, Alignment, FixedMem, MapValueOut, Mem, MemRead, MemReadOrEmpty, MemReadWrite,
    MemReadWriteOrEmpty, MemWrite, MemWriteOrEmpty, Mode, Reads, ReadsWrites, Span, Unaligned,
    Writes,
};
pub use pointer::{
    AllocMem, Btf, BtfPtr, BtfTypes, Callback, CallbackShape, DynptrAny, DynptrInitLocal,
    DynptrInitRingbuf, DynptrRingbuf, KptrField, PercpuBtfPtr, Ptr, PtrArg, Sock, SockCommon,
    SpinLock, StackPtr, TcpSock, Timer, XdpSock, callback, kind,
};

use super::CallCx;
use crate::map::Map;
use crate::mem::{Bytes, GuestAddr};
use core::any::Any;
use core::fmt;
use core::ops::Deref;
use ubpf_abi::helper::{Arg, ArgKind, HelperId, MemAccess};
use ubpf_abi::{Trap, TrapKind};

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

    #[inline(always)]
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

/// An argument that a format string may or may not ask for, so that the register need not hold
/// anything.
#[derive(Clone, Copy, Debug)]
pub struct Unchecked(pub u64);

impl ArgShape for Unchecked {
    const ARG: Arg = Arg::new(ArgKind::Unchecked);
}

impl HelperArg<'_> for Unchecked {
    fn read(regs: &mut ArgReader<'_, '_>) -> Result<Self, Trap> {
        Ok(Self(regs.take()))
    }
}

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
    #[inline]
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
            // Moved, the copy would have to wait until it is stored.
            #[inline(always)]
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
