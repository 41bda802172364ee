//! Parameters that are memory: a pointer with a size, a fixed size, or a map's.

use super::{ArgReader, ArgShape, HelperArg};
use crate::call::CallCx;
use crate::mem::{Bytes, Fault};
use core::marker::PhantomData;
use core::ops::Deref;
use ubpf_abi::helper::{Arg, ArgKind, MemAccess, MemSize};
use ubpf_abi::{Access, Trap};

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
