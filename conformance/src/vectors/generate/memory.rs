//! Loads and stores.

use super::{IMMEDIATES, case, row};
use crate::vectors::{Case, Expect, Memory, Row};

/// Bytes whose sign bits differ, so that every load shows where it read and how it extended.
const PATTERN: [u64; 2] = [0x0f0e_8d0c_7b8a_0988, 0xf7e6_d5c4_b3a2_9180];

const SIZES: [(&str, u32); 4] = [("u8", 8), ("u16", 16), ("u32", 32), ("u64", 64)];
const SIGNED: [(&str, u32); 3] = [("s8", 8), ("s16", 16), ("s32", 32)];

/// `bits` bits of the pattern from byte `at`, zero-extended.
fn pattern_at(at: usize, bits: u32) -> u64 {
    let bytes = Memory::Words(PATTERN.to_vec()).bytes();
    let part = bytes.iter().skip(at).take(bits as usize / 8);
    part.rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

pub(super) fn cases() -> Vec<Case> {
    [loads(), stores(), stack()].concat()
}

fn loads() -> Vec<Case> {
    let mut cases = Vec::new();
    let signed = SIGNED.map(|(name, bits)| (name, bits, true));
    let unsigned = SIZES.map(|(name, bits)| (name, bits, false));
    for (name, bits, signed) in signed.into_iter().chain(unsigned) {
        for at in (0..16).step_by(bits as usize / 8) {
            let value = pattern_at(at, bits);
            let shift = 64 - bits;
            let value = if signed {
                ((value << shift).cast_signed() >> shift).cast_unsigned()
            } else {
                value
            };
            cases.push(case(
                format!("load {name} at {at}"),
                &["r0 = -1", &format!("r0 = *({name} *)(r1 + {at})"), "exit"],
                Expect::Rows(vec![row(&PATTERN, value)]),
            ));
        }
    }
    cases
}

/// The first word of the pattern with its low `bits` bits replaced.
fn stored(value: u64, bits: u32) -> Vec<u64> {
    let mask = u64::MAX >> (64 - bits);
    vec![PATTERN[0] & !mask | value & mask, PATTERN[1]]
}

fn stores() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, bits) in SIZES {
        let value = 0x1122_3344_5566_7788;
        cases.push(case(
            format!("store {name} register"),
            &["r0 = 0x1122334455667788 ll", &format!("*({name} *)(r1 + 0) = r0"), "exit"],
            Expect::Rows(vec![Row {
                input: Memory::Words(PATTERN.to_vec()),
                result: value,
                after: Some(stored(value, bits)),
            }]),
        ));
        for imm in IMMEDIATES {
            let value = i64::from(imm).cast_unsigned();
            cases.push(case(
                format!("store {name} constant {imm}"),
                &[&format!("*({name} *)(r1 + 0) = {imm}"), "r0 = 0", "exit"],
                Expect::Rows(vec![Row {
                    input: Memory::Words(PATTERN.to_vec()),
                    result: 0,
                    after: Some(stored(value, bits)),
                }]),
            ));
        }
    }
    cases
}

/// The stack: below the frame pointer, and no further than 512 bytes.
fn stack() -> Vec<Case> {
    let round_trip = |name: &str, off: i32| {
        case(
            format!("stack {name} at {off}"),
            &[
                "r2 = *(u64 *)(r1 + 0)",
                &format!("*({name} *)(r10 {off:+}) = r2"),
                &format!("r0 = *({name} *)(r10 {off:+})"),
                "exit",
            ],
            Expect::Rows(vec![row(&PATTERN, {
                let bits = SIZES.iter().find(|(n, _)| *n == name).map_or(64, |(_, bits)| *bits);
                PATTERN[0] & u64::MAX >> (64 - bits)
            })]),
        )
    };
    let outside = |off: i32| {
        case(
            format!("stack outside at {off}"),
            &[&format!("*(u8 *)(r10 {off:+}) = 1"), "r0 = 0", "exit"],
            Expect::Refused,
        )
    };
    let mut cases: Vec<Case> = SIZES
        .iter()
        .flat_map(|(name, bits)| [-(bits.cast_signed() / 8), -512].map(|off| round_trip(name, off)))
        .collect();
    cases.extend([0, -513].map(outside));
    cases
}
