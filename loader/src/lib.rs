//! Clang-built BPF objects: bytes to [`ubpf_abi::object::Object`], the same on every machine.
#![forbid(unsafe_code)]

pub mod btf;
