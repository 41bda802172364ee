//! Modules: a program with what it may be trusted with.

use std::sync::Arc;
use ubpf_abi::object::Object;
use ubpf_abi::program::Program;

/// What is known about a program's safety, which decides what is checked when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// Nothing: every access is checked, and loops use up a budget.
    Unverified,
}

/// A program of an object, ready to be instantiated.
#[derive(Clone, Debug)]
pub struct Module {
    object: Arc<Object>,
    program: Arc<Program>,
    trust: Trust,
}

impl Module {
    pub(crate) const fn new(object: Arc<Object>, program: Arc<Program>, trust: Trust) -> Self {
        Self { object, program, trust }
    }

    /// The object it comes from, whose programs it can tail-call.
    #[must_use]
    pub const fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The linked program.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What is known about its safety.
    #[must_use]
    pub const fn trust(&self) -> Trust {
        self.trust
    }
}
