//! Nanoseconds a run, beside the interpreter and rbpf's JIT on the same bytes.
//!
//! `cargo bench -p ubpf-jit`. Rounds of the engines alternate and the fastest round of each
//! counts; the cost of an empty call is taken off. rbpf's JIT checks no accesses and counts no
//! instructions.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use ubpf_abi::Kernel;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::{Slot, assemble};
use ubpf_jit::Jit;
use ubpf_vm::call::CallCx;
use ubpf_vm::code::Code;
use ubpf_vm::engine::{Call, Engine, Image, Thread};
use ubpf_vm::helper;
use ubpf_vm::interp::Interp;
use ubpf_vm::lower::{Target, lower};
use ubpf_vm::mem::{Cage, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::{HelperDef, Registry};
use ubpf_vm::run::{Cpu, NoState};
use ubpf_vm::world::World;

/// Bytes of memory that programs get in `r1`.
const MEMORY: usize = 1024;
const ROUNDS: u32 = 20;

const PROGRAMS: &[(&str, &str)] = &[
    ("lcg", include_str!("programs/lcg.bpf")),
    ("divmod", include_str!("programs/divmod.bpf")),
    ("copy", include_str!("programs/copy.bpf")),
    ("checksum", include_str!("programs/checksum.bpf")),
    ("hash", include_str!("programs/hash.bpf")),
    ("search", include_str!("programs/search.bpf")),
    ("stack", include_str!("programs/stack.bpf")),
    ("bytes", include_str!("programs/bytes.bpf")),
    ("calls", include_str!("programs/calls.bpf")),
    ("states", include_str!("programs/states.bpf")),
];

const ADD: HelperDef = helper!(100 add, since 6.18, "Adds.");
fn add(_: &mut CallCx<'_>, a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

const HELPER_CALLS: u32 = 64;

struct Bench {
    registry: Registry,
    world: World,
    thread: Thread,
    memory: Region,
}

impl Bench {
    fn new() -> Self {
        let mut registry = Registry::new();
        registry.add_helper(ADD);
        let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, Box::new(()));
        let thread = Thread::new(&world, Cpu(0)).expect("a stack");
        let spec = RegionSpec::new(MEMORY as u64, RegionKind::Host, "memory");
        let memory = world.cage().alloc(spec).expect("memory");
        Self { registry, world, thread, memory }
    }

    fn code(&self, slots: &[Slot]) -> Arc<Code> {
        let program = Arc::new(Program::from_slots(ProgType::Xdp, slots.to_vec()));
        let target = Target { registry: &self.registry, world: &self.world, maps: &[] };
        Arc::new(lower(&program, target).expect("benchmark programs lower"))
    }

    fn run(&mut self, image: &dyn Image) -> (u64, u64) {
        let args = [self.memory.addr().into(), 0, 0, 0, 0];
        let (world, func) = (&self.world, SubprogId(0));
        let call = Call { world, state: &mut NoState, func, args };
        let outcome = image.call(&mut self.thread, call);
        (outcome.result.expect("benchmark programs do not trap"), outcome.insns)
    }
}

/// Nanoseconds for one of `times` calls.
fn time(times: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

/// Nanoseconds of one run.
#[derive(Clone, Copy)]
struct Times {
    insns: u64,
    interp: f64,
    jit: f64,
    /// Where rbpf can run the program.
    rbpf: f64,
}

impl Times {
    fn without(self, empty: Self) -> Self {
        Self {
            insns: self.insns,
            interp: self.interp - empty.interp,
            jit: self.jit - empty.jit,
            rbpf: self.rbpf - empty.rbpf,
        }
    }
}

fn measure(bench: &mut Bench, slots: &[Slot], bytes: &mut [u8], times: u32) -> Times {
    let code = bench.code(slots);
    let jit = Jit::new().expect("benchmarks run where there is a JIT");
    let interpreted = Interp.compile(Arc::clone(&code)).expect("the interpreter takes everything");
    let compiled = jit.compile(code).expect("the JIT takes everything");
    let raw: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let mut rbpf = rbpf::EbpfVmRaw::new(Some(&raw)).expect("rbpf takes the program");
    rbpf.register_helper(100, |a, b, _, _, _| a.wrapping_add(b)).expect("rbpf takes helpers");
    rbpf.jit_compile().expect("rbpf compiles the program");
    let (result, insns) = bench.run(&*interpreted);
    assert_eq!(bench.run(&*compiled), (result, insns));
    let mut best = Times { insns, interp: f64::MAX, jit: f64::MAX, rbpf: f64::MAX };
    for _ in 0..ROUNDS {
        best.jit = best.jit.min(time(times, || {
            black_box(bench.run(&*compiled));
        }));
        best.interp = best.interp.min(time(times.div_ceil(4), || {
            black_box(bench.run(&*interpreted));
        }));
        best.rbpf = best.rbpf.min(time(times, || {
            let theirs = run_rbpf(&rbpf, bytes);
            assert_eq!(theirs, result);
        }));
    }
    best
}

/// rbpf's compiled code is called through an unsafe function, because nothing is checked.
#[allow(unsafe_code)]
fn run_rbpf(rbpf: &rbpf::EbpfVmRaw<'_>, bytes: &mut [u8]) -> u64 {
    // SAFETY: the benchmark programs access only the memory that they are given.
    unsafe { rbpf.execute_program_jit(bytes) }.expect("rbpf runs the program")
}

fn main() {
    let mut bench = Bench::new();
    let mut bytes: Vec<u8> = (0..MEMORY).map(|n| (n * 31 % 251) as u8).collect();
    bench.memory.write(0, &bytes).expect("memory is writable");

    let empty = assemble("r0 = 0\nexit").expect("assembles");
    let empty = measure(&mut bench, &empty, &mut bytes, 20_000);
    println!(
        "empty call: jit {:.1} ns, rbpf {:.1} ns, interpreter {:.1} ns",
        empty.jit, empty.rbpf, empty.interp
    );
    let calls = format!("{}exit", "r1 = 1\nr2 = 2\ncall 100\n".repeat(HELPER_CALLS as usize));
    let calls = assemble(&calls).expect("assembles");
    let calls = measure(&mut bench, &calls, &mut bytes, 2_000).without(empty);
    let each = |ns| ns / f64::from(HELPER_CALLS);
    println!(
        "helper call: jit {:.2} ns, rbpf {:.2} ns, interpreter {:.2} ns",
        each(calls.jit),
        each(calls.rbpf),
        each(calls.interp)
    );
    compile_time(&bench);

    println!();
    println!(
        "{:10} {:>7} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "program", "insns", "jit ns", "rbpf ns", "int ns", "jit/rbpf", "int/jit"
    );
    let (mut against_rbpf, mut against_interp) = (0.0, 0.0);
    for (name, text) in PROGRAMS {
        let slots = assemble(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let Times { insns, interp, jit, rbpf } =
            measure(&mut bench, &slots, &mut bytes, 300).without(empty);
        against_rbpf += (jit / rbpf).ln();
        against_interp += (interp / jit).ln();
        println!(
            "{name:10} {insns:7} {jit:8.0} {rbpf:8.0} {interp:8.0} {:9.2} {:9.1}",
            jit / rbpf,
            interp / jit
        );
    }
    let mean = |sum: f64| (sum / PROGRAMS.len() as f64).exp();
    println!("{:10} {:43.2} {:9.1}", "geomean", mean(against_rbpf), mean(against_interp));
}

/// Of a long straight program and of the shortest one.
fn compile_time(bench: &Bench) {
    let jit = Jit::new().expect("benchmarks run where there is a JIT");
    let text =
        "r0 += r1\nr2 = *(u32 *)(r1 + 4)\nr0 ^= r2\nif r0 == 7 goto +1\n*(u64 *)(r10 - 8) = r0\n";
    let long = bench.code(&assemble(&(text.repeat(2000) + "exit")).expect("assembles"));
    let short = bench.code(&assemble("r0 = 0\nexit").expect("assembles"));
    let best = |code: &Arc<Code>, times| {
        let compile = || drop(black_box(jit.compile(Arc::clone(code))));
        (0..ROUNDS).map(|_| time(times, compile)).fold(f64::MAX, f64::min)
    };
    let (fixed, total) = (best(&short, 200), best(&long, 5));
    let each = (total - fixed) / (long.ops().len() - short.ops().len()) as f64;
    println!("compile: {:.1} us, and {each:.0} ns an instruction", fixed / 1000.0);
}
