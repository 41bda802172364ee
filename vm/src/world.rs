//! A world: the emulated kernel that programs run in.
//!
//! It owns guest memory, the maps and loaded programs (each reachable from the guest by an
//! address or an index), and the environment: clock, CPUs, devices, trace log. What the
//! environment is, `ubpf-helpers` decides; here it is opaque.

use crate::map::Map;
use crate::mem::{Cage, GuestAddr};
use std::any::Any;
use std::sync::{Arc, RwLock};
use ubpf_abi::Kernel;

/// Guest addresses that stand for map objects: entry `n` lies at `MAP_OBJECTS + n * 256`.
pub const MAP_OBJECTS: u32 = 0xf000_0000;
/// Distance between map objects.
pub const MAP_OBJECT_BYTES: u32 = 256;

/// The emulated kernel.
pub struct World {
    cage: Arc<Cage>,
    maps: RwLock<Vec<Arc<dyn Map>>>,
    environment: Box<dyn Any + Send + Sync>,
    kernel: Kernel,
    cpus: u32,
}

impl World {
    /// A world without maps and programs.
    #[must_use]
    pub fn new(
        cage: Arc<Cage>,
        kernel: Kernel,
        cpus: u32,
        environment: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            cage,
            maps: RwLock::new(Vec::new()),
            environment,
            kernel,
            cpus: cpus.max(1),
        }
    }

    /// Guest memory.
    #[must_use]
    pub fn cage(&self) -> &Arc<Cage> {
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

    /// Adds a map and returns the address by which programs know it.
    pub fn add_map(&self, map: Arc<dyn Map>) -> GuestAddr {
        let mut maps = self
            .maps
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let index = maps.len() as u32;
        maps.push(map);
        GuestAddr(MAP_OBJECTS + index * MAP_OBJECT_BYTES)
    }

    /// The map that a guest pointer stands for.
    #[must_use]
    pub fn map_at(&self, pointer: u64) -> Option<Arc<dyn Map>> {
        let off = u32::try_from(pointer).ok()?.checked_sub(MAP_OBJECTS)?;
        if off % MAP_OBJECT_BYTES != 0 {
            return None;
        }
        let maps = self
            .maps
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        maps.get((off / MAP_OBJECT_BYTES) as usize).cloned()
    }
}
