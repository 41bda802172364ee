//! Arithmetic, moves and byte order.

use super::{EDGES, IMMEDIATES, case, row};
use crate::vectors::{Case, Expect};

/// How much of the registers an instruction works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    /// All 64.
    All,
    /// The low 32.
    Low,
}

impl Bits {
    /// The letter of the register's name.
    pub(super) const fn reg(self) -> char {
        match self {
            Self::All => 'r',
            Self::Low => 'w',
        }
    }

    pub(super) const fn count(self) -> u32 {
        match self {
            Self::All => 64,
            Self::Low => 32,
        }
    }

    /// A value cut to the width, zero-extended.
    pub(super) const fn cut(self, value: u64) -> u64 {
        match self {
            Self::All => value,
            Self::Low => value as u32 as u64,
        }
    }

    /// The same value as a signed number.
    pub(super) const fn signed(self, value: u64) -> i64 {
        match self {
            Self::All => value as i64,
            Self::Low => value as u32 as i32 as i64,
        }
    }
}

/// An operation: its name, its sign in infix syntax, and what it means for operands that are
/// already cut to the width. `None` where no constant may stand on the right.
struct Op {
    name: &'static str,
    sign: &'static str,
    meaning: fn(Bits, u64, u64) -> u64,
    constant: fn(Bits, i32) -> bool,
}

const OPS: [Op; 13] = [
    Op { name: "add", sign: "+=", meaning: |_, a, b| a.wrapping_add(b), constant: any },
    Op { name: "sub", sign: "-=", meaning: |_, a, b| a.wrapping_sub(b), constant: any },
    Op { name: "mul", sign: "*=", meaning: |_, a, b| a.wrapping_mul(b), constant: any },
    Op {
        name: "div",
        sign: "/=",
        meaning: |_, a, b| a.checked_div(b).unwrap_or(0),
        constant: not_zero,
    },
    Op { name: "sdiv", sign: "s/=", meaning: sdiv, constant: not_zero },
    Op { name: "or", sign: "|=", meaning: |_, a, b| a | b, constant: any },
    Op { name: "and", sign: "&=", meaning: |_, a, b| a & b, constant: any },
    Op {
        name: "lsh",
        sign: "<<=",
        meaning: |w, a, b| a << (b & u64::from(w.count() - 1)),
        constant: is_shift,
    },
    Op {
        name: "rsh",
        sign: ">>=",
        meaning: |w, a, b| a >> (b & u64::from(w.count() - 1)),
        constant: is_shift,
    },
    Op {
        name: "mod",
        sign: "%=",
        meaning: |_, a, b| a.checked_rem(b).unwrap_or(a),
        constant: not_zero,
    },
    Op { name: "smod", sign: "s%=", meaning: smod, constant: not_zero },
    Op { name: "xor", sign: "^=", meaning: |_, a, b| a ^ b, constant: any },
    Op {
        name: "arsh",
        sign: "s>>=",
        meaning: |w, a, b| (w.signed(a) >> (b & u64::from(w.count() - 1))).cast_unsigned(),
        constant: is_shift,
    },
];

fn any(_: Bits, _: i32) -> bool {
    true
}

fn not_zero(_: Bits, imm: i32) -> bool {
    imm != 0
}

fn is_shift(bits: Bits, imm: i32) -> bool {
    (0..bits.count().cast_signed()).contains(&imm)
}

fn sdiv(bits: Bits, a: u64, b: u64) -> u64 {
    let (a, b) = (bits.signed(a), bits.signed(b));
    if b == 0 { 0 } else { a.wrapping_div(b).cast_unsigned() }
}

fn smod(bits: Bits, a: u64, b: u64) -> u64 {
    let (x, y) = (bits.signed(a), bits.signed(b));
    if y == 0 { a } else { x.wrapping_rem(y).cast_unsigned() }
}

/// Shift counts around both widths, and divisors that are not powers of two.
const MORE_OPERANDS: [u64; 8] = [3, 31, 32, 33, 63, 64, 65, 0xffff_ffff_ffff_fff9];

