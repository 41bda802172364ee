//! Every operation against every concrete value, at widths where that is possible.

use super::branch::{decide, refine};
use super::width::{W3, W4, W6, W64, Wide, Width};
use super::{Bounds, Scalar, Tnum};
use core::ops::{Add, Mul, Sub};
use proptest::prelude::*;
use ubpf_isa::{AluOp, CmpOp, SignExtend, Width as OpWidth};

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

fn tnums<W: Width>() -> Vec<Tnum<W>> {
    let all = 0..=W::MASK;
    all.clone()
        .flat_map(|mask| {
            all.clone().filter(move |v| v & mask == 0).map(move |v| Tnum::new(v, mask))
        })
        .collect()
}

fn members<W: Width>(t: Tnum<W>) -> impl Iterator<Item = u64> {
    (0..=W::MASK).filter(move |&v| t.contains(v))
}

/// The smallest tnum that contains all of these.
fn hull<W: Width>(values: impl Iterator<Item = u64>) -> Tnum<W> {
    values.map(Tnum::constant).reduce(Tnum::union).expect("at least one value")
}

/// What the instruction does to `W`-bit numbers; `None` for the ones that only exist at 64 bits.
fn concrete<W: Width>(op: AluOp, a: u64, b: u64) -> u64 {
    let (sa, sb) = (W::signed(a), W::signed(b));
    let count = || u32::try_from(b % u64::from(W::BITS)).expect("a shift count is small");
    W::wrap(match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::SDiv if sb == 0 => 0,
        AluOp::SDiv => sa.wrapping_div(sb) as u64,
        AluOp::SMod if sb == 0 => a,
        AluOp::SMod => sa.wrapping_rem(sb) as u64,
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Xor => a ^ b,
        AluOp::Lsh => a << count(),
        AluOp::Rsh => a >> count(),
        AluOp::Arsh => (sa >> count()) as u64,
    })
}

fn holds<W: Width>(op: CmpOp, a: u64, b: u64) -> bool {
    let (a, b) = (W::wrap(a), W::wrap(b));
    let (sa, sb) = (W::signed(a), W::signed(b));
    match op {
        CmpOp::Eq => a == b,
        CmpOp::Ne => a != b,
        CmpOp::Gt => a > b,
        CmpOp::Ge => a >= b,
        CmpOp::Lt => a < b,
        CmpOp::Le => a <= b,
        CmpOp::Set => a & b != 0,
        CmpOp::Sgt => sa > sb,
        CmpOp::Sge => sa >= sb,
        CmpOp::Slt => sa < sb,
        CmpOp::Sle => sa <= sb,
    }
}

type TnumOp<W> = fn(Tnum<W>, Tnum<W>) -> Tnum<W>;

/// Checks soundness on every pair and returns how many of them were optimal.
fn check_tnum<W: Width>(op: AluOp, apply: TnumOp<W>) -> (usize, usize) {
    let all = tnums::<W>();
    let mut optimal = 0;
    for &a in &all {
        for &b in &all {
            let got = apply(a, b);
            let best = hull::<W>(
                members(a).flat_map(|x| members(b).map(move |y| concrete::<W>(op, x, y))),
            );
            assert!(got.includes(best), "{op:?} {a} {b}: {got} misses part of {best}");
            optimal += usize::from(got == best);
        }
    }
    (optimal, all.len() * all.len())
}

#[test]
fn tnum_operations_are_sound_and_mostly_optimal_at_4_bits() {
    let cases: [(AluOp, TnumOp<W4>); 5] = [
        (AluOp::Add, Tnum::add),
        (AluOp::Sub, Tnum::sub),
        (AluOp::And, Tnum::and),
        (AluOp::Or, Tnum::or),
        (AluOp::Xor, Tnum::xor),
    ];
    for (op, apply) in cases {
        let (optimal, pairs) = check_tnum(op, apply);
        assert_eq!(optimal, pairs, "{op:?} is known to be optimal");
    }
    let (optimal, pairs) = check_tnum::<W4>(AluOp::Mul, Tnum::mul);
    assert!(optimal * 100 > pairs * 90, "mul: optimal in {optimal} of {pairs}");
}

#[test]
fn tnum_shifts_are_optimal_at_6_bits() {
    for t in tnums::<W6>() {
        for count in 0..W6::BITS {
            let c = u64::from(count);
            assert_eq!(t.lsh(count), hull(members(t).map(|v| concrete::<W6>(AluOp::Lsh, v, c))));
            assert_eq!(t.rsh(count), hull(members(t).map(|v| concrete::<W6>(AluOp::Rsh, v, c))));
            assert_eq!(t.arsh(count), hull(members(t).map(|v| concrete::<W6>(AluOp::Arsh, v, c))));
        }
    }
}

