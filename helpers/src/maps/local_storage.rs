//! Storage that belongs to a kernel object: `BPF_MAP_TYPE_SK_STORAGE` and its siblings for tasks,
//! inodes and cgroups.
//!
//! An owner is known by a number that no other has, while it lives. Some owners live for one run
//! only, such as the socket that test-run makes for a packet: their storage goes when another one
//! of that kind comes.

use super::create;
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::slab::{Holds, Reserve, Slab};
use super::special::Special;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::world::World;

macro_rules! definitions {
    ($($(#[$doc:meta])* $name:ident = $map_type:ident, $op:ident, $text:literal;)*) => {$(
        $(#[$doc])*
        pub const $name: MapTypeDef = MapTypeDef {
            decl: MapTypeDecl {
                map_type: MapType::$map_type,
                doc: $text,
                ops: &[MapOp::$op],
                direct_value: false,
                special_fields: true,
            },
            create,
        };
    )*};
}

definitions! {
    /// Storage of sockets.
    SK = SkStorage, SkStorage, "Storage of a socket.";
    /// Storage of inodes.
    INODE = InodeStorage, InodeStorage, "Storage of an inode.";
    /// Storage of tasks.
    TASK = TaskStorage, TaskStorage, "Storage of a task.";
    /// Storage of cgroups.
    CGRP = CgrpStorage, CgrpStorage, "Storage of a cgroup.";
}

/// Largest value: what one allocation and the kernel's bookkeeping leave.
pub(super) const MAX_VALUE_BYTES: u32 = 0xffff - 64 - 56;
/// Owners that have storage at once, at most.
const MAX_OWNERS: u32 = 1 << 16;

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let MapFlags(bits) = def.flags;
    let typed = def.key_type.is_some_and(|ty| !ty.is_void())
        && def.value_type.is_some_and(|ty| !ty.is_void());
    if bits & !(MapFlags::NO_PREALLOC | MapFlags::CLONE) != 0
        || !def.flags.has(MapFlags::NO_PREALLOC)
        || def.max_entries != 0
        || def.key_size != 4
        || def.value_size == 0
        || !typed
    {
        return Err(Errno::EINVAL);
    }
    create::check_no_extra(def)?;
    if def.value_size > MAX_VALUE_BYTES {
        return Err(Errno::E2BIG);
    }
    let (cage, bytes) = (world.cage(), def.value_size);
    let values = Slab::new(cage, def, Holds::Values, bytes, MAX_OWNERS.into(), Reserve::Lazily)?;
    let values = values.with_fields(Special::of(world, def));
    Ok(Guarded::map(def, LocalStorage { values, owners: Mutex::default() }))
}

/// To whom storage belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// An object of the environment.
    Lasting(u64),
    /// An object that one run made.
    OfRun(u64),
}

/// The values of all owners.
pub(crate) struct LocalStorage {
    values: Slab,
    owners: Mutex<Owners>,
}

#[derive(Default)]
struct Owners {
    rows: BTreeMap<Owner, u32>,
    /// Rows that were in use.
    free: Vec<u32>,
    /// Rows that never were begin here.
    fresh: u32,
}

impl Owners {
    /// Forgets the objects of runs that are over.
    fn expire(&mut self, owner: Owner) {
        let Owner::OfRun(_) = owner else { return };
        let gone = |other: &Owner| matches!(other, Owner::OfRun(_)) && *other != owner;
        let rows = &self.rows;
        self.free.extend(rows.iter().filter(|(other, _)| gone(other)).map(|(_, row)| *row));
        self.rows.retain(|other, _| !gone(other));
    }

    fn take_row(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            let row = (self.fresh < MAX_OWNERS).then_some(self.fresh)?;
            self.fresh += 1;
            Some(row)
        })
    }
}

