//! Any text describes a context of a program type, or is refused; and so is any context by the type.
//!
//! The first byte chooses the type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use ubpf::Input;
use ubpf::abi::Kernel;
use ubpf::platform::env::{EnvConfig, Environment};
use ubpf::vm::mem::Cage;
use ubpf::vm::registry::Registry;
use ubpf::vm::world::World;
use ubpf_cli::input::fields;

static PLATFORM: LazyLock<Registry> = LazyLock::new(ubpf::linux);

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let types = PLATFORM.prog_types().count();
    let Some(def) = PLATFORM.prog_types().nth(usize::from(choice) % types) else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let Ok(contexts) = fields::parse(text, &def.decl.ctx) else { return };
    let Ok(cage) = Cage::new() else { return };
    let environment = Box::new(Environment::new(EnvConfig::default()));
    let world = World::new(cage, Kernel::V6_18, 1, environment);
    for ctx in contexts.into_iter().take(8) {
        let input = Input { data: vec![0x45; 64], ctx: Some(ctx), ..Input::default() };
        if let Ok(mut state) = (def.prepare)(&world, &input) {
            let _ = state.finish(&world, 0);
        }
    }
});
