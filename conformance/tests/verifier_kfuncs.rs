//! Calls of kernel functions and what comes with them: of every program in `suites/kfunc` the
//! verifier says what the kernel says, in its words.

use ubpf_conformance::objects;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::{self, Outcome, Verifier};

#[test]
fn kernel_functions_are_called_as_the_kernel_lets_them() {
    skip_without_kernel!();
    let verifier = Verifier::like_this_machine().expect("the kernel shows its types");
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in objects::of_suite("kfunc").expect("the suite can be read") {
        for comparison in verdicts::object(&file.name, &file.bytes, &verifier) {
            compared += 1;
            if !matches!(comparison.outcome(), Outcome::Agree) {
                wrong.push(comparison.to_string());
            }
        }
    }
    println!("{compared} programs compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
