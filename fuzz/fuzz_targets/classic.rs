//! Any bytes are a classic filter or none. A valid filter is a program that the verifier takes, and
//! that comes to the same on both engines, whatever the packet.
//!
//! The first byte says how many of the others, in eights, are the filter; the rest is the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use ubpf::isa::cbpf::{self, Filter};
use ubpf::{Engine, Input, Jit};

static ENGINES: LazyLock<Vec<Engine>> = LazyLock::new(|| {
    let jit = Jit::new().map(|jit| Engine::builder().executor(Arc::new(jit)).build());
    [Engine::builder().build()].into_iter().chain(jit.ok()).collect()
});

fuzz_target!(|data: &[u8]| {
    // As text, or whatever it is.
    if let Err(error) = cbpf::parse(data) {
        let _ = error.to_string();
    }
    let Some((&insns, rest)) = data.split_first() else { return };
    let at = (usize::from(insns) * 8).min(rest.len() / 8 * 8);
    let (filter, packet) = rest.split_at(at);
    let Ok(insns) = cbpf::parse_bytes(filter) else { return };
    let Ok(checked) = Filter::check(&insns) else { return };
    let listing: String = checked.listing().map(|line| line + "\n").collect();
    let _ = cbpf::parse_listing(&listing);
    // Codes of more than eight bits are no filter, and what reads as text is read as such.
    if cbpf::parse(filter).as_deref() != Ok(&insns[..]) {
        return;
    }
    let mut results = Vec::new();
    for engine in &*ENGINES {
        let Ok(object) = engine.load(filter) else { return };
        let Ok(module) = engine.verify(&object, "filter") else {
            panic!("the verifier refuses a valid filter:\n{listing}");
        };
        let Ok(mut instance) = engine.instantiate(&module) else { return };
        let input = match module.program().prog_type.name() {
            "seccomp" => Input::context(packet.get(..64).unwrap_or(packet)),
            _ => Input::packet(packet),
        };
        match instance.run(&input) {
            Ok(outcome) => results.push((outcome.r0, outcome.insns)),
            Err(error) => panic!("{error}:\n{listing}"),
        }
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}:\n{listing}");
});
