//! What is known about a number in a register: its bits, and its ranges as a whole and as its
//! low half.
//!
//! The rules are those of Linux 6.18, because a verdict depends on them: knowing less refuses
//! programs the kernel takes, knowing more takes programs it refuses.

use super::bounds::Bounds;
use super::tnum::Tnum;
use super::width::{W64, Wide, Width};
use core::ops::{Add, Mul, Sub};
use ubpf_isa::{AluOp, SignExtend, Width as OpWidth};

/// A set of numbers of width `W`, over-approximated three ways at once.
///
/// A concrete value is a member only if all three parts admit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scalar<W: Wide = W64> {
    /// Known bits.
    pub bits: Tnum<W>,
    /// Ranges of the whole number.
    pub full: Bounds<W>,
    /// Ranges of the low half.
    pub low: Bounds<W::Half>,
}

impl<W: Wide> Scalar<W> {
    /// Any number.
    pub const UNKNOWN: Self =
        Self { bits: Tnum::UNKNOWN, full: Bounds::UNBOUNDED, low: Bounds::UNBOUNDED };

    /// Exactly this number.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        Self {
            bits: Tnum::constant(value),
            full: Bounds::constant(value),
            low: Bounds::constant(value),
        }
    }

    /// A number in an unsigned range.
    #[must_use]
    pub fn unsigned(umin: u64, umax: u64) -> Self {
        Self { full: Bounds::unsigned(umin, umax), ..Self::UNKNOWN }.sync()
    }

    /// A number in a signed range.
    #[must_use]
    pub fn signed(smin: i64, smax: i64) -> Self {
        Self { full: Bounds::signed(smin, smax), ..Self::UNKNOWN }.sync()
    }

    /// A number with these known bits.
    #[must_use]
    pub fn from_bits(bits: Tnum<W>) -> Self {
        Self { bits, ..Self::UNKNOWN }.sync()
    }

    /// A number between two that fit into 32 bits, and so does its low half.
    #[must_use]
    pub fn signed_half(min: i32, max: i32) -> Self {
        let (min, max) = (min.into(), max.into());
        Self { full: Bounds::signed(min, max), low: Bounds::signed(min, max), ..Self::UNKNOWN }
            .sync()
    }

    /// The number, if there is only one.
    #[must_use]
    pub const fn as_const(&self) -> Option<u64> {
        self.bits.as_const()
    }

    /// Known bits of the low half.
    #[must_use]
    pub fn low_bits(&self) -> Tnum<W::Half> {
        self.bits.cast()
    }

    /// Whether `value` is a member.
    #[must_use]
    pub fn contains(&self, value: u64) -> bool {
        let value = W::wrap(value);
        self.bits.contains(value) && self.full.contains(value) && self.low.contains(value)
    }

    /// Whether every member of `other` is one of `self`, judged part by part.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.bits.includes(other.bits)
            && self.full.includes(other.full)
            && self.low.includes(other.low)
    }

    /// Whether some part shows that no value is possible.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        !self.full.is_consistent() || !self.low.is_consistent()
    }

    /// Lets the parts narrow one another. Every operation ends with it.
    #[must_use]
    pub fn sync(self) -> Self {
        // Three rounds reach the fixed point in nearly all cases; the kernel stops there too.
        self.narrow_by_bits().deduce().deduce().deduce().narrow_bits().narrow_by_bits()
    }

    fn narrow_by_bits(mut self) -> Self {
        self.low = self.low.narrow_by_bits(self.bits.cast());
        self.full = self.full.narrow_by_bits(self.bits);
        match self.only_member() {
            Some(value) => Self::constant(value),
            None => self,
        }
    }

    /// The one number that bits and unsigned range have in common, where there is just one:
    /// `1..=256` of which only bit 8 may be set is 256. Where they have none, on dead paths, the
    /// kernel may take the largest number of these bits.
    fn only_member(&self) -> Option<u64> {
        let Bounds { umin, umax, .. } = self.full;
        let largest = self.bits.umax();
        let step = |from| self.bits.next_above(from).unwrap_or(largest);
        let next = step(umin);
        match self.bits.contains(umin) {
            true => (next > umax).then_some(umin),
            false if next == largest => Some(largest),
            false => (next <= umax && step(next) > umax).then_some(next),
        }
    }

    fn narrow_bits(mut self) -> Self {
        let full = self.bits.intersect(Tnum::range(self.full.umin, self.full.umax));
        let low = full.cast::<W::Half>().intersect(Tnum::range(self.low.umin, self.low.umax));
        self.bits = full.with_low(low);
        self
    }

    fn deduce(mut self) -> Self {
        self.low = self.low_from_full().deduce().deduce_across_zero();
        self.full = self.full.deduce().deduce_across_zero();
        self.full_from_low()
    }

    /// The low half's ranges, narrowed by the whole number's.
    fn low_from_full(&self) -> Bounds<W::Half> {
        let mut low = self.low;
        let Bounds { umin, umax, smin, smax, .. } = self.full;
        let high = |v: u64| W::wrap(v) >> W::Half::BITS;
        for (min, max, exact_unsigned) in
            [(umin, umax, true), (W::unsigned(smin), W::unsigned(smax), false)]
        {
            let (lo, hi) = (W::Half::wrap(min), W::Half::wrap(max));
            let (slo, shi) = (W::Half::signed(min), W::Half::signed(max));
            if high(min) == high(max) {
                if exact_unsigned || lo <= hi {
                    low.umin = low.umin.max(lo);
                    low.umax = low.umax.min(hi);
                }
                if slo <= shi {
                    low.smin = low.smin.max(slo);
                    low.smax = low.smax.min(shi);
                }
            }
            // The range runs over one step of the high half: from its negative end through
            // the wrap to its positive end, which is one signed range.
            if W::Half::wrap(high(min).wrapping_add(1)) == high(max) && slo < 0 && shi >= 0 {
                low.smin = low.smin.max(slo);
                low.smax = low.smax.min(shi);
            }
        }
        low
    }

    /// The whole number's ranges, narrowed by the low half's.
    fn full_from_low(mut self) -> Self {
        let keep_high = !W::Half::MASK;
        let (lo, hi) = (self.low.umin, self.low.umax);
        self.full.umin = self.full.umin.max(self.full.umin & keep_high | lo);
        self.full.umax = self.full.umax.min(self.full.umax & keep_high | hi);
        let (smin, smax) = (self.full.smin as u64, self.full.smax as u64);
        self.full.smin = self.full.smin.max((smin & keep_high | lo) as i64);
        self.full.smax = self.full.smax.min((smax & keep_high | hi) as i64);
        // With a non-negative low half and a whole number that fits the half's signed range, the
        // high half is zero.
        if self.low.smin >= 0 && self.full.smin >= W::Half::SMIN && self.full.smax <= W::Half::SMAX
        {
            self.full.smin = self.low.smin;
            self.full.smax = self.low.smax;
            self.full.umin = self.low.smin as u64;
            self.full.umax = self.low.smax as u64;
            self.bits = self.bits.intersect(Tnum::range(self.full.umin, self.full.umax));
        }
        self
    }

    /// The low half, zero-extended.
    #[must_use]
    pub fn zero_extend_low(&self) -> Self {
        let mut out = *self;
        out.bits = Tnum::new(self.bits.value() & W::Half::MASK, self.bits.mask() & W::Half::MASK);
        out.full.umin = self.low.umin;
        out.full.umax = self.low.umax;
        (out.full.smin, out.full.smax) = if self.low.smin >= 0 && self.low.smax >= 0 {
            (self.low.smin, self.low.smax)
        } else {
            (0, W::Half::MASK as i64)
        };
        out.sync()
    }

    /// The low `bits` bits, zero-extended, as a narrow load or fill leaves them.
    #[must_use]
    pub fn truncate(&self, bits: u32) -> Self {
        if bits >= W::BITS {
            return self.sync();
        }
        let mask = u64::MAX >> (64 - bits);
        let mut out = *self;
        out.bits = Tnum::new(self.bits.value() & mask, self.bits.mask() & mask);
        (out.full.umin, out.full.umax) = if self.full.umin & !mask == self.full.umax & !mask {
            (self.full.umin & mask, self.full.umax & mask)
        } else {
            (0, mask)
        };
        out.full.smin = out.full.umin as i64;
        out.full.smax = out.full.umax as i64;
        if bits < W::Half::BITS {
            out.low = Bounds::UNBOUNDED;
        }
        out.sync()
    }

    /// `self op rhs` in one of the two widths. Of quotients, remainders and shifts by what is no
    /// constant nothing is known, not even that 32-bit ones clear the upper half.
    #[must_use]
    pub fn alu(&self, op: AluOp, width: OpWidth, rhs: &Self) -> Self {
        let out = match op {
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => match self.shift(op, width, rhs) {
                Some(shifted) => shifted,
                None => return Self::UNKNOWN,
            },
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => return Self::UNKNOWN,
            AluOp::Add => self.zip(rhs, Tnum::add, Bounds::add, Bounds::add),
            AluOp::Sub => self.zip(rhs, Tnum::sub, Bounds::sub, Bounds::sub),
            AluOp::Mul => self.zip(rhs, Tnum::mul, Bounds::mul, Bounds::mul),
            AluOp::And => self.bitwise(rhs, Tnum::and, Bounds::and, Bounds::and),
            AluOp::Or => self.bitwise(rhs, Tnum::or, Bounds::or, Bounds::or),
            AluOp::Xor => {
                self.bitwise(rhs, Tnum::xor, |_, _, r| Bounds::xor(r), |_, _, r| Bounds::xor(r))
            }
        };
        match width {
            OpWidth::W32 => out.zero_extend_low(),
            OpWidth::W64 => out.sync(),
        }
    }

    fn zip(
        &self,
        rhs: &Self,
        bits: impl Fn(Tnum<W>, Tnum<W>) -> Tnum<W>,
        full: impl Fn(Bounds<W>, Bounds<W>) -> Bounds<W>,
        low: impl Fn(Bounds<W::Half>, Bounds<W::Half>) -> Bounds<W::Half>,
    ) -> Self {
        Self {
            bits: bits(self.bits, rhs.bits),
            full: full(self.full, rhs.full),
            low: low(self.low, rhs.low),
        }
    }

    fn bitwise(
        &self,
        rhs: &Self,
        bits: impl Fn(Tnum<W>, Tnum<W>) -> Tnum<W>,
        full: impl Fn(Bounds<W>, Bounds<W>, Tnum<W>) -> Bounds<W>,
        low: impl Fn(Bounds<W::Half>, Bounds<W::Half>, Tnum<W::Half>) -> Bounds<W::Half>,
    ) -> Self {
        let bits = bits(self.bits, rhs.bits);
        Self {
            bits,
            full: full(self.full, rhs.full, bits),
            low: low(self.low, rhs.low, bits.cast()),
        }
    }

    /// Shifts are known for constant counts below the width; for all others nothing is.
    fn shift(&self, op: AluOp, width: OpWidth, count: &Self) -> Option<Self> {
        let (known, bits) = match width {
            OpWidth::W32 => (count.low_bits().as_const(), W::Half::BITS),
            OpWidth::W64 => (count.as_const(), W::BITS),
        };
        let count = known.filter(|&c| c < u64::from(bits))? as u32;
        match width {
            OpWidth::W32 => {
                let low = self.low_bits();
                let (low, range) = match op {
                    AluOp::Lsh => (low.lsh(count), self.low.lsh(count)),
                    AluOp::Rsh => (low.rsh(count), self.low.rsh(count)),
                    _ => (low.arsh(count), self.low.arsh(count)),
                };
                let low_range = range.narrow_by_bits(low);
                Some(Self { bits: low.cast(), full: Bounds::UNBOUNDED, low: low_range })
            }
            OpWidth::W64 => Some(self.shift_full(op, count)),
        }
    }

    fn shift_full(&self, op: AluOp, count: u32) -> Self {
        let mut out = Self::UNKNOWN;
        match op {
            AluOp::Lsh => {
                out.bits = self.bits.lsh(count);
                out.full = self.full.lsh(count);
                // clang sign-extends with a shift left and right by the half's width: the
                // signed range of the half is kept on the way.
                if count == W::Half::BITS {
                    out.full.smin = self.low.smin << count;
                    out.full.smax = self.low.smax << count;
                }
                if count < W::Half::BITS {
                    out.low = self.low.lsh(count);
                }
            }
            AluOp::Rsh => {
                out.bits = self.bits.rsh(count);
                out.full = self.full.rsh(count);
            }
            _ => {
                out.bits = self.bits.arsh(count);
                out.full = self.full.arsh(count);
            }
        }
        out
    }

    /// `-self` in one of the two widths.
    #[must_use]
    pub fn neg(&self, width: OpWidth) -> Self {
        Self::constant(0).alu(AluOp::Sub, width, self)
    }

    /// A 32-bit move: the low half, zero-extended.
    #[must_use]
    pub fn mov(&self, width: OpWidth) -> Self {
        match width {
            OpWidth::W32 => self.zero_extend_low(),
            OpWidth::W64 => *self,
        }
    }
}

