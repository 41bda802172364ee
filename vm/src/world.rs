//! A world: the emulated kernel that programs run in.
//!
//! It owns guest memory, the maps and loaded programs (each reachable from the guest by an
//! address or an index), and the environment: clock, CPUs, devices, trace log. What the
//! environment is, `ubpf-helpers` decides; here it is opaque.
//!
//! Maps and programs stay for as long as the world does. That makes looking them up free of
//! locks and reference counts, and no pointer a program holds can dangle.

use crate::engine::Image;
use crate::map::Map;
use crate::mem::{Cage, FUNCTIONS, GuestAddr};
use boxcar::Vec as AppendVec;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use ubpf_abi::{Errno, Kernel};

/// Guest addresses that stand for map objects: entry `n` lies at `MAP_OBJECTS + n * 256`.
pub const MAP_OBJECTS: u32 = 0xf000_0000;
/// Distance between map objects.
pub const MAP_OBJECT_BYTES: u32 = 256;
/// Maps and programs, each, that a world can hold.
pub const MAX_OBJECTS: u32 = (FUNCTIONS - MAP_OBJECTS) / MAP_OBJECT_BYTES;

/// Index of a loaded program in its world: what prog arrays hold in place of file descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgId(pub u32);

/// The emulated kernel.
pub struct World {
    cage: Arc<Cage>,
    maps: AppendVec<Arc<dyn Map>>,
    progs: AppendVec<Arc<dyn Image>>,
    environment: Box<dyn Any + Send + Sync>,
    host: Box<dyn Any + Send + Sync>,
    failure: Mutex<Option<HostError>>,
    kernel: Kernel,
    cpus: u32,
}

/// An error of a host's own.
pub type HostError = Box<dyn std::error::Error + Send + Sync>;

impl World {
    /// A world without maps and programs.
    #[must_use]
    pub fn new(
        cage: Arc<Cage>,
        kernel: Kernel,
        cpus: u32,
        environment: Box<dyn Any + Send + Sync>,
    ) -> Self {
        let (maps, progs) = (AppendVec::new(), AppendVec::new());
        let (host, failure) = (Box::new(()), Mutex::new(None));
        Self { cage, maps, progs, environment, host, failure, kernel, cpus: cpus.max(1) }
    }

    /// The same with what the host's own helpers work on.
    #[must_use]
    pub fn with_host(mut self, host: Box<dyn Any + Send + Sync>) -> Self {
        self.host = host;
        self
    }

    /// Guest memory.
    #[must_use]
    pub const fn cage(&self) -> &Arc<Cage> {
        &self.cage
    }

    /// Which kernel it emulates.
    #[must_use]
    pub const fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Possible CPUs, at least 1.
    #[must_use]
    pub const fn cpus(&self) -> u32 {
        self.cpus
    }

    /// The environment, as the type that the platform's helpers put there.
    #[must_use]
    pub fn environment<T: Any>(&self) -> Option<&T> {
        self.environment.downcast_ref()
    }

    /// What the host's own helpers work on, as the type that the host put there.
    #[must_use]
    pub fn host<T: Any>(&self) -> Option<&T> {
        self.host.downcast_ref()
    }

    /// Keeps the error of a helper that ends the run.
    pub fn fail(&self, error: HostError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Takes the error that ended a run.
    pub fn take_failure(&self) -> Option<HostError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Adds a map and returns the address by which programs know it.
    ///
    /// # Errors
    /// `ENOSPC` when there are [`MAX_OBJECTS`] of them.
    pub fn add_map(&self, map: Arc<dyn Map>) -> Result<GuestAddr, Errno> {
        let index = push(&self.maps, map)?;
        Ok(GuestAddr(MAP_OBJECTS + index * MAP_OBJECT_BYTES))
    }

    /// The map that a guest pointer stands for.
    #[must_use]
    pub fn map_at(&self, pointer: u64) -> Option<Arc<dyn Map>> {
        self.map(pointer).cloned()
    }

    /// The same, borrowed: what helpers use.
    #[inline]
    #[must_use]
    pub fn map_ref(&self, pointer: u64) -> Option<&dyn Map> {
        self.map(pointer).map(|map| &**map)
    }

    #[inline]
    fn map(&self, pointer: u64) -> Option<&Arc<dyn Map>> {
        let off = u32::try_from(pointer).ok()?.checked_sub(MAP_OBJECTS)?;
        let index = off / MAP_OBJECT_BYTES;
        self.maps.get(index as usize).filter(|_| off.is_multiple_of(MAP_OBJECT_BYTES))
    }

    /// Adds a program, ready to run, and returns the number by which prog arrays know it.
    ///
    /// # Errors
    /// `ENOSPC` when there are [`MAX_OBJECTS`] of them.
    pub fn add_prog(&self, image: Arc<dyn Image>) -> Result<ProgId, Errno> {
        push(&self.progs, image).map(ProgId)
    }

    /// The program with this number.
    #[must_use]
    pub fn prog(&self, id: ProgId) -> Option<&Arc<dyn Image>> {
        self.progs.get(id.0 as usize)
    }
}

/// Appends and gives the index, while there is room.
fn push<T>(list: &AppendVec<T>, item: T) -> Result<u32, Errno> {
    if list.count() >= MAX_OBJECTS as usize {
        return Err(Errno::ENOSPC);
    }
    let index = u32::try_from(list.push(item)).map_err(|_| Errno::ENOSPC)?;
    // Racing callers may get past the test above together; their objects are out of reach.
    if index < MAX_OBJECTS { Ok(index) } else { Err(Errno::ENOSPC) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeMap;

    #[test]
    fn maps_are_known_by_addresses_that_nobody_can_access() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 0, Box::new(5_u8));
        let first = world.add_map(FakeMap::new("first", None)).unwrap();
        let second = world.add_map(FakeMap::new("second", None)).unwrap();
        assert_eq!(second.0 - first.0, MAP_OBJECT_BYTES);
        let name = |pointer: u64| world.map_ref(pointer).map(|map| map.def().name.clone());
        assert_eq!(name(second.into()).as_deref(), Some("second"));
        for wrong in [0, u64::from(second) + 1, u64::from(second) + 256, u64::from(first) | 1 << 32]
        {
            assert_eq!(name(wrong), None, "{wrong:#x}");
        }
        assert!(world.cage().load::<u8>(first).is_err());
        assert!(world.prog(ProgId(0)).is_none());
    }

    #[test]
    fn there_is_at_least_one_cpu_and_the_environment_has_its_type() {
        let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 0, Box::new(5_u8));
        assert_eq!(world.cpus(), 1);
        assert_eq!(world.environment::<u8>(), Some(&5));
        assert_eq!(world.environment::<u16>(), None);
    }
}
