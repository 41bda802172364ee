//! Bare programs: code with `r1` = memory and `r2` = its length, and nothing else around it. What
//! instruction vectors, the public runner's plugin and the benchmarks run.

use std::sync::Arc;
use ubpf::vm::engine::{Call, CompileError, Engine, Image, Thread};
use ubpf::vm::interp::Interp;
use ubpf::vm::lower::{LowerError, Target, lower};
use ubpf::vm::mem::{Cage, Fault, MemError, Region, RegionKind, RegionSpec};
use ubpf::vm::run::{Cpu, NoState, Outcome};
use ubpf::vm::world::World;
use ubpf_abi::Kernel;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::Slot;

/// Why a bare program cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BareError {
    /// It is no program.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The engine does not take it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// There is no room for it and its memory.
    #[error(transparent)]
    Mem(#[from] MemError),
    /// Its memory cannot be filled.
    #[error("the memory cannot be accessed")]
    Fault(#[from] Fault),
}

/// A program without type, ready to run. Nothing is known of it, so every access is checked.
pub struct Bare {
    world: World,
    image: Arc<dyn Image>,
    thread: Thread,
    memory: Option<Region>,
}

impl Bare {
    /// Makes a program ready for the interpreter, with a copy of `memory`. Helpers are Linux's.
    ///
    /// # Errors
    /// [`BareError`] when it is no valid program.
    pub fn new(slots: Vec<Slot>, memory: &[u8]) -> Result<Self, BareError> {
        Self::on(&Interp, slots, memory)
    }

    /// The same for another engine.
    ///
    /// # Errors
    /// As [`Bare::new`].
    pub fn on(engine: &dyn Engine, slots: Vec<Slot>, memory: &[u8]) -> Result<Self, BareError> {
        let world = World::new(Cage::new()?, Kernel::V6_18, 1, Box::new(()));
        let program = Arc::new(Program::from_slots(ProgType::SocketFilter, slots));
        let registry = ubpf::linux();
        let code = lower(&program, Target { registry: &registry, world: &world, maps: &[] })?;
        let image = engine.compile(Arc::new(code))?;
        let thread = Thread::new(&world, Cpu(0))?;
        let memory = match memory {
            [] => None,
            bytes => {
                let spec = RegionSpec::new(bytes.len() as u64, RegionKind::Host, "memory");
                let region = world.cage().alloc(spec)?;
                region.write(0, bytes)?;
                Some(region)
            }
        };
        Ok(Self { world, image, thread, memory })
    }

    /// Runs it to its end.
    pub fn run(&mut self) -> Outcome {
        let memory = self.memory.as_ref();
        let args = memory.map_or([0; 2], |m| [u64::from(m.addr()), u64::from(m.len())]);
        let call = Call {
            world: &self.world,
            state: &mut NoState,
            func: SubprogId(0),
            args: [args[0], args[1], 0, 0, 0],
        };
        self.image.call(&mut self.thread, call)
    }

    /// The memory as the program left it.
    ///
    /// # Errors
    /// [`BareError::Fault`] when it cannot be read.
    pub fn memory(&self) -> Result<Vec<u8>, BareError> {
        Ok(match &self.memory {
            Some(region) => region.read_vec(0, region.len())?,
            None => Vec::new(),
        })
    }
}