impl Scalar<W64> {
    /// A sign-extending move, or the widening of a sign-extending load.
    #[must_use]
    pub fn sign_extend(&self, from: SignExtend, width: OpWidth) -> Self {
        let out = self.sign_extend_full(from.bits());
        match width {
            OpWidth::W32 => self.sign_extend_low(from.bits()),
            OpWidth::W64 => out,
        }
    }

    fn sign_extend_full(&self, bits: u32) -> Self {
        let extend = |v: i64| v << (64 - bits) >> (64 - bits);
        if let Some(value) = self.as_const() {
            return Self::constant(extend(value as i64) as u64);
        }
        // Where the range fits in one period of the narrow type and does not cross its sign
        // change, extending keeps its order.
        let (a, b) = (extend(self.full.smin), extend(self.full.smax));
        if self.full.smin >> bits == self.full.smax >> bits && (a >= 0) == (b >= 0) {
            let (smin, smax) = (a.min(b), a.max(b));
            let mut out = Self::UNKNOWN;
            out.full = Bounds::signed(smin, smax);
            (out.full.umin, out.full.umax) = (smin as u64, smax as u64);
            out.low = Bounds::signed(smin, smax);
            (out.low.umin, out.low.umax) = (u64::from(smin as u32), u64::from(smax as u32));
            out.bits = Tnum::range(smin as u64, smax as u64);
            return out;
        }
        Self::narrow_signed(bits)
    }

