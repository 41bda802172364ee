//! Calls of kernel functions and what comes with them: of every program in `suites/kfunc` the
//! verifier says what the kernel says, in its words.

use std::sync::Arc;
use ubpf_conformance::kernel::KernelWorld;
use ubpf_conformance::objects;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::{self, Outcome, Verifier};
use ubpf_loader::{link, load};

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

/// The offset of such a call names the module that the function is of.
#[test]
fn functions_of_modules_that_are_not_there_are_not_called() {
    skip_without_kernel!();
    const CALL: u8 = 0x85;
    const KFUNC: u8 = 2;
    let verifier = Verifier::like_this_machine().expect("the kernel shows its types");
    let (mut compared, mut wrong) = (0, Vec::new());
    for file in objects::of_suite("kfunc").expect("the suite can be read") {
        let object = load(&file.bytes, verifier.load_options()).expect("it is an object");
        let Ok(world) = KernelWorld::like_libbpf(&object) else { continue };
        let first = object.programs().find_map(|(entry, _)| {
            let program = link(&object, entry, None).ok()?;
            let call = program.slots.iter().position(|s| s.opcode == CALL && s.src == KFUNC)?;
            Some((program, call))
        });
        let Some((program, call)) = first else { continue };
        for off in [1, 2, 255, i16::MAX, -1, i16::MIN] {
            let mut program = program.clone();
            program.slots[call].off = off;
            let program = Arc::new(program);
            let kernel = verdicts::ask(&world, &program).line();
            let ours = verifier.judge(&program).line();
            compared += 1;
            if kernel != ours {
                wrong.push(format!("{} {off}\n  kernel {kernel}\n  ours   {ours}", file.name));
            }
        }
    }
    println!("{compared} programs compared");
    assert!(compared > 0 && wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
