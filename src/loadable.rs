//! What fails all programs of an object together: symbols and operations that the kernel lacks, and
//! maps that it does not create.

use crate::engine::Engine;
use crate::setup::as_libbpf_creates;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapType};
use ubpf_abi::object::Object;
use ubpf_helpers::env::Environment;
use ubpf_loader::setup;
use ubpf_vm::mem::{Cage, MemError};
use ubpf_vm::world::World;

/// Why none of an object's programs gets as far as the verifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The kernel lacks something that the object needs.
    #[error(transparent)]
    Kernel(#[from] setup::SetupError),
    /// The kernel does not create a map.
    #[error("the kernel does not create map `{name}`")]
    Map {
        /// The map.
        name: String,
        /// The kernel's error.
        source: Errno,
    },
    /// There is no room to try.
    #[error(transparent)]
    Memory(#[from] MemError),
}

impl Engine {
    /// Checks what libbpf does with an object before it loads the first program: finds the
    /// kernel's symbols, and creates all maps. Sizes are those of veristat, which gives maps
    /// without entries one. Maps of types that are not emulated, and those too large to be tried
    /// here, are taken to exist.
    ///
    /// # Errors
    /// What none of the object's programs can be loaded for.
    pub fn check_setup(&self, object: &Object) -> Result<(), SetupError> {
        setup::check(object)?;
        for def in object.maps.iter() {
            self.check_map(def)?;
        }
        Ok(())
    }

    fn check_map(&self, def: &MapDef) -> Result<(), SetupError> {
        let refused = |source| SetupError::Map { name: def.name.clone(), source };
        let map_type = def.map_type.map_err(|_| refused(Errno::EINVAL))?;
        let Some(type_def) = self.registry().map_type_def(map_type) else { return Ok(()) };
        let environment = Box::new(Environment::new(self.environment().clone()));
        let cpus = self.environment().cpus;
        let world = World::new(Cage::new()?, self.kernel(), cpus, environment);
        let mut asked = as_libbpf_creates(def, map_type, cpus);
        if asked.max_entries == 0 && !has_no_entries(map_type) {
            asked.max_entries = 1;
        }
        match (type_def.create)(&world, &asked) {
            Ok(_) | Err(Errno::ENOMEM | Errno::ENOSPC) => Ok(()),
            Err(errno) => Err(refused(errno)),
        }
    }
}

/// Types whose maps belong to objects of the kernel, which bring the room for their values.
const fn has_no_entries(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::SkStorage
            | MapType::TaskStorage
            | MapType::InodeStorage
            | MapType::CgroupStorage
            | MapType::PercpuCgroupStorage
            | MapType::CgrpStorage
            | MapType::StructOps
    )
}
