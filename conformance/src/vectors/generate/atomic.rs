//! Atomic operations, and loads and stores with ordering.

use super::alu::Bits;
use super::{EDGES, case, row};
use crate::vectors::{Case, Expect};

/// A read-modify-write: its name, its text without fetching and with, and what it leaves.
struct Op {
    name: &'static str,
    plain: Option<&'static str>,
    fetch: &'static str,
    meaning: fn(u64, u64) -> u64,
}

const OPS: [Op; 5] = [
    Op { name: "add", plain: Some("+="), fetch: "fetch_add", meaning: u64::wrapping_add },
    Op { name: "or", plain: Some("|="), fetch: "fetch_or", meaning: |a, b| a | b },
    Op { name: "and", plain: Some("&="), fetch: "fetch_and", meaning: |a, b| a & b },
    Op { name: "xor", plain: Some("^="), fetch: "fetch_xor", meaning: |a, b| a ^ b },
    Op { name: "xchg", plain: None, fetch: "xchg", meaning: |_, b| b },
];

/// What a case looks at afterwards.
const VIEWS: [(&str, &str); 2] = [("memory", "r0 = *(u64 *)(r10 - 8)"), ("register", "r0 = r3")];

/// Memory operand, register operand: enough to see carries, halves and signs.
fn pairs() -> impl Iterator<Item = (u64, u64)> {
    EDGES.into_iter().flat_map(|a| EDGES.into_iter().step_by(2).map(move |b| (a, b)))
}

/// How the kernel's log begins the names of fetching operations.
const fn prefix(bits: Bits) -> &'static str {
    match bits {
        Bits::All => "atomic64",
        Bits::Low => "atomic",
    }
}

/// `old` with the part of the width replaced by `new`.
fn replaced(bits: Bits, old: u64, new: u64) -> u64 {
    match bits {
        Bits::All => new,
        Bits::Low => old & !0xffff_ffff | bits.cut(new),
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in [Bits::All, Bits::Low] {
        let width = bits.count();
        let kind = format!("u{width}");
        let prefix = prefix(bits);
        for op in &OPS {
            let left = |a, b| replaced(bits, a, (op.meaning)(bits.cut(a), bits.cut(b)));
            for (view, look) in VIEWS {
                if let Some(sign) = op.plain {
                    let seen = |a, b| if view == "memory" { left(a, b) } else { b };
                    cases.push(read_modify_write(
                        &format!("{}{width}, {view}", op.name),
                        &format!("lock *({kind} *)(r10 - 8) {sign} r3"),
                        look,
                        &seen,
                    ));
                }
                let seen = |a, b| if view == "memory" { left(a, b) } else { bits.cut(a) };
                cases.push(read_modify_write(
                    &format!("{}{width} fetching, {view}", op.name),
                    &format!("r3 = {prefix}_{}(({kind} *)(r10 - 8), r3)", op.fetch),
                    look,
                    &seen,
                ));
            }
        }
        cases.extend(compare_and_exchange(bits));
    }
    cases.extend(ordered());
    cases
}

fn read_modify_write(name: &str, line: &str, look: &str, seen: &dyn Fn(u64, u64) -> u64) -> Case {
    case(
        name,
        &[
            "r2 = *(u64 *)(r1 + 0)",
            "r3 = *(u64 *)(r1 + 8)",
            "*(u64 *)(r10 - 8) = r2",
            line,
            look,
            "exit",
        ],
        Expect::Rows(pairs().map(|(a, b)| row(&[a, b], seen(a, b))).collect()),
    )
}

/// `r0` against memory; the third word is what is stored where they are equal.
fn compare_and_exchange(bits: Bits) -> [Case; 2] {
    let width = bits.count();
    let line = format!("r0 = {}_cmpxchg((u{width} *)(r10 - 8), r0, r3)", prefix(bits));
    let case = |view: &str, look: &str, seen: &dyn Fn(u64, u64) -> u64| {
        let rows =
            pairs().chain(EDGES.map(|a| (a, a))).map(|(a, b)| row(&[a, b, 0x77], seen(a, b)));
        case(
            format!("cmpxchg{width}, {view}"),
            &[
                "r2 = *(u64 *)(r1 + 0)",
                "r0 = *(u64 *)(r1 + 8)",
                "r3 = *(u64 *)(r1 + 16)",
                "*(u64 *)(r10 - 8) = r2",
                &line,
                look,
                "exit",
            ],
            Expect::Rows(rows.collect()),
        )
    };
    let left = |a, b| {
        if bits.cut(a) == bits.cut(b) { replaced(bits, a, 0x77) } else { a }
    };
    [
        case("memory", "r0 = *(u64 *)(r10 - 8)", &left),
        // The old value in both cases, zero-extended.
        case("r0", "r4 = 0", &|a, _| bits.cut(a)),
    ]
}

fn ordered() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in [8, 16, 32, 64] {
        let mask = u64::MAX >> (64 - bits);
        cases.push(case(
            format!("load_acquire{bits}"),
            &[
                "r2 = *(u64 *)(r1 + 0)",
                "*(u64 *)(r10 - 8) = r2",
                &format!("r0 = load_acquire((u{bits} *)(r10 - 8))"),
                "exit",
            ],
            Expect::Rows(EDGES.map(|a| row(&[a], a & mask)).to_vec()),
        ));
        cases.push(case(
            format!("store_release{bits}"),
            &[
                "r2 = *(u64 *)(r1 + 0)",
                "r3 = 0x1122334455667788 ll",
                "*(u64 *)(r10 - 8) = r3",
                &format!("store_release((u{bits} *)(r10 - 8), r2)"),
                "r0 = *(u64 *)(r10 - 8)",
                "exit",
            ],
            Expect::Rows(
                EDGES.map(|a| row(&[a], 0x1122_3344_5566_7788 & !mask | a & mask)).to_vec(),
            ),
        ));
    }
    cases
}
