//! Helpers and contexts, probed: objects that call helpers with what they should and should not be
//! given, and write down all that can be seen, run on the kernel and on ubpf.

use std::sync::Arc;
use ubpf::abi::object::Object;
use ubpf_conformance::differential::compare;
use ubpf_conformance::emulated::{EmulatedMachine, engine_like_this_machine};
use ubpf_conformance::kernel::{KernelMachine, pin_to_cpu_0};
use ubpf_conformance::{objects, skip_without_kernel, stimuli};

/// Runs every program of the object `name` on everything its type is given; the differences.
fn differences(name: &str) -> Vec<String> {
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let path = objects::suite_dir("helpers").join(format!("{name}.bpf.o"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let object: Arc<Object> = engine.load(&bytes).expect("the probes load");
    // Sections of their own hold what cannot be compared: locks, and lists of addresses.
    let named = object.maps.iter().map(|map| map.name.clone());
    let unobserved: Vec<_> = named.filter(|name| name.starts_with(".bss.")).collect();
    let mut found = Vec::new();
    for (_, function) in object.programs() {
        let entry = function.name.as_str();
        let machines = || {
            let kernel = KernelMachine::create(&object, entry)
                .unwrap_or_else(|e| panic!("{name}/{entry}: {e}"));
            let ubpf = EmulatedMachine::create(&engine, &object, entry)
                .unwrap_or_else(|e| panic!("{name}/{entry}: {e}"));
            (kernel, ubpf)
        };
        let (mut kernel, mut ubpf) = machines();
        for input in stimuli::of_type(kernel.prog_type()) {
            if compare(&mut kernel, &mut ubpf, &input, &unobserved).is_ok() {
                continue;
            }
            // The kernel may have lacked memory for a moment: what differs must differ again.
            (kernel, ubpf) = machines();
            if let Err(difference) = compare(&mut kernel, &mut ubpf, &input, &unobserved) {
                found.push(format!("{name}/{entry} on {}: {difference}", input.name));
                (kernel, ubpf) = machines();
            }
        }
    }
    found
}

macro_rules! probes {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            skip_without_kernel!();
            let found = differences(stringify!($name));
            assert!(found.is_empty(), "{} differences\n{}", found.len(), found.join("\n"));
        }
    )*};
}

probes! {
    conntrack ctx dynptr fields frame lwt memory objects packet_dynptr skb storage strings sums text tunnel types
}
