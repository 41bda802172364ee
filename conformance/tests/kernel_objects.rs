//! The kernel takes what the loader makes of every example object, and runs it on every packet.

use ubpf_conformance::kernel::{KernelMachine, pin_to_cpu_0};
use ubpf_conformance::machine::{Machine, RunError, Stimulus};
use ubpf_conformance::{objects, packets, skip_without_kernel};
use ubpf_loader::{LoadOptions, btf_source};

#[test]
fn the_kernel_loads_and_runs_every_example() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let options = LoadOptions {
        target_btf: btf_source::target_btf(None).expect("the kernel's BTF is well formed"),
        ..LoadOptions::default()
    };
    let packets = packets::corpus();
    let (mut programs, mut runs, mut refused) = (0, 0, 0);
    for file in objects::all().expect("the suite can be read") {
        let object = ubpf_loader::load(&file.bytes, &options)
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        for (_, function) in object.programs() {
            let mut machine = KernelMachine::create(&object, &function.name)
                .unwrap_or_else(|e| panic!("{}/{}: {e}", file.name, function.name));
            programs += 1;
            for packet in &packets {
                match machine.run(&Stimulus::packet(&packet.bytes)) {
                    Ok(_) => runs += 1,
                    Err(RunError::Refused(_)) => refused += 1,
                    Err(trapped) => panic!("{}: {trapped}", file.name),
                }
            }
            machine.contents().unwrap_or_else(|e| panic!("{}: {e}", file.name));
        }
    }
    println!("{programs} programs, {runs} runs, {refused} inputs refused");
    assert!(programs >= 80 && runs > refused);
}
