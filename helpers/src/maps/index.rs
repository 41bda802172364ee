//! Maps whose keys are indices from 0 on: how keys are read, walked and visited.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::Visit;
use ubpf_vm::mem::{Cage, Elements, GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::run::Cpu;

/// The index that a key of 4 bytes is.
#[inline]
pub(super) fn index(key: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(key).ok().map(u32::from_le_bytes)
}

/// The index, if the map has it.
#[inline]
pub(super) fn index_below(key: &[u8], max_entries: u32) -> Option<u32> {
    index(key).filter(|&index| index < max_entries)
}

/// The index after `key`; 0 for none or one that is too large.
///
/// # Errors
/// `ENOENT` after the last.
pub(super) fn next_index(key: Option<&[u8]>, max_entries: u32) -> Result<Vec<u8>, Errno> {
    let next = match key.and_then(|key| index_below(key, max_entries)) {
        None => 0,
        Some(last) if last + 1 == max_entries => return Err(Errno::ENOENT),
        Some(index) => index + 1,
    };
    Ok(next.to_le_bytes().to_vec())
}

/// Nested visits of one map on one CPU: no program has more frames.
const MAX_DEPTH: u32 = 8;

/// Where the keys lie that visitors of an array are shown. Its elements have none in memory, so
/// each visit in progress has a word of its own, as it has on the kernel's stack.
pub(super) struct ShownKeys {
    cage: Arc<Cage>,
    label: Arc<str>,
    depths: Box<[AtomicU32]>,
    words: OnceLock<Region>,
}

impl ShownKeys {
    /// Room for visits on `cpus` CPUs, taken when the first one begins.
    pub(super) fn new(cage: &Arc<Cage>, name: &str, cpus: u32) -> Self {
        Self {
            cage: Arc::clone(cage),
            label: name.into(),
            depths: (0..cpus).map(|_| AtomicU32::new(0)).collect(),
            words: OnceLock::new(),
        }
    }

    fn words(&self) -> Result<&Region, Errno> {
        if self.words.get().is_none() {
            let bytes = self.depths.len() as u64 * u64::from(MAX_DEPTH * 4);
            let spec = RegionSpec::new(bytes, RegionKind::MapKey, Arc::clone(&self.label))
                .perm(Perm::Read)
                .elements(Elements { stride: 4, bytes: 4 });
            let region = self.cage.alloc(spec).map_err(|_| Errno::ENOMEM)?;
            // Where another thread was faster, its words count and these are given back.
            let _ = self.words.set(region);
        }
        self.words.get().ok_or(Errno::ENOMEM)
    }

    /// Visits the indices below `end`; `value` gives the address of an index's value. Returns
    /// the number of calls.
    pub(super) fn for_each(
        &self,
        cpu: Cpu,
        end: u32,
        value: impl Fn(u32) -> Option<GuestAddr>,
        visit: &mut Visit<'_>,
    ) -> Result<Result<u64, Errno>, Trap> {
        let (words, depth) = match (self.words(), self.depths.get(cpu.0 as usize)) {
            (Ok(words), Some(depth)) => (words, depth),
            _ => return Ok(Err(Errno::ENOMEM)),
        };
        let nesting = depth.fetch_add(1, Ordering::Relaxed) % MAX_DEPTH;
        let off = (cpu.0 * MAX_DEPTH + nesting) * 4;
        let calls = (|| {
            let Some(key) = words.at(off) else {
                return Ok(0);
            };
            let mut calls = 0;
            for index in 0..end {
                let (Ok(()), Some(value)) = (words.store(off, index), value(index)) else {
                    break;
                };
                calls += 1;
                if visit(key, value)? == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(calls)
        })();
        depth.fetch_sub(1, Ordering::Relaxed);
        calls.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::next_index;
    use ubpf_abi::Errno;

    #[test]
    fn keys_follow_each_other_and_wrong_ones_start_over() {
        let next = |key: Option<u32>| {
            let next = next_index(key.map(u32::to_le_bytes).as_ref().map(|k| &k[..]), 3);
            next.map(|key| key[0])
        };
        assert_eq!(next(None), Ok(0));
        assert_eq!(next(Some(0)), Ok(1));
        assert_eq!(next(Some(2)), Err(Errno::ENOENT));
        assert_eq!(next(Some(3)), Ok(0));
        assert_eq!(next(Some(u32::MAX)), Ok(0));
    }
}
