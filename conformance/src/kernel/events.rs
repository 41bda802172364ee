//! Records that programs send to user space, read from memory shared with the kernel.

use super::shared::{Shared, page_bytes};
use super::sys;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ubpf_abi::Errno;

/// The user side of a `BPF_MAP_TYPE_RINGBUF`.
///
/// ```text
///   page 0            page 1            pages 2…           (again)
///  ┌────────────────┬─────────────────┬──────────────────┬──────────────────┐
///  │ consumer pos   │ producer pos    │ data             │ the same data    │
///  └────────────────┴─────────────────┴──────────────────┴──────────────────┘
/// ```
/// The data is mapped twice in a row, so that a record never wraps.
pub(super) struct RingBuffer {
    consumer: Shared,
    producer: Shared,
    mask: u64,
}

impl RingBuffer {
    const BUSY: u32 = 1 << 31;
    const DISCARDED: u32 = 1 << 30;
    const HEADER_BYTES: u64 = 8;

    pub(super) fn map(fd: BorrowedFd<'_>, bytes: u32) -> Result<Self, Errno> {
        let page = page_bytes();
        let data = bytes as usize;
        Ok(Self {
            consumer: Shared::map(fd, 0, page, true)?,
            producer: Shared::map(fd, page, page + 2 * data, false)?,
            mask: u64::from(bytes).checked_sub(1).ok_or(Errno::EINVAL)?,
        })
    }

    /// Takes all complete records.
    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
        let page = page_bytes();
        let mut records = Vec::new();
        let mut pos = self.consumer.load_u64(0);
        while pos < self.producer.load_u64(0) {
            let at = page + usize::try_from(pos & self.mask).unwrap_or(0);
            let header = self.producer.load_u32(at);
            if header & Self::BUSY != 0 {
                break;
            }
            let len = header & !(Self::BUSY | Self::DISCARDED);
            if header & Self::DISCARDED == 0 {
                records.push(self.producer.read(at + Self::HEADER_BYTES as usize, len as usize));
            }
            pos += (Self::HEADER_BYTES + u64::from(len)).next_multiple_of(8);
            self.consumer.store_u64(0, pos);
        }
        records
    }
}

/// The user side of one CPU's perf buffer.
///
/// Its first page is `struct perf_event_mmap_page`, the rest a ring of records that may wrap.
/// A record's payload is padded: user space sees `round_up(len + 4, 8) - 4` bytes.
pub(super) struct PerfBuffer {
    event: OwnedFd,
    shared: Shared,
    bytes: u64,
}

impl AsFd for PerfBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl PerfBuffer {
    /// A power of two, large enough for what one comparison sends.
    const DATA_PAGES: usize = 64;
    /// Offsets in `struct perf_event_mmap_page`.
    const DATA_HEAD: usize = 1024;
    const DATA_TAIL: usize = 1032;
    const RECORD_SAMPLE: u32 = 9;
    const HEADER_BYTES: usize = 8;

    pub(super) fn open() -> Result<Self, Errno> {
        let page = page_bytes();
        let event = sys::perf_bpf_output(0)?;
        let shared = Shared::map(event.as_fd(), 0, page * (1 + Self::DATA_PAGES), true)?;
        Ok(Self { event, shared, bytes: (page * Self::DATA_PAGES) as u64 })
    }

    /// `len` bytes of the ring from position `pos`, which may wrap.
    fn read(&self, pos: u64, len: usize) -> Vec<u8> {
        let page = page_bytes();
        let from = usize::try_from(pos % self.bytes).unwrap_or(0);
        let until_end = usize::try_from(self.bytes).unwrap_or(0) - from;
        let mut out = self.shared.read(page + from, len.min(until_end));
        out.extend(self.shared.read(page, len.saturating_sub(until_end)));
        out
    }

    /// Takes the payloads of all sample records.
    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
        let head = self.shared.load_u64(Self::DATA_HEAD);
        let mut tail = self.shared.load_u64(Self::DATA_TAIL);
        let mut records = Vec::new();
        while tail < head {
            let header = self.read(tail, Self::HEADER_BYTES);
            let [k0, k1, k2, k3, _, _, s0, s1] = header[..] else {
                break;
            };
            let kind = u32::from_le_bytes([k0, k1, k2, k3]);
            let size = u16::from_le_bytes([s0, s1]);
            if usize::from(size) < Self::HEADER_BYTES {
                break;
            }
            if kind == Self::RECORD_SAMPLE {
                let body = self.read(tail, usize::from(size));
                // The payload's own length, then the payload.
                if let Some((len, data)) =
                    body.get(Self::HEADER_BYTES..).and_then(|b| b.split_first_chunk::<4>())
                {
                    let len = u32::from_le_bytes(*len) as usize;
                    records.push(data.get(..len).unwrap_or(data).to_vec());
                }
            }
            tail += u64::from(size);
        }
        self.shared.store_u64(Self::DATA_TAIL, tail);
        records
    }
}
