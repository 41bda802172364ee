//! Does ubpf do what the kernel does? Suites as data, the kernel as an oracle, and the runners
//! that compare the two.
#![deny(unsafe_code)]

pub mod kernel;
pub mod machine;
pub mod objects;
pub mod packets;
pub mod vectors;
