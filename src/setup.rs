//! An instance in the making: what libbpf does between opening an object and a program that can be
//! run.
//!
//! Maps are created and initialised, read-only data is frozen, programs that prog arrays refer to
//! are made ready as well. Maps that the program cannot reach may fail to exist.

use crate::engine::Engine;
use crate::error::InstantiateError;
use crate::module::Module;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use ubpf_abi::Errno;
use ubpf_abi::map::{DataSection, MapDef, MapId, MapInit, MapType, SlotTarget};
use ubpf_abi::program::Program;
use ubpf_isa::{Imm64, Insn, decode_all};
use ubpf_vm::code::Code;
use ubpf_vm::engine::Image;
use ubpf_vm::lower::{Target, lower, lower_verified};
use ubpf_vm::map::Map;
use ubpf_vm::mem::GuestAddr;
use ubpf_vm::registry::Registry;
use ubpf_vm::world::{ProgId, World};

/// A program by its name, with its number where a prog array refers to it.
type Images = BTreeMap<String, (Option<ProgId>, Arc<dyn Image>)>;

/// A map of an instance, and the address that its programs know it by.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) map: Arc<dyn Map>,
    addr: GuestAddr,
}

/// What an instance consists of, beside its world.
pub(crate) struct Made {
    /// Maps by their [`MapId`]; those that nothing refers to may not exist.
    pub(crate) maps: Vec<Option<Placed>>,
    /// The program.
    pub(crate) image: Arc<dyn Image>,
}

