//! What instructions do to unsigned ranges.
//!
//! Engines need to know whether sums wrap, upper halves are zero, divisors may be. One range of
//! the whole register tells all that, and costs a few nanoseconds an instruction, where
//! [`Scalar`](crate::domain::Scalar) knows more and costs as much as the walk itself. Nothing
//! here decides about verdicts.

use ubpf_abi::verified::Range;
use ubpf_isa::{AluOp, CmpOp, SwapOp, SwapWidth, Width};

const LOW: u64 = u32::MAX as u64;
const SIGN: u64 = 1 << 63;

/// All numbers of so many bits.
pub(super) const fn of_bits(bits: u32) -> Range {
    Range::up_to(u64::MAX >> (64 - bits))
}

/// The low half, zero-extended.
pub(super) const fn low(range: Range) -> Range {
    if range.fits_32() {
        range
    } else if range.min >> 32 == range.max >> 32 {
        Range { min: range.min & LOW, max: range.max & LOW }
    } else {
        Range::up_to(LOW)
    }
}

/// `range` as the operand of an operation of this width.
pub(super) const fn operand(width: Width, range: Range) -> Range {
    match width {
        Width::W32 => low(range),
        Width::W64 => range,
    }
}

/// The result of `dst op src`.
pub(super) fn alu(op: AluOp, width: Width, dst: Range, src: Range) -> Range {
    let (a, b) = (operand(width, dst), operand(width, src));
    let sign = match width {
        Width::W32 => 1 << 31,
        Width::W64 => SIGN,
    };
    let signless = a.max < sign && b.max < sign;
    let wide = match op {
        AluOp::Add => add(a, b),
        AluOp::Sub => sub(a, b),
        AluOp::Mul => match a.max.checked_mul(b.max) {
            Some(max) => Range { min: a.min * b.min, max },
            None => Range::ANY,
        },
        AluOp::Div => div(a, b),
        AluOp::SDiv if signless => div(a, b),
        AluOp::Mod => rem(a, b),
        AluOp::SMod if signless => rem(a, b),
        AluOp::SDiv | AluOp::SMod => Range::ANY,
        AluOp::Or => Range { min: a.min.max(b.min), max: ones(a.max | b.max) },
        AluOp::Xor => Range::up_to(ones(a.max | b.max)),
        AluOp::And => match (a.as_const(), b.as_const()) {
            (Some(a), Some(b)) => Range::of(a & b),
            _ => Range::up_to(a.max.min(b.max)),
        },
        AluOp::Lsh => shl(a, count(width, b)),
        AluOp::Rsh => shr(a, count(width, b)),
        AluOp::Arsh if a.max < sign => shr(a, count(width, b)),
        AluOp::Arsh => Range::ANY,
    };
    operand(width, wide)
}

/// The number with all bits set up to the highest of `max`.
const fn ones(max: u64) -> u64 {
    match max.leading_zeros() {
        64 => 0,
        zeros => u64::MAX >> zeros,
    }
}

/// Both ends wrap, or neither does.
const fn add(a: Range, b: Range) -> Range {
    let (min, low_wraps) = a.min.overflowing_add(b.min);
    let (max, high_wraps) = a.max.overflowing_add(b.max);
    if low_wraps == high_wraps { Range { min, max } } else { Range::ANY }
}

const fn sub(a: Range, b: Range) -> Range {
    let (min, low_wraps) = a.min.overflowing_sub(b.max);
    let (max, high_wraps) = a.max.overflowing_sub(b.min);
    if low_wraps == high_wraps { Range { min, max } } else { Range::ANY }
}

/// Division by 0 gives 0.
fn div(a: Range, b: Range) -> Range {
    let min = if b.min == 0 { 0 } else { a.min / b.max };
    Range { min, max: a.max / b.min.max(1) }
}

/// The remainder by 0 is the number itself.
fn rem(a: Range, b: Range) -> Range {
    if a.max < b.min {
        a
    } else if b.min == 0 {
        Range::up_to(a.max)
    } else {
        Range::up_to(a.max.min(b.max - 1))
    }
}

/// What a shift count comes to: engines look at its low bits only.
const fn count(width: Width, by: Range) -> Range {
    let last = (width.bits() - 1) as u64;
    match by.as_const() {
        Some(by) => Range::of(by & last),
        None if by.max <= last => by,
        None => Range::up_to(last),
    }
}

