//! Arrays whose memory appears when it is first needed.
//!
//! A map may be defined with a hundred million entries and hold ten. What a map keeps about
//! each entry on the host's side lies in one of these: short arrays are allocated at once and
//! reached through one pointer, long ones in chunks as they are touched. Even the list of chunks
//! of four thousand million entries would be megabytes, so the longest are arrays of long ones.

use std::sync::OnceLock;

const CHUNK_SHIFT: u32 = 12;
const CHUNK_LEN: usize = 1 << CHUNK_SHIFT;
const LONG_SHIFT: u32 = 2 * CHUNK_SHIFT;
const LONG_LEN: u32 = 1 << LONG_SHIFT;

/// An array of `T`, every entry of which begins as `T::default()`. Entries never move.
pub(super) enum SparseArray<T> {
    /// At most one chunk.
    Short(Box<[T]>),
    /// At most as many chunks as a chunk has entries.
    Long { chunks: Box<[OnceLock<Box<[T]>>]>, len: u32 },
    /// More: long arrays, of which only the last may be shorter than the others.
    Vast { parts: Box<[OnceLock<Box<Self>>]>, len: u32 },
}

impl<T: Default> SparseArray<T> {
    /// An array of `len` untouched entries.
    pub(super) fn new(len: u32) -> Self {
        if len as usize <= CHUNK_LEN {
            return Self::Short(defaults(len));
        }
        if len <= LONG_LEN {
            let chunks = (len as usize).div_ceil(CHUNK_LEN);
            return Self::Long { chunks: (0..chunks).map(|_| OnceLock::new()).collect(), len };
        }
        let parts = len.div_ceil(LONG_LEN);
        Self::Vast { parts: (0..parts).map(|_| OnceLock::new()).collect(), len }
    }

    /// How many entries it has.
    pub(super) const fn len(&self) -> u32 {
        match self {
            Self::Short(entries) => entries.len() as u32,
            Self::Long { len, .. } | Self::Vast { len, .. } => *len,
        }
    }

    /// The entry, or `None` when it and its neighbours were never touched or it is past the end.
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        match self {
            Self::Short(entries) => entries.get(index as usize),
            Self::Long { chunks, .. } => {
                let chunk = chunks.get((index >> CHUNK_SHIFT) as usize)?.get()?;
                chunk.get(index as usize % CHUNK_LEN)
            }
            Self::Vast { parts, .. } => {
                parts.get((index >> LONG_SHIFT) as usize)?.get()?.get(index % LONG_LEN)
            }
        }
    }

    /// The entry, made if need be; `None` past the end.
    #[inline]
    pub(super) fn touch(&self, index: u32) -> Option<&T> {
        match self {
            Self::Short(entries) => entries.get(index as usize),
            Self::Long { chunks, len } => {
                let chunk = chunks.get((index >> CHUNK_SHIFT) as usize)?;
                let chunk = chunk.get_or_init(|| {
                    let first = index & !(CHUNK_LEN as u32 - 1);
                    defaults((len - first).min(CHUNK_LEN as u32))
                });
                chunk.get(index as usize % CHUNK_LEN)
            }
            Self::Vast { parts, len } => {
                let part = parts.get((index >> LONG_SHIFT) as usize)?;
                let part = part.get_or_init(|| {
                    let first = index & !(LONG_LEN - 1);
                    Box::new(Self::new((len - first).min(LONG_LEN)))
                });
                part.touch(index % LONG_LEN)
            }
        }
    }

    /// First index from `index` on that is not in an untouched chunk, so that walks can skip
    /// what was never used.
    pub(super) fn next_touched(&self, index: u32) -> Option<u32> {
        match self {
            Self::Short(entries) => ((index as usize) < entries.len()).then_some(index),
            Self::Long { chunks, len } => {
                let from = (index >> CHUNK_SHIFT) as usize;
                let skipped = chunks.iter().skip(from).position(|c| c.get().is_some())?;
                let first = ((from + skipped) << CHUNK_SHIFT) as u32;
                Some(first.max(index)).filter(|index| index < len)
            }
            Self::Vast { parts, .. } => {
                let from = index >> LONG_SHIFT;
                let parts = (from..).zip(parts.iter().skip(from as usize));
                parts.filter_map(|(n, part)| Some((n << LONG_SHIFT, part.get()?))).find_map(
                    |(first, part)| {
                        let within = part.next_touched(index.saturating_sub(first))?;
                        Some(first + within)
                    },
                )
            }
        }
    }

    /// Indices of the entries in touched chunks.
    pub(super) fn touched(&self) -> impl Iterator<Item = u32> {
        core::iter::successors(self.next_touched(0), |&index| self.next_touched(index + 1))
    }
}

fn defaults<T: Default>(len: u32) -> Box<[T]> {
    (0..len).map(|_| T::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONG_LEN, SparseArray};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn entries_appear_when_touched() {
        let array = SparseArray::<AtomicU32>::new(100_000_000);
        assert!(array.get(5_000_000).is_none());
        array.touch(5_000_000).unwrap().store(7, Ordering::Relaxed);
        assert_eq!(array.get(5_000_000).unwrap().load(Ordering::Relaxed), 7);
        assert_eq!(array.get(5_000_001).unwrap().load(Ordering::Relaxed), 0);
        assert_eq!(array.next_touched(0), Some(5_000_000 & !4095));
        assert_eq!(array.next_touched(5_000_010), Some(5_000_010));
        assert_eq!(array.next_touched(6_000_000), None);
    }

    #[test]
    fn walks_cross_what_was_never_touched() {
        let array = SparseArray::<AtomicU32>::new(u32::MAX);
        let touched = [4095, LONG_LEN - 1, 5 * LONG_LEN + 4096, u32::MAX - 1];
        for index in touched {
            array.touch(index).unwrap().store(index, Ordering::Relaxed);
        }
        let used = array
            .touched()
            .filter(|&i| array.get(i).unwrap().load(Ordering::Relaxed) == i && i > 0);
        assert_eq!(used.collect::<Vec<_>>(), touched);
    }

    #[test]
    fn the_list_of_chunks_is_short_whatever_the_length() {
        for len in [4097, LONG_LEN, LONG_LEN + 1, 1 << 31, u32::MAX] {
            let listed = match SparseArray::<AtomicU32>::new(len) {
                SparseArray::Short(entries) => entries.len(),
                SparseArray::Long { chunks, .. } => chunks.len(),
                SparseArray::Vast { parts, .. } => parts.len(),
            };
            assert!(listed <= 4096, "{listed} of {len}");
        }
    }

    #[test]
    fn the_end_is_exact() {
        for len in [10, 4096, 4097, LONG_LEN, LONG_LEN + 1, u32::MAX] {
            let array = SparseArray::<AtomicU32>::new(len);
            assert_eq!(array.len(), len);
            assert!(array.touch(len - 1).is_some());
            assert!(array.touch(len).is_none());
            assert_eq!(array.next_touched(len - 1), Some(len - 1));
            assert_eq!(array.next_touched(len), None);
        }
    }
}
