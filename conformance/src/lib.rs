//! Does ubpf do what the kernel does? Suites as data, the kernel as an oracle, and the runners
//! that compare the two.
#![deny(unsafe_code)]

pub mod bare;
pub mod differential;
pub mod emulated;
pub mod expect;
pub mod kernel;
pub mod machine;
pub mod objects;
pub mod packets;
pub mod puzzles;
pub mod random;
pub mod stimuli;
pub mod vectors;
pub mod verdicts;
pub mod ways;
