//! The BPF instruction set: what an instruction is, and nothing about programs or hosts.
//!
//! This is the bottom of the ubpf workspace; you probably want the `ubpf` facade.
//!
//! One table ([`table`]) says which opcodes exist, how their fields are used and how they are
//! written; decoding, encoding, assembling and disassembling all read it.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod insn;
mod slot;

pub use insn::{
    AddrSpaceCast, AluOp, AtomicOp, AtomicSize, CallTarget, CmpOp, Imm64, Insn, JumpForm, Operand,
    Reg, SignExtend, Size, SwapOp, SwapWidth, Width,
};
pub use slot::{Pc, Slot};

/// Decodes the instruction at the start of `slots`.
///
/// # Errors
/// [`DecodeError`] when the slots hold no defined instruction.
pub fn decode(_slots: &[Slot]) -> Result<Insn, DecodeError> {
    Err(DecodeError)
}
/// Encodes.
#[must_use]
pub fn encode(_insn: &Insn) -> (Slot, Option<Slot>) {
    (Slot::default(), None)
}
/// Placeholder.
#[derive(Debug, thiserror::Error)]
#[error("not an instruction")]
pub struct DecodeError;
