//! Every memory mode, on programs whose accesses are all good, and on such as fault.

use crate::compile;
use std::sync::Arc;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::{Facts, InsnFacts, Region, Verified};
use ubpf_abi::{Kernel, Trap, TrapKind};
use ubpf_isa::assemble;
use ubpf_vm::code::MemMode;
use ubpf_vm::engine::{Call, Engine, Image, Thread};
use ubpf_vm::interp::Interp;
use ubpf_vm::lower::{Target, lower, lower_verified};
use ubpf_vm::mem::{Cage, RegionKind, RegionSpec};
use ubpf_vm::registry::Registry;
use ubpf_vm::run::{Cpu, NoState, Outcome};
use ubpf_vm::world::World;

const PROGRAMS: &[&str] = &[
    include_str!("../tests/programs/copy.bpf"),
    include_str!("../tests/programs/checksum.bpf"),
    include_str!("../tests/programs/search.bpf"),
    include_str!("../tests/programs/stack.bpf"),
    include_str!("../tests/programs/bytes.bpf"),
    include_str!("../tests/programs/calls.bpf"),
    include_str!("../tests/programs/states.bpf"),
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

/// The program as if it had been verified, with all of its accesses proved.
#[allow(unsafe_code)]
fn trusted(program: &Arc<Program>) -> Verified {
    let fact = InsnFacts { region: Region::Memory, ..InsnFacts::NOTHING };
    let insns = vec![fact; program.slots.len()];
    let facts = Facts { insns, max_insns: Some(1 << 20), ..Facts::default() };
    // SAFETY: it is not true of some of these programs. Those fault in their own cage, which is
    // what is tested.
    unsafe { Verified::assume(Arc::clone(program), facts) }
}

/// A program's outcome in a fresh world, and the memory afterwards.
fn run(text: &str, mode: Option<MemMode>, counts: bool) -> (Outcome, Vec<u8>) {
    let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, Box::new(()));
    let spec = RegionSpec::new(MEMORY, RegionKind::Host, "memory");
    let memory = world.cage().alloc(spec).expect("memory");
    let bytes: Vec<u8> = (0..MEMORY).map(|n| (n * 31 % 251) as u8).collect();
    memory.write(0, &bytes).expect("memory is writable");
    let slots = assemble(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
    let registry = Registry::new();
    let target = Target { registry: &registry, world: &world, maps: &[] };
    let image: Arc<dyn Image> = match mode {
        Some(mode) => {
            let code = lower_verified(&trusted(&program), target, mode).expect("it lowers");
            Arc::new(compile(Arc::new(code)).expect("the program compiles"))
        }
        None => {
            let code = lower(&program, target).expect("the program lowers");
            Interp.compile(Arc::new(code)).expect("the interpreter takes everything")
        }
    };
    let mut thread = Thread::new(&world, Cpu(0)).expect("a stack");
    thread.counts = counts;
    let args = [memory.addr().into(), 0, 0, 0, 0];
    let call = Call { world: &world, state: &mut NoState, func: SubprogId(0), args };
    let outcome = image.call(&mut thread, call);
    (outcome, memory.read_vec(0, memory.len()).expect("memory is readable"))
}

#[test]
fn good_programs_do_the_same_in_all_modes() {
    for text in PROGRAMS {
        let expected = run(text, None, true);
        assert!(expected.0.result.is_ok(), "{:?}:\n{text}", expected.0);
        for mode in [MemMode::Checked, MemMode::Caged, MemMode::Proved] {
            assert_eq!(run(text, Some(mode), true), expected, "{mode:?}:\n{text}");
            let (outcome, memory) = run(text, Some(mode), false);
            let same = (outcome.result, memory) == (expected.0.result, expected.1.clone());
            assert!(same, "{mode:?}, not counting: {outcome:?}:\n{text}");
        }
    }
}

/// Programs that no verifier would take: each makes an access to memory that is not there.
const FAULTING: &[&str] = &[
    "r2 = 5
     r0 = *(u64 *)(r2 + 8)
     exit",
    "r6 = r1
     r7 = 3
     r6 = 0xfffffffc ll
     *(u32 *)(r6 + 100) = r7
     r0 = 0
     exit",
    "r1 = 64
     call pc+1
     exit
     r2 = 1
     call pc+1
     exit
     lock *(u64 *)(r1 + 8) += r2
     exit",
    "r2 = 0
     r3 = 0x70001000 ll
     r2 += 1
     if r2 != 9 goto pc-2
     *(u8 *)(r3 + 1) = 7
     exit",
];

#[test]
fn accesses_that_fault_end_the_run_as_in_checked_code() {
    for text in FAULTING {
        let expected = run(text, None, true);
        assert!(expected.0.result.is_err(), "{:?}:\n{text}", expected.0);
        for mode in [MemMode::Caged, MemMode::Proved] {
            for _ in 0..2 {
                let found = run(text, Some(mode), true);
                assert_eq!(found.0.result, expected.0.result, "{mode:?}:\n{text}");
                assert_eq!(found.0.insns, expected.0.insns, "{mode:?}:\n{text}");
                let (outcome, memory) = run(text, Some(mode), false);
                assert_eq!(outcome.result, expected.0.result, "{mode:?}, not counting:\n{text}");
                assert!(memory == expected.1, "{mode:?}:\n{text}");
            }
        }
    }
}

/// Accesses so far outside that the machine does not say where: to the code's cage, these addresses
/// are no offsets.
const WILD: &[&str] = &[
    "r2 = 0x4000000000000000 ll
     r0 = *(u64 *)(r2 + 8)
     exit",
    "r2 = 0x7ffffffffffffff0 ll
     r3 = 1
     *(u32 *)(r2 + 4) = r3
     r0 = 0
     exit",
    "r1 = 0x2000000000000000 ll
     call pc+1
     exit
     r2 = 1
     lock *(u64 *)(r1 + 8) += r2
     exit",
];

#[test]
fn wild_accesses_end_the_run_too() {
    for text in WILD {
        let checked = run(text, None, true).0.result.expect_err("there is no such memory");
        for counts in [true, false] {
            let (outcome, _) = run(text, Some(MemMode::Proved), counts);
            let trap = outcome.result.expect_err("there is no such memory");
            let wild = Trap { kind: TrapKind::WildAccess, info: 0, ..checked };
            assert_eq!(trap, wild, "counting: {counts}:\n{text}");
            assert_eq!(trap.addr(), None);
        }
    }
}
