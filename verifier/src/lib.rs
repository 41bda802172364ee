//! Linux's verifier rules: abstract interpretation of every path of a program.
//!
//! In goes a linked [`Program`](ubpf_abi::program::Program) and a
//! [`Platform`](ubpf_abi::platform::Platform); out comes the proof that it is safe, or a
//! rejection that explains itself. The crate sees descriptions only, never a runtime.
#![deny(unsafe_code)]

pub mod domain;
