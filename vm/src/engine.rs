//! The seam between programs and the engines that execute them.
//!
//! How the pieces go together:
//!
//! ```
//! use std::sync::Arc;
//! use ubpf_abi::{Kernel, prog_type::ProgType, program::{Program, SubprogId}};
//! use ubpf_vm::engine::{Call, Engine, Thread};
//! use ubpf_vm::interp::Interp;
//! use ubpf_vm::lower::{Target, lower};
//! use ubpf_vm::mem::Cage;
//! use ubpf_vm::registry::Registry;
//! use ubpf_vm::run::{Cpu, NoState};
//! use ubpf_vm::world::World;
//!
//! // Once a world: memory, maps (`registry.map_type_def(…).create`, then `world.add_map`).
//! let registry = Registry::new();
//! let world = World::new(Cage::new()?, Kernel::V6_18, 1, Box::new(()));
//!
//! // Once a program: lower it there, and have an engine make it ready.
//! let slots = ubpf_isa::assemble("r0 = r1; r0 += 2; exit".replace(';', "\n").as_str())?;
//! let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
//! let code = lower(&program, Target { registry: &registry, world: &world, maps: &[] })?;
//! let image = Interp.compile(Arc::new(code))?;
//!
//! // Once a thread: its stack. Then any number of runs, each with a `RunState` (that of the
//! // program type: `registry.prog_type_def(…).prepare`), whose `ctx()` goes into r1.
//! let mut thread = Thread::new(&world, Cpu(0))?;
//! let outcome = image.call(
//!     &mut thread,
//!     Call { world: &world, state: &mut NoState, func: SubprogId(0), args: [40, 0, 0, 0, 0] },
//! );
//! assert_eq!((outcome.result, outcome.insns), (Ok(42), 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program that others tail-call is added with [`World::add_prog`](crate::world::World::add_prog);
//! its [`ProgId`](crate::world::ProgId) is what goes into prog arrays, and [`Map::prog_at`](crate::map::Map::prog_at) is how
//! engines get it back. Programs of one array are made ready by one engine.

use crate::code::Code;
use crate::mem::{Elements, MemError, Region, RegionKind, RegionSpec, Windows};
use crate::run::{Cpu, Outcome, RunState};
use crate::world::World;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;
use ubpf_abi::limits::{MAX_CALL_FRAMES, STACK_BYTES};
use ubpf_abi::program::SubprogId;

/// Something that executes code.
pub trait Engine: Send + Sync {
    /// Its name, as users choose it.
    fn name(&self) -> &'static str;

    /// Makes a program ready to run.
    ///
    /// # Errors
    /// [`CompileError`] when the engine cannot.
    fn compile(&self, code: Arc<Code>) -> Result<Arc<dyn Image>, CompileError>;
}

/// Why an engine could not make a program ready.
#[derive(Debug, thiserror::Error)]
#[error("the {engine} engine cannot run this program")]
pub struct CompileError {
    /// Which engine.
    pub engine: &'static str,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A program made ready by an engine. It belongs to the world that its code was lowered in.
pub trait Image: Any + Send + Sync {
    /// What it was made from.
    fn code(&self) -> &Arc<Code>;

    /// Calls one of its functions and runs it to its end.
    fn call(&self, thread: &mut Thread, call: Call<'_>) -> Outcome;

    /// For the engine that made it.
    fn as_any(&self) -> &dyn Any;
}

/// A call from outside.
pub struct Call<'a> {
    /// The world that the image's code was lowered in.
    pub world: &'a World,
    /// The program type's state; for the entry function, `args[0]` is its
    /// [`ctx()`](RunState::ctx).
    pub state: &'a mut dyn RunState,
    /// Which function: 0 for the program, others for callbacks that come later, such as timers.
    pub func: SubprogId,
    /// `r1` to `r5`.
    pub args: [u64; 5],
}

/// Instructions that a run may execute where the host says nothing else: some seconds' worth.
pub const DEFAULT_BUDGET: u64 = 1 << 32;

/// What running takes beside the program: stack, CPU, budget. Made once and used for one run
/// after the other.
#[derive(Debug)]
pub struct Thread {
    stack: Region,
    windows: Windows,
    /// The CPU that programs run on.
    pub cpu: Cpu,
    /// Instructions that each run may execute; see [`Code`].
    pub budget: u64,
    /// When the next run is to end. The interpreter looks at the clock between slices of the
    /// budget; other engines do not.
    pub deadline: Option<Instant>,
    /// Whether somebody wants to know how many instructions a run executed, where the engine can
    /// do without counting them.
    pub counts: bool,
    /// The program that the last run trapped in, of which the trap's `pc` is: the one that was
    /// called, or one that it tail-called.
    pub trapped_in: Option<Arc<Code>>,
    /// What an engine keeps from run to run; for the engine that put it there.
    pub kept: Option<Box<dyn Any + Send>>,
}

/// Bytes from one frame to the next: between them lies as much that belongs to none, so that
/// running over a frame's end faults in checked code.
const FRAME_STRIDE: u32 = 2 * STACK_BYTES;

impl Thread {
    /// Allocates its stack in the world.
    ///
    /// # Errors
    /// [`MemError`] when there is no room.
    pub fn new(world: &World, cpu: Cpu) -> Result<Self, MemError> {
        let bytes = u64::from(FRAME_STRIDE) * MAX_CALL_FRAMES as u64;
        let spec = RegionSpec::new(bytes, RegionKind::Stack, "")
            .elements(Elements { stride: FRAME_STRIDE, bytes: STACK_BYTES });
        let stack = world.cage().alloc(spec)?;
        let outermost = stack.window(Self::frame_off(0), STACK_BYTES);
        let outermost = outermost.expect("the outermost frame lies in the stack");
        let windows = Windows::new(world.cage(), outermost);
        let budget = DEFAULT_BUDGET;
        let (deadline, trapped_in, kept) = (None, None, None);
        Ok(Self { stack, windows, cpu, budget, deadline, counts: false, trapped_in, kept })
    }

    /// Its stack, and the windows that it keeps from run to run.
    pub const fn memory(&mut self) -> (&Region, &mut Windows) {
        (&self.stack, &mut self.windows)
    }

    /// The memory of its frames.
    #[must_use]
    pub const fn stack(&self) -> &Region {
        &self.stack
    }

    /// Offset in [`Thread::stack`] of the first byte of a frame. The outermost, 0, lies highest.
    #[must_use]
    pub const fn frame_off(depth: u32) -> u32 {
        (MAX_CALL_FRAMES as u32 - 1).saturating_sub(depth) * FRAME_STRIDE
    }
}
