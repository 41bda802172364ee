//! Unsigned and signed ranges of one width, and what arithmetic does to them.
//!
//! A scalar has two of these, one for all its bits and one for its low half; the same rules
//! serve both. Where an operation may wrap, the affected pair of bounds is given up, as the
//! kernel does: ranges here never wrap around.

use super::tnum::Tnum;
use super::width::Width;
use core::marker::PhantomData;
use core::ops::{Add, Mul, Sub};

/// `umin ≤ v ≤ umax` and, reading the same bits as a signed number, `smin ≤ v ≤ smax`.
///
/// The two ranges are kept independently; neither is ever wider than the other implies only
/// after [`Bounds::deduce`]. A range with `min > max` says that no value is possible, which
/// happens on paths that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds<W> {
    /// Smallest value, unsigned.
    pub umin: u64,
    /// Largest value, unsigned.
    pub umax: u64,
    /// Smallest value, signed.
    pub smin: i64,
    /// Largest value, signed.
    pub smax: i64,
    width: PhantomData<W>,
}

impl<W: Width> Bounds<W> {
    /// Any value.
    pub const UNBOUNDED: Self =
        Self { umin: 0, umax: W::MASK, smin: W::SMIN, smax: W::SMAX, width: PhantomData };

    /// Exactly this value.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        let (u, s) = (W::wrap(value), W::signed(value));
        Self { umin: u, umax: u, smin: s, smax: s, width: PhantomData }
    }

    /// An unsigned range that says nothing about the sign.
    #[must_use]
    pub const fn unsigned(umin: u64, umax: u64) -> Self {
        Self { umin, umax, ..Self::UNBOUNDED }
    }

    /// A signed range that says nothing about the unsigned value.
    #[must_use]
    pub const fn signed(smin: i64, smax: i64) -> Self {
        Self { smin, smax, ..Self::UNBOUNDED }
    }

    /// The only value, where each range alone has just one and they agree.
    #[must_use]
    pub fn as_const(self) -> Option<u64> {
        (self.umin == self.umax && self.smin == self.smax && W::signed(self.umin) == self.smin)
            .then_some(self.umin)
    }

    /// Whether the bits of `value` are inside both ranges.
    #[must_use]
    pub fn contains(self, value: u64) -> bool {
        let s = W::signed(value);
        (self.umin..=self.umax).contains(&W::wrap(value)) && (self.smin..=self.smax).contains(&s)
    }

    /// Whether every value in `other` is in `self`.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        self.umin <= other.umin
            && self.umax >= other.umax
            && self.smin <= other.smin
            && self.smax >= other.smax
    }

    /// Neither range is empty.
    #[must_use]
    pub const fn is_consistent(self) -> bool {
        self.umin <= self.umax && self.smin <= self.smax
    }

    /// What both allow.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            umin: self.umin.max(other.umin),
            umax: self.umax.min(other.umax),
            smin: self.smin.max(other.smin),
            smax: self.smax.min(other.smax),
            width: PhantomData,
        }
    }

    /// The smallest bounds that include both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            umin: self.umin.min(other.umin),
            umax: self.umax.max(other.umax),
            smin: self.smin.min(other.smin),
            smax: self.smax.max(other.smax),
            width: PhantomData,
        }
    }

    /// What is left after adding what the known bits say.
    #[must_use]
    pub fn narrow_by_bits(self, bits: Tnum<W>) -> Self {
        self.intersect(Self {
            umin: bits.umin(),
            umax: bits.umax(),
            smin: bits.smin(),
            smax: bits.smax(),
            width: PhantomData,
        })
    }

    /// Lets each range narrow the other where they lie on one side of the middle, in which case
    /// both readings are the same.
    ///
    /// ```text
    ///   unsigned   0 ─────────── SMAX │ SMIN ────────── MASK
    ///   signed     0 ─────────── SMAX │ SMIN ──────────── -1
    /// ```
    #[must_use]
    pub fn deduce(mut self) -> Self {
        if W::signed(self.umin) <= W::signed(self.umax) {
            self.smin = self.smin.max(W::signed(self.umin));
            self.smax = self.smax.min(W::signed(self.umax));
        }
        let (low, high) = (W::unsigned(self.smin), W::unsigned(self.smax));
        if low <= high {
            self.umin = self.umin.max(low);
            self.umax = self.umax.min(high);
        }
        self
    }

    /// Narrows a signed range that crosses zero: unsigned it is two pieces, one at each end, and
    /// when the unsigned range touches only one of them, that one remains.
    #[must_use]
    pub fn deduce_across_zero(mut self) -> Self {
        let (low, high) = (W::unsigned(self.smin), W::unsigned(self.smax));
        if low > high {
            if self.umax < low {
                self.smin = W::signed(self.umin);
                self.umax = self.umax.min(high);
            } else if high < self.umin {
                self.smax = W::signed(self.umax);
                self.umin = self.umin.max(low);
            }
        }
        self
    }

    /// `self & rhs`, whose known bits are `result`.
    #[must_use]
    pub fn and(self, rhs: Self, result: Tnum<W>) -> Self {
        Self::from_unsigned(result.umin(), self.umax.min(rhs.umax))
    }

    /// `self | rhs`, whose known bits are `result`.
    #[must_use]
    pub fn or(self, rhs: Self, result: Tnum<W>) -> Self {
        Self::from_unsigned(self.umin.max(rhs.umin), result.umax())
    }

    /// `self ^ rhs`, whose known bits are `result`.
    #[must_use]
    pub fn xor(result: Tnum<W>) -> Self {
        Self::from_unsigned(result.umin(), result.umax())
    }

    /// Shift left by a constant below the width, where nothing is shifted out, and nothing but
    /// a single bit into the sign (the kernel's limit).
    #[must_use]
    pub fn lsh(self, count: u32) -> Self {
        if self.umax > 1 << (W::BITS - 1 - count) {
            return Self::UNBOUNDED;
        }
        Self::unsigned(self.umin << count, self.umax << count)
    }

    /// Logical shift right by a constant below the width.
    #[must_use]
    pub const fn rsh(self, count: u32) -> Self {
        Self::unsigned(self.umin >> count, self.umax >> count)
    }

    /// Arithmetic shift right by a constant below the width.
    #[must_use]
    pub const fn arsh(self, count: u32) -> Self {
        Self::signed(self.smin >> count, self.smax >> count)
    }

    /// An unsigned range, and the signed one when it is the same.
    fn from_unsigned(umin: u64, umax: u64) -> Self {
        let mut out = Self::unsigned(umin, umax);
        if W::signed(umin) <= W::signed(umax) {
            (out.smin, out.smax) = (W::signed(umin), W::signed(umax));
        }
        out
    }
}