/// An instance in the making.
pub(crate) struct Setup<'a> {
    engine: &'a Engine,
    registry: &'a Registry,
    module: &'a Module,
    world: &'a World,
    /// Maps by their [`MapId`].
    maps: Vec<Option<Placed>>,
    /// Their addresses.
    addrs: Vec<Option<GuestAddr>>,
    /// Which of them were there before.
    kept: BTreeSet<usize>,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(engine: &'a Engine, module: &'a Module, world: &'a World) -> Self {
        let (maps, addrs, kept) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { engine, registry: engine.registry(), module, world, maps, addrs, kept }
    }

    /// The maps and the program, with the maps of `before` where they are the same.
    pub(crate) fn make(mut self, before: &[Option<Placed>]) -> Result<Made, InstantiateError> {
        let programs = self.reachable()?;
        self.create_maps(&programs, before)?;
        let mut images = self.images(&programs)?;
        self.init_maps(&images)?;
        let image = images.remove(&self.module.program().name).map(|(_, image)| image);
        let image = image.ok_or(InstantiateError::TooManyPrograms(Errno::ENOENT))?;
        Ok(Made { maps: self.maps, image })
    }

    fn defs(&self) -> &[MapDef] {
        &self.module.program().maps
    }

    /// The program, and all that it can get to by tail calls through initialised prog arrays.
    fn reachable(&self) -> Result<BTreeMap<String, Arc<Program>>, InstantiateError> {
        let entry = self.module.program();
        let mut programs = BTreeMap::from([(entry.name.clone(), Arc::clone(entry))]);
        let mut pending = vec![Arc::clone(entry)];
        while let Some(program) = pending.pop() {
            for map in maps_of(&program) {
                let Some(MapDef { name: map, init: MapInit::Slots(slots), .. }) =
                    self.defs().get(map.index())
                else {
                    continue;
                };
                for (_, target) in slots {
                    let SlotTarget::Prog(name) = target else { continue };
                    if programs.contains_key(name) {
                        continue;
                    }
                    let linked = Arc::new(self.link(name, map)?);
                    programs.insert(name.clone(), Arc::clone(&linked));
                    pending.push(linked);
                }
            }
        }
        Ok(programs)
    }

    fn link(&self, name: &str, map: &str) -> Result<Program, InstantiateError> {
        let object = self.module.object();
        ubpf_loader::find_program(object, Some(name))
            .and_then(|index| {
                ubpf_loader::link(object, index, Some(self.module.program().prog_type))
            })
            .map_err(|source| InstantiateError::LinkSlot {
                name: name.to_owned(),
                map: map.to_owned(),
                source,
            })
    }

    /// Creates all maps; those that no program refers to where that is possible.
    fn create_maps(
        &mut self,
        programs: &BTreeMap<String, Arc<Program>>,
        before: &[Option<Placed>],
    ) -> Result<(), InstantiateError> {
        let needed = self.needed(programs);
        for index in 0..self.defs().len() {
            let Some(def) = self.defs().get(index) else { break };
            let same = before.iter().flatten().find(|placed| keeps(def, placed.map.def()));
            let placed = match same {
                Some(placed) => {
                    self.kept.insert(index);
                    Some(placed.clone())
                }
                None => match self.create(def) {
                    Ok(placed) => Some(placed),
                    Err(e) if needed.iter().any(|id| id.index() == index) => return Err(e),
                    Err(_) => None,
                },
            };
            self.addrs.push(placed.as_ref().map(|placed| placed.addr));
            self.maps.push(placed);
        }
        Ok(())
    }

    fn create(&self, def: &MapDef) -> Result<Placed, InstantiateError> {
        let unknown =
            || InstantiateError::MapType { name: def.name.clone(), map_type: def.map_type };
        let map_type = def.map_type.map_err(|_| unknown())?;
        let type_def = self.registry.map_type_def(map_type).ok_or_else(unknown)?;
        let def = as_libbpf_creates(def, map_type, self.world.cpus());
        (type_def.create)(self.world, &def)
            .and_then(|map| Ok(Placed { addr: self.world.add_map(Arc::clone(&map))?, map }))
            .map_err(|source| InstantiateError::CreateMap {
                name: def.name.clone(),
                map_type,
                key_size: def.key_size,
                value_size: def.value_size,
                max_entries: def.max_entries,
                source,
            })
    }

    /// Makes all programs ready. Those in prog arrays get numbers.
    fn images(
        &self,
        programs: &BTreeMap<String, Arc<Program>>,
    ) -> Result<Images, InstantiateError> {
        let in_slots = |name: &str| {
            self.defs().iter().any(|def| match &def.init {
                MapInit::Slots(slots) => slots
                    .iter()
                    .any(|(_, target)| matches!(target, SlotTarget::Prog(n) if n == name)),
                MapInit::Empty | MapInit::Data { .. } => false,
            })
        };
        let mut images = Images::new();
        for (name, program) in programs {
            let code = self.lower(program)?;
            let image = self.engine.executor().compile(Arc::new(code))?;
            let id = in_slots(name)
                .then(|| self.world.add_prog(Arc::clone(&image)))
                .transpose()
                .map_err(InstantiateError::TooManyPrograms)?;
            images.insert(name.clone(), (id, image));
        }
        Ok(images)
    }

    /// Lowers a program as far trusted as the module is. Of the programs that it can tail-call,
    /// those that use what the verifier does not model run checked.
    fn lower(&self, program: &Arc<Program>) -> Result<Code, InstantiateError> {
        let target = Target { registry: self.registry, world: self.world, maps: &self.addrs };
        let failed = |source| InstantiateError::Lower { program: Arc::clone(program), source };
        let Some(entry) = self.module.verified() else {
            return lower(program, target).map_err(failed);
        };
        let mode = self.engine.mode();
        if Arc::ptr_eq(program, entry.program()) {
            return lower_verified(entry, target, mode).map_err(failed);
        }
        match self.engine.verify_program(program) {
            Ok(verified) => lower_verified(&verified, target, mode).map_err(failed),
            Err(rejection) if rejection.is_unsupported() => lower(program, target).map_err(failed),
            Err(source) => Err(InstantiateError::Rejected { program: Arc::clone(program), source }),
        }
    }

    /// Gives maps the contents that the object says.
    fn init_maps(&self, images: &Images) -> Result<(), InstantiateError> {
        let fresh = self.maps.iter().enumerate().filter(|(index, _)| !self.kept.contains(index));
        for (index, placed) in fresh {
            let (Some(def), Some(Placed { map, .. })) = (self.defs().get(index), placed) else {
                continue;
            };
            self.init_map(def, &**map, images)
                .map_err(|source| InstantiateError::InitMap { name: def.name.clone(), source })?;
        }
        Ok(())
    }

    fn init_map(&self, def: &MapDef, map: &dyn Map, images: &Images) -> Result<(), Errno> {
        match &def.init {
            MapInit::Empty => Ok(()),
            MapInit::Data { section, bytes } => {
                map.user_update(&0_u32.to_le_bytes(), bytes, 0)?;
                match section {
                    DataSection::Rodata | DataSection::Kconfig => map.freeze(),
                    _ => Ok(()),
                }
            }
            MapInit::Slots(slots) => slots.iter().try_for_each(|(index, target)| {
                let key = index.to_le_bytes();
                match target {
                    SlotTarget::Prog(name) => match images.get(name) {
                        Some((Some(ProgId(id)), _)) => map.user_update(&key, &id.to_le_bytes(), 0),
                        // A prog array that no program of this instance refers to.
                        _ => Ok(()),
                    },
                    SlotTarget::Map(id) => match self.addrs.get(id.index()).copied().flatten() {
                        Some(inner) => map.user_set_map(self.world, &key, inner, 0),
                        // It could not be created, and no program of this instance needs it.
                        None => Ok(()),
                    },
                }
            }),
        }
    }

    /// The maps that instructions of these programs refer to, and those in their slots.
    fn needed(&self, programs: &BTreeMap<String, Arc<Program>>) -> BTreeSet<MapId> {
        let mut needed: BTreeSet<MapId> = programs.values().flat_map(|p| maps_of(p)).collect();
        for id in needed.clone() {
            if let Some(MapInit::Slots(slots)) = self.defs().get(id.index()).map(|def| &def.init) {
                needed.extend(slots.iter().filter_map(|(_, target)| match target {
                    SlotTarget::Map(id) => Some(*id),
                    SlotTarget::Prog(_) => None,
                }));
            }
        }
        needed
    }
}

