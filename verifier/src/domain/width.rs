//! Register widths as types, so that the whole domain can be tested exhaustively at widths where
//! that is possible.
//!
//! A scalar has a width and a low half, which 32-bit instructions work on. The machine's pair is
//! [`W64`] over [`W32`]; tests use [`W6`] over [`W3`] and [`W4`] over [`W2`], where every
//! abstract value can be checked against every concrete one. Values of any width are kept in
//! `u64` (zero-extended) and `i64` (sign-extended); with the width a compile-time constant, the
//! masks vanish at 64 bits.

/// A number of bits.
pub trait Width: Copy + Eq + core::fmt::Debug {
    /// Bits.
    const BITS: u32;
    /// All bits set, zero-extended.
    const MASK: u64 = u64::MAX >> (64 - Self::BITS);
    /// The smallest signed value.
    const SMIN: i64 = -1 << (Self::BITS - 1);
    /// The largest signed value.
    const SMAX: i64 = !Self::SMIN;

    /// Keeps the low bits.
    #[must_use]
    fn wrap(v: u64) -> u64 {
        v & Self::MASK
    }

    /// The low bits as a signed number.
    #[must_use]
    fn signed(v: u64) -> i64 {
        let unused = 64 - Self::BITS;
        ((v << unused) as i64) >> unused
    }

    /// A signed number's bits, zero-extended.
    #[must_use]
    fn unsigned(v: i64) -> u64 {
        Self::wrap(v as u64)
    }
}

/// A width that has a low half.
pub trait Wide: Width {
    /// Half as many bits.
    type Half: Width;
}

macro_rules! widths {
    ($($name:ident = $bits:literal)*) => {
        $(
            #[doc = concat!(stringify!($bits), " bits.")]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name {}
            impl Width for $name { const BITS: u32 = $bits; }
        )*
    };
}

widths! { W64 = 64 W32 = 32 }

impl Wide for W64 {
    type Half = W32;
}

#[cfg(test)]
pub use small::*;

#[cfg(test)]
mod small {
    use super::{Wide, Width};

    widths! { W6 = 6 W4 = 4 W3 = 3 W2 = 2 }

    impl Wide for W6 {
        type Half = W3;
    }
    impl Wide for W4 {
        type Half = W2;
    }
}
