//! Modules: a program with what it may be trusted with.

use std::sync::Arc;
use ubpf_abi::object::Object;
use ubpf_abi::program::Program;
use ubpf_abi::verified::Verified;

/// What is known about a program's safety, which decides what is checked when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trust {
    /// Nothing: every access is checked, and loops use up a budget.
    Unverified,
    /// The verifier accepted it: checks are left out where it proved that they succeed.
    Verified,
}

/// A program of an object, ready to be instantiated.
#[derive(Clone, Debug)]
pub struct Module {
    object: Arc<Object>,
    program: Arc<Program>,
    verified: Option<Verified>,
}

impl Module {
    pub(crate) const fn new(object: Arc<Object>, program: Arc<Program>) -> Self {
        Self { object, program, verified: None }
    }

    pub(crate) fn with_proof(&self, verified: Verified) -> Self {
        let (object, program) = (Arc::clone(&self.object), Arc::clone(verified.program()));
        Self { object, program, verified: Some(verified) }
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
        match self.verified {
            Some(_) => Trust::Verified,
            None => Trust::Unverified,
        }
    }

    /// The verifier's proof, and what follows from it.
    #[must_use]
    pub const fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }
}
