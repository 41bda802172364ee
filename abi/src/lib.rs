//! The contract between a BPF program and its host, as data only.
//!
//! Everything here is a plain value: limits, kernel versions, traps, descriptions of helpers, maps,
//! contexts and program types, the BTF model, what an object file holds, a linked program, and
//! the proof that a program was verified. Behaviour lives elsewhere: `ubpf-loader` fills these
//! types from bytes, `ubpf-verifier` reasons over them, `ubpf-vm` runs them, `ubpf-helpers`
//! attaches behaviour to the descriptions. This is a vocabulary crate; you probably want the
//! `ubpf` facade.
#![no_std]
#![deny(unsafe_code)]
extern crate alloc;

pub mod attach_target;
mod attach_type;
pub mod btf;
pub mod ctx;
pub mod errno;
pub mod fields;
pub mod format;
pub mod helper;
mod helper_id;
pub mod kernel;
pub mod kfunc;
pub mod limits;
pub mod map;
pub mod nearest;
pub mod object;
pub mod platform;
pub mod prog_type;
pub mod program;
pub mod trap;
pub mod verified;

pub use errno::Errno;
pub use kernel::{Kernel, Version};
pub use trap::{Access, Trap, TrapKind};
