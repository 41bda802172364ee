//! The BPF instruction set: what an instruction is, and nothing about programs or hosts.
//!
//! This is the bottom of the ubpf workspace; you probably want the `ubpf` facade.
//!
//! One table ([`table`]) says which opcodes exist, how their fields are used and how they are
//! written; decoding, encoding, assembling and disassembling all read it. Around it:
//!
//! * [`Slot`] is the raw view, any eight bytes; [`Insn`] the checked one, which cannot hold what
//!   the ISA does not define;
//! * [`Insn::flow`], [`Insn::defs`] and [`Insn::uses`] say where control goes and which
//!   registers take part;
//! * [`AluOp::eval`] and its kin are the concrete meaning, the reference for engines and the
//!   verifier;
//! * [`cbpf`] turns classic filters into eBPF.
//!
//! The instructions are those of RFC 9669 and what Linux added up to 6.18.
//!
//! ```
//! use ubpf_isa::{AluOp, Insn, Reg, assemble, decode};
//!
//! let program = assemble("r0 += -1\nexit")?;
//! let insn = decode(&program)?;
//! let Insn::Alu { op, width, src, .. } = insn else { panic!("an addition") };
//!
//! assert_eq!((op, insn.uses().contains(Reg::R0)), (AluOp::Add, true));
//! assert_eq!(op.eval(width, 5, src.value(|_register| 0)), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod asm;
pub mod cbpf;
mod decode;
pub mod disasm;
mod encode;
mod flow;
mod form;
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
