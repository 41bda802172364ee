//! One definition, two maps: ours in a world, and the kernel's with small programs that perform
//! the program side's operations on it.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use ubpf_abi::map::{MapDef, MapFlags, MapInit, MapType};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::{Errno, Kernel};
use ubpf_conformance::kernel::{KernelMap, Loaded, LogLevel, ProgLoad, TestInput, possible_cpus};
use ubpf_helpers::env::{EnvConfig, Environment};
use ubpf_isa::Slot;
use ubpf_vm::map::Map;
use ubpf_vm::mem::Cage;
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// A definition with these sizes and flags.
pub fn def(map_type: MapType, sizes: [u32; 3], flags: u32) -> MapDef {
    let [key_size, value_size, max_entries] = sizes;
    MapDef {
        name: "twin".into(),
        map_type: Ok(map_type),
        key_size,
        value_size,
        max_entries,
        flags: MapFlags(flags),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }
}

/// A world with as many CPUs as this machine.
pub fn world() -> World {
    let cage = Cage::new().expect("4 GiB of address space");
    let cpus = u32::try_from(possible_cpus()).expect("a number of CPUs");
    World::new(cage, Kernel::V6_18, cpus, Box::new(Environment::new(EnvConfig::default())))
}

/// Our map.
pub fn ours(world: &World, def: &MapDef) -> Result<Arc<dyn Map>, Errno> {
    let registry = ubpf_helpers::linux();
    let map_type = def.map_type.map_err(|_| Errno::EINVAL)?;
    let definition = registry.map_type_def(map_type).expect("a map type that is emulated");
    (definition.create)(world, def)
}

/// What programs do to maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgOp {
    Lookup,
    Update,
    Delete,
    Push,
    Pop,
    Peek,
}

/// Where the scratch value of the kernel's programs has what.
const KEY: usize = 0;
const VALUE: usize = 64;
const FLAGS: usize = 128;
const RESULT: usize = 136;
const SCRATCH_BYTES: u32 = 144;

/// The same map twice.
pub struct Twin {
    pub world: World,
    pub ours: Arc<dyn Map>,
    pub kernel: KernelMap,
    scratch: KernelMap,
    progs: Vec<(ProgOp, Loaded)>,
}

impl Twin {
    /// Makes both maps, and the programs for `ops`.
    pub fn new(def: &MapDef, ops: &[ProgOp]) -> Self {
        let world = world();
        let ours = ours(&world, def).expect("our map");
        let kernel = KernelMap::create(def, None).expect("the kernel's map");
        let scratch = self::def(MapType::Array, [4, SCRATCH_BYTES, 1], 0);
        let scratch = KernelMap::create(&scratch, None).expect("a scratch map");
        let progs = ops.iter().map(|&op| (op, program(op, &kernel, &scratch))).collect();
        Self { world, ours, kernel, scratch, progs }
    }

    /// Performs an operation as a program on CPU 0, in both; gives both results, and what
    /// look-ups found.
    pub fn prog(&self, op: ProgOp, key: &[u8], value: &[u8], flags: u64) -> [Answer; 2] {
        [self.prog_ours(op, key, value, flags), self.prog_kernel(op, key, value, flags)]
    }

    fn prog_ours(&self, op: ProgOp, key: &[u8], value: &[u8], flags: u64) -> Answer {
        let done = |result: Result<(), Errno>| Answer::of(result.map(|()| Vec::new()));
        let cpu = Cpu(0);
        match op {
            ProgOp::Lookup => {
                let found = self.ours.lookup(cpu, key).map(|addr| {
                    let len = self.ours.def().value_size;
                    self.world.cage().read_vec(addr, len).expect("a value is readable")
                });
                Answer::of(found.ok_or(Errno::ENOENT))
            }
            ProgOp::Update => done(self.ours.update(cpu, key, value, flags)),
            ProgOp::Delete => done(self.ours.delete(cpu, key)),
            ProgOp::Push => done(self.ours.push(value, flags)),
            ProgOp::Pop => Answer::of(self.ours.pop()),
            ProgOp::Peek => Answer::of(self.ours.peek(value)),
        }
    }