#[test]
fn tnum_set_operations_mean_what_they_say() {
    let all = tnums::<W3>();
    for &a in &all {
        for &b in &all {
            let both: Vec<u64> = members(a).filter(|&v| b.contains(v)).collect();
            assert_eq!(a.overlaps(b), !both.is_empty());
            assert_eq!(a.includes(b), members(b).all(|v| a.contains(v)));
            assert_eq!(a.union(b), hull(members(a).chain(members(b))));
            if !both.is_empty() {
                assert_eq!(a.intersect(b), hull(both.into_iter()));
            }
        }
    }
}

#[test]
fn the_next_member_is_the_smallest_above_at_6_bits() {
    for t in tnums::<W6>() {
        for v in 0..=W6::MASK {
            assert_eq!(t.next_above(v), members(t).find(|&m| m > v), "{t} above {v}");
        }
    }
}

#[test]
fn the_tnum_of_a_range_is_the_smallest_at_6_bits() {
    for min in 0..=W6::MASK {
        for max in min..=W6::MASK {
            assert_eq!(Tnum::<W6>::range(min, max), hull(min..=max));
        }
    }
}

/// A varied set of scalars: every tnum, every unsigned and signed range at the full and the half
/// width alone, and joined pairwise with a pseudo-random partner.
fn scalars<W: Wide>() -> Vec<Scalar<W>> {
    let mut out = Vec::new();
    let ranges = |out: &mut Vec<Scalar<W>>| {
        for a in 0..=W::MASK {
            for b in a..=W::MASK {
                out.push(Scalar::unsigned(a, b));
            }
        }
        for a in W::SMIN..=W::SMAX {
            for b in a..=W::SMAX {
                out.push(Scalar::signed(a, b));
            }
        }
        for a in 0..=W::Half::MASK {
            for b in a..=W::Half::MASK {
                out.push(Scalar { low: Bounds::unsigned(a, b), ..Scalar::UNKNOWN }.sync());
            }
        }
    };
    out.extend(tnums::<W>().into_iter().map(Scalar::from_bits));
    ranges(&mut out);
    let parts = out.clone();
    let mut step = 1;
    for (i, a) in parts.iter().enumerate() {
        step = (step * 7 + 3) % parts.len();
        let b = &parts[(i + step) % parts.len()];
        let met = Scalar {
            bits: a.bits.intersect(b.bits),
            full: a.full.intersect(b.full),
            low: a.low.intersect(b.low),
        };
        let nonempty = (0..=W::MASK).any(|v| a.contains(v) && b.contains(v));
        if nonempty && a.bits.overlaps(b.bits) {
            out.push(met.sync());
        }
    }
    out
}

fn values<W: Wide>(s: &Scalar<W>) -> impl Iterator<Item = u64> {
    let s = *s;
    (0..=W::MASK).filter(move |&v| s.contains(v))
}

#[test]
fn sync_loses_no_value_at_6_bits() {
    let all = scalars::<W6>();
    for (i, a) in all.iter().enumerate() {
        let b = &all[(i * 31 + 7) % all.len()];
        let raw = Scalar {
            bits: a.bits.intersect(b.bits),
            full: a.full.intersect(b.full),
            low: a.low.intersect(b.low),
        };
        let synced = raw.sync();
        for v in (0..=W6::MASK).filter(|&v| a.contains(v) && b.contains(v)) {
            assert!(synced.contains(v), "{a:?} and {b:?}: {v} is lost in {synced:?}");
        }
    }
}

