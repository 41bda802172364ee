//! Whatever the verifier accepts runs without a fault, is as was proved at every instruction, and
//! comes to the same in every way of running it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use ubpf_abi::TrapKind;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_conformance::puzzles;
use ubpf_conformance::random::Random;
use ubpf_conformance::ways::{WayError, compare};
use ubpf_isa::parse_slots;
use ubpf_vm::registry::Registry;

static PLATFORM: LazyLock<Registry> = LazyLock::new(ubpf_helpers::linux);

/// Choices of the generator, or slots as they are.
fn program(data: &[u8]) -> Option<Program> {
    let (kind, rest) = data.split_first()?;
    if kind & 1 == 0 {
        return Some(puzzles::program(&mut Random::scripted(rest.to_vec(), (*kind).into())));
    }
    let slots = parse_slots(rest).ok()?;
    Some(Program::from_slots(ProgType::Xdp, slots))
}

fuzz_target!(|data: &[u8]| {
    let Some(program) = program(data) else { return };
    let packet: Vec<u8> = data.iter().copied().chain([0; 64]).take(96).collect();
    match compare(&PLATFORM, &Arc::new(program), &[packet]) {
        Ok(Ok(observed)) => {
            // Accepted programs end, if perhaps later than a run may take.
            let ended = observed.iter().all(|run| match run.result {
                Ok(_) => true,
                Err(trap) => trap.kind == TrapKind::BudgetExhausted,
            });
            assert!(ended, "an accepted program trapped: {observed:x?}");
        }
        Ok(Err(_)) => {}
        Err(error @ WayError::Differs { .. }) => panic!("{error}"),
        // It was accepted, and cannot be run here.
        Err(_) => {}
    }
});
