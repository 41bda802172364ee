//! The JIT: native code for lowered BPF programs.
//!
//! ```text
//!  Code ──blocks──▶ meter ──emit──▶ MacroAssembler ──▶ pages ──▶ Native (an Image)
//!                                     x64
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | `blocks`, `operands`, `liveness`, `narrow` | what emission must know of a program beforehand |
//! | `layout` | in which order blocks lie in memory |
//! | `meter` | where the budget is charged |
//! | `emit`, `straight` | the one walk over [`Code`]: blocks, and what lies in them |
//! | `values` | what registers hold that has not been computed yet |
//! | `masm` | what a machine must be able to do |
//! | `x64` | how x86-64 does it |
//! | `window` | what checked code remembers of the region table |
//! | `run`, `thunks` | what generated code shares with Rust, and calls |
//! | `image`, `entry`, `code` | the compiled program, the jump into it, its pages |
//! | `fault` | what becomes of a run whose code faults |
//!
//! Compiled programs do what the interpreter does, to the trap and the number of executed
//! instructions; `tests/` holds them against each other. You probably want the `ubpf` facade.
//!
//! Of verified programs the accesses that were proved are made without checks, or confined to the
//! cage; the machine's fault ends the run where a proof was wrong.
//!
//! ```
//! use std::sync::Arc;
//! use ubpf_jit::Jit;
//! use ubpf_vm::engine::Engine;
//! use ubpf_vm::interp::Interp;
//!
//! // Native code where there is any, else the interpreter.
//! let engine: Arc<dyn Engine> = match Jit::new() {
//!     Ok(jit) => Arc::new(jit),
//!     Err(unsupported) => {
//!         eprintln!("{unsupported}");
//!         Arc::new(Interp)
//!     }
//! };
//! # let _ = engine.name();
//! ```
#![deny(unsafe_code)]
#![cfg_attr(not(all(target_arch = "x86_64", unix)), allow(dead_code, unused_imports))]

mod blocks;
mod code;
mod emit;
mod entry;
mod fault;
mod image;
mod layout;
mod liveness;
mod masm;
mod meter;
mod narrow;
mod operands;
mod run;
mod straight;
mod thunks;
mod values;
mod window;
#[cfg(all(target_arch = "x86_64", unix))]
mod x64;

#[cfg(all(test, target_arch = "x86_64", unix))]
mod tests;

use image::{Assembled, Native};
use meter::Meter;
use std::sync::Arc;
use ubpf_vm::code::{Code, MemMode, OpIndex};
use ubpf_vm::engine::{CompileError, Engine, Image};

/// The compiling engine.
#[derive(Clone, Copy, Debug)]
pub struct Jit(());

/// This machine has no code generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no JIT for {} on {}, only the interpreter",
    std::env::consts::ARCH,
    std::env::consts::OS
)]
pub struct Unsupported;

impl Jit {
    /// The name by which users choose it.
    pub const NAME: &'static str = "jit";

    /// The engine for the machine that this is.
    ///
    /// # Errors
    /// [`Unsupported`] on machines other than x86-64 and on systems with another calling
    /// convention than Unix has.
    pub const fn new() -> Result<Self, Unsupported> {
        if cfg!(all(target_arch = "x86_64", unix)) { Ok(Self(())) } else { Err(Unsupported) }
    }
}

impl Engine for Jit {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn compile(&self, code: Arc<Code>) -> Result<Arc<dyn Image>, CompileError> {
        match compile(code) {
            Ok(native) => Ok(Arc::new(native)),
            Err(source) => Err(CompileError { engine: Self::NAME, source }),
        }
    }
}

/// The machine code of an image that [`Jit`] made, from its trampoline on.
#[must_use]
pub fn machine_code(image: &dyn Image) -> Option<&[u8]> {
    image.as_any().downcast_ref().map(Native::bytes)
}

/// What a program becomes, for people to read.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its machine code. Addresses of functions of this process are in it, so nobody else can
    /// run it.
    pub code: Vec<u8>,
    /// Where in the code each op begins, and at last, with an index that is none, where they end.
    /// What stands in front and behind is what all share: ways in and out, and what is seldom
    /// needed.
    pub ops: Vec<(usize, OpIndex)>,
}

impl Jit {
    /// Compiles a program to be read rather than run.
    ///
    /// # Errors
    /// [`CompileError`] when it cannot be compiled.
    pub fn listing(&self, code: &Code) -> Result<Listing, CompileError> {
        let mode = code.mode();
        let (assembled, _) = assemble(code, mode, mode == MemMode::Checked, true)
            .map_err(|source| CompileError { engine: Self::NAME, source })?;
        let ops = assembled.marks.into_iter().map(|(at, op)| (at.0, op)).collect();
        Ok(Listing { code: assembled.code, ops })
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Compiles for the code's own mode.
fn compile(code: Arc<Code>) -> Result<Native, Failure> {
    let mode = code.mode();
    compile_as(code, mode, mode == MemMode::Checked)
}

fn compile_as(code: Arc<Code>, mode: MemMode, metered: bool) -> Result<Native, Failure> {
    let (assembled, meter) = assemble(&code, mode, metered, false)?;
    Ok(Native::new(code, assembled, meter, metered)?)
}

#[cfg(all(target_arch = "x86_64", unix))]
fn assemble(
    code: &Code,
    mode: MemMode,
    metered: bool,
    marks: bool,
) -> Result<(Assembled, Meter), Failure> {
    let (assembled, meter) = emit::emit::<x64::Assembler>(code, mode, metered, marks);
    Ok((assembled?, meter))
}

#[cfg(not(all(target_arch = "x86_64", unix)))]
fn assemble(_: &Code, _: MemMode, _: bool, _: bool) -> Result<(Assembled, Meter), Failure> {
    Err(Box::new(Unsupported))
}
