//! The emulated kernel: helpers, kernel functions, maps, program types and the environment they work in.
//!
//! Everything is a definition in a [`Registry`]: [`linux`] gives one that holds what Linux has.
//! A host adds its own beside them or instead. You probably want the `ubpf` facade.
#![forbid(unsafe_code)]

pub mod env;
pub mod func;
pub mod kfunc;
pub mod maps;
pub mod prog_types;

use ubpf_vm::registry::Registry;

/// Linux's helpers, kernel functions, map types and program types.
#[must_use]
pub fn linux() -> Registry {
    let mut registry = Registry::new();
    for def in maps::ALL {
        registry.add_map_type(*def);
    }
    for def in func::ALL.iter().copied().flatten().chain(func::classic::ALL) {
        registry.add_helper(*def);
    }
    for def in kfunc::ALL.iter().copied().flatten() {
        registry.add_kfunc(*def);
    }
    for def in prog_types::ALL.iter().chain(prog_types::described::ALL.iter().copied().flatten()) {
        registry.add_prog_type(*def);
    }
    for decl in prog_types::described::DESCRIBED {
        registry.describe_prog_type(*decl);
    }
    registry
}
