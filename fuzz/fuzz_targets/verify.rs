//! Any slots are accepted or refused, for a reason that can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::parse_slots;
use ubpf_verifier::{Options, verify};
use ubpf_vm::registry::Registry;

static PLATFORM: LazyLock<Registry> = LazyLock::new(ubpf_helpers::linux);

fuzz_target!(|data: &[u8]| {
    let Ok(slots) = parse_slots(data) else { return };
    let program = Arc::new(Program::from_slots(ProgType::SchedCls, slots));
    let report = verify(&program, &*PLATFORM, &Options { log: true, ..Options::default() });
    if let Err(rejection) = report.verdict {
        let _ = (rejection.to_string(), rejection.reason.errno(), rejection.reason.class());
    }
});