/// Two-operand arithmetic with a register and with constants.
pub(super) fn cases(bits: Bits) -> Vec<Case> {
    let mut cases = Vec::new();
    let reg = bits.reg();
    let width = bits.count();
    for op in &OPS {
        let result = |a: u64, b: u64| bits.cut((op.meaning)(bits, bits.cut(a), bits.cut(b)));
        let right = || EDGES.into_iter().chain(MORE_OPERANDS);
        let pairs = EDGES.into_iter().flat_map(|a| right().map(move |b| (a, b)));
        cases.push(case(
            format!("{}{width} register", op.name),
            &[
                "r0 = *(u64 *)(r1 + 0)",
                "r2 = *(u64 *)(r1 + 8)",
                &format!("{reg}0 {} {reg}2", op.sign),
                "exit",
            ],
            Expect::Rows(pairs.map(|(a, b)| row(&[a, b], result(a, b))).collect()),
        ));
        cases.push(case(
            format!("{}{width} with itself", op.name),
            &["r0 = *(u64 *)(r1 + 0)", &format!("{reg}0 {} {reg}0", op.sign), "exit"],
            Expect::Rows(EDGES.map(|a| row(&[a], result(a, a))).to_vec()),
        ));
        let shifts = [31, 32, 63, 64];
        for imm in IMMEDIATES.into_iter().chain(shifts) {
            let operand = i64::from(imm).cast_unsigned();
            let allowed = (op.constant)(bits, imm);
            cases.push(case(
                format!("{}{width} constant {imm}", op.name),
                &["r0 = *(u64 *)(r1 + 0)", &format!("{reg}0 {} {imm}", op.sign), "exit"],
                if allowed {
                    Expect::Rows(EDGES.map(|a| row(&[a], result(a, operand))).to_vec())
                } else {
                    Expect::Refused
                },
            ));
        }
    }
    cases
}

/// Moves, sign-extending moves, negation, wide loads.
pub(super) fn moves() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut unary = |name: String, line: String, meaning: &dyn Fn(u64) -> u64| {
        cases.push(case(
            name,
            &["r2 = *(u64 *)(r1 + 0)", "r0 = 0x55 ll", &line, "exit"],
            Expect::Rows(EDGES.map(|a| row(&[a], meaning(a))).to_vec()),
        ));
    };
    for bits in [Bits::All, Bits::Low] {
        let (reg, width) = (bits.reg(), bits.count());
        unary(format!("mov{width}"), format!("{reg}0 = {reg}2"), &|a| bits.cut(a));
        for from in [8, 16, 32].into_iter().filter(|&from| from < width) {
            let meaning = |a: u64| {
                let shift = 64 - from;
                bits.cut(((a << shift).cast_signed() >> shift).cast_unsigned())
            };
            unary(
                format!("mov{width} from s{from}"),
                format!("{reg}0 = (s{from}){reg}2"),
                &meaning,
            );
        }
    }
    for bits in [Bits::All, Bits::Low] {
        let (reg, width) = (bits.reg(), bits.count());
        cases.push(case(
            format!("neg{width}"),
            &["r0 = *(u64 *)(r1 + 0)", &format!("{reg}0 = -{reg}0"), "exit"],
            Expect::Rows(EDGES.map(|a| row(&[a], bits.cut(a.wrapping_neg()))).to_vec()),
        ));
        for imm in IMMEDIATES {
            let value = bits.cut(i64::from(imm).cast_unsigned());
            cases.push(case(
                format!("mov{width} constant {imm}"),
                &[&format!("{reg}0 = {imm}"), "exit"],
                Expect::Rows(vec![row(&[], value)]),
            ));
        }
    }
    for value in EDGES {
        cases.push(case(
            format!("wide {value:#x}"),
            &[&format!("r0 = {value:#x} ll"), "exit"],
            Expect::Rows(vec![row(&[], value)]),
        ));
    }
    cases
}

/// Byte-order conversions of each width.
pub(super) fn swaps() -> Vec<Case> {
    type Swap = fn(u64) -> u64;
    let all: [(&str, Swap); 9] = [
        ("le16", |a| a & 0xffff),
        ("le32", |a| a & 0xffff_ffff),
        ("le64", |a| a),
        ("be16", |a| u64::from((a as u16).swap_bytes())),
        ("be32", |a| u64::from((a as u32).swap_bytes())),
        ("be64", u64::swap_bytes),
        ("bswap16", |a| u64::from((a as u16).swap_bytes())),
        ("bswap32", |a| u64::from((a as u32).swap_bytes())),
        ("bswap64", u64::swap_bytes),
    ];
    all.map(|(name, meaning)| {
        case(
            name,
            &["r0 = *(u64 *)(r1 + 0)", &format!("r0 = {name} r0"), "exit"],
            Expect::Rows(EDGES.map(|a| row(&[a], meaning(a))).to_vec()),
        )
    })
    .to_vec()
}
