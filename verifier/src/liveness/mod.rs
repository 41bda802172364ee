//! What the rest of a path may read: of states that differ only in the rest one stands for all.
//!
//! Registers are known from the code alone ([`regs`]). Which stack slots an instruction accesses
//! is known only when it is walked, so that is gathered on the way ([`stack`]).

pub mod regs;
pub mod stack;

pub use regs::LiveRegs;
pub use stack::{Chain, LiveStack};
