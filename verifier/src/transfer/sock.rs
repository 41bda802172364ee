//! Loads from sockets: `struct bpf_sock`, `bpf_tcp_sock` and `bpf_xdp_sock`, as the kernel shows
//! them to programs. They are never written.

use super::Step;
use super::mem::Place;
use crate::reason::{MemoryReason, R, Reason};
use crate::state::Pointer;
use ubpf_abi::helper::SockKind;

/// Bytes of `struct bpf_sock`.
const SOCK_BYTES: u32 = 80;
/// Its fields that may be loaded in part, at their beginning: family, type, protocol, source port,
/// state, receive queue.
const NARROW: [u32; 6] = [4, 8, 12, 44, 72, 76];
/// Its addresses, which may be loaded in part everywhere.
const ADDRESSES: [core::ops::Range<u32>; 2] = [24..44, 52..72];
/// Its destination port: two bytes, and as many that are zero behind them.
const DST_PORT: u32 = 48;
/// The part that sockets of every kind have begins and ends around type, protocol, mark, priority.
const FULL_ONLY: core::ops::Range<u32> = 8..24;

/// Bytes of `struct bpf_tcp_sock`, as far as programs see it.
const TCP_BYTES: u32 = 112;
/// Its counters of 8 bytes; all other fields have 4. The kernel takes the upper half of a counter
/// for a bug of its own, which refuses the program too.
const TCP_WIDE: core::ops::Range<u32> = 80..96;

impl Step<'_> {
    pub(super) fn check_sock(&self, p: &Pointer, at: Place, kind: SockKind) -> Result<(), Reason> {
        let off = i64::from(p.off) + i64::from(at.off);
        let fits = u32::try_from(off).is_ok_and(|off| has_field(kind, off, at.size));
        if fits {
            return Ok(());
        }
        Err(MemoryReason::Sock { reg: R(at.base), to: p.type_name(), off, size: at.size }.into())
    }
}

fn has_field(kind: SockKind, off: u32, size: u32) -> bool {
    if !off.is_multiple_of(size) {
        return false;
    }
    match kind {
        SockKind::Full => is_sock_field(off, size),
        SockKind::Common => !FULL_ONLY.contains(&off) && is_sock_field(off, size),
        SockKind::Tcp if TCP_WIDE.contains(&off) => size == 8,
        SockKind::Tcp => off < TCP_BYTES && size == 4,
        SockKind::Xdp => off == 0 && size == 4,
    }
}

fn is_sock_field(off: u32, size: u32) -> bool {
    if off >= SOCK_BYTES {
        false
    } else if off == DST_PORT {
        size <= 4
    } else if off > DST_PORT && off < ADDRESSES[1].start {
        off == DST_PORT + 1 && size == 1
    } else if NARROW.contains(&off) || ADDRESSES.iter().any(|range| range.contains(&off)) {
        size <= 4
    } else {
        size == 4
    }
}