/// Whether a map goes on as what a newer object defines. What the object fills does not.
fn keeps(new: &MapDef, old: &MapDef) -> bool {
    let shape = |def: &MapDef| (def.map_type, def.key_size, def.value_size, def.flags);
    let sizes_agree = new.max_entries == 0 || new.max_entries == old.max_entries;
    new.name == old.name
        && shape(new) == shape(old)
        && sizes_agree
        && matches!((&new.init, &old.init), (MapInit::Empty, MapInit::Empty))
}

/// The maps that a program's instructions refer to.
fn maps_of(program: &Program) -> impl Iterator<Item = MapId> {
    decode_all(&program.slots).filter_map(|(_, insn)| match insn {
        Ok(Insn::LdImm64 { imm: Imm64::MapFd(id) | Imm64::MapValue { fd: id, .. }, .. }) => {
            Some(MapId(id.cast_unsigned()))
        }
        _ => None,
    })
}

/// The definition with what libbpf puts in when it creates the map: sizes that depend on the
/// machine.
pub(crate) fn as_libbpf_creates(def: &MapDef, map_type: MapType, cpus: u32) -> MapDef {
    const PAGE_BYTES: u32 = 4096;
    let mut def = def.clone();
    match map_type {
        MapType::PerfEventArray if def.max_entries == 0 => def.max_entries = cpus,
        MapType::Ringbuf | MapType::UserRingbuf => {
            let bytes = def.max_entries.max(1);
            let pages = bytes.div_ceil(PAGE_BYTES).checked_next_power_of_two();
            let adjusted = pages.and_then(|pages| pages.checked_mul(PAGE_BYTES));
            def.max_entries = adjusted.unwrap_or(def.max_entries);
        }
        _ => {}
    }
    def
}
