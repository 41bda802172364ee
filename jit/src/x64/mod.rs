//! x86-64.
//!
//! | file | what |
//! | --- | --- |
//! | `regs` | which register is which |
//! | `buffer` | bytes, labels, and the sizes of jumps |
//! | `asm` | the assembler itself, and choices between encodings |
//! | `masm` | moves, conversions, jumps and calls: the trait's methods |
//! | `arith` | arithmetic |
//! | `memory` | addresses, their checks, loads, stores and atomics |
//! | `abi` | trampoline, frames, and the ways out to Rust |

#![allow(clippy::useless_conversion, reason = "dynasm converts registers' numbers")]

mod abi;
mod arith;
mod asm;
mod buffer;
mod masm;
mod memory;
mod regs;

pub(crate) use asm::Assembler;
