//! `BPF_MAP_TYPE_DEVMAP`, and what both kinds of device maps have in common.
//!
//! A value is a device's index and, in the longer form, the number of a program to run there
//! (`struct bpf_devmap_val`). Such programs are not emulated: a value that names one is refused.

use super::cells::Cells;
use super::create;
use super::flags::Mode;
use super::guard::{Guarded, Storage};
use super::index::{index, index_below, next_index};
use crate::env::Environment;
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags, MapOp, MapType, MapTypeDecl};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::MapTypeDef;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The definition.
pub const DEF: MapTypeDef = MapTypeDef {
    decl: MapTypeDecl {
        map_type: MapType::Devmap,
        doc: "Net devices by index.",
        ops: OPS,
        direct_value: false,
        special_fields: false,
    },
    create,
};

/// What programs may do with device maps.
pub(super) const OPS: &[MapOp] = &[MapOp::Redirect, MapOp::Lookup];

fn create(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let def = &checked(def)?;
    let storage = Devmap { devices: Devices::of(world), cells: Cells::new(world, def)? };
    Ok(Guarded::map(def, storage))
}

/// Checks a definition of a device map, and makes its values read-only to programs.
///
/// # Errors
/// `EINVAL`.
pub(super) fn checked(def: &MapDef) -> Result<MapDef, Errno> {
    if def.max_entries == 0 || def.key_size != 4 || !matches!(def.value_size, 4 | 8) {
        return Err(Errno::EINVAL);
    }
    create::check_flags(def, MapFlags::NUMA_NODE | create::USER_ACCESS)?;
    create::check_no_extra(def)?;
    let mut def = def.clone();
    def.flags.0 |= MapFlags::RDONLY_PROG;
    Ok(def)
}

/// Indices of the devices that can be named.
pub(super) struct Devices(Box<[u32]>);

/// What a value names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// No device.
    Nothing,
    /// This one.
    Device(u32),
}

impl Named {
    /// The value as it is stored: without a program.
    pub(super) fn value(ifindex: u32, value_size: usize) -> Vec<u8> {
        let mut value = ifindex.to_le_bytes().to_vec();
        value.resize(value_size, 0);
        value
    }
}

impl Devices {
    /// Those of the world's environment.
    pub(super) fn of(world: &World) -> Self {
        let devices = world.environment::<Environment>().map(Environment::devices);
        Self(devices.unwrap_or_default().iter().map(|device| device.ifindex).collect())
    }

    /// What a value names.
    ///
    /// # Errors
    /// `EINVAL` for a device that does not exist, and for a program.
    pub(super) fn parse(&self, value: &[u8]) -> Result<Named, Errno> {
        let (ifindex, prog) = value.split_at_checked(4).ok_or(Errno::EINVAL)?;
        let ifindex = index(ifindex).ok_or(Errno::EINVAL)?;
        let names_prog = index(prog).is_some_and(|fd| fd.cast_signed() > 0);
        if names_prog || (ifindex != 0 && !self.0.contains(&ifindex)) {
            return Err(Errno::EINVAL);
        }
        Ok(if ifindex == 0 { Named::Nothing } else { Named::Device(ifindex) })
    }
}

struct Devmap {
    devices: Devices,
    cells: Cells,
}

impl Storage for Devmap {
    fn lookup(&self, _cpu: Cpu, key: &[u8]) -> Option<GuestAddr> {
        self.cells.addr(key)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.cells.len())
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.cells.keys())
    }

    fn fetch(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        self.cells.fetch(key)
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        let mode = Mode::parse(flags)?;
        let index = index_below(key, self.cells.len()).ok_or(Errno::E2BIG)?;
        mode.check(true)?;
        match self.devices.parse(value)? {
            Named::Nothing => self.cells.set(index, None),
            Named::Device(ifindex) => {
                self.cells.set(index, Some(&Named::value(ifindex, value.len())))
            }
        }
    }

    fn remove(&self, key: &[u8]) -> Result<(), Errno> {
        self.cells.remove(key)
    }
}
