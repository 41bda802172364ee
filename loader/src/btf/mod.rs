//! BTF as bytes: the types of an object or a kernel, what belongs to which instruction, and the
//! adaptation of a program to its target's types (CO-RE).
//!
//! - [`parse`] reads a `.BTF` section into the model of [`ubpf_abi::btf`], [`encode`] writes it
//! - [`parse_ext`] reads a `.BTF.ext` section
//! - [`core_relo`] patches instructions for the types of a target
//! - [`parse_file`] takes either raw BTF or an ELF file

pub mod core_relo;
mod encode;
mod error;
mod ext;
mod file;
mod parse;
#[cfg(test)]
mod tests;
mod wire;

pub use encode::{EncodeError, encode};
pub use error::{BtfError, Fault, Place};
pub use ext::{BtfExt, CoreRelo, CoreReloKind, FuncInfo, LineInfo, Section, parse_ext};
pub use file::parse_file;
pub use parse::{parse, parse_split};
