//! The JIT beside the interpreter.
#![cfg(all(target_arch = "x86_64", unix))]

mod behaviour;
mod differential;
mod host;
