//! The proof that a program was verified, and what the verifier found out on the way.
//!
//! Trust is a type: code without run-time checks is made from a [`Verified`] and from nothing
//! else, and a `Verified` can be made in one place only.

use crate::program::Program;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A program together with the proof that all its paths are safe, and the facts that follow.
#[derive(Clone, Debug)]
pub struct Verified {
    program: Arc<Program>,
    facts: Facts,
}

impl Verified {
    /// Claims that `program` was verified.
    ///
    /// # Safety
    /// Every obligation of every instruction on every path must have been shown to hold under
    /// the rules of the platform that the program will run on, and `facts` must hold for every
    /// execution. Engines leave checks out on the strength of it.
    #[must_use]
    #[allow(unsafe_code)]
    pub const unsafe fn assume(program: Arc<Program>, facts: Facts) -> Self {
        Self { program, facts }
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What holds at each instruction.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What the verifier proved, by slot. An empty list claims nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One entry a slot of the program.
    pub insns: Vec<InsnFacts>,
    /// Stack bytes used by each subprogram, a multiple of 8.
    pub stack_bytes: Vec<u16>,
}

/// What holds every time one instruction is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsnFacts {
    /// Some path reaches it.
    pub reached: bool,
    /// For conditional jumps: the jump is always taken, or never.
    pub taken: Option<bool>,
    /// Something reads the upper half of the 32-bit result written here.
    pub needs_zext: bool,
}
