//! From a linked program to one that the kernel runs: maps created, symbols replaced.

use super::map::KernelMap;
use super::prog::{Loaded, LogLevel, ProgLoad, Refused, text};
use super::{ksyms, sys, types};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapId, MapInit, MapType, SlotTarget};
use ubpf_abi::object::{Extern, ExternKind, Object};
use ubpf_abi::program::Program;
use ubpf_isa::Slot;
use ubpf_loader::{btf, setup};

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
    /// The kernel lacks something that the object needs.
    #[error(transparent)]
    Setup(#[from] setup::SetupError),
    /// The kernel does not have a symbol that the program needs.
    #[error("the kernel has no symbol {0}")]
    MissingSymbol(String),
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
        Self::with_maps(defs, btf, KernelMap::create)
    }

    /// The world of an object as libbpf makes it: types that the kernel refuses are left out
    /// unless operations need them, and a map that cannot be created with its types is created
    /// without. Maps hold their initial contents, but nobody reads their events.
    ///
    /// # Errors
    /// What libbpf gives up on.
    pub fn like_libbpf(object: &Object) -> Result<Self, WorldError> {
        let btf = object.btf.as_deref().and_then(|types| btf::encode(types).ok());
        setup::check(object)?;
        let has_operations = object.maps.iter().any(|m| m.map_type == Ok(MapType::StructOps));
        let btf = match btf.as_deref().map(load_btf) {
            Some(Err(refused)) if has_operations => return Err(refused),
            other => other.and_then(Result::ok),
        };
        Self::with_maps(&object.maps, btf, |def, btf| KernelMap::like_libbpf(def, btf, object))
    }

    fn with_maps(
        defs: &[MapDef],
        btf: Option<OwnedFd>,
        create: impl Fn(&MapDef, Option<BorrowedFd<'_>>) -> Result<KernelMap, Errno>,
    ) -> Result<Self, WorldError> {
        let mut maps = Vec::with_capacity(defs.len());
        for def in defs {
            let map = create(def, btf.as_ref().map(AsFd::as_fd))
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
        self.load_as(program, 0, level)
    }

    /// The same with `BPF_F_*` flags beside those that the program's section asks for.
    ///
    /// # Errors
    /// As [`KernelWorld::load`].
    pub fn load_as(
        &self,
        program: &Program,
        more_flags: u32,
        level: LogLevel,
    ) -> Result<Loaded, WorldError> {
        let slots = self.resolve(program)?;
        let func_info: Vec<[u32; 2]> =
            program.subprogs.iter().filter_map(|s| Some([s.start.0, s.btf_func?.0])).collect();
        // The kernel wants an entry for every subprogram or none at all.
        let complete = func_info.len() == program.subprogs.len();
        let btf = self.btf.as_ref().filter(|_| complete).map(AsFd::as_fd);
        let spec = ProgLoad {
            prog_type: program.prog_type.id(),
            expected_attach_type: program.section.attach_type.0,
            prog_flags: flags(program) | more_flags,
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
        /// `imm` of calls of kernel functions that do not exist, to which libbpf adds an index.
        const MISSING_KFUNC: i32 = 2_002_000_000;
        let mut slots = program.slots.clone();
        let mut at = 0;
        while let Some(slot) = slots.get_mut(at) {
            let dangling = || WorldError::DanglingReference { slot: at };
            let (opcode, id) = (slot.opcode, slot.imm.cast_unsigned());
            match (opcode, slot.src) {
                (LD_IMM64, MAP_FD | MAP_VALUE) => {
                    let map = self.maps.get(MapId(id).index()).ok_or_else(dangling)?;
                    slot.imm = sys::raw(map.as_fd()).cast_signed();
                }
                (CALL, KFUNC) => {
                    let symbol = program.externs.get(id as usize).ok_or_else(dangling)?;
                    match target_id(symbol) {
                        Some(target) => slot.imm = target.cast_signed(),
                        // libbpf's mark of calls that must not be reached.
                        None if symbol.weak => {
                            (slot.src, slot.imm) = (0, MISSING_KFUNC.wrapping_add(slot.imm));
                        }
                        None => return Err(WorldError::MissingSymbol(symbol.name.clone())),
                    }
                }
                (LD_IMM64, BTF_ID) => {
                    let symbol = program.externs.get(id as usize).ok_or_else(dangling)?;
                    let typed = target_id(symbol);
                    let address = match symbol.kind {
                        ExternKind::Address => ksyms::address(&symbol.name),
                        _ => None,
                    };
                    if typed.is_none() && address.is_none() && !symbol.weak {
                        return Err(WorldError::MissingSymbol(symbol.name.clone()));
                    }
                    // A weak symbol that does not exist is at address 0.
                    let address = address.unwrap_or(0);
                    match typed {
                        Some(target) => slot.imm = target.cast_signed(),
                        None => (slot.src, slot.imm) = (0, (address as u32).cast_signed()),
                    }
                    if let (None, Some(high)) = (typed, slots.get_mut(at + 1)) {
                        high.imm = ((address >> 32) as u32).cast_signed();
                    }
                }
                _ => {}
            }
            at += if opcode == LD_IMM64 { 2 } else { 1 };
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
    let btf = &types::without_externs(btf);
    sys::btf_load(btf, &mut []).or_else(|_| {
        let mut log = vec![0; LOG_BYTES];
        sys::btf_load(btf, &mut log)
            .map_err(|errno| WorldError::Btf(Refused { errno, log: text(&log) }))
    })
}
