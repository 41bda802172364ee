//! Conditional jumps over scalars: which way they must go, and what each way teaches.

use super::bounds::Bounds;
use super::scalar::Scalar;
use super::tnum::Tnum;
use super::width::{Wide, Width};
use ubpf_isa::{CmpOp, Width as OpWidth};

/// Whether `a op b` always holds (`Some(true)`), never (`Some(false)`), or depends.
#[must_use]
pub fn decide<W: Wide>(op: CmpOp, width: OpWidth, a: &Scalar<W>, b: &Scalar<W>) -> Option<bool> {
    match width {
        OpWidth::W32 => decide_at(op, (a.low_bits(), a.low), (b.low_bits(), b.low)),
        OpWidth::W64 => {
            let full = decide_at(op, (a.bits, a.full), (b.bits, b.full));
            match op {
                // Equal numbers have equal low halves.
                CmpOp::Eq | CmpOp::Ne if full.is_none() && disjoint(a.low, b.low) => {
                    Some(op == CmpOp::Ne)
                }
                _ => full,
            }
        }
    }
}

/// Narrows `a` and `b` by `a op b` being `holds`.
pub fn refine<W: Wide>(
    op: CmpOp,
    width: OpWidth,
    holds: bool,
    a: &mut Scalar<W>,
    b: &mut Scalar<W>,
) {
    narrow(op, width, holds, a, b);
    *a = a.sync();
    *b = b.sync();
}

/// Narrows `a` by `a op a` being `holds`, which of most conditions is a path that no execution
/// takes. The kernel walks it, with what both operands learn in the one register.
pub fn refine_itself<W: Wide>(op: CmpOp, width: OpWidth, holds: bool, a: &mut Scalar<W>) {
    let mut b = *a;
    narrow(op, width, holds, a, &mut b);
    a.bits = a.bits.intersect(b.bits);
    a.full = a.full.intersect(b.full);
    a.low = a.low.intersect(b.low);
    *a = a.sync();
    // Ranges without a number in them are given up.
    if a.is_contradiction() {
        (a.full, a.low) = (Bounds::UNBOUNDED, Bounds::UNBOUNDED);
    }
}

fn narrow<W: Wide>(op: CmpOp, width: OpWidth, holds: bool, a: &mut Scalar<W>, b: &mut Scalar<W>) {
    let relation = Relation::of(op, holds);
    if let Relation::Apart = relation {
        forget_ranges(width, a, b);
    }
    match width {
        OpWidth::W32 => {
            let (mut x, mut y) = (
                Part { bits: a.low_bits(), range: a.low },
                Part { bits: b.low_bits(), range: b.low },
            );
            relation.apply(&mut x, &mut y);
            (a.bits, a.low) = (a.bits.with_low(x.bits), x.range);
            (b.bits, b.low) = (b.bits.with_low(y.bits), y.range);
        }
        OpWidth::W64 => {
            let (mut x, mut y) =
                (Part { bits: a.bits, range: a.full }, Part { bits: b.bits, range: b.full });
            relation.apply(&mut x, &mut y);
            (a.bits, a.full) = (x.bits, x.range);
            (b.bits, b.full) = (y.bits, y.range);
        }
    }
}

/// Bits that are known to be clear may contradict the ranges where a path is dead, so the kernel
/// gives up the ranges first, of both halves.
fn forget_ranges<W: Wide>(width: OpWidth, a: &mut Scalar<W>, b: &mut Scalar<W>) {
    let is_const = |n: &Scalar<W>| match width {
        OpWidth::W32 => n.low_bits().as_const().is_some(),
        OpWidth::W64 => n.bits.as_const().is_some(),
    };
    let narrowed = match (is_const(a), is_const(b)) {
        (_, true) => a,
        (true, false) => b,
        (false, false) => return,
    };
    narrowed.full = Bounds::UNBOUNDED;
    narrowed.low = Bounds::UNBOUNDED;
}

fn disjoint<W: Width>(a: Bounds<W>, b: Bounds<W>) -> bool {
    a.umin > b.umax || b.umin > a.umax || a.smin > b.smax || b.smin > a.smax
}

fn decide_at<W: Width>(
    op: CmpOp,
    a: (Tnum<W>, Bounds<W>),
    b: (Tnum<W>, Bounds<W>),
) -> Option<bool> {
    let ((abits, a), (bbits, b)) = (a, b);
    match op {
        CmpOp::Eq => match (abits.as_const(), bbits.as_const()) {
            (Some(x), Some(y)) => Some(x == y),
            _ => (!abits.overlaps(bbits) || disjoint(a, b)).then_some(false),
        },
        CmpOp::Ne => decide_at(CmpOp::Eq, (abits, a), (bbits, b)).map(|eq| !eq),
        CmpOp::Set => {
            let (bits, mask) = match (abits.as_const(), bbits.as_const()) {
                (_, Some(mask)) => (abits, mask),
                (Some(mask), None) => (bbits, mask),
                (None, None) => return None,
            };
            if bits.value() & mask != 0 {
                Some(true)
            } else {
                (bits.umax() & mask == 0).then_some(false)
            }
        }
        CmpOp::Gt => ordered(b.umin, b.umax, a.umin, a.umax),
        CmpOp::Lt => ordered(a.umin, a.umax, b.umin, b.umax),
        CmpOp::Sgt => ordered(b.smin, b.smax, a.smin, a.smax),
        CmpOp::Slt => ordered(a.smin, a.smax, b.smin, b.smax),
        CmpOp::Ge => decide_at(CmpOp::Lt, (abits, a), (bbits, b)).map(|lt| !lt),
        CmpOp::Le => decide_at(CmpOp::Gt, (abits, a), (bbits, b)).map(|gt| !gt),
        CmpOp::Sge => decide_at(CmpOp::Slt, (abits, a), (bbits, b)).map(|lt| !lt),
        CmpOp::Sle => decide_at(CmpOp::Sgt, (abits, a), (bbits, b)).map(|gt| !gt),
    }
}

