//! Selection: sequences of ops that machines have one instruction for.
//!
//! A sequence lies inside one block, so nothing can jump into it, and it leaves every register
//! that is live behind it as its ops would.

use ubpf_isa::{AluOp, Operand, Reg, Width};
use ubpf_vm::code::Op;

/// What a sequence computes as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// `dst = (u32) src`: two shifts, after a move or not.
    ZeroExtend { dst: Reg, src: Reg },
    /// `dst = (s32) src`, likewise.
    SignExtend { dst: Reg, src: Reg },
    /// `dst = base + addend`, neither of which is `dst`: a move and an addition.
    Sum { dst: Reg, base: Reg, addend: Operand },
    /// `result = rotate_left(src, by)`, where `result` is `src` or `copy`; the other one of these
    /// gets `src` shifted.
    Rotate { width: Width, src: Reg, copy: Reg, result: Reg, by: u32, other: Shift },
}

/// A shift by a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) op: AluOp,
    pub(crate) reg: Reg,
    pub(crate) by: i32,
}

/// The sequence that ops begin with, and how many ops it has.
pub(crate) fn select(ops: &[Op]) -> Option<(Selected, usize)> {
    rotate(ops).or_else(|| extend(ops)).or_else(|| sum(ops))
}

fn shift(op: &Op, width: Width) -> Option<Shift> {
    match *op {
        Op::Alu { op: op @ (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh), width: w, dst, src } => {
            match src {
                Operand::Imm(by) if w == width => Some(Shift { op, reg: dst, by }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `copy = src`, one shifted left, the other right by the rest, and both joined.
fn rotate(ops: &[Op]) -> Option<(Selected, usize)> {
    let &[Op::Mov { width: moved, dst: copy, src: Operand::Reg(src) }, first, second, or, ..] = ops
    else {
        return None;
    };
    let Op::Alu { op: AluOp::Or, width, dst: result, src: Operand::Reg(joined) } = or else {
        return None;
    };
    if copy == src || src == Reg::FP || (width == Width::W64 && moved != Width::W64) {
        return None;
    }
    let (first, second) = (shift(&first, width)?, shift(&second, width)?);
    let (left, right) = if first.op == AluOp::Lsh { (first, second) } else { (second, first) };
    let bits = width.bits().cast_signed();
    let both = |a: Reg, b: Reg| (a, b) == (src, copy) || (a, b) == (copy, src);
    let rotates = (left.op, right.op) == (AluOp::Lsh, AluOp::Rsh)
        && (1..bits).contains(&left.by)
        && right.by == bits - left.by
        && both(left.reg, right.reg)
        && both(result, joined);
    let other = if left.reg == joined { left } else { right };
    let by = left.by.cast_unsigned();
    rotates.then_some((Selected::Rotate { width, src, copy, result, by, other }, 4))
}

/// Up by 32 and down again.
fn extend(ops: &[Op]) -> Option<(Selected, usize)> {
    let (source, shifts, moves) = match ops {
        [Op::Mov { width: Width::W64, dst, src: Operand::Reg(src) }, rest @ ..]
            if *src != Reg::FP =>
        {
            (Some((*dst, *src)), rest, 1)
        }
        _ => (None, ops, 0),
    };
    let [up, down, ..] = shifts else { return None };
    let (up, down) = (shift(up, Width::W64)?, shift(down, Width::W64)?);
    let dst = up.reg;
    let (moved, src) = source.unwrap_or((dst, dst));
    if (up.op, up.by, down.by) != (AluOp::Lsh, 32, 32) || down.reg != dst || moved != dst {
        return None;
    }
    let selected = match down.op {
        AluOp::Rsh => Selected::ZeroExtend { dst, src },
        AluOp::Arsh => Selected::SignExtend { dst, src },
        _ => return None,
    };
    Some((selected, moves + 2))
}

fn sum(ops: &[Op]) -> Option<(Selected, usize)> {
    let &[
        Op::Mov { width: Width::W64, dst, src: Operand::Reg(base) },
        Op::Alu { op: AluOp::Add, width: Width::W64, dst: sum, src: addend },
        ..,
    ] = ops
    else {
        return None;
    };
    let plain = base != Reg::FP && base != dst && sum == dst;
    let apart = addend != Operand::Reg(dst) && addend != Operand::Reg(Reg::FP);
    (plain && apart).then_some((Selected::Sum { dst, base, addend }, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Width = Width::W32;

    fn alu(op: AluOp, dst: Reg, src: Operand) -> Op {
        Op::Alu { op, width: W, dst, src }
    }

    #[test]
    fn rotates_are_found_whichever_half_is_copied() {
        let (a, t) = (Reg::R1, Reg::R2);
        let mov = Op::Mov { width: Width::W64, dst: t, src: Operand::Reg(a) };
        let left = |reg| alu(AluOp::Lsh, reg, Operand::Imm(13));
        let right = |reg| alu(AluOp::Rsh, reg, Operand::Imm(19));
        let join = |x, y| alu(AluOp::Or, x, Operand::Reg(y));
        for (ops, result, other) in [
            ([mov, left(t), right(a), join(a, t)], a, t),
            ([mov, right(a), left(t), join(t, a)], t, a),
            ([mov, left(a), right(t), join(a, t)], a, t),
        ] {
            let (selected, len) = select(&ops).expect("a rotate");
            let Selected::Rotate { by: 13, result: found, other: shift, .. } = selected else {
                panic!("{selected:?}");
            };
            assert_eq!((found, shift.reg, len), (result, other, 4));
        }
        assert_eq!(select(&[mov, left(t), left(a), join(a, t)]), None);
        assert_eq!(select(&[mov, left(t), alu(AluOp::Rsh, a, Operand::Imm(18)), join(a, t)]), None);
        assert_eq!(select(&[mov, left(t), right(t), join(a, t)]), None);
    }
}
