//! Records through ring buffers.

use super::group::BASE;
use crate::maps::ringbuf::{Commit, HEADER_BYTES, Query, Ringbuf};
use ubpf_abi::map::MapOp;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::{
    Acquired, AllocMem, AllocSizeOrZero, AllocatedMem, CallCx, Fail, MapRef, MemReadOrEmpty,
    Released, Void,
};
use ubpf_vm::helper;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(130 ringbuf_output, since 5.8,
        "Copies a record into a ring buffer.",
        groups: &[BASE], map_op: Some(MapOp::Ringbuf)),
    helper!(131 ringbuf_reserve, since 5.8,
        "Reserves a record in a ring buffer, or null where there is no room.",
        groups: &[BASE], map_op: Some(MapOp::Ringbuf)),
    helper!(132 ringbuf_submit, since 5.8,
        "Gives a reserved record to user space.",
        groups: &[BASE]),
    helper!(133 ringbuf_discard, since 5.8,
        "Drops a reserved record.",
        groups: &[BASE]),
    helper!(134 ringbuf_query, since 5.8,
        "Size and positions of a ring buffer.",
        groups: &[BASE], map_op: Some(MapOp::Ringbuf)),
];

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const WAKEUP_FLAGS: u64 = 3;

/// The ring that a map is.
pub(super) fn ring<'a>(cx: &CallCx<'_>, map: &MapRef<'a>) -> Result<&'a Ringbuf, Trap> {
    map.downcast::<Ringbuf>().ok_or_else(|| cx.trap(TrapKind::BadArgument))
}

fn ringbuf_output(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    data: MemReadOrEmpty,
    flags: u64,
) -> Result<(), Fail> {
    let ring = ring(cx, &map)?;
    if flags & !WAKEUP_FLAGS != 0 {
        return Err(Errno::EINVAL.into());
    }
    if !ring.can_hold(data.len()) {
        return Err(Errno::EAGAIN.into());
    }
    let data = data.bytes(cx).map_err(|fault| cx.fault(fault))?;
    Ok(ring.output(map.addr(), &data)?)
}

fn ringbuf_reserve(
    cx: &mut CallCx<'_>,
    map: MapRef<'_>,
    AllocSizeOrZero(size): AllocSizeOrZero,
    flags: u64,
) -> Result<Option<Acquired<AllocatedMem>>, Trap> {
    let ring = ring(cx, &map)?;
    if flags != 0 {
        return Ok(None);
    }
    Ok(ring.reserve(map.addr(), size).map(|addr| Acquired(AllocatedMem::new(addr))))
}

fn ringbuf_submit(
    cx: &mut CallCx<'_>,
    record: Released<AllocMem>,
    _flags: u64,
) -> Result<Void, Trap> {
    commit(cx, record, Commit::Submit)
}

fn ringbuf_discard(
    cx: &mut CallCx<'_>,
    record: Released<AllocMem>,
    _flags: u64,
) -> Result<Void, Trap> {
    commit(cx, record, Commit::Discard)
}

fn commit(
    cx: &CallCx<'_>,
    Released(record): Released<AllocMem>,
    how: Commit,
) -> Result<Void, Trap> {
    commit_at(cx, record.addr(), how).map(|()| Void)
}

/// Finds a record's ring through its header and ends the reservation.
///
/// # Errors
/// The trap of an address where no record begins.
pub(super) fn commit_at(cx: &CallCx<'_>, record: GuestAddr, how: Commit) -> Result<(), Trap> {
    let bad = || cx.trap(TrapKind::BadArgument);
    let owner_at = record.0.checked_sub(HEADER_BYTES / 2).ok_or_else(bad)?;
    let owner: u32 = cx.cage().load(u64::from(owner_at)).map_err(|_| bad())?;
    let map = cx.world.map_ref(owner.into()).ok_or_else(bad)?;
    let ring = map.as_any().downcast_ref::<Ringbuf>().ok_or_else(bad)?;
    ring.commit(record, how).map(drop).map_err(|_| bad())
}

fn ringbuf_query(cx: &mut CallCx<'_>, map: MapRef<'_>, what: u64) -> Result<u64, Trap> {
    let ring = ring(cx, &map)?;
    let query = match what {
        0 => Query::Available,
        1 => Query::Size,
        2 => Query::Consumer,
        3 => Query::Producer,
        _ => return Ok(0),
    };
    Ok(ring.query(query))
}
