//! Tristate numbers: for each bit, known zero, known one, or unknown.
//!
//! ```text
//!   value 0 1 0 1        a bit set in `mask` is unknown and clear in `value`
//!   mask  0 0 1 1   ✗    (value & mask == 0 always)
//! ```
//!
//! The operations follow what is published about the kernel's tnums (Vishwanathan et al., CGO
//! 2022, and the 6.18 multiplication, which joins partial sums instead of adding masks); each is
//! checked exhaustively at small widths to contain every concrete result.

use super::width::Width;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Add, Mul, Sub};

/// A set of `W`-bit numbers, given bit by bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tnum<W> {
    value: u64,
    mask: u64,
    width: PhantomData<W>,
}

impl<W: Width> Tnum<W> {
    /// Every number.
    pub const UNKNOWN: Self = Self::raw(0, W::MASK);

    const fn raw(value: u64, mask: u64) -> Self {
        Self { value, mask, width: PhantomData }
    }

    /// From known bits and a mask of unknown ones; bits beyond the width, and values under
    /// unknown bits, are dropped.
    #[must_use]
    pub fn new(value: u64, mask: u64) -> Self {
        let mask = W::wrap(mask);
        Self::raw(W::wrap(value) & !mask, mask)
    }

    /// Exactly this number.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        Self::raw(W::wrap(value), 0)
    }

    /// The smallest tnum with every number from `min` to `max`: the bits above the highest one in
    /// which they differ are known.
    #[must_use]
    pub fn range(min: u64, max: u64) -> Self {
        let differing = W::wrap(min ^ max);
        let unknown = match differing.checked_ilog2() {
            Some(top) => (u64::MAX >> (63 - top)) & W::MASK,
            None => 0,
        };
        Self::raw(W::wrap(min) & !unknown, unknown)
    }

    /// The known bits.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// The unknown bits.
    #[must_use]
    pub const fn mask(self) -> u64 {
        self.mask
    }

    /// Smallest member, unsigned.
    #[must_use]
    pub const fn umin(self) -> u64 {
        self.value
    }

    /// Largest member, unsigned.
    #[must_use]
    pub const fn umax(self) -> u64 {
        self.value | self.mask
    }

    /// Smallest member, signed: an unknown sign bit counts as set, other unknown bits as clear.
    #[must_use]
    pub fn smin(self) -> i64 {
        W::signed(self.value | (self.mask & W::SMIN as u64))
    }

    /// Largest member, signed.
    #[must_use]
    pub fn smax(self) -> i64 {
        W::signed(self.value | (self.mask & W::SMAX as u64))
    }

    /// The only member, if there is only one.
    #[must_use]
    pub const fn as_const(self) -> Option<u64> {
        if self.mask == 0 { Some(self.value) } else { None }
    }

    /// Whether `v` is a member.
    #[must_use]
    pub const fn contains(self, v: u64) -> bool {
        v & !self.mask == self.value
    }

    /// The smallest member above `v`.
    ///
    /// It agrees with some number above `v` in its high bits: of all unknown bits that are clear
    /// where `v` may be raised, the lowest is set, and what is below it is as small as it can be.
    #[must_use]
    pub fn next_above(self, v: u64) -> Option<u64> {
        if v < self.value {
            return Some(self.value);
        }
        if v >= self.umax() {
            return None;
        }
        // Above the highest bit in which a known bit disagrees with `v`, members can follow `v`.
        let wrong = (v ^ self.value) & !self.mask;
        let top = wrong.checked_ilog2();
        let below = top.map_or(0, |bit| u64::MAX >> (63 - bit));
        if let Some(bit) = top
            && self.value & 1 << bit != 0
        {
            // A known one where `v` has a zero: already above, with the rest as small as can be.
            return Some(v & self.mask & !below | self.value);
        }
        // Otherwise some unknown bit above must be raised from 0 to 1: the lowest one.
        let raisable = self.mask & !v & !below;
        let bit = raisable & raisable.wrapping_neg();
        let keep = !(bit | bit.wrapping_sub(1));
        (bit != 0).then_some(v & self.mask & keep | bit | self.value)
    }

    /// Whether every member of `other` is one of `self`.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        other.mask & !self.mask == 0 && other.value & !self.mask == self.value
    }

    /// Whether some number is a member of both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        (self.value ^ other.value) & !self.mask & !other.mask == 0
    }

    /// Every member is a multiple of `size`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, size: u64) -> bool {
        (self.value | self.mask) & (size - 1) == 0
    }

    /// What both allow. The operands must overlap; where they do not, the result is some value
    /// of no meaning, on a path that cannot be taken.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        let mask = self.mask & other.mask;
        Self::raw((self.value | other.value) & !mask, mask)
    }

    /// The smallest tnum that includes both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let mask = self.mask | other.mask | (self.value ^ other.value);
        Self::raw(self.value & !mask, mask)
    }

    /// Bitwise and.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let value = self.value & other.value;
        let possible = self.umax() & other.umax();
        Self::raw(value, possible & !value)
    }

    /// Bitwise or.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        let value = self.value | other.value;
        Self::raw(value, (self.mask | other.mask) & !value)
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub const fn xor(self, other: Self) -> Self {
        let mask = self.mask | other.mask;
        Self::raw((self.value ^ other.value) & !mask, mask)
    }

    /// Shift left; `count` is below the width.
    #[must_use]
    pub fn lsh(self, count: u32) -> Self {
        Self::new(self.value << count, self.mask << count)
    }

    /// Logical shift right; `count` is below the width.
    #[must_use]
    pub const fn rsh(self, count: u32) -> Self {
        Self::raw(self.value >> count, self.mask >> count)
    }

    /// Arithmetic shift right; `count` is below the width. An unknown sign spreads as unknown.
    #[must_use]
    pub fn arsh(self, count: u32) -> Self {
        Self::new((W::signed(self.value) >> count) as u64, (W::signed(self.mask) >> count) as u64)
    }

    /// The low bits, as a tnum of another width: cut, or zero-extended.
    #[must_use]
    pub fn cast<V: Width>(self) -> Tnum<V> {
        Tnum::new(self.value, self.mask)
    }

    /// These high bits with the low half replaced.
    #[must_use]
    pub fn with_low<H: Width>(self, low: Tnum<H>) -> Self {
        Self::raw((self.value & !H::MASK) | low.value, (self.mask & !H::MASK) | low.mask)
    }
}

