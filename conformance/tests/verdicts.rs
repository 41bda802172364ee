//! The verifier says of every example program what the kernel says.

use ubpf_conformance::verdicts::{self, Outcome, Summary, Verifier};
use ubpf_conformance::{objects, skip_without_kernel};

#[test]
fn the_verdicts_on_the_examples_are_the_kernels() {
    skip_without_kernel!();
    let verifier = Verifier::like_this_machine().expect("the kernel's BTF is well formed");
    let (mut summary, mut wrong) = (Summary::default(), Vec::new());
    for file in objects::all().expect("the suite can be read") {
        for comparison in verdicts::object(&file.name, &file.bytes, &verifier) {
            summary.add(&comparison);
            if !matches!(comparison.outcome(), Outcome::Agree | Outcome::Unsupported) {
                wrong.push(comparison.to_string());
            }
        }
    }
    println!("{summary}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
