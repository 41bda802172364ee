//! Instances: a program in a world of its own, with its maps and memory.

use crate::engine::Engine;
use crate::error::{HostFailure, InstantiateError, NoSuchMap, Panicked, RunError, Trapped};
use crate::map::MapHandle;
use crate::module::Module;
use crate::setup::{Made, Placed, Setup};
use crate::timers;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::{Trap, TrapKind};
use ubpf_helpers::env::{self, Environment, KernelTypes, Redirect};
use ubpf_vm::engine::{Call, Image, Thread};
use ubpf_vm::interp;
use ubpf_vm::map::Map;
use ubpf_vm::mem::Cage;
use ubpf_vm::registry::{ProgTypeDef, Registry};
use ubpf_vm::run::{Cpu, Input, Output, RunState};
use ubpf_vm::world::World;

/// A program in its world. Maps keep their contents from run to run.
pub struct Instance {
    world: World,
    maps: Vec<Option<Placed>>,
    prog_type: ProgTypeDef,
    image: Arc<dyn Image>,
    thread: Thread,
    /// Time that a run may take.
    time: Option<Duration>,
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
    pub(crate) fn new(
        engine: &Engine,
        module: &Module,
        host: Box<dyn Any + Send + Sync>,
    ) -> Result<Self, InstantiateError> {
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
        let cage = Cage::new()?;
        if let Some(bytes) = engine.memory_limit() {
            cage.set_limit(bytes);
        }
        let world = World::new(cage, engine.kernel(), cpus, environment).with_host(host);
        let Made { maps, image } = Setup::new(engine, module, &world).make(&[])?;
        let mut thread = Thread::new(&world, Cpu(0))?;
        if let Some(budget) = engine.budget() {
            thread.budget = budget;
        }
        let engine_name = engine.executor().name();
        let time = engine.deadline();
        Ok(Self { world, maps, prog_type, image, thread, time, engine_name })
    }

    /// Goes on with another program, such as a newer build of the one before, on the same maps: those
    /// that both have, of the same name, type and sizes, keep their contents and what was
    /// inserted; the others, and global data, begin anew. What the instance had before stays as
    /// it is when this fails.
    ///
    /// Maps and programs that are not used any more take memory until the instance goes.
    ///
    /// # Errors
    /// As [`Engine::instantiate`], and when the module is of another program type.
    pub fn reload(&mut self, engine: &Engine, module: &Module) -> Result<(), InstantiateError> {
        let (now, new) = (self.program().prog_type, module.program().prog_type);
        if now != new {
            return Err(InstantiateError::ReloadType { now, new });
        }
        let made = Setup::new(engine, module, &self.world).make(&self.maps)?;
        (self.maps, self.image) = (made.maps, made.image);
        self.engine_name = engine.executor().name();
        Ok(())
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
        self.thread.deadline = self.time.and_then(|time| start.checked_add(time));
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
            let (image, thread, state) = (&*self.image, &mut self.thread, &mut *state);
            let call = || {
                let call = Call { world, state: &mut *state, func: SubprogId(0), args };
                let outcome = image.call(thread, call);
                let result = match outcome.result {
                    Err(trap) if trap.kind == TrapKind::Thrown => {
                        Catch { world, state, cookie: trap.info }.r0(image, thread)
                    }
                    result => result,
                };
                let result = result.and_then(|r0| {
                    timers::call_due(world, image, thread)?;
                    Ok(r0)
                });
                (result, outcome.insns)
            };
            // What a panic may have left half done is the host's own: helpers of ours do not
            // panic, and maps and memory are as programs that trap leave them.
            let (result, executed) = catch_unwind(AssertUnwindSafe(call)).map_err(Panicked::new)?;
            insns = executed;
            r0 = result.map_err(|trap| self.ended(trap))?;
        }
        let elapsed = elapsed.unwrap_or_else(|| start.elapsed());
        let output = state.finish(world, r0)?;
        let redirect = env::of(world).take_redirect();
        Ok(Outcome { output, r0, insns, elapsed, repeat, redirect })
    }

    /// Why the run ended, with the host's own error where it was one of its helpers.
    fn ended(&self, trap: Trap) -> RunError {
        let trapped = self.trapped(trap);
        match self.world.take_failure() {
            Some(source) if trap.kind == TrapKind::HostError => {
                RunError::Host(HostFailure { trapped, source })
            }
            _ => RunError::Trap(trapped),
        }
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
        self.maps.iter().flatten().map(|placed| &*placed.map)
    }

    /// What the host gave the instance for its helpers, as the type it has.
    #[must_use]
    pub fn host<T: Any>(&self) -> Option<&T> {
        self.world.host()
    }

    /// The map of this name, to be read and filled.
    ///
    /// # Errors
    /// [`NoSuchMap`] names those that there are.
    pub fn open_map(&self, name: &str) -> Result<MapHandle<'_>, NoSuchMap> {
        self.map(name).map(MapHandle::new).ok_or_else(|| NoSuchMap {
            name: name.to_owned(),
            have: self.maps().map(|map| map.def().name.clone()).collect(),
        })
    }

    /// The map of this name, as helpers and bpf(2) see it.
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
