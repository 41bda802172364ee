//! Fields with rules of their own, objects on the stack, objects of the program's own: of every
//! program in `suites/fields` the verifier says what the kernel says, in its words.

use ubpf_conformance::verdicts::{self, Outcome, Verifier};
use ubpf_conformance::{objects, skip_without_kernel};

#[test]
fn fields_and_objects_are_used_as_the_kernel_lets_them() {
    skip_without_kernel!();
    let verifier = Verifier::like_this_machine().expect("the kernel's BTF can be read");
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in objects::of_suite("fields").expect("the suite can be read") {
        for comparison in verdicts::object(&file.name, &file.bytes, &verifier) {
            compared += 1;
            if !matches!(comparison.outcome(), Outcome::Agree | Outcome::NotComparable) {
                wrong.push(comparison.to_string());
            }
        }
    }
    println!("{compared} verdicts compared, {} differ", wrong.len());
    assert!(compared > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}
