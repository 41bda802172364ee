//! What compiling costs.

use crate::time;
use std::hint::black_box;
use std::sync::Arc;
use ubpf::Jit;
use ubpf::vm::code::Code;
use ubpf::vm::engine::Engine;
use ubpf::vm::lower::{Target, lower};
use ubpf::vm::mem::Cage;
use ubpf::vm::world::World;
use ubpf_abi::Kernel;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::assemble;

/// Five instructions of which long programs are made.
const PIECE: &str =
    "r0 += r1\nr2 = *(u32 *)(r1 + 4)\nr0 ^= r2\nif r0 == 7 goto +1\n*(u64 *)(r10 - 8) = r0\n";

fn code(text: &str) -> Arc<Code> {
    let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, Box::new(()));
    let slots = assemble(text).expect("it assembles");
    let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
    let target = Target { registry: &ubpf::linux(), world: &world, maps: &[] };
    Arc::new(lower(&program, target).expect("it lowers"))
}

fn nanoseconds(code: &Arc<Code>, times: u32) -> f64 {
    let jit = Jit::new().expect("benchmarks run where there is a JIT");
    let compile = || drop(black_box(jit.compile(Arc::clone(code))));
    (0..5).map(|_| time(times, compile)).fold(f64::INFINITY, f64::min)
}

/// Prints the time that programs of several lengths take.
pub fn report() {
    let short = nanoseconds(&code("r0 = 0\nexit"), 200);
    println!("\ncompiling: {:.1} us for the shortest program, then", short / 1000.0);
    for pieces in [20, 200, 2_000, 20_000, 199_999] {
        let code = code(&(PIECE.repeat(pieces) + "exit"));
        let each = (nanoseconds(&code, 1) - short) / code.ops().len() as f64;
        println!("  {each:.1} ns an instruction, of {}", code.ops().len());
    }
}
