//! Types of helper results. Each knows the [`Ret`] that the verifier records and its `r0`.

use super::arg::{Ptr, kind};
use core::marker::PhantomData;
use ubpf_abi::helper::{Ret, RetKind, SockKind};
use ubpf_abi::{Errno, Trap};

/// What a helper can return.
pub trait HelperRet {
    /// What the verifier knows about `r0`.
    const RET: Ret;

    /// `r0`.
    ///
    /// # Errors
    /// The trap that ends the run.
    fn into_r0(self) -> Result<u64, Trap>;
}

/// Results that are numbers, in place of which an error number can stand.
pub trait ScalarRet: HelperRet {}

macro_rules! scalars {
    ($($ty:ty: $value:ident => $r0:expr;)*) => {$(
        impl HelperRet for $ty {
            const RET: Ret = Ret::new(RetKind::Scalar);
            fn into_r0(self) -> Result<u64, Trap> {
                let $value = self;
                Ok($r0)
            }
        }
        impl ScalarRet for $ty {}
    )*};
}

scalars! {
    u64: n => n;
    i64: n => n.cast_unsigned();
    u32: n => n.into();
    i32: n => i64::from(n).cast_unsigned();
    (): _unit => 0;
}

/// Nothing: `r0` is unreadable afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Void;

impl HelperRet for Void {
    const RET: Ret = Ret::new(RetKind::Void);
    fn into_r0(self) -> Result<u64, Trap> {
        Ok(0)
    }
}

/// Why a helper that returns a number did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// The program is told.
    Errno(Errno),
    /// The run ends.
    Trap(Trap),
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Trap> for Fail {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

impl<T: ScalarRet> HelperRet for Result<T, Errno> {
    const RET: Ret = T::RET;
    fn into_r0(self) -> Result<u64, Trap> {
        match self {
            Ok(value) => value.into_r0(),
            Err(errno) => Ok(errno.to_ret()),
        }
    }
}

impl<T: ScalarRet> HelperRet for Result<T, Fail> {
    const RET: Ret = T::RET;
    fn into_r0(self) -> Result<u64, Trap> {
        match self {
            Ok(value) => value.into_r0(),
            Err(Fail::Errno(errno)) => Ok(errno.to_ret()),
            Err(Fail::Trap(trap)) => Err(trap),
        }
    }
}

/// Why a kernel function that returns an `int` did not: as [`Fail`], but the program is told in 32
/// bits, and the upper half of `r0` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntFail(pub Fail);

impl<E: Into<Fail>> From<E> for IntFail {
    fn from(fail: E) -> Self {
        Self(fail.into())
    }
}

impl<T: ScalarRet> HelperRet for Result<T, IntFail> {
    const RET: Ret = T::RET;
    fn into_r0(self) -> Result<u64, Trap> {
        match self {
            Ok(value) => value.into_r0(),
            Err(IntFail(Fail::Errno(errno))) => Ok((errno.to_ret() as u32).into()),
            Err(IntFail(Fail::Trap(trap))) => Err(trap),
        }
    }
}

impl<T: HelperRet> HelperRet for Result<T, Trap> {
    const RET: Ret = T::RET;
    fn into_r0(self) -> Result<u64, Trap> {
        self.and_then(T::into_r0)
    }
}

/// A kind of pointer that helpers return.
pub trait PtrRet {
    /// As data.
    const KIND: RetKind;
}

impl<K: PtrRet> HelperRet for Ptr<K> {
    const RET: Ret = Ret::new(K::KIND);
    fn into_r0(self) -> Result<u64, Trap> {
        Ok(self.addr().into())
    }
}

/// A pointer, or null.
impl<T: HelperRet> HelperRet for Option<T> {
    const RET: Ret = T::RET.or_null();
    fn into_r0(self) -> Result<u64, Trap> {
        self.map_or(Ok(0), T::into_r0)
    }
}

/// A result that comes with a reference the program must release.
#[derive(Clone, Copy, Debug)]
pub struct Acquired<T>(pub T);

impl<T: HelperRet> HelperRet for Acquired<T> {
    const RET: Ret = T::RET.acquired();
    fn into_r0(self) -> Result<u64, Trap> {
        self.0.into_r0()
    }
}

macro_rules! pointers {
    ($($(#[$doc:meta])* $name:ident = $kind:expr;)*) => {
        /// Kinds of pointers that helpers return, as types.
        pub mod returned {
            use super::*;
            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub enum $name {}
                impl PtrRet for $name {
                    const KIND: RetKind = $kind;
                }
            )*
        }
        $($(#[$doc])* pub type $name = Ptr<returned::$name>;)*
    };
}

pointers! {
    /// A value of the map in the first argument.
    MapValue = RetKind::MapValue;
    /// Memory of the size in the [`AllocSize`](crate::call::AllocSize) argument.
    AllocatedMem = RetKind::AllocMem;
    /// A dynptr's slice of the size in the [`AllocSize`](crate::call::AllocSize) argument.
    DynptrSlice = RetKind::DynptrSlice;
    /// What a [`PercpuBtfPtr`](crate::call::PercpuBtfPtr) points to on a CPU.
    MemOrBtf = RetKind::MemOrBtfPtr;
    /// The kptr that was in a field.
    KptrObject = RetKind::Kptr;
}

impl PtrRet for kind::SockCommon {
    const KIND: RetKind = RetKind::Sock(SockKind::Common);
}
impl PtrRet for kind::Sock {
    const KIND: RetKind = RetKind::Sock(SockKind::Full);
}
impl PtrRet for kind::TcpSock {
    const KIND: RetKind = RetKind::Sock(SockKind::Tcp);
}

/// `BYTES` bytes of memory.
pub type SizedMem<const BYTES: u32> = Ptr<Sized<BYTES>>;

/// The kind of a [`SizedMem`].
#[derive(Clone, Copy, Debug)]
pub enum Sized<const BYTES: u32> {}

impl<const BYTES: u32> PtrRet for Sized<BYTES> {
    const KIND: RetKind = RetKind::Mem(BYTES);
}

/// Which kernel struct a [`BtfObject`] points to.
pub trait BtfStruct {
    /// Its name.
    const NAME: &'static str;
}

/// A kernel object of struct type `T`, trusted.
pub type BtfObject<T> = Ptr<Object<T>>;

/// The kind of a [`BtfObject`].
#[derive(Clone, Copy, Debug)]
pub struct Object<T>(PhantomData<T>);

impl<T: BtfStruct> PtrRet for Object<T> {
    const KIND: RetKind = RetKind::BtfPtr(T::NAME);
}
