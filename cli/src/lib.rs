//! The `ubpf` and `ubpf-run` commands, as a library of their own so that tests reach them.
//!
//! ```text
//!  args ─▶ run ──── input (packets, contexts) ─▶ ubpf ─▶ report (human, json)
//!       ├▶ dump ─── disassembly, graph, types, maps
//!       └▶ features
//! ```
//!
//! A command either ends with an [`Exit`](failure::Exit) or with one
//! [`Failure`](failure::Failure), which is printed here and nowhere else.
#![forbid(unsafe_code)]

pub mod args;
pub mod failure;
pub mod files;
pub mod input;
pub mod report;
pub mod style;
