//! Dynptrs: bounded memory whose size is known only when the program runs.
//!
//! A dynptr is 16 bytes of the program's stack, laid out as in the kernel:
//!
//! ```text
//!  0      data          8  size and kind   12  offset
//!  ├ address or 0 ──────┼ 24 bits, 3, 1 ───┼ into data ─┤
//! ```
//!
//! The verifier keeps programs from touching them. One that got here without it can only make
//! up addresses, which are checked at every access.

use super::group::BASE;
use super::packet;
use super::ringbuf::{commit_at, ring};
use crate::maps::ringbuf::Commit;
use crate::maps::user_ringbuf::{Sample, UserRingbuf};
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::arg::callback;
use ubpf_vm::call::{
    AllocSizeOrZero, CallCx, Callback, DynptrAny, DynptrInitLocal, DynptrInitRingbuf,
    DynptrRingbuf, DynptrSlice, Fail, MapRef, MemReadOrEmpty, MemWriteOrEmpty, Released, StackPtr,
    Void,
};
use ubpf_vm::helper;
use ubpf_vm::mem::{GuestAddr, Perm, RegionKind, RegionSpec};
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(197 dynptr_from_mem, since 5.19,
        "Makes a dynptr of memory.", groups: &[BASE]),
    helper!(198 ringbuf_reserve_dynptr, since 5.19, "Reserves a record as a dynptr.",
        groups: &[BASE], map_op: Some(MapOp::Ringbuf)),
    helper!(199 ringbuf_submit_dynptr, since 5.19,
        "Sends a record that is a dynptr.", groups: &[BASE]),
    helper!(200 ringbuf_discard_dynptr, since 5.19,
        "Drops a record that is a dynptr.", groups: &[BASE]),
    helper!(201 dynptr_read, since 5.19,
        "Copies memory of a dynptr out.", groups: &[BASE]),
    helper!(202 dynptr_write, since 5.19,
        "Copies memory into a dynptr.", groups: &[BASE]),
    helper!(203 dynptr_data, since 5.19,
        "Address of memory of a dynptr.", groups: &[BASE]),
    helper!(209 user_ringbuf_drain, since 6.1,
        "Calls a subprogram for the records that user space has sent.",
        groups: &[BASE], map_op: Some(MapOp::UserRingbuf)),
];

/// What a dynptr's memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory of the program.
    Local,
    /// A ring buffer's record.
    Ringbuf,
    /// A socket buffer's packet.
    Skb,
    /// A frame.
    Xdp,
    /// The metadata in front of a socket buffer's packet.
    SkbMeta,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Local, Self::Ringbuf, Self::Skb, Self::Xdp, Self::SkbMeta];

    /// Whether programs can have addresses into it.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Local | Self::Ringbuf)
    }
}

/// A dynptr as it lies on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dynptr {
    /// First byte of the memory; of packets, the context.
    pub data: u64,
    /// What the memory is.
    pub kind: Kind,
    /// It may not be written.
    pub read_only: bool,
    /// Bytes.
    pub size: u32,
    /// How far into the memory it begins.
    pub offset: u32,
}

impl Dynptr {
    /// Most bytes that one has.
    pub const MAX_BYTES: u32 = 0xff_ffff;
    /// Bytes of a `struct bpf_dynptr`.
    pub const BYTES: u32 = 16;
    const KIND_SHIFT: u32 = 28;
    const READ_ONLY: u32 = 1 << 31;

    /// One over all of some memory.
    #[must_use]
    pub const fn new(kind: Kind, data: u64, size: u32) -> Self {
        Self { data, kind, read_only: false, size, offset: 0 }
    }

    /// The one at `addr`; `None` where it was never made, failed to be, or is gone.
    ///
    /// # Errors
    /// The trap of an address that is none.
    pub fn load(cx: &CallCx<'_>, addr: GuestAddr) -> Result<Option<Self>, Trap> {
        let word = |off: u32| cx.cage().load::<u32>(addr.0.wrapping_add(off));
        let parts = (|| Ok((cx.cage().load::<u64>(addr)?, word(8)?, word(12)?)))();
        let (data, size, offset) = parts.map_err(|fault| cx.fault(fault))?;
        let kind = (size >> Self::KIND_SHIFT & 7).checked_sub(1);
        let kind = kind.and_then(|at| Kind::ALL.get(at as usize)).copied();
        Ok(kind.filter(|_| data != 0).map(|kind| Self {
            data,
            kind,
            read_only: size & Self::READ_ONLY != 0,
            size: size & Self::MAX_BYTES,
            offset,
        }))
    }

