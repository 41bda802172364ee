//! Which maps the code may name at all, before anything is known of its paths.

use crate::reason::{CallReason, MapUseReason, Reason, ShapeReason};
use std::collections::BTreeSet;
use ubpf_abi::limits;
use ubpf_abi::map::{MapDef, MapId, MapType};
use ubpf_abi::platform::Platform;
use ubpf_abi::program::Program;
use ubpf_isa::Imm64;

/// Offsets in values from which on the kernel gives up.
const MAX_OFF: u32 = 1 << 29;

/// The maps that the code has named so far.
#[derive(Debug, Default)]
pub struct UsedMaps {
    ids: BTreeSet<MapId>,
    /// A cgroup storage, and a per-CPU one.
    storages: [bool; 2],
}

impl UsedMaps {
    /// Judges what a wide load names, if it is a map.
    ///
    /// # Errors
    /// The rule that the map breaks.
    pub fn check(
        &mut self,
        program: &Program,
        platform: &dyn Platform,
        imm: Imm64,
    ) -> Result<(), Reason> {
        let (fd, off) = match imm {
            Imm64::MapFd(fd) => (fd, None),
            Imm64::MapValue { fd, off } => (fd, Some(off)),
            _ => return Ok(()),
        };
        let id = u32::try_from(fd).map(MapId).map_err(|_| CallReason::NoMap(fd))?;
        let def = program.maps.get(id.index()).ok_or(CallReason::NoMap(fd))?;
        if self.ids.insert(id) {
            if self.ids.len() > limits::MAX_USED_MAPS {
                return Err(ShapeReason::TooManyMaps(limits::MAX_USED_MAPS).into());
            }
            self.fits(def)?;
        }
        off.map_or(Ok(()), |off| check_address(platform, def, off))
    }

    /// Whether a program can use such a map beside those that it named before.
    fn fits(&mut self, def: &MapDef) -> Result<(), Reason> {
        let Ok(map_type) = def.map_type else { return Ok(()) };
        if map_type == MapType::StructOps {
            return Err(MapUseReason::StructOps.into());
        }
        let kinds = [MapType::CgroupStorage, MapType::PercpuCgroupStorage];
        for (seen, kind) in self.storages.iter_mut().zip(kinds) {
            if kind == map_type && std::mem::replace(seen, true) {
                return Err(MapUseReason::SecondStorage.into());
            }
        }
        Ok(())
    }
}

/// The address of a byte in a map's only value.
fn check_address(platform: &dyn Platform, def: &MapDef, off: u32) -> Result<(), Reason> {
    if off >= MAX_OFF {
        return Err(MapUseReason::AddressTooFar(off).into());
    }
    // In an arena every offset has an address, as long as it is inside.
    if def.map_type == Ok(MapType::Arena) {
        return Ok(());
    }
    let direct = def.map_type.ok().and_then(|t| platform.map_type(t));
    if !direct.is_some_and(|d| d.direct_value) {
        return Err(CallReason::NoDirectValue.into());
    }
    let value_size = def.value_size;
    if def.max_entries != 1 {
        return Err(MapUseReason::AddressOfMany { value_size, off }.into());
    }
    if off >= value_size {
        return Err(CallReason::DirectValueRange { value_size, off }.into());
    }
    Ok(())
}
