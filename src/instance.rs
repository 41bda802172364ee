//! Instances: a program in a world of its own, with its maps and memory.
//!
//! What libbpf does between opening an object and a program that can be run, this does here: maps
//! are created and initialised, read-only data is frozen, programs that prog arrays refer to
//! are made ready as well. Maps that the program cannot reach may fail to exist.

use crate::engine::Engine;
use crate::error::{InstantiateError, RunError, Trapped};
use crate::module::Module;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ubpf_abi::map::{DataSection, MapDef, MapId, MapInit, MapType, SlotTarget};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_helpers::env::{self, Environment, KernelTypes, Redirect};
use ubpf_isa::{Imm64, Insn, decode_all};
use ubpf_vm::code::Code;
use ubpf_vm::engine::{Call, Image, Thread};
use ubpf_vm::interp;
use ubpf_vm::lower::{Target, lower, lower_verified};
use ubpf_vm::map::Map;
use ubpf_vm::mem::{Cage, GuestAddr};
use ubpf_vm::registry::{ProgTypeDef, Registry};
use ubpf_vm::run::{Cpu, Input, Output, RunState};
use ubpf_vm::world::{ProgId, World};

/// A program in its world. Maps keep their contents from run to run.
pub struct Instance {
    world: World,
    maps: Vec<Option<Arc<dyn Map>>>,
    prog_type: ProgTypeDef,
    image: Arc<dyn Image>,
    thread: Thread,
    engine_name: &'static str,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Return value, packet and context, as test-run reports them.
    pub output: Output,
    /// All 64 bits that the program returned, the last time.
    pub r0: u64,
    /// Instructions executed, the last time.
    pub insns: u64,
    /// Time that all repetitions took together, of which the last, where it is not the only one,
    /// is taken to be like the others.
    pub elapsed: Duration,
    /// How often the program ran.
    pub repeat: u32,
    /// Where the program last wanted its packet sent. That it returned the verdict which does
    /// so, it does not say.
    pub redirect: Option<Redirect>,
}

impl Outcome {
    /// Nanoseconds that one repetition took on average.
    #[must_use]
    pub fn mean_ns(&self) -> u64 {
        let mean = self.elapsed / self.repeat.max(1);
        u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A record that a program sent to user space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The perf event array or ring buffer it was sent through.
    pub map: String,
    /// The CPU it was sent from.
    pub cpu: u32,
    /// The record.
    pub data: Vec<u8>,
}

/// Why programs of this type cannot be run.
fn not_run(registry: &Registry, prog_type: ProgType) -> InstantiateError {
    if registry.prog_type(prog_type).is_some() {
        InstantiateError::NotRun(prog_type)
    } else {
        InstantiateError::ProgType { prog_type, since: prog_type.since() }
    }
}

impl Instance {
    pub(crate) fn new(engine: &Engine, module: &Module) -> Result<Self, InstantiateError> {
        let program = module.program();
        let prog_type = *engine
            .registry()
            .prog_type_def(program.prog_type)
            .ok_or_else(|| not_run(engine.registry(), program.prog_type))?;
        let mut config = engine.environment().clone();
        if config.types.btf().is_none() {
            let known = engine.target_btf().or(module.object().btf.as_ref());
            config.types = KernelTypes::new(known.cloned());
        }
        config.program_types = config.program_types.or_else(|| module.object().btf.clone());
        let cpus = config.cpus;
        let environment = Box::new(Environment::new(config));
        let world = World::new(Cage::new()?, engine.kernel(), cpus, environment);
        let mut setup = Setup {
            engine,
            registry: engine.registry(),
            module,
            world: &world,
            maps: Vec::new(),
            addrs: Vec::new(),
        };
        let programs = setup.reachable()?;
        setup.create_maps(&programs)?;
        let images = setup.images(&programs)?;
        setup.init_maps(&images)?;
        let maps = setup.maps;
        let image = images.get(&program.name).map(|(_, image)| Arc::clone(image));
        let image = image.ok_or(InstantiateError::TooManyPrograms(Errno::ENOENT))?;
        let mut thread = Thread::new(&world, Cpu(0))?;
        if let Some(budget) = engine.budget() {
            thread.budget = budget;
        }
        let engine_name = engine.executor().name();
        Ok(Self { world, maps, prog_type, image, thread, engine_name })
    }

    /// Runs the program once.
    ///
    /// # Errors
    /// The input is refused as `BPF_PROG_TEST_RUN` would, or the program traps.
    pub fn run(&mut self, input: &Input) -> Result<Outcome, RunError> {
        self.run_repeated(input, 1)
    }

    /// Runs the program so many times on the same packet and context, which keep what the program
    /// changed, as test-run's `repeat` does. 0 counts as 1.
    ///
    /// # Errors
    /// As [`Instance::run`].
    pub fn run_repeated(&mut self, input: &Input, repeat: u32) -> Result<Outcome, RunError> {
        let repeat = repeat.max(1);
        let world = &self.world;
        let mut state = (self.prog_type.prepare)(world, input)?;
        let (mut r0, mut insns) = (0, 0);
        let start = Instant::now();
        let mut elapsed = None;
        for repetition in 0..repeat {
            if repetition > 0 {
                state.next_repetition(world)?;
            }
            // Counting takes time, so of several repetitions the last is counted and not timed.
            self.thread.counts = repetition + 1 == repeat;
            if self.thread.counts && repeat > 1 {
                elapsed = Some(start.elapsed() * repeat / (repeat - 1));
            }
            let args = [state.ctx().into(), 0, 0, 0, 0];
            let call = Call { world, state: &mut *state, func: SubprogId(0), args };
            let outcome = self.image.call(&mut self.thread, call);
            insns = outcome.insns;
            r0 = match outcome.result {
                Err(trap) if trap.kind == TrapKind::Thrown => {
                    let call = Catch { world, state: &mut *state, cookie: trap.info };
                    call.r0(&*self.image, &mut self.thread)
                }
                result => result,
            }
            .map_err(|trap| self.trapped(trap))?;
        }
        let elapsed = elapsed.unwrap_or_else(|| start.elapsed());
        let output = state.finish(world, r0)?;
        let redirect = env::of(world).take_redirect();
        Ok(Outcome { output, r0, insns, elapsed, repeat, redirect })
    }