impl<W: Width> Add for Tnum<W> {
    type Output = Self;

    /// Sum. A result bit is unknown where an operand's is, or where the smallest and the largest
    /// possible sum differ in carries.
    fn add(self, other: Self) -> Self {
        let known = self.value.wrapping_add(other.value);
        let unknown = self.mask.wrapping_add(other.mask);
        let carries = known.wrapping_add(unknown) ^ known;
        Self::new(known, carries | self.mask | other.mask)
    }
}

impl<W: Width> Sub for Tnum<W> {
    type Output = Self;

    /// Difference, by the same argument with borrows.
    fn sub(self, other: Self) -> Self {
        let known = self.value.wrapping_sub(other.value);
        let largest = known.wrapping_add(self.mask);
        let smallest = known.wrapping_sub(other.mask);
        Self::new(known, (largest ^ smallest) | self.mask | other.mask)
    }
}

impl<W: Width> Mul for Tnum<W> {
    type Output = Self;

    /// Product, as in school: for each bit of `self`, `other` shifted is added, not added, or
    /// (where the bit is unknown) both outcomes are joined.
    fn mul(self, other: Self) -> Self {
        let mut sum = Self::constant(0);
        let (mut digits, mut term) = (self, other);
        while digits.umax() != 0 {
            let added = sum + term;
            if digits.value & 1 != 0 {
                sum = added;
            } else if digits.mask & 1 != 0 {
                sum = sum.union(added);
            }
            (digits, term) = (digits.rsh(1), term.lsh(1));
        }
        sum
    }
}

impl<W: Width> fmt::Display for Tnum<W> {
    /// The form of the kernel's log, `(0x0; 0xff)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:#x}; {:#x})", self.value, self.mask)
    }
}

impl<W: Width> fmt::Debug for Tnum<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
