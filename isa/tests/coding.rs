//! Decoding and encoding against each other and against the table.

mod common;

use proptest::prelude::*;
use ubpf_isa::table::ROWS;
use ubpf_isa::{Kind, Slot, decode, decode_all, encode};

fn encoded(insn: &ubpf_isa::Insn) -> Vec<Slot> {
    let (first, second) = encode(insn);
    [Some(first), second].into_iter().flatten().collect()
}

#[test]
fn every_form_decodes_to_its_row_and_back() {
    for form in common::forms() {
        let slots = common::fill(form, (3, 4), -7, (0x1234, 0x5678));
        let insn = decode(&slots).unwrap_or_else(|e| panic!("{:?} {slots:?}: {e}", form.0.kind));
        assert_eq!(insn.kind(), form.0.kind);
        assert_eq!(encoded(&insn), slots);
        assert_eq!(insn.slots() as usize, slots.len());
    }
}

#[test]
fn the_table_has_the_forms_that_the_isa_has() {
    // Counted by hand from the RFC's opcode appendix and from the kernel's history; the 12 are
    // load_acquire and store_release in four sizes, two casts, may_goto and callx.
    let extensions = common::forms()
        .iter()
        .filter(|(row, op)| row.group(*op) == ubpf_isa::table::Group::Extension)
        .count();
    assert_eq!((ROWS.len(), common::forms().len(), extensions), (73, 182, 12));
}

#[test]
fn no_two_rows_claim_the_same_slot() {
    for form in common::forms() {
        let slots = common::fill(form, (0, 0), 0, (0, 0));
        let kinds: Vec<Kind> = common::forms()
            .into_iter()
            .filter(|other| common::fill(*other, (0, 0), 0, (0, 0)) == slots)
            .map(|(row, _)| row.kind)
            .collect();
        assert_eq!(kinds, [form.0.kind]);
    }
}

proptest! {
    #[test]
    fn valid_slots_round_trip(slots in common::valid_slots()) {
        let insn = decode(&slots).expect("made by the table");
        prop_assert_eq!(encoded(&insn), slots);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(
        slots in prop_oneof![
            common::damaged_slots(),
            prop::collection::vec(common::any_slot(), 0..3),
        ],
    ) {
        match decode(&slots) {
            Ok(insn) => {
                let back = encoded(&insn);
                prop_assert_eq!(&back[..], &slots[..back.len()]);
            }
            Err(e) => {
                prop_assert!(!e.to_string().is_empty());
                prop_assert!(!e.verifier_message().to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_stream_is_walked_to_its_end(slots in prop::collection::vec(common::any_slot(), 0..40)) {
        let mut next = 0;
        for (pc, decoded) in decode_all(&slots) {
            prop_assert_eq!(pc.index(), next);
            next += decoded.map_or(1, |insn| insn.slots() as usize);
        }
        prop_assert_eq!(next, slots.len());
    }
}
