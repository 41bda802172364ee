//! Arrays whose memory appears when it is first needed.
//!
//! A map may be defined with a hundred million entries and hold ten. What a map keeps about
//! each entry on the host's side lies in one of these: short arrays are allocated at once and
//! reached through one pointer, long ones in chunks as they are touched.

use std::sync::OnceLock;

const CHUNK_SHIFT: u32 = 12;
const CHUNK_LEN: usize = 1 << CHUNK_SHIFT;

/// An array of `T`, every entry of which begins as `T::default()`. Entries never move.
pub(super) enum SparseArray<T> {
    /// At most one chunk.
    Short(Box<[T]>),
    /// More.
    Long { chunks: Box<[OnceLock<Box<[T]>>]>, len: u32 },
}

impl<T: Default> SparseArray<T> {
    /// An array of `len` untouched entries.
    pub(super) fn new(len: u32) -> Self {
        if len as usize <= CHUNK_LEN {
            return Self::Short(defaults(len));
        }
        let chunks = (len as usize).div_ceil(CHUNK_LEN);
        Self::Long { chunks: (0..chunks).map(|_| OnceLock::new()).collect(), len }
    }

    /// How many entries it has.
    pub(super) const fn len(&self) -> u32 {
        match self {
            Self::Short(entries) => entries.len() as u32,
            Self::Long { len, .. } => *len,
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
        }
    }
}

fn defaults<T: Default>(len: u32) -> Box<[T]> {
    (0..len).map(|_| T::default()).collect()
}

#[cfg(test)]
mod tests {
    use super::SparseArray;
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
    fn the_end_is_exact() {
        for len in [10, 4096, 4097] {
            let array = SparseArray::<AtomicU32>::new(len);
            assert_eq!(array.len(), len);
            assert!(array.touch(len - 1).is_some());
            assert!(array.touch(len).is_none());
            assert_eq!(array.next_touched(len - 1), Some(len - 1));
            assert_eq!(array.next_touched(len), None);
        }
    }
}
