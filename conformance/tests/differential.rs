//! Every example program on every input, on the kernel and on ubpf.

use std::sync::Arc;
use ubpf_conformance::differential::{Aspect, Difference, Finding, Totals, compare};
use ubpf_conformance::emulated::{EmulatedMachine, engine_like_this_machine};
use ubpf_conformance::expect::Expectations;
use ubpf_conformance::kernel::{KernelMachine, pin_to_cpu_0};
use ubpf_conformance::objects::{self, ObjectFile};
use ubpf_conformance::{skip_without_kernel, stimuli};

/// Compares one program of an object on all inputs for its type.
fn compare_program(
    engine: &ubpf::Engine,
    file: &ObjectFile,
    object: &Arc<ubpf::Object>,
    program: &str,
    unobserved: &[String],
    totals: &mut Totals,
) -> Vec<Finding> {
    let found = |input: &str, difference| Finding {
        object: file.name.clone(),
        program: program.to_owned(),
        input: input.to_owned(),
        difference,
    };
    let on_kernel = || {
        KernelMachine::create(object, program)
            .unwrap_or_else(|e| panic!("{}/{program} on the kernel: {e}", file.name))
    };
    let on_ubpf = || EmulatedMachine::create(engine, object, program);
    totals.programs += 1;
    let mut kernel = on_kernel();
    let mut ubpf = match on_ubpf() {
        Ok(machine) => machine,
        Err(error) => {
            totals.comparisons += 1;
            totals.differing += 1;
            let text = error.to_string();
            return vec![found("", Difference { aspect: Aspect::Load, text })];
        }
    };
    let mut findings = Vec::new();
    for input in stimuli::of_type(kernel.prog_type()) {
        totals.comparisons += 1;
        if let Err(difference) = compare(&mut kernel, &mut ubpf, &input, unobserved) {
            totals.differing += 1;
            findings.push(found(&input.name, difference));
            kernel = on_kernel();
            ubpf = on_ubpf().expect("it could be created before");
        }
    }
    findings
}

#[test]
fn ubpf_does_what_the_kernel_does() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    if !std::path::Path::new("/sys/kernel/tracing/trace_pipe").exists() {
        eprintln!("SKIPPED comparing trace output: no tracefs is mounted here");
    }
    let text = include_str!("../expectations.toml");
    let expectations = Expectations::parse(text).expect("expectations.toml is well formed");
    let engine = engine_like_this_machine().expect("the kernel's BTF is well formed");
    let (mut totals, mut findings) = (Totals::default(), Vec::new());
    for file in objects::all().expect("the suite can be read") {
        let object = engine.load(&file.bytes).unwrap_or_else(|e| panic!("{}: {e}", file.name));
        let unobserved = expectations.unobserved_maps(&file.name);
        for (_, function) in object.programs() {
            let name = &function.name;
            findings.extend(compare_program(
                &engine,
                &file,
                &object,
                name,
                &unobserved,
                &mut totals,
            ));
        }
    }
    println!("{totals}");
    let (unexpected, expired) = expectations.judge(&findings);
    for finding in &unexpected {
        println!("  {finding}");
    }
    for known in &expired {
        println!("  expected, but gone: {}/{}: {}", known.object, known.program, known.reason);
    }
    assert!(unexpected.is_empty(), "{} unexpected differences", unexpected.len());
    assert!(expired.is_empty(), "{} expectations have expired", expired.len());
}
