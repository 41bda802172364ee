//! The interpreter.
//!
//! An image is an array of *steps*, one for each op of the [`Code`]. A step holds its operands
//! and the *handler* that executes it: one small function for each operation, operand kind and
//! width. A handler ends by calling the next step's handler; an optimising compiler turns that
//! call into a jump, so that executing a program is a chain of indirect jumps with all hot state
//! in registers. Measured against one big `match`, this halves the time of an instruction.
//!
//! Stable Rust does not promise the jump. So the handlers are generic over the `Backend`: with
//! `Threaded` they call on, with `Looped` they return to a loop that does. Which of them an image
//! is made for is found out once, by running a chain of steps and looking at the stack.
//!
//! | module | what |
//! | --- | --- |
//! | `step` | what a step is |
//! | `translate` | `Code` to steps: the choice of handlers |
//! | `alu`, `jump`, `memory`, `call` | handlers |
//! | `machine` | what handlers work on: registers, frames, windows on memory |
//! | `fused` | handlers of two instructions at once |
//! | `claims` | what the verifier proved, held against what happens |
//! | `backend` | the two ways from handler to handler |
//!
//! # Memory
//!
//! Checked code pays one comparison for an access: every step remembers which of the machine's
//! few [`Window`](crate::mem::Window)s its last access fell into. When it is not that one, the
//! others are tried, then the region table. Windows are forgotten when the cage's epoch moves.
//! Verified code is executed with the same checks: they cost a few percent here.

mod allowance;
mod alu;
mod backend;
mod call;
mod claims;
mod fused;
mod jump;
mod machine;
mod memory;
mod step;
mod translate;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::code::Code;
use crate::engine::{Call, CompileError, Engine, Image, Thread};
use crate::run::Outcome;
use allowance::Allowance;
use backend::{Backend, Looped, Threaded};
use machine::Core;
use std::any::Any;
use std::sync::Arc;
use step::{Handler, Step};

pub use claims::claimed;

/// The interpreting engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interp;

impl Engine for Interp {
    fn name(&self) -> &'static str {
        "interp"
    }

    fn compile(&self, code: Arc<Code>) -> Result<Arc<dyn Image>, CompileError> {
        Ok(if backend::calls_are_jumps() {
            Arc::new(Interpreted::new::<Threaded>(code))
        } else {
            Arc::new(Interpreted::new::<Looped>(code))
        })
    }
}

/// A program translated to steps.
struct Interpreted {
    code: Arc<Code>,
    /// As many as the code has ops.
    steps: Vec<Step>,
    /// Where claims are checked first, the handlers that execute the steps.
    unchecked: Vec<Handler>,
}

impl Interpreted {
    fn new<B: Backend>(code: Arc<Code>) -> Self {
        let mut steps = translate::steps::<B>(&code);
        let mut unchecked = Vec::new();
        if code.claims().is_some() {
            let check = |step: &mut Step| core::mem::replace(&mut step.run, claims::CHECK);
            unchecked = steps.iter_mut().map(check).collect();
        }
        Self { code, steps, unchecked }
    }
}

impl Image for Interpreted {
    fn code(&self) -> &Arc<Code> {
        &self.code
    }

    fn call(&self, thread: &mut Thread, call: Call<'_>) -> Outcome {
        let allowance = Allowance::new(thread.budget, thread.deadline);
        thread.trapped_in = None;
        let cpu = thread.cpu;
        let (stack, windows) = thread.memory();
        let mut core = Core::new(call.world, cpu, stack, windows, self, allowance);
        let r0 = core.enter(call.state, call.func, &call.args);
        let insns = core.allowance.granted().wrapping_sub(core.remaining).cast_unsigned();
        let Some(r0) = r0 else {
            let (trap, image) = (core.trap(), core.trapped_in.unwrap_or(self));
            thread.trapped_in = Some(Arc::clone(&image.code));
            return Outcome { result: Err(trap), insns };
        };
        Outcome { result: Ok(r0), insns }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
