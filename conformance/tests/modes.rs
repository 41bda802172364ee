//! Every example program on every input, in every way that ubpf has of running it: unverified,
//! with all that was proved held against what happens, and trusted; interpreted and compiled. All
//! of them must come to the same, to the packet, the context, the maps and the records.

use std::sync::Arc;
use ubpf::{Engine, EngineBuilder, Jit};
use ubpf_conformance::differential::compare;
use ubpf_conformance::emulated::{EmulatedMachine, builder_like_this_machine};
use ubpf_conformance::expect::Expectations;
use ubpf_conformance::objects::{self, ObjectFile};
use ubpf_conformance::stimuli;

/// A way to run a verified program.
struct Way {
    name: &'static str,
    engine: Engine,
}

fn ways(builder: &EngineBuilder) -> Vec<Way> {
    let way = |name, builder: EngineBuilder| Way { name, engine: builder.build() };
    let mut ways = vec![
        way("facts checked", builder.clone().check_facts()),
        way("caged", builder.clone().caged()),
        way("proved", builder.clone()),
    ];
    if let Ok(jit) = Jit::new() {
        let builder = builder.clone().executor(Arc::new(jit));
        ways.push(way("compiled, caged", builder.clone().caged()));
        ways.push(way("compiled, proved", builder));
    }
    ways
}

#[derive(Default)]
struct Totals {
    proved: usize,
    not_modelled: usize,
    refused: usize,
    comparisons: usize,
    differences: Vec<String>,
}

fn compare_program(
    unverified: &Engine,
    ways: &[Way],
    file: &ObjectFile,
    object: &Arc<ubpf::Object>,
    program: &str,
    unobserved: &[String],
    totals: &mut Totals,
) {
    let Ok(module) = unverified.prepare(object, program) else { return };
    let prog_type = module.program().prog_type;
    let Ok(_) = EmulatedMachine::create(unverified, object, program) else { return };
    for (number, way) in ways.iter().enumerate() {
        let label = format!("{}/{program}, {}", file.name, way.name);
        let mut machine = match EmulatedMachine::create_verified(&way.engine, object, program) {
            Ok(Ok(machine)) => machine,
            Ok(Err(rejection)) => {
                let unsupported = usize::from(rejection.is_unsupported());
                totals.not_modelled += unsupported;
                totals.refused += 1 - unsupported;
                if unsupported == 0 {
                    println!("{label}: refused: {rejection}");
                }
                return;
            }
            Err(error) => {
                totals.differences.push(format!("{label}: {error}"));
                return;
            }
        };
        totals.proved += usize::from(number == 0);
        let mut reference =
            EmulatedMachine::create(unverified, object, program).expect("it could be made before");
        for input in stimuli::of_type(prog_type) {
            totals.comparisons += 1;
            if let Err(difference) = compare(&mut reference, &mut machine, &input, unobserved) {
                totals.differences.push(format!("{label} on {}: {difference}", input.name));
                break;
            }
        }
    }
}

#[test]
fn all_ways_to_run_a_program_come_to_the_same() {
    let text = include_str!("../expectations.toml");
    let expectations = Expectations::parse(text).expect("expectations.toml is well formed");
    let builder = builder_like_this_machine().expect("the kernel's BTF is well formed");
    let unverified = builder.clone().build();
    let ways = ways(&builder);
    let mut totals = Totals::default();
    for file in objects::all().expect("the suite can be read") {
        let object = unverified.load(&file.bytes).unwrap_or_else(|e| panic!("{}: {e}", file.name));
        let unobserved = expectations.unobserved_maps(&file.name);
        for (_, function) in object.programs() {
            let name = &function.name;
            compare_program(&unverified, &ways, &file, &object, name, &unobserved, &mut totals);
        }
    }
    let Totals { proved, not_modelled, refused, comparisons, differences } = totals;
    println!(
        "{proved} programs proved, {not_modelled} not modelled, {refused} refused; \
         {comparisons} programs x inputs x ways compared"
    );
    for difference in &differences {
        println!("  {difference}");
    }
    assert!(differences.is_empty(), "{} differences", differences.len());
    assert!(refused == 0, "the kernel takes all of these programs");
    assert!(proved > 0, "nothing was proved");
}
