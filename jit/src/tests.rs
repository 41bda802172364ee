//! Every memory mode, on programs whose accesses are all good: the modes that trust a verifier
//! are not offered to anybody yet, so only these tests reach them.

use crate::compile_as;
use std::sync::Arc;
use ubpf_abi::Kernel;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::assemble;
use ubpf_vm::code::MemMode;
use ubpf_vm::engine::{Call, Engine, Image, Thread};
use ubpf_vm::interp::Interp;
use ubpf_vm::lower::{Target, lower};
use ubpf_vm::mem::{Cage, RegionKind, RegionSpec};
use ubpf_vm::registry::Registry;
use ubpf_vm::run::{Cpu, NoState, Outcome};
use ubpf_vm::world::World;

const PROGRAMS: &[&str] = &[
    include_str!("../benches/programs/copy.bpf"),
    include_str!("../benches/programs/checksum.bpf"),
    include_str!("../benches/programs/search.bpf"),
    include_str!("../benches/programs/stack.bpf"),
    include_str!("../benches/programs/bytes.bpf"),
    include_str!("../benches/programs/calls.bpf"),
    include_str!("../benches/programs/states.bpf"),
    "r2 = 5
     *(u64 *)(r1 + 8) = 9
     lock *(u64 *)(r1 + 8) += r2
     r3 = 3
     r3 = atomic_fetch_or((u64 *)(r1 + 8), r3)
     *(u32 *)(r1 + 16) = r3
     r0 = 14
     r0 = cmpxchg32_32(r1 + 16, w0, w2)
     r4 = *(s8 *)(r1 + 16)
     *(u16 *)(r10 - 2) = r4
     r5 = r10
     r5 += -2
     r5 = *(u16 *)(r5 + 0)
     r0 += r5
     exit",
];

const MEMORY: u64 = 1040;

/// A program's outcome in a fresh world, and the memory afterwards.
fn run(text: &str, mode: Option<MemMode>) -> (Outcome, Vec<u8>) {
    let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, Box::new(()));
    let spec = RegionSpec::new(MEMORY, RegionKind::Host, "memory");
    let memory = world.cage().alloc(spec).expect("memory");
    let bytes: Vec<u8> = (0..MEMORY).map(|n| (n * 31 % 251) as u8).collect();
    memory.write(0, &bytes).expect("memory is writable");
    let slots = assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
    let registry = Registry::new();
    let target = Target { registry: &registry, world: &world, maps: &[] };
    let code = Arc::new(lower(&program, target).expect("the program lowers"));
    let image: Arc<dyn Image> = match mode {
        Some(mode) => Arc::new(compile_as(code, mode).expect("the program compiles")),
        None => Interp.compile(code).expect("the interpreter takes everything"),
    };
    let mut thread = Thread::new(&world, Cpu(0)).expect("a stack");
    let args = [memory.addr().into(), 0, 0, 0, 0];
    let call = Call { world: &world, state: &mut NoState, func: SubprogId(0), args };
    let outcome = image.call(&mut thread, call);
    (outcome, memory.read_vec(0, memory.len()).expect("memory is readable"))
}

#[test]
fn good_programs_do_the_same_in_all_modes() {
    for text in PROGRAMS {
        let expected = run(text, None);
        assert!(expected.0.result.is_ok(), "{:?}:\n{text}", expected.0);
        for mode in [MemMode::Checked, MemMode::Caged, MemMode::Proved] {
            assert_eq!(run(text, Some(mode)), expected, "{mode:?}:\n{text}");
        }
    }
}