impl LocalStorage {
    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The storage of an owner; made from `first`, zeros behind it, where it is missing.
    pub(crate) fn get_or_make(&self, owner: Owner, first: Option<&[u8]>) -> Option<GuestAddr> {
        let mut owners = self.owners();
        owners.expire(owner);
        if let Some(row) = owners.rows.get(&owner) {
            return self.values.addr(*row);
        }
        let first = first?;
        let row = owners.take_row()?;
        let filled = self.fill(row, first);
        if filled.is_err() {
            owners.free.push(row);
            return None;
        }
        owners.rows.insert(owner, row);
        self.values.addr(row)
    }

    fn fill(&self, row: u32, value: &[u8]) -> Result<(), Errno> {
        self.values.ensure(row)?;
        self.values.clear(row)?;
        self.values.write(row, value)
    }

    /// Takes the storage of an owner away.
    ///
    /// # Errors
    /// `ENOENT` where there is none.
    pub(crate) fn delete(&self, owner: Owner) -> Result<(), Errno> {
        let mut owners = self.owners();
        owners.expire(owner);
        let row = owners.rows.remove(&owner).ok_or(Errno::ENOENT)?;
        owners.free.push(row);
        self.values.free_fields(row)
    }
}

/// User space names owners by descriptors; here a number stands for one.
fn named(key: &[u8]) -> Owner {
    let number = key.first_chunk().copied().map_or(0, u32::from_le_bytes);
    Owner::Lasting(number.into())
}

impl Storage for LocalStorage {
    fn next_key(&self, _key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::ENOTSUPP)
    }

    /// The numbers of the owners that last.
    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let owners = self.owners();
        let lasting = owners.rows.keys().filter_map(|owner| match owner {
            Owner::Lasting(number) => u32::try_from(*number).ok(),
            Owner::OfRun(_) => None,
        });
        Ok(lasting.map(|number| number.to_le_bytes().to_vec()).collect())
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let row = *self.owners().rows.get(&named(key)).ok_or(Errno::ENOENT)?;
        let mut value = vec![0; self.values.row_bytes() as usize];
        self.values.read(row, &mut value)?;
        Ok(value)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let (mode, owner) = (Mode::parse(flags)?, named(key));
        let mut owners = self.owners();
        let row = owners.rows.get(&owner).copied();
        mode.check(row.is_some())?;
        let row = match row {
            Some(row) => row,
            None => owners.take_row().ok_or(Errno::ENOMEM)?,
        };
        self.fill(row, value)?;
        owners.rows.insert(owner, row);
        Ok(())
    }

    fn has_lock(&self) -> bool {
        self.values.special().has_lock()
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.delete(named(key))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::def;
    use super::*;
    use ubpf_abi::Kernel;
    use ubpf_abi::btf::BtfId;
    use ubpf_vm::mem::Cage;

    #[test]
    fn storage_goes_with_the_run_that_made_its_owner() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
        let mut def = def(MapType::SkStorage, 4, 8, 0);
        def.flags = MapFlags(MapFlags::NO_PREALLOC);
        (def.key_type, def.value_type) = (Some(BtfId(1)), Some(BtfId(1)));
        let map = create(&world, &def).unwrap();
        let storage = map.as_any().downcast_ref::<LocalStorage>().unwrap();
        let (lasting, first, second) = (Owner::Lasting(7), Owner::OfRun(1), Owner::OfRun(2));
        assert_eq!(storage.get_or_make(lasting, None), None);
        let kept = storage.get_or_make(lasting, Some(&[5])).unwrap();
        let gone = storage.get_or_make(first, Some(&[6])).unwrap();
        assert_eq!(storage.get_or_make(first, Some(&[7])), Some(gone));
        assert_eq!(storage.get_or_make(second, None), None);
        assert_eq!(storage.get_or_make(first, None), None);
        assert_eq!(storage.get_or_make(lasting, None), Some(kept));
        assert_eq!(map.user_lookup(&7_u32.to_le_bytes(), 0), Ok(vec![5, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(storage.delete(lasting), Ok(()));
        assert_eq!(storage.delete(lasting), Err(Errno::ENOENT));
    }
}