impl<W: Width> Add for Bounds<W> {
    type Output = Self;

    /// Sum. A bound pair survives when neither end wraps, or both do.
    fn add(self, rhs: Self) -> Self {
        let mut out = Self::UNBOUNDED;
        let (lo, lo_carries) = uadd::<W>(self.umin, rhs.umin);
        let (hi, hi_carries) = uadd::<W>(self.umax, rhs.umax);
        if lo_carries == hi_carries {
            (out.umin, out.umax) = (lo, hi);
        }
        if let (Some(lo), Some(hi)) =
            (sadd::<W>(self.smin, rhs.smin), sadd::<W>(self.smax, rhs.smax))
        {
            (out.smin, out.smax) = (lo, hi);
        }
        out
    }
}

impl<W: Width> Sub for Bounds<W> {
    type Output = Self;

    /// Difference, by the same rule.
    fn sub(self, rhs: Self) -> Self {
        let mut out = Self::UNBOUNDED;
        let lo_borrows = self.umin < rhs.umax;
        let hi_borrows = self.umax < rhs.umin;
        if lo_borrows == hi_borrows {
            out.umin = W::wrap(self.umin.wrapping_sub(rhs.umax));
            out.umax = W::wrap(self.umax.wrapping_sub(rhs.umin));
        }
        if let (Some(lo), Some(hi)) =
            (ssub::<W>(self.smin, rhs.smax), ssub::<W>(self.smax, rhs.smin))
        {
            (out.smin, out.smax) = (lo, hi);
        }
        out
    }
}

impl<W: Width> Mul for Bounds<W> {
    type Output = Self;

    /// Product. Unsigned, the largest possible one must not wrap; signed, none of the four
    /// corner products may.
    fn mul(self, rhs: Self) -> Self {
        let mut out = Self::UNBOUNDED;
        if let Some(hi) = self.umax.checked_mul(rhs.umax).filter(|&p| p <= W::MASK) {
            (out.umin, out.umax) = (self.umin * rhs.umin, hi);
        }
        let corners = [
            smul::<W>(self.smin, rhs.smin),
            smul::<W>(self.smin, rhs.smax),
            smul::<W>(self.smax, rhs.smin),
            smul::<W>(self.smax, rhs.smax),
        ];
        if let [Some(a), Some(b), Some(c), Some(d)] = corners {
            out.smin = a.min(b).min(c).min(d);
            out.smax = a.max(b).max(c).max(d);
        }
        out
    }
}

/// The wrapped sum, and whether it wrapped.
fn uadd<W: Width>(a: u64, b: u64) -> (u64, bool) {
    let sum = W::wrap(a.wrapping_add(b));
    (sum, sum < a)
}

fn sadd<W: Width>(a: i64, b: i64) -> Option<i64> {
    fits::<W>(a.checked_add(b)?)
}

fn ssub<W: Width>(a: i64, b: i64) -> Option<i64> {
    fits::<W>(a.checked_sub(b)?)
}

fn smul<W: Width>(a: i64, b: i64) -> Option<i64> {
    fits::<W>(a.checked_mul(b)?)
}

fn fits<W: Width>(v: i64) -> Option<i64> {
    (W::SMIN..=W::SMAX).contains(&v).then_some(v)
}
