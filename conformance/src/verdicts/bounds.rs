//! Random arithmetic that ends in an access to a map's value: whether the kernel takes it depends
//! on what exactly it knows of the numbers.
//!
//! Numbers of unknown value are loaded, worked on, compared, and one of them becomes an offset. The
//! value is [`VALUE_BYTES`] long; offsets are kept near that size, so that knowing a bound one too
//! wide or too narrow changes the verdict.

use crate::random::Random;
use std::fmt::Write;
use std::sync::Arc;
use ubpf::abi::map::{MapDef, MapFlags, MapInit, MapType};
use ubpf_isa::{Slot, assemble};

/// Bytes of the value that the programs access, in the array that is their only map.
pub const VALUE_BYTES: u32 = 4096;

/// Registers that hold numbers; `r6` holds the value's address.
const NUMBERS: [u32; 5] = [1, 2, 3, 4, 5];

/// The map of the programs.
#[must_use]
pub fn maps() -> Arc<[MapDef]> {
    Arc::from([MapDef {
        name: String::from("values"),
        map_type: Ok(MapType::Array),
        key_size: 4,
        value_size: VALUE_BYTES,
        max_entries: 1,
        flags: MapFlags(0),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }])
}

/// A random program; its map is number 0.
#[must_use]
pub fn program(random: &mut Random) -> Vec<Slot> {
    let mut text = String::from(
        "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:0]\ncall 1\n\
         if r0 == 0 goto out\nr6 = r0\n",
    );
    for reg in NUMBERS {
        let size = random.pick(&["u8", "u16", "u32", "u64", "u64", "s8", "s16", "s32"]);
        line(&mut text, format_args!("r{reg} = *({size} *)(r6 + {})", reg * 8));
    }
    let steps = 2 + random.below(9);
    for n in 0..steps {
        step(&mut text, random, n);
    }
    let reg = random.pick(&NUMBERS);
    if random.below(2) == 0 {
        let near = i64::from(VALUE_BYTES) - random.below(20) as i64;
        let cmp = random.pick(&[">", ">=", "s>", "s>="]);
        line(&mut text, format_args!("if r{reg} {cmp} {near} goto out"));
        if cmp.starts_with('s') {
            let w = random.pick(&["r", "w"]);
            line(&mut text, format_args!("if {w}{reg} s< {} goto out", random.below(3)));
        }
    }
    let size = random.pick(&["u8", "u16", "u32", "u64"]);
    let off = random.pick(&[0, 0, 1, 8, 4088]);
    line(&mut text, format_args!("r6 += r{reg}\nr0 = *({size} *)(r6 + {off})"));
    text.push_str("out:\nr0 = 0\nexit\n");
    assemble(&text).unwrap_or_default()
}

fn step(text: &mut String, random: &mut Random, n: usize) {
    let (a, b) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let w = random.pick(&["r", "r", "w"]);
    let imm = match random.below(4) {
        0 => random.below(16) as i32,
        1 => random.pick(&[7, 15, 63, 255, 1023, 2047, 4095, 4096, -1, -8, 0x7fff_ffff, i32::MIN]),
        2 => (random.operand() as i32) >> random.below(31),
        _ => random.below(4200) as i32,
    };
    let shift = random.below(if w == "w" { 32 } else { 64 });
    let op = random.pick(&["+=", "-=", "&=", "&=", "|=", "^=", "*=", "/=", "%=", "s/=", "s%="]);
    let cmp = random.pick(&["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"]);
    match random.below(16) {
        0..=2 => {
            let divides = op.contains('/') || op.contains('%');
            let imm = if imm == 0 && divides { 3 } else { imm };
            line(text, format_args!("{w}{a} {op} {imm}"));
        }
        3..=4 => line(text, format_args!("{w}{a} {op} {w}{b}")),
        5..=6 => {
            let op = random.pick(&["<<=", ">>=", "s>>="]);
            line(text, format_args!("{w}{a} {op} {shift}"));
        }
        7 => line(text, format_args!("{w}{a} = {w}{b}")),
        8 => {
            let from = random.pick(&["s8", "s16", "s32"]);
            line(text, format_args!("r{a} = ({from})r{b}"));
        }
        9 => line(text, format_args!("{w}{a} = -{w}{a}")),
        10 => {
            let swap = random.pick(&["be16", "be32", "le16", "bswap32", "bswap16"]);
            line(text, format_args!("r{a} = {swap} r{a}"));
        }
        11..=12 => line(text, format_args!("if {w}{a} {cmp} {imm} goto out")),
        13 => line(text, format_args!("if {w}{a} {cmp} {w}{b} goto out")),
        // Two ways that meet again, one of which changes a number.
        14 => {
            line(text, format_args!("if {w}{a} {cmp} {imm} goto l{n}\n{w}{b} {op} 5\nl{n}:"));
        }
        _ => line(text, format_args!("*(u64 *)(r10 - 16) = r{a}\nr{b} = *(u64 *)(r10 - 16)")),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
