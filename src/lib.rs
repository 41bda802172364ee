//! The kernel's BPF, off-box: load eBPF objects and run their programs in userspace.
//!
//! This is the one crate that an embedder names. It joins the loader, the engines and the
//! emulated kernel, and adds nothing of its own.
//!
//! | step | type | from |
//! | --- | --- | --- |
//! | say what is emulated | [`Engine`] | [`Engine::builder`] |
//! | read an object file | [`Object`] | [`Engine::load`] |
//! | choose a program | [`Module`] | [`Engine::verify`], or [`Engine::prepare`] without |
//! | make its maps and memory | [`Instance`] | [`Engine::instantiate`] |
//! | run it on an input | [`Outcome`] | [`Instance::run`] |
//!
//! ```no_run
//! use ubpf::{Engine, Input};
//!
//! let engine = Engine::builder().build();
//! let object = engine.load(&std::fs::read("filter.o")?)?;
//! let module = engine.verify(&object, "filter")?;
//! let mut instance = engine.instantiate(&module)?;
//! let packet = Input { data: std::fs::read("packet.bin")?, ..Input::default() };
//! let outcome = instance.run(&packet)?;
//! println!("returned {} after {} insns", outcome.output.retval, outcome.insns);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Programs run in the interpreter; [`EngineBuilder::executor`] takes [`Jit`] instead.
//!
//! [`Engine::verify`] takes the programs that the kernel's verifier takes ([`Trust::Verified`]) and
//! proves what makes them run fast; [`Rejection`] says why it does not. [`Engine::prepare`] asks
//! nobody: such a program ([`Trust::Unverified`]) runs with every access checked, so that what the
//! kernel would refuse ends in a trap at worst, never in memory outside its world.
#![forbid(unsafe_code)]

mod engine;
mod error;
mod instance;
mod module;

pub use engine::{Engine, EngineBuilder};
pub use error::{Error, InstantiateError, RunError, Trapped, VerifyError};
pub use instance::{Event, Instance, Outcome};
pub use module::{Module, Trust};

pub use ubpf_abi as abi;
pub use ubpf_abi::Kernel;
pub use ubpf_abi::object::Object;
pub use ubpf_helpers as platform;
pub use ubpf_helpers::env::Redirect;
pub use ubpf_helpers::linux;
pub use ubpf_isa as isa;
pub use ubpf_jit as jit;
pub use ubpf_jit::Jit;
pub use ubpf_loader as loader;
pub use ubpf_verifier as verifier;
pub use ubpf_verifier::Rejection;
pub use ubpf_vm as vm;
pub use ubpf_vm::run::{Input, InputError, Output};
