//! The verifier says of every example program what the kernel says.

use std::collections::BTreeMap;
use std::sync::Arc;
use ubpf_conformance::kernel::{KernelWorld, LogLevel};
use ubpf_conformance::{objects, skip_without_kernel};
use ubpf_loader::{LoadOptions, btf, btf_source};
use ubpf_verifier::{Class, Options, verify};

#[test]
fn the_verdicts_on_the_examples_are_the_kernels() {
    skip_without_kernel!();
    let options = LoadOptions {
        target_btf: btf_source::target_btf(None).expect("the kernel's BTF is well formed"),
        ..LoadOptions::default()
    };
    let platform = ubpf_helpers::linux();
    let mut unsupported = BTreeMap::<String, u32>::new();
    let mut wrong = Vec::new();
    let mut agreed = 0;
    for file in objects::all().expect("the suite can be read") {
        let object = ubpf_loader::load(&file.bytes, &options)
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        let types = object.btf.as_ref().and_then(|types| btf::encode(types).ok());
        // The kernel refuses types of untyped externs; their programs need none.
        let world = KernelWorld::create(&object.maps, types.as_deref())
            .or_else(|_| KernelWorld::create(&object.maps, None))
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        for (entry, function) in object.programs() {
            let program = Arc::new(ubpf_loader::link(&object, entry, None).expect("it links"));
            let kernel = world.load(&program, LogLevel::None);
            let report = verify(&program, &platform, &Options::default());
            let name = format!("{}/{}", file.name, function.name);
            match (kernel.is_ok(), &report.verdict) {
                (true, Ok(_)) => agreed += 1,
                (_, Err(r)) if r.reason.class() == Class::Unsupported => {
                    *unsupported.entry(r.to_string()).or_default() += 1;
                }
                (false, Err(_)) => agreed += 1,
                (true, Err(r)) => wrong.push(format!("{name} rejected at {:?}: {r}", r.pc)),
                (false, Ok(_)) => wrong.push(format!("{name} accepted")),
            }
        }
    }
    println!("{agreed} verdicts agree, not modelled: {unsupported:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