const fn shl(a: Range, by: Range) -> Range {
    if a.max.leading_zeros() as u64 >= by.max {
        Range { min: a.min << by.min, max: a.max << by.max }
    } else {
        Range::ANY
    }
}

const fn shr(a: Range, by: Range) -> Range {
    Range { min: a.min >> by.max, max: a.max >> by.min }
}

/// `-range`.
pub(super) fn neg(width: Width, range: Range) -> Range {
    alu(AluOp::Sub, width, Range::of(0), range)
}

/// The low `bits` bits, sign-extended to the width.
pub(super) const fn sign_extend(width: Width, bits: u32, range: Range) -> Range {
    if range.max < 1 << (bits - 1) {
        range
    } else {
        match width {
            Width::W32 => Range::up_to(LOW),
            Width::W64 => Range::ANY,
        }
    }
}

/// A byte-order conversion.
pub(super) const fn swap(op: SwapOp, width: SwapWidth, range: Range) -> Range {
    let all = of_bits(width.bits());
    match op {
        SwapOp::ToLe if range.max <= all.max => range,
        _ => all,
    }
}

/// Whether `a op b` always holds, or never.
pub(super) const fn decide(op: CmpOp, width: Width, a: Range, b: Range) -> Option<bool> {
    let (a, b) = (operand(width, a), operand(width, b));
    let less = if a.max < b.min {
        Some(true)
    } else if a.min >= b.max {
        Some(false)
    } else {
        None
    };
    let greater = if a.min > b.max {
        Some(true)
    } else if a.max <= b.min {
        Some(false)
    } else {
        None
    };
    let equal = match (a.as_const(), b.as_const()) {
        (Some(a), Some(b)) => Some(a == b),
        _ if a.max < b.min || b.max < a.min => Some(false),
        _ => None,
    };
    let signless = signless(width, a, b);
    match op {
        CmpOp::Eq => equal,
        CmpOp::Ne => not(equal),
        CmpOp::Lt => less,
        CmpOp::Ge => not(less),
        CmpOp::Gt => greater,
        CmpOp::Le => not(greater),
        CmpOp::Slt if signless => less,
        CmpOp::Sge if signless => not(less),
        CmpOp::Sgt if signless => greater,
        CmpOp::Sle if signless => not(greater),
        _ => None,
    }
}

const fn not(answer: Option<bool>) -> Option<bool> {
    match answer {
        Some(yes) => Some(!yes),
        None => None,
    }
}

/// Neither has its sign bit set, so that signed order is unsigned order.
const fn signless(width: Width, a: Range, b: Range) -> bool {
    let sign = match width {
        Width::W32 => 1 << 31,
        Width::W64 => SIGN,
    };
    a.max < sign && b.max < sign
}

/// What is known of `a` and `b` where `a op b` is `holds`; `None` where it cannot be.
pub(super) fn refine(
    op: CmpOp,
    width: Width,
    holds: bool,
    a: Range,
    b: Range,
) -> Option<(Range, Range)> {
    // A 32-bit comparison says something of the whole where that is its low half.
    if width == Width::W32 && !(a.fits_32() && b.fits_32()) {
        return Some((a, b));
    }
    // Of shared bits, or none, nothing is learned.
    let Some(op) = (if holds { Some(op) } else { op.negated() }) else { return Some((a, b)) };
    let refined = match op {
        CmpOp::Eq => {
            let both = Range { min: a.min.max(b.min), max: a.max.min(b.max) };
            (both, both)
        }
        CmpOp::Ne => (without(a, b), without(b, a)),
        CmpOp::Lt => less(a, b, 1),
        CmpOp::Le => less(a, b, 0),
        CmpOp::Gt => swapped(less(b, a, 1)),
        CmpOp::Ge => swapped(less(b, a, 0)),
        CmpOp::Slt => signed_less(width, a, b, 1),
        CmpOp::Sle => signed_less(width, a, b, 0),
        CmpOp::Sgt => swapped(signed_less(width, b, a, 1)),
        CmpOp::Sge => swapped(signed_less(width, b, a, 0)),
        CmpOp::Set => (a, b),
    };
    let possible = |range: Range| range.min <= range.max;
    (possible(refined.0) && possible(refined.1)).then_some(refined)
}

const fn swapped((a, b): (Range, Range)) -> (Range, Range) {
    (b, a)
}

/// `a + gap <= b`. Ranges that cannot be come out with their ends exchanged.
fn less(a: Range, b: Range, gap: u64) -> (Range, Range) {
    match (b.max.checked_sub(gap), a.min.checked_add(gap)) {
        (Some(max), Some(min)) => {
            (Range { max: a.max.min(max), ..a }, Range { min: b.min.max(min), ..b })
        }
        _ => (Range { min: 1, max: 0 }, b),
    }
}

