//! Linux's verifier rules: abstract interpretation of every path of a program.
//!
//! In goes a linked [`Program`](ubpf_abi::program::Program) and a
//! [`Platform`](ubpf_abi::platform::Platform); out comes the proof that it is safe, or a
//! [`Rejection`] that explains itself. The crate sees descriptions only, never a runtime.
//!
//! The stages, in the order in which a fault is found:
//!
//! ```text
//!  slots ─ structure ─▶ Text ─ cfg ─▶ Cfg ─ explore: every path, with the domain's values
//! ```
#![deny(unsafe_code)]

pub mod cfg;
pub mod domain;
mod options;
pub mod reason;
pub mod structure;
pub mod text;

pub use options::{Options, Privilege};
pub use reason::{Class, Reason, Rejection};
