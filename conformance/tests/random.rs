//! Random programs on the kernel and on ubpf.

use ubpf_conformance::random::{PROLOGUE, Random, program};
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::vectors::kernel::{self, Outcome};
use ubpf_conformance::vectors::{Memory, Row, engine};
use ubpf_isa::{Insn, JumpForm, Slot, encode_all};

/// The kernel's and ubpf's result, where the kernel takes the program.
fn both(slots: &[Slot], row: &Row) -> Option<(Outcome, Result<Outcome, String>)> {
    let expected = kernel::run(slots, row).ok()?;
    Some((expected, engine::run(slots, row).map_err(|e| e.to_string())))
}

fn differs(slots: &[Slot], row: &Row) -> bool {
    both(slots, row).is_some_and(|(expected, actual)| Ok(expected) != actual)
}

/// Takes out what the difference does not need: instructions, one by one, become jumps to the next.
/// Those at the start stay, because a stack without contents would be a difference of its own.
fn shrunk(mut slots: Vec<Slot>, row: &Row) -> Vec<Slot> {
    let nothing = encode_all(&[Insn::Jump { form: JumpForm::Short, off: 0 }]);
    let mut at = slots.len();
    while at > PROLOGUE {
        at -= 1;
        let mut smaller = slots.clone();
        smaller.splice(at..=at, nothing.iter().copied());
        if smaller != slots && differs(&smaller, row) {
            slots = smaller;
            at = slots.len();
        }
    }
    slots
}

#[test]
fn random_programs_give_the_kernels_results() {
    skip_without_kernel!();
    let (mut compared, mut refused) = (0, 0);
    for seed in 0..600 {
        let mut random = Random::new(seed);
        let len = 5 + random.below(80);
        let (slots, words) = program(&mut random, len);
        let row = Row { input: Memory::Words(words), result: 0, after: None };
        match both(&slots, &row) {
            // A branch whose outcome the verifier knows may leave code that no path reaches.
            None => refused += 1,
            Some((expected, actual)) if actual.as_ref() == Ok(&expected) => compared += 1,
            Some(_) => {
                let slots = shrunk(slots, &row);
                let text = ubpf_isa::disassemble(&slots).expect("valid instructions");
                let (expected, actual) = both(&slots, &row).expect("it was run before");
                panic!("seed {seed} on {row}:\n{text}\nkernel {expected:?}\nubpf   {actual:?}");
            }
        }
    }
    println!("{compared} random programs compared, {refused} refused by the kernel");
    assert!(refused * 20 < compared, "the generator makes too many programs that are refused");
}