/// Whether `x < y` for `x` and `y` in these ranges.
fn ordered<T: Ord>(xmin: T, xmax: T, ymin: T, ymax: T) -> Option<bool> {
    if xmax < ymin { Some(true) } else { (xmin >= ymax).then_some(false) }
}

/// The half, or the whole, of a scalar that a jump looks at.
struct Part<W> {
    bits: Tnum<W>,
    range: Bounds<W>,
}

/// What is known of two numbers; each condition and its opposite is one of these, perhaps with
/// the operands exchanged.
#[derive(Clone, Copy)]
enum Relation {
    Equal,
    Different,
    /// They share a set bit.
    Meet,
    /// They do not.
    Apart,
    Less {
        signed: bool,
        or_equal: bool,
        swapped: bool,
    },
}

impl Relation {
    const fn of(op: CmpOp, holds: bool) -> Self {
        let (signed, or_equal, swapped) = match op {
            CmpOp::Eq => return if holds { Self::Equal } else { Self::Different },
            CmpOp::Ne => return if holds { Self::Different } else { Self::Equal },
            CmpOp::Set => return if holds { Self::Meet } else { Self::Apart },
            CmpOp::Lt => (false, false, false),
            CmpOp::Le => (false, true, false),
            CmpOp::Gt => (false, false, true),
            CmpOp::Ge => (false, true, true),
            CmpOp::Slt => (true, false, false),
            CmpOp::Sle => (true, true, false),
            CmpOp::Sgt => (true, false, true),
            CmpOp::Sge => (true, true, true),
        };
        // not (a < b) is b <= a
        if holds {
            Self::Less { signed, or_equal, swapped }
        } else {
            Self::Less { signed, or_equal: !or_equal, swapped: !swapped }
        }
    }

    fn apply<W: Width>(self, a: &mut Part<W>, b: &mut Part<W>) {
        match self {
            Self::Equal => {
                a.range = a.range.intersect(b.range);
                b.range = a.range;
                a.bits = a.bits.intersect(b.bits);
                b.bits = a.bits;
            }
            Self::Different => match (a.bits.as_const(), b.bits.as_const()) {
                (_, Some(value)) => a.range = without_edge(a.range, value),
                (Some(value), None) => b.range = without_edge(b.range, value),
                (None, None) => {}
            },
            // Only a single bit in the mask says which bit of the other number is set.
            Self::Meet => match (a.bits.as_const(), b.bits.as_const()) {
                (_, Some(mask)) if mask.is_power_of_two() => {
                    a.bits = a.bits.or(Tnum::constant(mask));
                }
                (Some(mask), None) if mask.is_power_of_two() => {
                    b.bits = b.bits.or(Tnum::constant(mask));
                }
                _ => {}
            },
            Self::Apart => match (a.bits.as_const(), b.bits.as_const()) {
                (_, Some(mask)) => a.bits = a.bits.and(Tnum::constant(!mask)),
                (Some(mask), None) => b.bits = b.bits.and(Tnum::constant(!mask)),
                (None, None) => {}
            },
            Self::Less { signed, or_equal, swapped } => {
                let (x, y) = if swapped { (b, a) } else { (a, b) };
                let gap = u8::from(!or_equal);
                if signed {
                    x.range.smax = x.range.smax.min(y.range.smax.saturating_sub(gap.into()));
                    y.range.smin = y.range.smin.max(x.range.smin.saturating_add(gap.into()));
                } else {
                    x.range.umax = x.range.umax.min(y.range.umax.saturating_sub(gap.into()));
                    y.range.umin = y.range.umin.max(x.range.umin.saturating_add(gap.into()));
                }
            }
        }
    }
}

/// A range that does not contain `value`, where it is at an end.
fn without_edge<W: Width>(mut range: Bounds<W>, value: u64) -> Bounds<W> {
    let signed = W::signed(value);
    if range.umin == value {
        range.umin = range.umin.saturating_add(1);
    }
    if range.umax == value {
        range.umax = range.umax.saturating_sub(1);
    }
    if range.smin == signed {
        range.smin = range.smin.saturating_add(1);
    }
    if range.smax == signed {
        range.smax = range.smax.saturating_sub(1);
    }
    range
}