/// The same with signs: of the half of the numbers that have none.
fn signed_less(width: Width, a: Range, b: Range, gap: u64) -> (Range, Range) {
    if signless(width, a, b) {
        return less(a, b, gap);
    }
    // What is more than a number without sign has none either.
    let last = match width {
        Width::W32 => i32::MAX as u64,
        Width::W64 => i64::MAX as u64,
    };
    if a.max <= last {
        let min = b.min.max(a.min.saturating_add(gap));
        return (a, Range { min, max: b.max.min(last) });
    }
    (a, b)
}

/// `range` without the only number of `other`, where that is at an end.
const fn without(range: Range, other: Range) -> Range {
    match other.as_const() {
        Some(value) if range.min == value && range.max == value => Range { min: 1, max: 0 },
        Some(value) if range.min == value => Range { min: value + 1, ..range },
        Some(value) if range.max == value => Range { max: value - 1, ..range },
        _ => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ubpf_isa::SignExtend;

    const ALU: [AluOp; 13] = [
        AluOp::Add,
        AluOp::Sub,
        AluOp::Mul,
        AluOp::Div,
        AluOp::SDiv,
        AluOp::Or,
        AluOp::And,
        AluOp::Lsh,
        AluOp::Rsh,
        AluOp::Mod,
        AluOp::SMod,
        AluOp::Xor,
        AluOp::Arsh,
    ];
    const CMP: [CmpOp; 11] = [
        CmpOp::Eq,
        CmpOp::Ne,
        CmpOp::Gt,
        CmpOp::Ge,
        CmpOp::Lt,
        CmpOp::Le,
        CmpOp::Set,
        CmpOp::Sgt,
        CmpOp::Sge,
        CmpOp::Slt,
        CmpOp::Sle,
    ];

    /// Numbers near the places where something changes.
    fn number() -> impl Strategy<Value = u64> {
        let near = (0_u32..64, -3_i64..4);
        prop_oneof![
            near.prop_map(|(bit, by)| (1_u64 << bit).wrapping_add(by.cast_unsigned())),
            any::<u64>(),
            0_u64..200,
        ]
    }

    /// A range and a number in it.
    fn member() -> impl Strategy<Value = (Range, u64)> {
        [number(), number(), number()].prop_map(|mut ends| {
            ends.sort_unstable();
            let [min, value, max] = ends;
            (Range { min, max }, value)
        })
    }

    fn width() -> impl Strategy<Value = Width> {
        prop_oneof![Just(Width::W32), Just(Width::W64)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn results_lie_in_the_range_of_results(
            op in prop::sample::select(&ALU[..]), width in width(), a in member(), b in member(),
        ) {
            let result = op.eval(width, a.1, b.1);
            let range = alu(op, width, a.0, b.0);
            prop_assert!(range.contains(result), "{result:#x} is outside {range:x?}");
        }

        #[test]
        fn narrower_numbers_lie_in_their_ranges(
            width in width(),
            bits in prop::sample::select(&[SignExtend::From8, SignExtend::From16][..]),
            swap_width in prop::sample::select(&[SwapWidth::W16, SwapWidth::W32, SwapWidth::W64][..]),
            op in prop::sample::select(&[SwapOp::ToLe, SwapOp::ToBe, SwapOp::Bswap][..]),
            a in member(),
        ) {
            prop_assert!(low(a.0).contains(u64::from(a.1 as u32)));
            prop_assert!(sign_extend(width, bits.bits(), a.0).contains(bits.eval(width, a.1)));
            prop_assert!(swap(op, swap_width, a.0).contains(op.eval(swap_width, a.1)));
            prop_assert!(neg(width, a.0).contains(AluOp::Sub.eval(width, 0, a.1)));
        }

        #[test]
        fn comparisons_are_decided_and_refined_as_they_come_out(
            op in prop::sample::select(&CMP[..]), width in width(), a in member(), b in member(),
        ) {
            let holds = op.eval(width, a.1, b.1);
            if let Some(always) = decide(op, width, a.0, b.0) {
                prop_assert_eq!(always, holds);
            }
            let refined = refine(op, width, holds, a.0, b.0);
            prop_assert!(refined.is_some_and(|(x, y)| x.contains(a.1) && y.contains(b.1)));
        }
    }
}
