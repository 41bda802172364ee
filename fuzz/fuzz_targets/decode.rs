//! Any bytes decode or are refused; what decodes is encoded back to the same slots, and its text
//! assembles to them again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ubpf_isa::{assemble, decode_all, disassemble, encode_all, parse_slots};

fuzz_target!(|data: &[u8]| {
    let Ok(slots) = parse_slots(data) else { return };
    let mut insns = Vec::new();
    let mut whole = true;
    for (_, decoded) in decode_all(&slots) {
        match decoded {
            Ok(insn) => insns.push(insn),
            Err(error) => {
                let _ = (error.to_string(), error.verifier_message().to_string());
                whole = false;
            }
        }
    }
    if whole {
        assert_eq!(encode_all(&insns), slots);
        let text = disassemble(&slots).expect("what decodes can be written");
        assert_eq!(assemble(&text).as_deref(), Ok(&slots[..]), "{text}");
    }
});
