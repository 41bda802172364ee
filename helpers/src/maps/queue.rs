//! `BPF_MAP_TYPE_QUEUE`, and the sequence that it shares with stacks.

use super::create::{self, KMALLOC_MAX_BYTES};
use super::guard::{Guarded, Storage};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::registry::MapTypeDef;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Queue,
        doc: "First in, first out.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create: |_world, def| create(def, End::Oldest),
};

/// What programs may do with queues and stacks.
pub(super) const OPS: &[MapOp] = &[MapOp::Push, MapOp::Pop, MapOp::Peek];

/// `BPF_EXIST`: a full map drops its oldest value.
const REPLACE: u64 = 2;

/// Bytes that a map's values may take together, where the kernel would have to find them at
/// creation.
const MAX_BYTES: u64 = 1 << 30;

/// Which value comes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The one that went in first.
    Oldest,
    /// The one that went in last.
    Newest,
}

/// Makes a queue or a stack.
pub(super) fn create(def: &MapDef, end: End) -> Result<Arc<dyn Map>, Errno> {
    if def.max_entries == 0 || def.key_size != 0 || def.value_size == 0 {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NUMA_NODE | create::ACCESS)?;
    create::check_no_extra(def)?;
    if u64::from(def.value_size) > KMALLOC_MAX_BYTES {
        return Err(Errno::E2BIG);
    }
    if u64::from(def.value_size) * u64::from(def.max_entries) > MAX_BYTES {
        return Err(Errno::ENOMEM);
    }
    let max_entries = def.max_entries as usize;
    Ok(Guarded::map(def, Sequence { end, max_entries, values: Mutex::default() }))
}

/// Values in the order they went in. Programs get copies, so the values live on the host.
struct Sequence {
    end: End,
    max_entries: usize,
    values: Mutex<VecDeque<Box<[u8]>>>,
}

impl Sequence {
    fn values(&self) -> MutexGuard<'_, VecDeque<Box<[u8]>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Sequence {
    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != 0 && flags != REPLACE {
            return Err(Errno::EINVAL);
        }
        let mut values = self.values();
        if values.len() >= self.max_entries {
            if flags != REPLACE {
                return Err(Errno::E2BIG);
            }
            values.pop_front();
        }
        values.push_back(value.into());
        Ok(())
    }

    fn pop(&self) -> Result<Vec<u8>, Errno> {
        let mut values = self.values();
        let value = match self.end {
            End::Oldest => values.pop_front(),
            End::Newest => values.pop_back(),
        };
        value.map(Vec::from).ok_or(Errno::ENOENT)
    }

    fn peek(&self, _value: &[u8]) -> Result<Vec<u8>, Errno> {
        let values = self.values();
        let value = match self.end {
            End::Oldest => values.front(),
            End::Newest => values.back(),
        };
        value.map(|value| value.to_vec()).ok_or(Errno::ENOENT)
    }

    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    fn fetch(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.peek(&[])
    }

    fn store(&self, _key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.push(value, flags)
    }

    fn take(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.pop()
    }
}
