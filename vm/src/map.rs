//! What a map is at run time.
//!
//! One trait serves both sides: programs (through helpers) get addresses of values inside the
//! cage and share them; user space (the embedder, `--dump-maps`) gets copies, as through bpf(2).
//! Every method takes `&self`: maps are shared between programs, CPUs and threads, and do their
//! own locking.

use crate::mem::GuestAddr;
use crate::run::Cpu;
use std::any::Any;
use ubpf_abi::Errno;
use ubpf_abi::map::MapDef;

/// One event that a program sent to user space through a perf or ring buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// CPU it was sent from.
    pub cpu: u32,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// A map in a world. Methods that a type does not support answer as the kernel does for it.
pub trait Map: Any + Send + Sync {
    /// What it was made from; `max_entries` as the kernel would report it.
    fn def(&self) -> &MapDef;

    /// Address of the value for `key` on `cpu`, or `None`. `key` has the map's key size.
    fn lookup(&self, cpu: Cpu, key: &[u8]) -> Option<GuestAddr>;

    /// Stores a value from program side; `value` has the map's value size.
    ///
    /// # Errors
    /// The error that the helper returns.
    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno>;

    /// Removes an element from program side.
    ///
    /// # Errors
    /// The error that the helper returns.
    fn delete(&self, cpu: Cpu, key: &[u8]) -> Result<(), Errno>;

    /// Keys that iteration visits, in the kernel's order, as a snapshot; used by
    /// `bpf_for_each_map_elem` and dumps.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the type cannot be iterated.
    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno>;

    /// A copy of the value, as `BPF_MAP_LOOKUP_ELEM` gives it: for per-CPU types the values of
    /// all possible CPUs one after the other, each rounded up to 8 bytes.
    ///
    /// # Errors
    /// As bpf(2).
    fn user_lookup(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno>;

    /// Stores a value as `BPF_MAP_UPDATE_ELEM` does, in the shape of [`Map::user_lookup`].
    ///
    /// # Errors
    /// As bpf(2).
    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno>;

    /// Removes an element as `BPF_MAP_DELETE_ELEM` does.
    ///
    /// # Errors
    /// As bpf(2).
    fn user_delete(&self, key: &[u8]) -> Result<(), Errno>;

    /// Makes the map read-only to user space, as `BPF_MAP_FREEZE` does.
    ///
    /// # Errors
    /// As bpf(2).
    fn freeze(&self) -> Result<(), Errno>;

    /// Takes the events that programs have sent, oldest first; empty for maps without.
    fn drain_events(&self) -> Vec<Event> {
        Vec::new()
    }

    /// Address of the one value that `BPF_PSEUDO_MAP_VALUE` refers to.
    fn direct_value(&self) -> Option<GuestAddr> {
        None
    }

    /// For the type's own helpers, which know what they deal with.
    fn as_any(&self) -> &dyn Any;
}