    /// Puts `dynptr` at `addr`; `None` leaves one that cannot be used.
    ///
    /// # Errors
    /// The trap of an address that is none.
    pub fn store(cx: &CallCx<'_>, addr: GuestAddr, dynptr: Option<Self>) -> Result<(), Trap> {
        let (data, size, offset) = dynptr.map_or((0, 0, 0), |d| {
            let kind = d.kind as u32 + 1;
            let read_only = if d.read_only { Self::READ_ONLY } else { 0 };
            (d.data, d.size | kind << Self::KIND_SHIFT | read_only, d.offset)
        });
        let word = |off: u32, value: u32| cx.cage().store(addr.0.wrapping_add(off), value);
        let stored = (|| {
            cx.cage().store(addr, data)?;
            word(8, size)?;
            word(12, offset)
        })();
        stored.map_err(|fault| cx.fault(fault))
    }

    /// Checks that `len` bytes at `off` are inside.
    ///
    /// # Errors
    /// `E2BIG`.
    pub fn check(&self, off: u64, len: u64) -> Result<(), Errno> {
        let size = u64::from(self.size);
        if len > size || off > size - len { Err(Errno::E2BIG) } else { Ok(()) }
    }

    /// Address of the byte at `off` of memory.
    #[must_use]
    pub const fn addr(&self, off: u32) -> u64 {
        self.data.wrapping_add(self.offset as u64).wrapping_add(off as u64)
    }

    /// Copies bytes out, which are inside.
    ///
    /// # Errors
    /// As the packet's own helpers.
    pub fn read(&self, cx: &mut CallCx<'_>, off: u32, len: u32) -> Result<Vec<u8>, Fail> {
        let at = self.offset.wrapping_add(off);
        match self.kind {
            Kind::Local | Kind::Ringbuf => {
                let bytes = cx.cage().read_vec(self.addr(off), len);
                bytes.map_err(|fault| cx.fault(fault).into())
            }
            Kind::Skb | Kind::Xdp => packet::load(cx, at, len),
            Kind::SkbMeta => packet::load_meta(cx, at, len),
        }
    }

    /// Copies bytes in, which have room. Packets of socket buffers take `bpf_skb_store_bytes`'s
    /// flags, nothing else takes any.
    ///
    /// # Errors
    /// `EINVAL` for flags, else as the packet's own helpers.
    pub fn write(
        &self,
        cx: &mut CallCx<'_>,
        off: u32,
        bytes: &[u8],
        flags: u64,
    ) -> Result<(), Fail> {
        let at = self.offset.wrapping_add(off);
        if flags != 0 && self.kind != Kind::Skb {
            return Err(Errno::EINVAL.into());
        }
        match self.kind {
            Kind::Local | Kind::Ringbuf => {
                cx.cage().write(self.addr(off), bytes).map_err(|fault| cx.fault(fault).into())
            }
            Kind::Skb | Kind::Xdp => packet::store_bytes(cx, at, bytes, flags),
            Kind::SkbMeta => packet::store_meta(cx, at, bytes),
        }
    }
}

fn dynptr_from_mem(
    cx: &mut CallCx<'_>,
    memory: MemWriteOrEmpty,
    flags: u64,
    to: DynptrInitLocal,
) -> Result<(), Fail> {
    let made = match memory.len() {
        Dynptr::MAX_BYTES.. if memory.len() > Dynptr::MAX_BYTES => Err(Errno::E2BIG),
        _ if flags != 0 => Err(Errno::EINVAL),
        len => Ok(Dynptr::new(Kind::Local, memory.addr(), len)),
    };
    Dynptr::store(cx, to.addr(), made.ok())?;
    Ok(made.map(drop)?)
}

fn ringbuf_reserve_dynptr(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    size: u32,
    flags: u64,
    to: DynptrInitRingbuf,
) -> Result<(), Fail> {
    let ring = ring(cx, &map)?;
    let made = if flags != 0 {
        Err(Errno::EINVAL)
    } else if size > Dynptr::MAX_BYTES {
        Err(Errno::E2BIG)
    } else {
        let record = ring.reserve(map.addr(), size.into()).ok_or(Errno::EINVAL);
        record.map(|addr| Dynptr::new(Kind::Ringbuf, addr.into(), size))
    };
    Dynptr::store(cx, to.addr(), made.ok())?;
    Ok(made.map(drop)?)
}