    fn prog_kernel(&self, op: ProgOp, key: &[u8], value: &[u8], flags: u64) -> Answer {
        let mut scratch = vec![0; SCRATCH_BYTES as usize];
        scratch[KEY..][..key.len()].copy_from_slice(key);
        scratch[VALUE..][..value.len()].copy_from_slice(value);
        scratch[FLAGS..][..8].copy_from_slice(&flags.to_le_bytes());
        self.scratch.update(&[0; 4], &scratch, 0).expect("the scratch value can be set");
        let (_, prog) = self.progs.iter().find(|(of, _)| *of == op).expect("a loaded program");
        let input = TestInput { data: &[0; 14], ..TestInput::default() };
        prog.test_run(&input).expect("the program runs");
        let scratch = self.scratch.lookup(&[0; 4]).expect("the scratch value").concat();
        let result = i64::from_le_bytes(scratch[RESULT..][..8].try_into().expect("8 bytes"));
        if result < 0 {
            return Answer::of(Err(Errno(u16::try_from(-result).expect("an error number"))));
        }
        let len = self.kernel.def().value_size as usize;
        Answer::of(Ok(match op {
            ProgOp::Lookup | ProgOp::Pop | ProgOp::Peek => scratch[VALUE..][..len].to_vec(),
            ProgOp::Update | ProgOp::Delete | ProgOp::Push => Vec::new(),
        }))
    }
}

/// What an operation gave: a value, empty where there is none to give, or an error number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Value(Vec<u8>),
    No(Errno),
}

impl Answer {
    pub fn of(result: Result<Vec<u8>, Errno>) -> Self {
        result.map_or_else(Self::No, Self::Value)
    }
}

/// The program that performs one operation with what is in the scratch value.
fn program(op: ProgOp, map: &KernelMap, scratch: &KernelMap) -> Loaded {
    let value_size = map.def().value_size;
    let call = match op {
        ProgOp::Lookup => format!(
            "r2 = r6
             call 1
             if r0 != 0 goto +2
             r0 = -2
             goto out
             r1 = r6
             r1 += {VALUE}
             r2 = {value_size}
             r3 = r0
             call 113"
        ),
        ProgOp::Update => format!(
            "r2 = r6
             r3 = r6
             r3 += {VALUE}
             r4 = *(u64 *)(r6 + {FLAGS})
             call 2"
        ),
        ProgOp::Delete => "r2 = r6\ncall 3".into(),
        ProgOp::Push => format!("r2 = r6\nr2 += {VALUE}\nr3 = *(u64 *)(r6 + {FLAGS})\ncall 87"),
        ProgOp::Pop => format!("r2 = r6\nr2 += {VALUE}\ncall 88"),
        ProgOp::Peek => format!("r2 = r6\nr2 += {VALUE}\ncall 89"),
    };
    let text = format!(
        "r6 = 0 ll
         r1 = 0 ll
         {call}
         out:
         *(u64 *)(r6 + {RESULT}) = r0
         r0 = 0
         exit"
    );
    let mut slots = ubpf_isa::assemble(&text).expect("the program's text");
    const PSEUDO_MAP_FD: u8 = 1;
    const PSEUDO_MAP_VALUE: u8 = 2;
    let mut point = |at: usize, src, map: &KernelMap| {
        let slot: &mut Slot = &mut slots[at];
        slot.src = src;
        slot.imm = map.as_fd().as_raw_fd();
    };
    point(0, PSEUDO_MAP_VALUE, scratch);
    point(2, PSEUDO_MAP_FD, map);
    let spec = ProgLoad {
        prog_type: ProgType::Xdp.id(),
        license: "GPL",
        slots: &slots,
        ..ProgLoad::default()
    };
    Loaded::load(&spec, LogLevel::Brief).unwrap_or_else(|refused| panic!("{op:?}: {refused}"))
}
