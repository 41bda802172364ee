//! Conditional jumps, taken and not.

use super::alu::Bits;
use super::{EDGES, IMMEDIATES, case, row};
use crate::vectors::{Case, Expect};

/// A condition: its name, its sign, and when it holds.
struct Condition {
    name: &'static str,
    sign: &'static str,
    holds: fn(Bits, u64, u64) -> bool,
}

const CONDITIONS: [Condition; 11] = [
    Condition { name: "eq", sign: "==", holds: |_, a, b| a == b },
    Condition { name: "ne", sign: "!=", holds: |_, a, b| a != b },
    Condition { name: "gt", sign: ">", holds: |_, a, b| a > b },
    Condition { name: "ge", sign: ">=", holds: |_, a, b| a >= b },
    Condition { name: "lt", sign: "<", holds: |_, a, b| a < b },
    Condition { name: "le", sign: "<=", holds: |_, a, b| a <= b },
    Condition { name: "set", sign: "&", holds: |_, a, b| a & b != 0 },
    Condition { name: "sgt", sign: "s>", holds: |w, a, b| w.signed(a) > w.signed(b) },
    Condition { name: "sge", sign: "s>=", holds: |w, a, b| w.signed(a) >= w.signed(b) },
    Condition { name: "slt", sign: "s<", holds: |w, a, b| w.signed(a) < w.signed(b) },
    Condition { name: "sle", sign: "s<=", holds: |w, a, b| w.signed(a) <= w.signed(b) },
];

/// Each condition between registers and with constants; the result is 1 where the jump is taken.
pub(super) fn cases(bits: Bits) -> Vec<Case> {
    let mut cases = Vec::new();
    let (reg, width) = (bits.reg(), bits.count());
    for condition in &CONDITIONS {
        let taken = |a, b| u64::from((condition.holds)(bits, bits.cut(a), bits.cut(b)));
        let pairs = EDGES.into_iter().flat_map(|a| EDGES.map(|b| (a, b)));
        cases.push(case(
            format!("j{}{width} register", condition.name),
            &[
                "r2 = *(u64 *)(r1 + 0)",
                "r3 = *(u64 *)(r1 + 8)",
                "r0 = 1",
                &format!("if {reg}2 {} {reg}3 goto out", condition.sign),
                "r0 = 0",
                "out: exit",
            ],
            Expect::Rows(pairs.map(|(a, b)| row(&[a, b], taken(a, b))).collect()),
        ));
        for imm in IMMEDIATES {
            let operand = i64::from(imm).cast_unsigned();
            cases.push(case(
                format!("j{}{width} constant {imm}", condition.name),
                &[
                    "r2 = *(u64 *)(r1 + 0)",
                    "r0 = 1",
                    &format!("if {reg}2 {} {imm} goto out", condition.sign),
                    "r0 = 0",
                    "out: exit",
                ],
                Expect::Rows(EDGES.map(|a| row(&[a], taken(a, operand))).to_vec()),
            ));
        }
    }
    cases
}
