//! `BPF_MAP_TYPE_STACK_TRACE`: call stacks, each under a number that its addresses give.

use super::create::{self, USER_ACCESS};
use super::guard::{Guarded, Storage};
use super::index::index_below;
use super::jhash::jhash;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::StackTrace,
        doc: "Stack traces by id.",
        ops: &[MapOp::StackId],
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// Most frames of a stack (`kernel.perf_event_max_stack`).
const MAX_FRAMES: u32 = 127;
/// Bytes of a frame: an address, or with `BPF_F_STACK_BUILD_ID` what it is relative to.
const ADDRESS_BYTES: u32 = 8;
const BUILD_ID_BYTES: u32 = 32;

fn create(_world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let flags = MapFlags::NUMA_NODE | USER_ACCESS | MapFlags::STACK_BUILD_ID;
    let by_build_id = def.flags.has(MapFlags::STACK_BUILD_ID);
    let frame = if by_build_id { BUILD_ID_BYTES } else { ADDRESS_BYTES };
    if def.max_entries == 0 || def.key_size != 4 || def.value_size < ADDRESS_BYTES {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, flags)?;
    create::check_no_extra(def)?;
    if !def.value_size.is_multiple_of(frame) || def.value_size / frame > MAX_FRAMES {
        return Err(Errno::EINVAL);
    }
    let buckets = def.max_entries.checked_next_power_of_two().ok_or(Errno::E2BIG)?;
    let storage = StackTrace {
        frames: def.value_size / frame,
        value_bytes: def.value_size as usize,
        buckets,
        stacks: Mutex::default(),
    };
    Ok(Guarded::map(def, storage))
}

/// The stacks by number.
pub(crate) struct StackTrace {
    frames: u32,
    value_bytes: usize,
    buckets: u32,
    stacks: Mutex<BTreeMap<u32, Vec<u64>>>,
}

impl StackTrace {
    fn stacks(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<u64>>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames that a stack has at most here.
    pub(crate) const fn frames(&self) -> u32 {
        self.frames
    }

    /// The number of a stack, which is kept. Where another has that number already, it stays
    /// unless it is to be replaced; stacks are told apart by their addresses, or by their hashes
    /// alone.
    ///
    /// # Errors
    /// `EEXIST` for another stack of the same number.
    pub(crate) fn id(&self, stack: &[u64], by_hash: bool, replace: bool) -> Result<u32, Errno> {
        let hash = |stack: &[u64]| {
            let bytes: Vec<u8> = stack.iter().flat_map(|address| address.to_le_bytes()).collect();
            jhash(&bytes, 0)
        };
        let id = hash(stack) & (self.buckets - 1);
        let mut stacks = self.stacks();
        match stacks.get(&id) {
            Some(known) if by_hash && hash(known) == hash(stack) => return Ok(id),
            Some(known) if known == stack => return Ok(id),
            Some(_) if !replace => return Err(Errno::EEXIST),
            _ => {}
        }
        stacks.insert(id, stack.to_vec());
        Ok(id)
    }

    fn value(&self, stack: &[u64]) -> Vec<u8> {
        let mut value: Vec<u8> = stack.iter().flat_map(|a| a.to_le_bytes()).collect();
        value.resize(self.value_bytes, 0);
        value
    }
}

impl Storage for StackTrace {
    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let stacks = self.stacks();
        let from = match key.map(|key| index_below(key, self.buckets)) {
            None => 0,
            Some(Some(last)) if stacks.contains_key(&last) => last + 1,
            Some(_) => 0,
        };
        let next = stacks.range(from..).next();
        next.map(|(id, _)| id.to_le_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let id = index_below(key, self.buckets).ok_or(Errno::ENOENT)?;
        self.stacks().get(&id).map(|stack| self.value(stack)).ok_or(Errno::ENOENT)
    }

    fn store(&self, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        let id = index_below(key, self.buckets).ok_or(Errno::E2BIG)?;
        self.stacks().remove(&id).map(drop).ok_or(Errno::ENOENT)
    }

    fn take(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let value = self.fetch(key)?;
        self.remove(key)?;
        Ok(value)
    }
}
