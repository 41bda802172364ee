//! Equal worlds, one for each engine and mode, whose every visible effect is compared.

use std::sync::{Arc, Mutex};
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapOp, MapType};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::{Facts, InsnFacts, Region as ProvedRegion, Verified};
use ubpf_abi::{Errno, Kernel, Trap};
use ubpf_isa::{Size, Slot, assemble};
use ubpf_jit::Jit;
use ubpf_vm::call::{CallCx, Callback, MemWrite, arg::callback};
use ubpf_vm::code::MemMode;
use ubpf_vm::engine::{Call, Engine, Image, Thread};
use ubpf_vm::helper;
use ubpf_vm::interp::Interp;
use ubpf_vm::lower::{LowerError, Target, lower, lower_verified};
use ubpf_vm::map::Map;
use ubpf_vm::mem::{Cage, GuestAddr, Perm, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::{HelperDef, Registry};
use ubpf_vm::run::{Cpu, CtxStoreError, InputError, Outcome, Output, RunState};
use ubpf_vm::world::{ProgId, World};

const ADD_THREE: HelperDef = helper!(100 add_three, since 6.18, "Adds.");
fn add_three(_: &mut CallCx<'_>, a: u64, b: u64, c: u64) -> u64 {
    a.wrapping_add(b).wrapping_add(c)
}

const FILL: HelperDef = helper!(101 fill, since 6.18, "Fills memory with sevens.");
fn fill(cx: &mut CallCx<'_>, mem: MemWrite) -> Result<(), Trap> {
    mem.write(cx, &vec![7; mem.len() as usize]).map_err(|e| cx.fault(e))
}

const REPEAT: HelperDef = helper!(102 repeat, since 6.18, "Calls back until told to stop.");
fn repeat(
    cx: &mut CallCx<'_>,
    n: u64,
    body: Callback<callback::Loop>,
    data: u64,
) -> Result<u64, Trap> {
    for index in 0..n {
        if body.call(cx, [index, data, 0, 0, 0])? != 0 {
            return Ok(index + 1);
        }
    }
    Ok(n)
}

const PANIC: HelperDef = helper!(103 panic, since 6.18, "Breaks.");
fn panic(_: &mut CallCx<'_>) -> u64 {
    panic!("a helper broke")
}

const TAIL_CALL: HelperDef = HelperDef {
    body: None,
    ..helper!(
        12 tail_call, since 4.2, "Another program.", map_op: Some(MapOp::TailCall),
    )
};
fn tail_call(_: &mut CallCx<'_>, _ctx: u64, _map: u64, _index: u64) -> u64 {
    0
}

/// A prog array with one slot.
struct OneProg {
    def: MapDef,
    prog: Mutex<Option<ProgId>>,
}

impl OneProg {
    fn new() -> Arc<Self> {
        let def = MapDef {
            name: String::from("progs"),
            map_type: Ok(MapType::ProgArray),
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            flags: MapFlags::default(),
            extra: 0,
            numa_node: 0,
            pin_by_name: false,
            key_type: None,
            value_type: None,
            inner: None,
            init: MapInit::Empty,
        };
        Arc::new(Self { def, prog: Mutex::new(None) })
    }
}

impl Map for OneProg {
    fn def(&self) -> &MapDef {
        &self.def
    }
    fn lookup(&self, _: Cpu, _: &[u8]) -> Option<GuestAddr> {
        None
    }
    fn update(&self, _: Cpu, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn delete(&self, _: Cpu, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn keys(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn next_key(&self, _: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_lookup(&self, _: &[u8], _: u64) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_update(&self, _: &[u8], _: &[u8], _: u64) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn user_delete(&self, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn freeze(&self) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
    fn prog_at(&self, index: u32) -> Option<ProgId> {
        if index == 0 { *self.prog.lock().unwrap() } else { None }
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A context of 16 bytes whose first 8 may be written, adding one, and a packet of four bytes.
struct Hooked {
    ctx: Region,
}

impl RunState for Hooked {
    fn ctx(&self) -> GuestAddr {
        self.ctx.addr()
    }
    fn ctx_store(
        &mut self,
        _: &World,
        off: u32,
        size: u32,
        value: u64,
    ) -> Result<(), CtxStoreError> {
        if off >= 8 || size != 4 {
            return Err(CtxStoreError);
        }
        self.ctx.store(off, (value as u32).wrapping_add(1)).map_err(|_| CtxStoreError)
    }
    fn load_packet(&mut self, _: &World, off: i32, size: Size) -> Option<u32> {
        let end = off.checked_add(size.bytes() as i32)?;
        (off >= 0 && end <= 4).then(|| (off as u32 + 10) << (8 * (size.bytes() - 1)))
    }
    fn finish(&mut self, _: &World, _: u64) -> Result<Output, InputError> {
        Ok(Output::default())
    }
    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// Bytes of the memory that programs get in `r1`.
pub const MEMORY_BYTES: u32 = 64;

/// A world, and an engine that runs in it.
struct Side {
    engine: Box<dyn Engine>,
    world: World,
    thread: Thread,
    maps: Vec<Option<GuestAddr>>,
    slot: Arc<OneProg>,
    state: Hooked,
    memory: Region,
    odd: Region,
    read_only: Region,
    /// How programs are lowered that are taken to be verified.
    trusted: Option<MemMode>,
}

/// The program as if it had been verified, with all of its accesses proved.
#[allow(unsafe_code)]
fn trusted(program: &Arc<Program>) -> Verified {
    let fact = InsnFacts { region: ProvedRegion::Memory, ..InsnFacts::NOTHING };
    let insns = vec![fact; program.slots.len()];
    // Nobody need count.
    let facts = Facts { insns, max_insns: Some(0), ..Facts::default() };
    // SAFETY: programs run like this only on inputs on which checked code did not trap.
    unsafe { Verified::assume(Arc::clone(program), facts) }
}

impl Side {
    fn new(engine: Box<dyn Engine>, cage: &Arc<Cage>, trusted: Option<MemMode>) -> Self {
        let world = World::new(Arc::clone(cage), Kernel::V6_18, 1, Box::new(()));
        let slot = OneProg::new();
        let maps = vec![Some(world.add_map(Arc::clone(&slot) as Arc<dyn Map>).unwrap())];
        let thread = Thread::new(&world, Cpu(0)).unwrap();
        let alloc =
            |bytes, kind, perm| cage.alloc(RegionSpec::new(bytes, kind, "").perm(perm)).unwrap();
        let state = Hooked { ctx: alloc(16, RegionKind::Context, Perm::Hooked) };
        let memory = alloc(MEMORY_BYTES.into(), RegionKind::Host, Perm::ReadWrite);
        let odd = alloc(13, RegionKind::Host, Perm::ReadWrite);
        let read_only = alloc(24, RegionKind::Host, Perm::Read);
        Self { engine, world, thread, maps, slot, state, memory, odd, read_only, trusted }
    }

    fn image(&self, registry: &Registry, slots: &[Slot]) -> Result<Arc<dyn Image>, LowerError> {
        let program = Arc::new(Program::from_slots(ProgType::Xdp, slots.to_vec()));
        let target = Target { registry, world: &self.world, maps: &self.maps };
        let code = Arc::new(match self.trusted {
            Some(mode) => lower_verified(&trusted(&program), target, mode)?,
            None => lower(&program, target)?,
        });
        Ok(self.engine.compile(code).expect("the engine takes every program"))
    }

    fn run(&mut self, image: &dyn Image, input: &Input) -> Seen {
        self.memory.write(0, &input.memory).unwrap();
        self.odd.write(0, &input.memory[..13]).unwrap();
        self.read_only.write(0, &input.memory[..24]).unwrap();
        self.state.ctx.write(0, &input.memory[..16]).unwrap();
        let stack = self.thread.stack();
        stack.fill(0, stack.len(), 0xa5).unwrap();
        self.thread.budget = input.budget;
        let args = [
            u64::from(self.memory.addr()),
            self.odd.addr().into(),
            self.state.ctx.addr().into(),
            self.read_only.addr().into(),
            input.arg,
        ];
        let (world, func) = (&self.world, SubprogId(0));
        let call = Call { world, state: &mut self.state, func, args };
        let outcome = image.call(&mut self.thread, call);
        let all = |region: &Region| region.read_vec(0, region.len()).unwrap();
        let stack = all(self.thread.stack());
        let trapped_in = self.thread.trapped_in.as_ref().map(|code| code.program().slots.clone());
        Seen {
            outcome,
            trapped_in,
            memory: all(&self.memory),
            odd: all(&self.odd),
            ctx: all(&self.state.ctx),
            stack,
        }
    }
}

/// What a run is given.
#[derive(Clone, Debug)]
pub struct Input {
    pub memory: [u8; MEMORY_BYTES as usize],
    pub arg: u64,
    pub budget: u64,
}

impl Default for Input {
    fn default() -> Self {
        Self { memory: core::array::from_fn(|n| n as u8 + 1), arg: 0, budget: 1 << 20 }
    }
}

/// All that a run leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub outcome: Outcome,
    pub trapped_in: Option<Vec<Slot>>,
    pub memory: Vec<u8>,
    pub odd: Vec<u8>,
    pub ctx: Vec<u8>,
    /// All frames.
    pub stack: Vec<u8>,
}

/// Both engines.
pub struct Both {
    registry: Registry,
    interp: Side,
    jit: Side,
    /// Compiled code that trusts accesses, in each mode.
    trusting: Vec<Side>,
    /// Whether it counts ops.
    counts: bool,
}

impl Both {
    pub fn new() -> Self {
        let mut registry = Registry::new();
        for def in [ADD_THREE, FILL, REPEAT, PANIC, TAIL_CALL] {
            registry.add_helper(def);
        }
        let side = |engine, trusted| Side::new(engine, &Cage::new().unwrap(), trusted);
        let jit = || Box::new(Jit::new().expect("the tests run where there is a JIT"));
        let (interp, jit) = (side(Box::new(Interp), None), side(jit(), None));
        Self { registry, interp, jit, trusting: Vec::new(), counts: false }
    }

    /// The same with code that trusts accesses, for programs that read nothing that they did not
    /// write.
    pub fn with_trusting() -> Self {
        let side = |mode| {
            let jit = Jit::new().expect("the tests run where there is a JIT");
            Side::new(Box::new(jit), &Cage::new().unwrap(), Some(mode))
        };
        Self { trusting: [MemMode::Caged, MemMode::Proved].map(side).into(), ..Self::new() }
    }

    /// What the program in the array's slot is from now on.
    pub fn set_tail(&self, text: &str) {
        let slots = assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        for side in [&self.interp, &self.jit].into_iter().chain(&self.trusting) {
            let image = side.image(&self.registry, &slots).unwrap();
            let id = side.world.add_prog(image).unwrap();
            *side.slot.prog.lock().unwrap() = Some(id);
        }
    }

    /// Runs a program on inputs with both engines, which must agree. Nothing for slots that are
    /// no program.
    pub fn run(&mut self, slots: &[Slot], inputs: &[Input]) -> Result<Vec<Seen>, LowerError> {
        let interpreted = self.interp.image(&self.registry, slots)?;
        let compiled = self.jit.image(&self.registry, slots)?;
        let registry = &self.registry;
        let trusting: Vec<_> =
            self.trusting.iter().map(|side| side.image(registry, slots)).collect();
        self.counts = !self.counts;
        let mut run = |input: &Input| {
            let expected = self.interp.run(&*interpreted, input);
            let seen = self.jit.run(&*compiled, input);
            assert_eq!(seen, expected, "compiled against interpreted");
            // Stores to the context are not what they seem.
            let is_good = expected.outcome.result.is_ok() && expected.ctx == input.memory[..16];
            for (side, image) in self.trusting.iter_mut().zip(&trusting) {
                let Some(image) = image.as_ref().ok().filter(|_| is_good) else { continue };
                side.thread.counts = self.counts;
                let mut seen = side.run(&**image, input);
                if !self.counts {
                    seen.outcome.insns = expected.outcome.insns;
                }
                assert_eq!(seen, expected, "compiled, {:?}, against interpreted", side.trusted);
            }
            seen
        };
        Ok(inputs.iter().map(&mut run).collect())
    }

    pub fn text(&mut self, text: &str) -> Outcome {
        self.text_on(text, Input::default())
    }

    pub fn text_on(&mut self, text: &str, input: Input) -> Outcome {
        let slots = assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        self.run(&slots, &[input]).unwrap_or_else(|e| panic!("{e}"))[0].outcome
    }

    /// Runs a program with the JIT only.
    pub fn jit_alone(&mut self, text: &str) -> Outcome {
        let slots = assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
        let image = self.jit.image(&self.registry, &slots).unwrap();
        self.jit.run(&*image, &Input::default()).outcome
    }
}
