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
    for entry in std::fs::read_dir(objects::suite_dir("kfunc")).expect("the suite is there") {
        let path = entry.expect("the suite can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.ends_with(".bpf.o") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("the suite can be read");
        for comparison in verdicts::object(&name, &bytes, &verifier) {
            compared += 1;
            if !matches!(comparison.outcome(), Outcome::Agree) {
                wrong.push(comparison.to_string());
            }
        }
    }
    println!("{compared} programs compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
