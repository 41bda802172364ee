//! The value domain: what the verifier knows about a number. Pure mathematics, no programs.
//!
//! [`Tnum`] knows bits, [`Bounds`] ranges of one width, [`Scalar`] combines the two for a register
//! and its low half; [`branch`] refines scalars by conditional jumps. All of it is generic over
//! the [`width`], so the tests at the end check each operation on every value at small widths.

pub mod bounds;
pub mod branch;
pub mod scalar;
pub mod tnum;
pub mod width;

pub use bounds::Bounds;
pub use scalar::Scalar;
pub use tnum::Tnum;

#[cfg(test)]
mod tests;
