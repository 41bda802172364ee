//! Writes the systematic part of `suites/isa`: every form of every instruction, on the values
//! where implementations go wrong.
//!
//! The meaning of each instruction is given by plain Rust arithmetic, on purpose apart from
//! `ubpf-isa`'s semantics: a mistake would have to be made twice, and then the kernel would not
//! confirm it.

mod alu;
mod atomic;
mod jump;
mod memory;

use super::{Case, Expect, Memory, Row, Source};
use std::fmt::Write;

/// Values at the borders of widths and signs.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x0123_4567_89ab_cdef,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Immediates at the borders.
const IMMEDIATES: [i32; 7] = [0, 1, 7, -1, -128, i32::MAX, i32::MIN];

/// A generated file: its name in `suites/isa`, and its text.
pub struct File {
    /// File name.
    pub name: &'static str,
    /// Contents.
    pub text: String,
}

/// Every generated file.
#[must_use]
pub fn files() -> Vec<File> {
    let file = |name, about: &str, cases: Vec<Case>| {
        let mut text = format!(
            "# {about}\n# Generated: UBPF_BLESS=1 cargo test -p ubpf-conformance --test isa\n"
        );
        for case in cases {
            write!(text, "\n{case}").expect("strings take everything");
        }
        File { name, text }
    };
    vec![
        file("alu64.isa", "Arithmetic on 64 bits.", alu::cases(alu::Bits::All)),
        file(
            "alu32.isa",
            "Arithmetic on 32 bits; the upper half becomes zero.",
            alu::cases(alu::Bits::Low),
        ),
        file("moves.isa", "Moves, sign extension, negation.", alu::moves()),
        file("byte_order.isa", "Byte-order conversions and swaps.", alu::swaps()),
        file("jump64.isa", "Conditional jumps on 64 bits.", jump::cases(alu::Bits::All)),
        file("jump32.isa", "Conditional jumps on 32 bits.", jump::cases(alu::Bits::Low)),
        file("memory.isa", "Loads and stores of every size, signed and unsigned.", memory::cases()),
        file("atomic.isa", "Atomic operations, load-acquire, store-release.", atomic::cases()),
    ]
}

/// A case of assembler text.
fn case(name: impl Into<String>, lines: &[&str], expect: Expect) -> Case {
    let lines = lines.iter().map(|&l| l.to_owned()).collect();
    Case { name: name.into(), code: Source::Text(lines), expect }
}

/// A row whose memory does not change.
fn row(words: &[u64], result: u64) -> Row {
    Row { input: Memory::Words(words.to_vec()), result, after: None }
}