fn check_alu<W: Wide>(stride: usize) {
    let all = scalars::<W>();
    for (i, a) in all.iter().enumerate() {
        for b in all.iter().skip(i % stride).step_by(stride) {
            for op in ALU {
                let full = a.alu(op, OpWidth::W64, b);
                let low = a.alu(op, OpWidth::W32, b);
                for x in values(a) {
                    for y in values(b) {
                        let v = concrete::<W>(op, x, y);
                        assert!(
                            full.contains(v),
                            "{x} {op:?} {y} = {v} not in {full:?}\n{a:?}\n{b:?}"
                        );
                        let v = concrete::<W::Half>(op, W::Half::wrap(x), W::Half::wrap(y));
                        assert!(
                            low.contains(v),
                            "{x} {op:?}32 {y} = {v} not in {low:?}\n{a:?}\n{b:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn arithmetic_on_scalars_is_sound_at_4_bits() {
    check_alu::<W4>(1 + 8 * usize::from(cfg!(debug_assertions)));
}

#[test]
fn moves_and_truncations_are_sound_at_6_bits() {
    for a in scalars::<W6>() {
        let low = a.zero_extend_low();
        let neg = a.neg(OpWidth::W64);
        for v in values(&a) {
            assert!(low.contains(v & W3::MASK), "{v} zero-extended is not in {low:?}, from {a:?}");
            assert!(neg.contains(W6::wrap(v.wrapping_neg())), "-{v} is not in {neg:?}, from {a:?}");
            for bits in [1, 2, 3, 4, 5] {
                let cut = a.truncate(bits);
                assert!(
                    cut.contains(v & ((1 << bits) - 1)),
                    "{v} cut to {bits} bits is not in {cut:?}, from {a:?}"
                );
            }
        }
    }
}

#[test]
fn branches_are_decided_and_refined_soundly_at_4_bits() {
    let all = scalars::<W4>();
    let stride = 1 + 8 * usize::from(cfg!(debug_assertions));
    for (i, a) in all.iter().enumerate() {
        for b in all.iter().skip(i % stride).step_by(stride) {
            for op in CMP {
                check_branch(op, OpWidth::W64, a, b, |x, y| holds::<W4>(op, x, y));
                check_branch(op, OpWidth::W32, a, b, |x, y| holds::<<W4 as Wide>::Half>(op, x, y));
            }
        }
    }
}

fn check_branch<W: Wide>(
    op: CmpOp,
    width: OpWidth,
    a: &Scalar<W>,
    b: &Scalar<W>,
    holds: impl Fn(u64, u64) -> bool,
) {
    let decided = decide(op, width, a, b);
    let mut ways = [(*a, *b), (*a, *b)];
    for (way, (x, y)) in ways.iter_mut().enumerate() {
        refine(op, width, way == 1, x, y);
    }
    for x in values(a) {
        for y in values(b) {
            let way = holds(x, y);
            assert!(
                decided.is_none_or(|d| d == way),
                "{x} {op:?} {y} decided {decided:?}\n{a:?}\n{b:?}"
            );
            let (rx, ry) = &ways[usize::from(way)];
            assert!(
                rx.contains(x) && ry.contains(y),
                "{x} {op:?}/{width:?} {y} is {way}, but lost in\n{rx:?}\n{ry:?}\nfrom\n{a:?}\n{b:?}"
            );
        }
    }
}

fn scalar64() -> impl Strategy<Value = (Scalar<W64>, u64)> {
    let edge = prop_oneof![
        any::<u64>(),
        0..256u64,
        (0..256u64).prop_map(|v| v.wrapping_neg()),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(u64::from(u32::MAX)),
        Just(1 << 63),
    ];
    (edge.clone(), edge.clone(), edge, 0..5u8).prop_map(|(v, x, y, shape)| {
        let scalar = match shape {
            0 => Scalar::constant(v),
            1 => Scalar::unsigned(v.saturating_sub(x), v.saturating_add(y)),
            2 => {
                let (s, x, y) = (v as i64, (x >> 1) as i64, (y >> 1) as i64);
                Scalar::signed(s.saturating_sub(x), s.saturating_add(y))
            }
            3 => Scalar::from_bits(Tnum::new(v, x)),
            _ => Scalar::from_bits(Tnum::new(v, x | y)).zero_extend_low(),
        };
        (scalar, if shape == 4 { v & u64::from(u32::MAX) } else { v })
    })
}

proptest! {
    #[test]
    fn arithmetic_is_sound_at_64_bits((a, x) in scalar64(), (b, y) in scalar64()) {
        prop_assert!(a.contains(x) && b.contains(y));
        for op in ALU {
            let (full, low) = (a.alu(op, OpWidth::W64, &b), a.alu(op, OpWidth::W32, &b));
            prop_assert!(full.contains(concrete::<W64>(op, x, y)), "{op:?}");
            let v = concrete::<super::width::W32>(op, x & u64::from(u32::MAX), y & u64::from(u32::MAX));
            prop_assert!(low.contains(v), "{op:?}32");
        }
    }

    #[test]
    fn branches_are_sound_at_64_bits((a, x) in scalar64(), (b, y) in scalar64()) {
        for op in CMP {
            for (width, way) in [
                (OpWidth::W64, holds::<W64>(op, x, y)),
                (OpWidth::W32, holds::<super::width::W32>(op, x, y)),
            ] {
                prop_assert!(decide(op, width, &a, &b).is_none_or(|d| d == way));
                let (mut ra, mut rb) = (a, b);
                refine(op, width, way, &mut ra, &mut rb);
                prop_assert!(ra.contains(x) && rb.contains(y), "{op:?} {width:?} {way}");
            }
        }
    }

    #[test]
    fn sign_extension_is_sound((a, x) in scalar64()) {
        for (from, value) in [
            (SignExtend::From8, x as i8 as i64),
            (SignExtend::From16, x as i16 as i64),
            (SignExtend::From32, x as i32 as i64),
        ] {
            prop_assert!(a.sign_extend(from, OpWidth::W64).contains(value as u64), "{from:?}");
            if from != SignExtend::From32 {
                let low = a.sign_extend(from, OpWidth::W32);
                prop_assert!(low.contains(u64::from(value as u32)), "{from:?}, 32 bits");
            }
        }
    }
}
