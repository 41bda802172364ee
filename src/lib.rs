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
//! ```
//! use ubpf::{Engine, Input};
//!
//! let engine = Engine::builder().build();
//! let object = engine.load(&std::fs::read("examples/guard.bpf.o")?)?;
//! let module = engine.verify(&object, "guard")?;
//! let mut instance = engine.instantiate(&module)?;
//! let outcome = instance.run(&Input::packet(std::fs::read("examples/dns.bin")?))?;
//! println!("returned {} after {} insns", outcome.output.retval, outcome.insns);
//! # assert_eq!(outcome.output.retval, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Classic filters are objects too, of one program called `filter`:
//!
//! ```
//! # use ubpf::{Engine, Input};
//! # let engine = Engine::builder().build();
//! let object = engine.load(b"4,40 0 0 12,21 0 1 2048,6 0 0 65535,6 0 0 0")?; // tcpdump -ddd ip
//! let mut instance = engine.instantiate(&engine.verify(&object, "filter")?)?;
//! let outcome = instance.run(&Input::packet(std::fs::read("examples/dns.bin")?))?;
//! assert_eq!(outcome.output.retval, 65535);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Programs run in the interpreter; [`EngineBuilder::executor`] takes [`Jit`] instead. What a host
//! adds of its own, helpers and contexts, is in [`host`].
//!
//! | a program may not | because of |
//! | --- | --- |
//! | touch memory of the host | its cage, and the verifier or checks of every access |
//! | run for ever | [`EngineBuilder::budget`], [`EngineBuilder::deadline`] |
//! | use up memory | [`EngineBuilder::memory_limit`] |
//! | take the host down through a helper | errors and panics become [`RunError`]s |
//!
//! [`Engine::verify`] takes the programs that the kernel's verifier takes ([`Trust::Verified`]) and
//! proves what makes them run fast; [`Rejection`] says why it does not. [`Engine::prepare`] asks
//! nobody: such a program ([`Trust::Unverified`]) runs with every access checked, so that what the
//! kernel would refuse ends in a trap at worst, never in memory outside its world.
#![forbid(unsafe_code)]

mod engine;
mod error;
pub mod host;
mod instance;
mod loadable;
mod map;
mod module;
mod setup;
mod timers;

pub use engine::{Engine, EngineBuilder};
pub use error::{
    Error, HostFailure, InstantiateError, NoSuchMap, Panicked, RunError, Trapped, VerifyError,
};
pub use instance::{Event, Instance, Outcome};
pub use loadable::SetupError;
pub use map::MapHandle;
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

/// What the book shows holds.
#[cfg(doctest)]
#[doc = include_str!("../docs/src/embedding.md")]
mod book {}
