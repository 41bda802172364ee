//! What bpf(2) checks for all map types alike, in front of what a type does.
//!
//! A type implements [`Storage`]; [`Guarded`] makes a [`Map`] of it by adding the definition,
//! access modes, freezing and the sizes of keys and values. Program-side calls go straight
//! through: the verifier has checked them.

use super::flags::LOCK;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ubpf_abi::map::{MapDef, MapFlags};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::map::{Event, Map, MapLayout, Visit};
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::{ProgId, World};

/// The CPU that bpf(2) commands run on.
pub(super) const USER_CPU: Cpu = Cpu(0);

/// How one map type stores its elements. Keys and values have the map's sizes.
///
/// Method by method as in [`Map`]; `fetch`, `store`, `remove` and `take` are its `user_*`
/// methods behind the common checks.
pub(super) trait Storage: Any + Send + Sync {
    fn lookup(&self, _cpu: Cpu, _key: &[u8]) -> Option<GuestAddr> {
        None
    }

    fn lookup_percpu(&self, _key: &[u8], _cpu: Cpu) -> Option<GuestAddr> {
        None
    }

    fn update(&self, _cpu: Cpu, _key: &[u8], _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete(&self, _cpu: Cpu, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn push(&self, _value: &[u8], _flags: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn pop(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn peek(&self, _value: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn for_each(&self, _cpu: Cpu, _visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        Ok(Err(Errno::EINVAL))
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno>;

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut keys = Vec::new();
        let mut next = self.next_key(None);
        loop {
            match next {
                Ok(key) => {
                    next = self.next_key(Some(&key));
                    keys.push(key);
                }
                Err(Errno::ENOENT) => return Ok(keys),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Bytes that a user-space look-up names an element by.
    fn lookup_bytes(&self, def: &MapDef) -> usize {
        def.key_size as usize
    }

    /// Bytes of a value as user space transfers it.
    fn user_value_bytes(&self, def: &MapDef) -> usize {
        def.value_size as usize
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno>;

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.update(USER_CPU, key, value, flags)
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.delete(USER_CPU, key)
    }

    fn take(&self, _key: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    fn drain_events(&self) -> Vec<Event> {
        Vec::new()
    }

    /// Whether values have a lock that `BPF_F_LOCK` takes.
    fn has_lock(&self) -> bool {
        false
    }

    fn direct_value(&self) -> Option<GuestAddr> {
        None
    }

    fn layout(&self) -> Option<MapLayout> {
        None
    }

    fn prog_at(&self, _index: u32) -> Option<ProgId> {
        None
    }

    fn set_map(
        &self,
        _world: &World,
        _key: &[u8],
        _map: GuestAddr,
        _flags: u64,
    ) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
}

/// A map: a type's storage behind the common checks.
pub(super) struct Guarded<S> {
    def: MapDef,
    frozen: AtomicBool,
    storage: S,
}

impl<S: Storage> Guarded<S> {
    /// The map that `def` describes, stored in `storage`.
    pub(super) fn map(def: &MapDef, storage: S) -> Arc<dyn Map> {
        Arc::new(Self { def: def.clone(), frozen: AtomicBool::new(false), storage })
    }

    fn check_read(&self) -> Result<(), Errno> {
        if self.def.flags.has(MapFlags::WRONLY) { Err(Errno::EPERM) } else { Ok(()) }
    }

    fn check_write(&self) -> Result<(), Errno> {
        let refused = self.def.flags.has(MapFlags::RDONLY) || self.frozen.load(Ordering::Acquire);
        if refused { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// Flags of a user-space look-up: only `BPF_F_LOCK` is one, and needs a lock in the value.
    fn check_lookup_flags(&self, flags: u64, access: Result<(), Errno>) -> Result<(), Errno> {
        if flags & !LOCK != 0 {
            return Err(Errno::EINVAL);
        }
        access?;
        self.check_lock(flags)
    }

    /// Nothing can be done under a lock that is not there.
    fn check_lock(&self, flags: u64) -> Result<(), Errno> {
        if flags & LOCK == 0 || self.storage.has_lock() { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Errno> {
        check_len(key, self.def.key_size as usize)
    }
}

fn check_len(bytes: &[u8], len: usize) -> Result<(), Errno> {
    if bytes.len() == len { Ok(()) } else { Err(Errno::EINVAL) }
}

impl<S: Storage> Map for Guarded<S> {
    fn def(&self) -> &MapDef {
        &self.def
    }

    fn lookup(&self, cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.storage.lookup(cpu, key)
    }

    fn lookup_percpu(&self, key: &[u8], cpu: Cpu) -> Option<GuestAddr> {
        self.storage.lookup_percpu(key, cpu)
    }

    fn update(&self, cpu: Cpu, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.storage.update(cpu, key, value, flags)
    }

    fn delete(&self, cpu: Cpu, key: &[u8]) -> Result<(), Errno> {
        self.storage.delete(cpu, key)
    }

    fn push(&self, value: &[u8], flags: u64) -> Result<(), Errno> {
        self.storage.push(value, flags)
    }

    fn pop(&self) -> Result<Vec<u8>, Errno> {
        self.storage.pop()
    }

    fn peek(&self, value: &[u8]) -> Result<Vec<u8>, Errno> {
        self.storage.peek(value)
    }

    fn for_each(&self, cpu: Cpu, visit: &mut Visit<'_>) -> Result<Result<u64, Errno>, Trap> {
        self.storage.for_each(cpu, visit)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        self.check_read()?;
        if let Some(key) = key {
            self.check_key(key)?;
        }
        self.storage.next_key(key)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.check_read()?;
        self.storage.keys()
    }

    fn user_lookup(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.check_lookup_flags(flags, self.check_read())?;
        check_len(key, self.storage.lookup_bytes(&self.def))?;
        self.storage.fetch(key)
    }

    fn user_take(&self, key: &[u8], flags: u64) -> Result<Vec<u8>, Errno> {
        self.check_lookup_flags(flags, self.check_read().and(self.check_write()))?;
        self.check_key(key)?;
        self.storage.take(key)
    }

    fn user_update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        self.check_write()?;
        self.check_lock(flags)?;
        self.check_key(key)?;
        check_len(value, self.storage.user_value_bytes(&self.def))?;
        self.storage.store(key, value, flags)
    }

    fn user_delete(&self, key: &[u8]) -> Result<(), Errno> {
        self.check_write()?;
        self.check_key(key)?;
        self.storage.remove(key)
    }

    fn freeze(&self) -> Result<(), Errno> {
        self.check_write()?;
        self.frozen.store(true, Ordering::Release);
        Ok(())
    }

    fn drain_events(&self) -> Vec<Event> {
        self.storage.drain_events()
    }

    fn direct_value(&self) -> Option<GuestAddr> {
        self.storage.direct_value()
    }

    fn layout(&self) -> Option<MapLayout> {
        self.storage.layout()
    }

    fn prog_at(&self, index: u32) -> Option<ProgId> {
        self.storage.prog_at(index)
    }

    fn user_set_map(
        &self,
        world: &World,
        key: &[u8],
        map: GuestAddr,
        flags: u64,
    ) -> Result<(), Errno> {
        self.check_write()?;
        self.check_lock(flags)?;
        self.check_key(key)?;
        self.storage.set_map(world, key, map, flags)
    }

    fn as_any(&self) -> &dyn Any {
        &self.storage
    }
}