    /// Describes a trap while the run's memory is still there.
    fn trapped(&self, trap: Trap) -> Trapped {
        env::of(&self.world).take_redirect();
        let code = self.thread.trapped_in.as_ref().unwrap_or_else(|| self.image.code());
        let near = trap.addr().and_then(|addr| self.world.cage().describe(addr));
        let disproved = trap.kind == TrapKind::Disproved;
        let claim = disproved.then(|| interp::claimed(code, trap.pc, trap.size)).flatten();
        Trapped { trap, program: Arc::clone(code.program()), near, claim }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        self.image.code().program()
    }

    /// The program as the engine runs it.
    #[must_use]
    pub fn image(&self) -> &Arc<dyn Image> {
        &self.image
    }

    /// The program's type.
    #[must_use]
    pub const fn prog_type(&self) -> &ProgTypeDef {
        &self.prog_type
    }

    /// The name of the engine that runs it.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.engine_name
    }

    /// The world it runs in.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The maps that were created, in the object's order.
    pub fn maps(&self) -> impl Iterator<Item = &dyn Map> {
        self.maps.iter().flatten().map(|map| &**map)
    }

    /// The map of this name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&dyn Map> {
        self.maps().find(|map| map.def().name == name)
    }

    /// Takes the records that were sent through perf and ring buffers; each buffer's are in
    /// order.
    #[must_use]
    pub fn drain_events(&self) -> Vec<Event> {
        self.maps()
            .flat_map(|map| {
                let events = map.drain_events().into_iter();
                events.map(|event| Event {
                    map: map.def().name.clone(),
                    cpu: event.cpu,
                    data: event.data,
                })
            })
            .collect()
    }

    /// Takes what the program printed, a text for each call.
    #[must_use]
    pub fn drain_trace(&self) -> Vec<String> {
        let lines = env::of(&self.world).drain_trace();
        lines
            .iter()
            .map(|line| {
                let text = String::from_utf8_lossy(line);
                text.strip_suffix('\n').unwrap_or(&text).to_owned()
            })
            .collect()
    }
}

/// What becomes of an exception: the program's own callback makes the result, or the cookie is it.
struct Catch<'a> {
    world: &'a World,
    state: &'a mut dyn RunState,
    cookie: u64,
}

impl Catch<'_> {
    fn r0(self, image: &dyn Image, thread: &mut Thread) -> Result<u64, Trap> {
        let Some(func) = exception_callback(image.code().program()) else {
            return Ok(self.cookie);
        };
        let args = [self.cookie, 0, 0, 0, 0];
        image.call(thread, Call { world: self.world, state: self.state, func, args }).result
    }
}

/// The subprogram that a declaration tag of the main one names as its callback for exceptions.
fn exception_callback(program: &Program) -> Option<SubprogId> {
    let btf = program.btf.as_deref()?;
    let main = program.subprogs.first()?.btf_func?;
    let name = btf.decl_tags(main, None).find_map(|tag| tag.strip_prefix("exception_callback:"))?;
    let at = program.subprogs.iter().position(|subprog| subprog.name == name)?;
    u32::try_from(at).ok().map(SubprogId)
}

/// A program by its name, with its number where a prog array refers to it.
type Images = BTreeMap<String, (Option<ProgId>, Arc<dyn Image>)>;

/// An instance in the making.
struct Setup<'a> {
    engine: &'a Engine,
    registry: &'a Registry,
    module: &'a Module,
    world: &'a World,
    /// Maps by their [`MapId`].
    maps: Vec<Option<Arc<dyn Map>>>,
    /// Their addresses.
    addrs: Vec<Option<GuestAddr>>,
}

impl Setup<'_> {
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
    ) -> Result<(), InstantiateError> {
        let needed = self.needed(programs);
        for index in 0..self.defs().len() {
            let Some(def) = self.defs().get(index) else { break };
            let created = self.create(def);
            let (map, addr) = match created {
                Ok((map, addr)) => (Some(map), Some(addr)),
                Err(e) if needed.iter().any(|id| id.index() == index) => return Err(e),
                Err(_) => (None, None),
            };
            self.maps.push(map);
            self.addrs.push(addr);
        }
        Ok(())
    }

    fn create(&self, def: &MapDef) -> Result<(Arc<dyn Map>, GuestAddr), InstantiateError> {
        let unknown =
            || InstantiateError::MapType { name: def.name.clone(), map_type: def.map_type };
        let map_type = def.map_type.map_err(|_| unknown())?;
        let type_def = self.registry.map_type_def(map_type).ok_or_else(unknown)?;
        let def = as_libbpf_creates(def, map_type, self.world.cpus());
        (type_def.create)(self.world, &def)
            .and_then(|map| Ok((Arc::clone(&map), self.world.add_map(map)?)))
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
        for (def, map) in self.defs().iter().zip(&self.maps) {
            let Some(map) = map else { continue };
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
fn as_libbpf_creates(def: &MapDef, map_type: MapType, cpus: u32) -> MapDef {
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
