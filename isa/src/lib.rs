//! The BPF instruction set: what an instruction is, and nothing about programs or hosts.
//!
//! This is the bottom of the ubpf workspace; you probably want the `ubpf` facade.
//!
//! One table ([`table`]) says which opcodes exist, how their fields are used and how they are
//! written; decoding, encoding, assembling and disassembling all read it.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod asm;
pub mod cbpf;
mod decode;
pub mod disasm;
mod encode;
mod flow;
mod insn;
mod kind;
mod opcode;
mod semantics;
mod slot;
pub mod table;

pub use asm::{AsmError, assemble};
pub use decode::{DecodeError, DecodeErrorKind, Field, decode, decode_all};
pub use disasm::{DisasmError, disassemble};
pub use encode::{encode, encode_all};
pub use flow::{Flow, RegSet};
pub use insn::{
    AddrSpaceCast, AluOp, AtomicOp, AtomicSize, CallTarget, CmpOp, Imm64, Insn, JumpForm, Operand,
    Reg, SignExtend, Size, SwapOp, SwapWidth, Width,
};
pub use kind::{Callee, Kind, Pseudo};
pub use opcode::{Class, Opcode, Source, Span};
pub use slot::{Pc, Slot, SlotsError, parse_slots};
