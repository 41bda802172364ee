//! Generators that read the table: what it says exists is what gets tested.
#![allow(dead_code, reason = "each test binary uses a part")]

use proptest::prelude::*;
use ubpf_isa::table::{ROWS, Row, Use};
use ubpf_isa::{Insn, Opcode, Slot, Source, decode};

/// Every (row, opcode byte) pair.
pub fn forms() -> Vec<(&'static Row, Opcode)> {
    ROWS.iter().flat_map(|row| row.opcodes().map(move |opcode| (*row, opcode))).collect()
}

/// The slots of a form with the operands taken from the arguments where the form has them.
pub fn fill(
    (row, opcode): (&Row, Opcode),
    (dst, src): (u8, u8),
    off: i16,
    (imm, next_imm): (i32, i32),
) -> Vec<Slot> {
    let pick = |usage: Use, operand: i32, source: Source| match usage {
        Use::Zero => 0,
        Use::Is(value) => value,
        Use::Operand => operand,
        Use::BySource => {
            if opcode.source() == source {
                operand
            } else {
                0
            }
        }
    };
    let first = Slot {
        opcode: opcode.0,
        dst: pick(row.dst, dst.into(), Source::Reg) as u8,
        src: pick(row.src, src.into(), Source::Reg) as u8,
        off: pick(row.off, off.into(), Source::Imm) as i16,
        imm: pick(row.imm, imm, Source::Imm),
    };
    let second = row
        .next_imm
        .map(|usage| Slot { imm: pick(usage, next_imm, Source::Imm), ..Slot::default() });
    [Some(first), second].into_iter().flatten().collect()
}

/// Mostly small numbers and edges, sometimes anything.
fn imm() -> impl Strategy<Value = i32> {
    prop_oneof![-20..20i32, Just(i32::MIN), Just(i32::MAX), Just(-1), any::<i32>()]
}

/// The slots of one valid instruction.
pub fn valid_slots() -> impl Strategy<Value = Vec<Slot>> {
    let off = prop_oneof![-20..20i16, any::<i16>()];
    (prop::sample::select(forms()), (0..11u8, 0..11u8), off, (imm(), imm()))
        .prop_map(|(form, regs, off, imms)| fill(form, regs, off, imms))
}

/// One valid instruction.
pub fn valid_insn() -> impl Strategy<Value = Insn> {
    valid_slots().prop_map(|slots| decode(&slots).expect("made by the table"))
}

/// Any bytes.
pub fn any_slot() -> impl Strategy<Value = Slot> {
    any::<[u8; 8]>().prop_map(Slot::from_le_bytes)
}

/// Bytes that are nearly an instruction: one field of a valid one replaced.
pub fn damaged_slots() -> impl Strategy<Value = Vec<Slot>> {
    (valid_slots(), any_slot(), 0..5u8, any::<bool>()).prop_map(
        |(mut slots, noise, which, small)| {
            let noise = if small {
                Slot { off: noise.off & 0x3f, imm: noise.imm & 0x1ff, ..noise }
            } else {
                noise
            };
            if let Some(slot) = slots.first_mut() {
                match which {
                    0 => slot.opcode = noise.opcode,
                    1 => slot.dst = noise.dst,
                    2 => slot.src = noise.src,
                    3 => slot.off = noise.off,
                    _ => slot.imm = noise.imm,
                }
            }
            slots
        },
    )
}
