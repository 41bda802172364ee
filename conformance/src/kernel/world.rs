//! From a linked program to one that the kernel runs: maps created, symbols replaced.

use super::map::KernelMap;
use super::prog::{Loaded, LogLevel, ProgLoad, Refused, text};
use super::sys;
use std::os::fd::{AsFd, OwnedFd};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapId, MapInit, SlotTarget};
use ubpf_abi::object::{Extern, ExternKind};
use ubpf_abi::program::Program;
use ubpf_isa::Slot;

/// Why a program did not get into the kernel.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The kernel did not create a map.
    #[error("the kernel does not create the map {name}: {errno}")]
    Map {
        /// The map's name.
        name: String,
        /// Its answer.
        errno: Errno,
    },
    /// The kernel refused the object's type information.
    #[error("the kernel refuses the object's BTF: {}", .0.errno)]
    Btf(Refused),
    /// The kernel refused the program.
    #[error(transparent)]
    Prog(#[from] Refused),
    /// An instruction refers to a map or extern that the program does not list.
    #[error("the wide load or call in slot {slot} refers to nothing the kernel has")]
    DanglingReference {
        /// Where.
        slot: usize,
    },
}

/// The maps of one object in the kernel, and its type information.
pub struct KernelWorld {
    maps: Vec<KernelMap>,
    btf: Option<OwnedFd>,
}

impl KernelWorld {
    /// Creates every map with its initial contents. `btf` is the object's, encoded; without it,
    /// programs with callbacks or global functions cannot be loaded.
    ///
    /// # Errors
    /// The first map, or the BTF, that the kernel refuses.
    pub fn create(defs: &[MapDef], btf: Option<&[u8]>) -> Result<Self, WorldError> {
        let btf = btf.map(load_btf).transpose()?;
        let mut maps = Vec::with_capacity(defs.len());
        for def in defs {
            let map = KernelMap::create(def, btf.as_ref().map(AsFd::as_fd))
                .map_err(|errno| WorldError::Map { name: def.name.clone(), errno })?;
            maps.push(map);
        }
        let world = Self { maps, btf };
        world.fill_map_slots()?;
        Ok(world)
    }

    /// Puts inner maps into the slots that the object initialises.
    fn fill_map_slots(&self) -> Result<(), WorldError> {
        for map in &self.maps {
            let MapInit::Slots(slots) = &map.def().init else {
                continue;
            };
            for (index, target) in slots {
                let SlotTarget::Map(inner) = target else {
                    continue;
                };
                let Some(inner) = self.maps.get(inner.index()) else {
                    continue;
                };
                map.set_slot(*index, inner.as_fd())
                    .map_err(|errno| WorldError::Map { name: map.def().name.clone(), errno })?;
            }
        }
        Ok(())
    }

    /// The maps, in the object's order.
    #[must_use]
    pub fn maps(&self) -> &[KernelMap] {
        &self.maps
    }

    /// The maps, to take their events.
    pub fn maps_mut(&mut self) -> &mut [KernelMap] {
        &mut self.maps
    }

    /// The map with this name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&KernelMap> {
        self.maps.iter().find(|m| m.def().name == name)
    }

    /// Loads a program whose maps are this world's.
    ///
    /// # Errors
    /// The kernel's refusal, with its log at the level asked for.
    pub fn load(&self, program: &Program, level: LogLevel) -> Result<Loaded, WorldError> {
        let slots = self.resolve(program)?;
        let func_info: Vec<[u32; 2]> =
            program.subprogs.iter().filter_map(|s| Some([s.start.0, s.btf_func?.0])).collect();
        // The kernel wants an entry for every subprogram or none at all.
        let complete = func_info.len() == program.subprogs.len();
        let btf = self.btf.as_ref().filter(|_| complete).map(AsFd::as_fd);
        let spec = ProgLoad {
            prog_type: program.prog_type as u32,
            expected_attach_type: program.section.attach_type.0,
            prog_flags: flags(program),
            attach_btf_id: program.attach_btf_id().map_or(0, |id| id.0),
            name: &program.name,
            license: &program.license,
            slots: &slots,
            btf,
            func_info: if btf.is_some() { &func_info } else { &[] },
            ..ProgLoad::default()
        };
        Ok(Loaded::load(&spec, level)?)
    }

    /// The program's slots with descriptors and BTF ids in the place of its own symbols.
    fn resolve(&self, program: &Program) -> Result<Vec<Slot>, WorldError> {
        /// Opcode of a wide load, and the `src` values whose `imm` names something.
        const LD_IMM64: u8 = 0x18;
        const MAP_FD: u8 = 1;
        const MAP_VALUE: u8 = 2;
        const BTF_ID: u8 = 3;
        /// Opcode of a call, and the `src` value of kernel functions.
        const CALL: u8 = 0x85;
        const KFUNC: u8 = 2;
        let mut slots = program.slots.clone();
        let mut at = 0;
        while let Some(slot) = slots.get_mut(at) {
            let dangling = || WorldError::DanglingReference { slot: at };
            let id = slot.imm.cast_unsigned();
            match (slot.opcode, slot.src) {
                (LD_IMM64, MAP_FD | MAP_VALUE) => {
                    let map = self.maps.get(MapId(id).index()).ok_or_else(dangling)?;
                    slot.imm = sys::raw(map.as_fd()).cast_signed();
                }
                (LD_IMM64, BTF_ID) | (CALL, KFUNC) => {
                    let symbol = program.externs.get(id as usize).ok_or_else(dangling)?;
                    match target_id(symbol) {
                        Some(target) => slot.imm = target.cast_signed(),
                        // A weak variable that does not exist reads as address 0.
                        None if symbol.weak && slot.opcode == LD_IMM64 => {
                            (slot.src, slot.imm) = (0, 0);
                        }
                        None => return Err(dangling()),
                    }
                }
                _ => {}
            }
            at += if slot.opcode == LD_IMM64 { 2 } else { 1 };
        }
        Ok(slots)
    }
}

/// The kernel's BTF id of an extern, where it has one.
fn target_id(symbol: &Extern) -> Option<u32> {
    match symbol.kind {
        ExternKind::Kfunc { target, .. } | ExternKind::Var { target, .. } => Some(target?.0),
        _ => None,
    }
}

/// `prog_flags` from what the section's name says.
fn flags(program: &Program) -> u32 {
    const F_SLEEPABLE: u32 = 1 << 4;
    const F_XDP_HAS_FRAGS: u32 = 1 << 5;
    let sleepable = if program.section.sleepable { F_SLEEPABLE } else { 0 };
    sleepable | if program.section.frags { F_XDP_HAS_FRAGS } else { 0 }
}

fn load_btf(btf: &[u8]) -> Result<OwnedFd, WorldError> {
    const LOG_BYTES: usize = 1 << 20;
    sys::btf_load(btf, &mut []).or_else(|_| {
        let mut log = vec![0; LOG_BYTES];
        sys::btf_load(btf, &mut log)
            .map_err(|errno| WorldError::Btf(Refused { errno, log: text(&log) }))
    })
}