    /// Any number that a sign-extension from `bits` bits gives.
    fn narrow_signed(bits: u32) -> Self {
        let mut out = Self::UNKNOWN;
        (out.full.smin, out.full.smax) = (-1 << (bits - 1), !(-1 << (bits - 1)));
        if bits < 32 {
            (out.low.smin, out.low.smax) = (out.full.smin, out.full.smax);
        }
        out
    }

    fn sign_extend_low(&self, bits: u32) -> Self {
        let extend = |v: i64| v << (64 - bits) >> (64 - bits);
        let low = self.low_bits();
        let mut out = *self;
        if let Some(value) = low.as_const() {
            return Self::constant(u64::from(extend(value as i64) as u32));
        }
        let (a, b) = (extend(self.low.smin), extend(self.low.smax));
        if self.low.smin >> bits == self.low.smax >> bits && (a >= 0) == (b >= 0) {
            let (smin, smax) = (a.min(b), a.max(b));
            out.low = Bounds::signed(smin, smax);
            (out.low.umin, out.low.umax) = (u64::from(smin as u32), u64::from(smax as u32));
            out.bits = Tnum::range(u64::from(smin as u32), u64::from(smax as u32));
        } else {
            out.low = Bounds::signed(-1 << (bits - 1), !(-1 << (bits - 1)));
            out.bits = Tnum::new(0, u64::from(u32::MAX));
        }
        out.full = Bounds::UNBOUNDED;
        out.zero_extend_low()
    }
}
