//! Maps of sockets: `BPF_MAP_TYPE_SOCKMAP`, `BPF_MAP_TYPE_SOCKHASH` and
//! `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY`.
//!
//! User space names a socket by a descriptor; here the cookie of one of the environment's sockets
//! stands for it, which is also what user space reads back where values have eight bytes.

use super::create::{self, USER_ACCESS};
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::{index, index_below, next_index};
use crate::env;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition of sockmaps.
pub const MAP: MapTypeDef = def(
    MapType::Sockmap,
    "Sockets by index.",
    &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::Sockmap, MapOp::SelectReuseport],
);
/// The definition of sockhashes.
pub const HASH: MapTypeDef = def(
    MapType::Sockhash,
    "Sockets by key.",
    &[MapOp::Lookup, MapOp::Update, MapOp::Delete, MapOp::Sockhash, MapOp::SelectReuseport],
);
/// The definition of reuseport arrays.
pub const REUSEPORT: MapTypeDef =
    def(MapType::ReuseportSockarray, "Sockets to choose from.", &[MapOp::SelectReuseport]);

const fn def(map_type: MapType, doc: &'static str, ops: &'static [MapOp]) -> MapTypeDef {
    MapTypeDef {
        decl: MapTypeDecl { map_type, doc, ops, direct_value: false, special_fields: false },
        create,
    }
}

/// Longest key of a hash.
const MAX_KEY_BYTES: u32 = 512;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    if !matches!(def.value_size, 4 | 8) {
        return Err(Errno::EINVAL);
    }
    let form = match def.map_type {
        Ok(MapType::Sockhash) => Form::Hash,
        Ok(MapType::Sockmap) => Form::Array,
        _ => Form::Reuseport,
    };
    match form {
        Form::Reuseport => create::check_array(def, MapFlags::NUMA_NODE | create::ACCESS)?,
        Form::Array | Form::Hash => {
            create::check_flags(def, MapFlags::NUMA_NODE | USER_ACCESS)?;
            create::check_no_extra(def)?;
            let key = if form == Form::Array { def.key_size == 4 } else { def.key_size != 0 };
            if def.max_entries == 0 || !key {
                return Err(Errno::EINVAL);
            }
            if def.key_size > MAX_KEY_BYTES {
                return Err(Errno::E2BIG);
            }
        }
    }
    let sockets = env::of(world).sockets();
    let known = sockets
        .ids()
        .map(|id| Ok((sockets.cookie(id), sockets.addr(world.cage(), id)?)))
        .collect::<Result<_, Errno>>()?;
    let storage = Sockmap {
        form,
        max_entries: def.max_entries,
        value_bytes: def.value_size as usize,
        known,
        held: Mutex::default(),
    };
    Ok(Guarded::map(def, storage))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Array,
    Hash,
    Reuseport,
}

/// Cookies by key.
pub(crate) struct Sockmap {
    form: Form,
    max_entries: u32,
    value_bytes: usize,
    /// The environment's sockets: cookie, and where programs see them.
    known: BTreeMap<u64, GuestAddr>,
    held: Mutex<BTreeMap<Vec<u8>, u64>>,
}

impl Sockmap {
    fn held(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cookie(&self, key: &[u8]) -> Option<u64> {
        self.held().get(key).copied()
    }

    fn indexed(&self) -> bool {
        self.form != Form::Hash
    }
}

impl Storage for Sockmap {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.known.get(&self.cookie(key)?).copied()
    }

    fn delete(&self, _cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        let missing = match self.form {
            Form::Array => Errno::EINVAL,
            Form::Hash => Errno::ENOENT,
            Form::Reuseport if index_below(key, self.max_entries).is_none() => Errno::E2BIG,
            Form::Reuseport => Errno::ENOENT,
        };
        self.held().remove(key).map(drop).ok_or(missing)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        if self.indexed() {
            return next_index(key, self.max_entries);
        }
        let held = self.held();
        let next = match key.filter(|key| held.contains_key(*key)) {
            None => held.keys().next(),
            Some(key) => held.keys().find(|other| other.as_slice() > key),
        };
        next.cloned().ok_or(Errno::ENOENT)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        if self.indexed() && self.value_bytes != 8 {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut keys: Vec<_> = self.held().keys().cloned().collect();
        if self.indexed() {
            keys.sort_by_key(|key| index(key));
        }
        Ok(keys)
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        if self.value_bytes != 8 {
            return Err(Errno::ENOSPC);
        }
        self.cookie(key).map(|cookie| cookie.to_le_bytes().to_vec()).ok_or(Errno::ENOENT)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mut cookie = [0; 8];
        cookie.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        let cookie = u64::from_le_bytes(cookie);
        // Maps of sockets ask for the socket first, arrays for the index.
        let is_known = || match self.known.contains_key(&cookie) {
            _ if cookie > i32::MAX as u64 => Err(Errno::EINVAL),
            true => Ok(()),
            false => Err(Errno::EBADF),
        };
        if self.form != Form::Reuseport {
            is_known()?;
        }
        let mode = Mode::parse(flags)?;
        if self.indexed() && index_below(key, self.max_entries).is_none() {
            return Err(Errno::E2BIG);
        }
        is_known()?;
        let mut held = self.held();
        mode.check(held.contains_key(key))?;
        if held.len() >= self.max_entries as usize && !held.contains_key(key) {
            return Err(Errno::E2BIG);
        }
        held.insert(key.to_vec(), cookie);
        Ok(())
    }
}
