//! Runs BPF programs: guest memory, lowering, the interpreter, and the seams that the emulated
//! kernel and the JIT plug into.
//!
//! ```text
//!  Program ──lower──▶ Code ──▶ interp ─▶ Outcome        Registry: whole definitions (description + behaviour)
//!                       └────▶ (ubpf-jit)               World:    cage + maps + programs + environment
//! ```
//!
//! Nothing here knows a helper, a map type or a program type by name; `ubpf-helpers` registers
//! them. You probably want the `ubpf` facade.
#![deny(unsafe_code)]

pub mod call;
pub mod code;
pub mod engine;
pub mod interp;
pub mod lower;
pub mod map;
pub mod mem;
pub mod registry;
pub mod run;
#[cfg(test)]
mod testing;
pub mod world;

/// For what the macros of this crate expand to.
#[doc(hidden)]
pub use ubpf_abi as abi;