fn ringbuf_submit_dynptr(
    cx: &mut CallCx<'_>,
    record: Released<DynptrRingbuf>,
    _flags: u64,
) -> Result<Void, Trap> {
    commit(cx, record, Commit::Submit)
}

fn ringbuf_discard_dynptr(
    cx: &mut CallCx<'_>,
    record: Released<DynptrRingbuf>,
    _flags: u64,
) -> Result<Void, Trap> {
    commit(cx, record, Commit::Discard)
}

/// Ends a reservation; one that failed has nothing to end.
fn commit(
    cx: &CallCx<'_>,
    Released(record): Released<DynptrRingbuf>,
    how: Commit,
) -> Result<Void, Trap> {
    if let Some(dynptr) = Dynptr::load(cx, record.addr())? {
        let addr = u32::try_from(dynptr.data).map_err(|_| cx.trap(TrapKind::BadArgument))?;
        commit_at(cx, GuestAddr(addr), how)?;
        Dynptr::store(cx, record.addr(), None)?;
    }
    Ok(Void)
}

fn dynptr_read(
    cx: &mut CallCx<'_>,
    to: MemWriteOrEmpty,
    from: DynptrAny,
    off: u32,
    flags: u64,
) -> Result<(), Fail> {
    let dynptr = Dynptr::load(cx, from.addr())?.filter(|_| flags == 0).ok_or(Errno::EINVAL)?;
    dynptr.check(off.into(), to.len().into())?;
    match dynptr.read(cx, off, to.len()) {
        Ok(bytes) => Ok(to.write(cx, &bytes).map_err(|_| Errno::EFAULT)?),
        Err(Fail::Errno(errno)) => {
            if dynptr.kind == Kind::Skb {
                to.clear(cx).map_err(|_| Errno::EFAULT)?;
            }
            Err(errno.into())
        }
        Err(trap) => Err(trap),
    }
}

fn dynptr_write(
    cx: &mut CallCx<'_>,
    to: DynptrAny,
    off: u32,
    from: MemReadOrEmpty,
    flags: u64,
) -> Result<(), Fail> {
    let dynptr = Dynptr::load(cx, to.addr())?.filter(|d| !d.read_only).ok_or(Errno::EINVAL)?;
    dynptr.check(off.into(), from.len().into())?;
    let bytes = from.bytes(cx).map_err(|_| Errno::EFAULT)?;
    dynptr.write(cx, off, &bytes, flags)
}

fn dynptr_data(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    AllocSizeOrZero(len): AllocSizeOrZero,
) -> Result<Option<DynptrSlice>, Trap> {
    let writable = Dynptr::load(cx, of.addr())?.filter(|d| !d.read_only && d.kind.is_memory());
    let slice = writable.filter(|d| d.check(off.into(), len).is_ok()).map(|d| d.addr(off));
    let addr = slice.and_then(|addr| u32::try_from(addr).ok());
    Ok(addr.map(|addr| DynptrSlice::new(GuestAddr(addr))))
}

fn user_ringbuf_drain(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    callback: Callback<callback::UserRingbuf>,
    callback_cx: Option<StackPtr>,
    flags: u64,
) -> Result<u64, Fail> {
    const WAKEUP_FLAGS: u64 = 3;
    const MAX_SAMPLES: u64 = 128 << 10;
    let ring = map.downcast::<UserRingbuf>().ok_or_else(|| cx.trap(TrapKind::BadArgument))?;
    if flags & !WAKEUP_FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    // Only one program at a time takes records.
    let _taking = ring.take().ok_or(Errno::EBUSY)?;
    let spec = RegionSpec::new(Dynptr::BYTES.into(), RegionKind::KernelObject, "bpf_dynptr");
    let place = cx.cage().alloc(spec.perm(Perm::ReadWrite)).map_err(|_| Errno::ENOMEM)?;
    let callback_cx = callback_cx.map_or(0, |ptr| ptr.addr().into());
    let mut taken = 0;
    for _ in 0..MAX_SAMPLES {
        let (addr, len) = match ring.next() {
            None => break,
            Some(Sample::Discarded) => continue,
            Some(Sample::Data { addr, len }) => (addr, len),
        };
        let dynptr = Dynptr::new(Kind::Local, addr.into(), len);
        Dynptr::store(cx, place.addr(), Some(dynptr))?;
        let stop = callback.call(cx, [place.addr().into(), callback_cx, 0, 0, 0])? != 0;
        ring.release();
        taken += 1;
        if stop {
            break;
        }
    }
    Ok(taken)
}
