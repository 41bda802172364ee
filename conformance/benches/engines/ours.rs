//! Our own engines on a program of the object.

use crate::{Column, Contestant, packet, time};
use std::hint::black_box;
use std::sync::Arc;
use ubpf::Jit;
use ubpf::platform::env::{EnvConfig, Environment};
use ubpf::vm::code::{Code, MemMode};
use ubpf::vm::engine::{Call, Engine, Image, Thread};
use ubpf::vm::interp::Interp;
use ubpf::vm::lower::{Target, lower, lower_verified};
use ubpf::vm::map::Map;
use ubpf::vm::mem::{Cage, GuestAddr};
use ubpf::vm::registry::Registry;
use ubpf::vm::run::{Cpu, Input, RunState};
use ubpf::vm::world::World;
use ubpf_abi::Kernel;
use ubpf_abi::object::Object;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_verifier::{Options, verify};

/// Which engine, and how far it trusts the program's accesses.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    Proved,
    Caged,
    Checked,
    Interp,
}

/// Reads the object.
pub fn load(bytes: &[u8]) -> Arc<Object> {
    let object = ubpf_loader::load(bytes, &ubpf_loader::LoadOptions::default());
    Arc::new(object.expect("the object of the comparison loads"))
}

/// Links a program.
pub fn link(object: &Object, name: &str) -> Arc<Program> {
    let index = ubpf_loader::find_program(object, Some(name)).expect("the program exists");
    Arc::new(ubpf_loader::link(object, index, None).expect("the program links"))
}

/// A world of its own, with one program.
pub struct Ours {
    column: Column,
    world: World,
    image: Arc<dyn Image>,
    thread: Thread,
    state: Box<dyn RunState>,
    args: [u64; 5],
}

impl Ours {
    pub fn new(object: &Object, name: &str, mode: Mode) -> Self {
        let program = link(object, name);
        let registry = ubpf::linux();
        let environment = Box::new(Environment::new(EnvConfig::default()));
        let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, environment);
        let maps = maps(&registry, &world, &program);
        let code = Arc::new(lowered(&program, &registry, &world, &maps, mode));
        let image = match mode {
            Mode::Interp => Interp.compile(code),
            _ => Jit::new().expect("benchmarks run where there is a JIT").compile(code),
        };
        let image = image.expect("the engine takes the program");
        let thread = Thread::new(&world, Cpu(0)).expect("a stack");
        let state = state(&registry, &world, &program);
        let column = match mode {
            Mode::Proved => Column::Proved,
            Mode::Caged => Column::Caged,
            Mode::Checked => Column::Checked,
            Mode::Interp => Column::Interp,
        };
        let args = [state.ctx().into(), 0, 0, 0, 0];
        Self { column, world, image, thread, state, args }
    }

    fn call(&mut self) -> u64 {
        let (world, func) = (&self.world, SubprogId(0));
        let call = Call { world, state: &mut *self.state, func, args: self.args };
        self.image.call(&mut self.thread, call).result.expect("the program does not trap")
    }
}

impl Contestant for Ours {
    fn column(&self) -> Column {
        self.column
    }

    fn result(&mut self) -> u32 {
        self.call() as u32
    }

    fn run(&mut self, times: u32) -> f64 {
        time(times, || {
            black_box(self.call());
        })
    }
}

fn maps(registry: &Registry, world: &World, program: &Program) -> Vec<Option<GuestAddr>> {
    let create = |def: &ubpf_abi::map::MapDef| {
        let type_def = registry.map_type_def(def.map_type.ok()?)?;
        let map: Arc<dyn Map> = (type_def.create)(world, def).ok()?;
        if def.name == "hash" || def.name == "lru" {
            for key in 0..64_u32 {
                map.user_update(&key.to_le_bytes(), &[0; 8], 0).expect("there is room");
            }
        }
        world.add_map(map).ok()
    };
    program.maps.iter().map(create).collect()
}

fn lowered(
    program: &Arc<Program>,
    registry: &Registry,
    world: &World,
    maps: &[Option<GuestAddr>],
    mode: Mode,
) -> Code {
    let target = Target { registry, world, maps };
    let mode = match mode {
        Mode::Checked | Mode::Interp => return lower(program, target).expect("it lowers"),
        Mode::Caged => MemMode::Caged,
        Mode::Proved => MemMode::Proved,
    };
    let verdict = verify(program, registry, &Options::default()).verdict;
    let verified = verdict.unwrap_or_else(|e| panic!("{}: {e}", program.name));
    lower_verified(&verified, target, mode).expect("it lowers")
}

fn state(registry: &Registry, world: &World, program: &Program) -> Box<dyn RunState> {
    let def = registry.prog_type_def(program.prog_type).expect("XDP is emulated");
    let input = Input { data: packet(), ..Input::default() };
    (def.prepare)(world, &input).expect("test-run takes the packet")
}
