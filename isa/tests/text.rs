//! Text against slots: what is printed is read back, and nothing that is typed panics.

mod common;

use proptest::prelude::*;
use ubpf_isa::disasm::Disassembler;
use ubpf_isa::{AsmError, Insn, Slot, assemble, decode, disassemble, encode_all};

/// The single instruction that a line makes.
fn one(line: &str) -> Result<Insn, AsmError> {
    let slots = assemble(line)?;
    let insn = decode(&slots).expect("the assembler makes instructions");
    assert_eq!(insn.slots() as usize, slots.len());
    Ok(insn)
}

#[test]
fn every_form_reads_back() {
    for form in common::forms() {
        for (off, imms) in [(-7, (0x1234, 0x5678)), (0, (0, 0)), (i16::MIN, (i32::MIN, -1))] {
            let slots = common::fill(form, (3, 4), off, imms);
            let text = disassemble(&slots).expect("made by the table");
            assert_eq!(assemble(&text).as_ref(), Ok(&slots), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn programs_read_back(insns in prop::collection::vec(common::valid_insn(), 0..20)) {
        let slots = encode_all(&insns);
        let text = disassemble(&slots).expect("made by the table");
        prop_assert_eq!(assemble(&text), Ok(slots));
    }

    #[test]
    fn log_lines_read_back(insn in common::valid_insn(), pc in 0..1_000_000u32) {
        let log = Disassembler::new().opcodes(true);
        prop_assert_eq!(one(&format!("{pc}: {}   ; R1=5", log.insn(&insn))), Ok(insn));
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = assemble(&text);
    }

    #[test]
    fn no_words_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "r0", "w1", "%r2", "r11", "=", "+=", "-", "*", "(", ")", "[", "]", "u32", "s8", "if",
                "goto", "pc", "+", "1", "0x", "0xffffffffffffffff", "-9223372036854775808", "lock",
                "fetch", "add", "call", "#", "kfunc#", "@", "map", "fd", ":", "skb", ",", "ll", "<", ">",
                "exit", "lddw", "ldxw", "map_by_fd", "s>", "subprog", "\n", "local", "(18)", "é",
            ]),
            0..14,
        ),
    ) {
        let _ = assemble(&words.join(" "));
        let _ = assemble(&words.concat());
    }

    #[test]
    fn undecodable_slots_are_located(good in common::valid_slots(), bad in common::any_slot()) {
        prop_assume!(decode(&[bad]).is_err());
        let at = good.len();
        let slots: Vec<Slot> = good.into_iter().chain([bad]).collect();
        let error = disassemble(&slots).expect_err("the last slot is none");
        prop_assert_eq!(error.pc.index(), at);
    }
}
