//! The verifier walks as the kernel does: as many instructions, as many states kept, in all and
//! at once, on every example program that both accept.

use std::sync::Arc;
use ubpf_abi::object::ExternKind;
use ubpf_conformance::kernel::KernelWorld;
use ubpf_conformance::verdicts::{self, Effort, Verifier};
use ubpf_conformance::{objects, skip_without_kernel};

#[test]
fn the_walks_on_the_examples_are_the_kernels() {
    skip_without_kernel!();
    let verifier = Verifier::like_this_machine().expect("the kernel's BTF is well formed");
    let (mut same, mut differ) = (0, Vec::new());
    for file in objects::all().expect("the suite can be read") {
        let object = ubpf_loader::load(&file.bytes, verifier.load_options())
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        let world = KernelWorld::like_libbpf(&object);
        for (index, function) in object.programs() {
            let program = Arc::new(ubpf_loader::link(&object, index, None).expect("it links"));
            // To the kernel the address of an untyped symbol is a number that the loader looks up.
            if program.externs.iter().any(|e| e.kind == ExternKind::Address) {
                continue;
            }
            let both = verdicts::pair(&file.name, &world, &program, &verifier);
            if both.kernel.refusal.is_some() || both.ours.refusal.is_some() {
                continue;
            }
            let walk = |effort: &Effort| (effort.insns, effort.states, effort.peak_states);
            let (ours, kernel) = (walk(&both.ours.effort), walk(&both.kernel.effort));
            if ours == kernel {
                same += 1;
            } else {
                let name = format!("{}/{}", file.name, function.name);
                differ.push(format!("{name}: {ours:?}, the kernel {kernel:?}"));
            }
        }
    }
    println!("{same} walks are the same");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
