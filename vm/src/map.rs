//! What a map is at run time.
//!
//! One trait serves both sides: programs (through helpers) get addresses of values inside the
//! cage and share them; user space (the embedder, `--dump-maps`) gets copies, as through bpf(2).
//! Every method takes `&self`: maps are shared between programs, CPUs and threads, and do their
//! own locking.

use crate::mem::GuestAddr;
use crate::run::Cpu;
use crate::world::{ProgId, World};
use std::any::Any;
use std::ops::ControlFlow;
use ubpf_abi::map::MapDef;
use ubpf_abi::{Errno, Trap};

/// One event that a program sent to user space through a perf or ring buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// CPU it was sent from.
    pub cpu: u32,
    /// The record's bytes.
    pub data: Vec<u8>,
}

/// Where the values of a map are whose keys are indices, for good: value `index` of CPU `cpu` lies
/// at `values + index * stride + cpu * cpu_stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLayout {
    /// Address of the first value.
    pub values: GuestAddr,
    /// Indices, from 0 on.
    pub entries: u32,
    /// Bytes from one value to the next.
    pub stride: u32,
    /// Bytes from one CPU's value to the next one's; 0 where all share one.
    pub cpu_stride: u32,
}

/// What [`Map::for_each`] calls with the addresses of a key and its value.
pub type Visit<'a> = dyn FnMut(GuestAddr, GuestAddr) -> Result<ControlFlow<()>, Trap> + 'a;

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

    /// Address of the value for `key` on `cpu`, which need not be the current one.
    fn lookup_percpu(&self, key: &[u8], cpu: Cpu) -> Option<GuestAddr> {
        let _ = (key, cpu);
        None
    }

    /// Adds a value to a map without keys, from either side.
    ///
    /// # Errors
    /// The error that helper and bpf(2) return.
    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        let _ = (value, flags);
        Err(Errno::EOPNOTSUPP)
    }

    /// Takes the next value out of a map without keys, from either side.
    ///
    /// # Errors
    /// The error that helper and bpf(2) return.
    fn pop(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Looks at the next value of a map without keys, from either side. Types that hold no
    /// values, such as a Bloom filter, say whether they contain `value` instead.
    ///
    /// # Errors
    /// The error that helper and bpf(2) return.
    fn peek(&self, value: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = value;
        Err(Errno::EOPNOTSUPP)
    }

    /// Visits every element as `bpf_for_each_map_elem` does on `cpu`, seeing what the visitor
    /// itself changes, and returns the number of calls made, the stopping one included.
    ///
    /// # Errors
    /// Outside: the trap that ended a call. Inside: what the helper returns for a type that
    /// cannot be visited.
    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        let _ = (cpu, visit);
        Ok(Err(Errno::EINVAL))
    }

    /// The key after `key`, or the first one, as `BPF_MAP_GET_NEXT_KEY` gives it.
    ///
    /// # Errors
    /// As bpf(2): `ENOENT` after the last.
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno>;

    /// Keys of the elements that there are, as a snapshot; used by dumps. In the order of
    /// [`Map::next_key`], which also names the slots of an array of programs, maps or the like
    /// that hold none: there may be four thousand million.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the type cannot be iterated, or its values not be read.
    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno>;

    /// A copy of the value, as `BPF_MAP_LOOKUP_ELEM` gives it: for per-CPU types the values of
    /// all possible CPUs one after the other, each rounded up to 8 bytes.
    ///
    /// # Errors
    /// As bpf(2).
    fn user_lookup(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno>;

    /// Removes an element and returns its value, as `BPF_MAP_LOOKUP_AND_DELETE_ELEM` does.
    ///
    /// # Errors
    /// As bpf(2): `ENOTSUPP` where the type has no such operation.
    fn user_take(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        let _ = (key, flags);
        Err(Errno::ENOTSUPP)
    }

    /// Stores a value as `BPF_MAP_UPDATE_ELEM` does, in the shape of [`Map::user_lookup`].
    ///
    /// # Errors
    /// As bpf(2).
    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno>;

    /// Stores a map of `world`, named by the address that programs know it by, in a map of
    /// maps, as `BPF_MAP_UPDATE_ELEM` does with a map's descriptor.
    ///
    /// # Errors
    /// As bpf(2): `EINVAL` where this is no map of maps, and for a map unlike its template.
    fn user_set_map(
        &self,
        world: &World,
        key: &[u8],
        map: GuestAddr,
        flags: u64,
    ) -> Result<(), Errno> {
        let _ = (world, key, map, flags);
        Err(Errno::EINVAL)
    }

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

    /// Where its values are, for engines that look them up themselves; `None` where that takes
    /// more than a multiplication.
    fn layout(&self) -> Option<MapLayout> {
        None
    }

    /// The program in slot `index`, for tail calls; `None` in other map types.
    fn prog_at(&self, index: u32) -> Option<ProgId> {
        let _ = index;
        None
    }

    /// For the type's own helpers, which know what they deal with.
    fn as_any(&self) -> &dyn Any;
}
