//! Helpers as generated code calls them: with the machine's C calling convention, registers in
//! registers.

use super::CallCx;
use std::panic::{AssertUnwindSafe, catch_unwind};
use ubpf_abi::Trap;

/// What a function answers that generated code calls.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Answer {
    /// Its result.
    pub value: u64,
    /// 0, or 1 when the run is over.
    pub over: u64,
}

impl Answer {
    /// The run is over.
    pub const OVER: Self = Self { value: 0, over: 1 };

    /// A result.
    #[must_use]
    pub const fn value(value: u64) -> Self {
        Self { value, over: 0 }
    }
}

/// A helper's body: `r1` to `r5`, and what it sees of the machine. Traps and panics, which must
/// not unwind through generated code, are left with the [`Guest`](super::Guest). Made by
/// [`helper!`](crate::helper!).
pub type NativeFn = extern "C" fn(u64, u64, u64, u64, u64, &mut CallCx<'_>) -> Answer;

/// Turns a result or panic into an answer.
#[inline(always)]
pub fn answer<'a>(
    cx: &mut CallCx<'a>,
    body: impl FnOnce(&mut CallCx<'a>) -> Result<u64, Trap>,
) -> Answer {
    // The result is taken apart before it is moved: whole, it would have to wait for its parts
    // to be stored.
    let caught = catch_unwind(AssertUnwindSafe(|| match body(cx) {
        Ok(value) => Answer::value(value),
        Err(trap) => {
            cx.guest.trapped(trap);
            Answer::OVER
        }
    }));
    caught.unwrap_or_else(|payload| {
        cx.guest.panicked(payload);
        Answer::OVER
    })
}
