//! Programs of the example objects and of the comparison, verified: compiled and interpreted they
//! leave the same behind, also when they are repeated, in which compiled code does not count.

use std::sync::Arc;
use ubpf::abi::object::Object;
use ubpf::platform::env::{ClockConfig, EnvConfig};
use ubpf::{Engine, Input, Instance, Jit};
use ubpf_conformance::objects::{all, suite_dir};

/// What a run leaves behind: its outcome, and every map's contents.
type Left = (Result<(u32, u64, Option<Vec<u8>>), String>, Vec<(String, Vec<Vec<u8>>)>);

fn run(instance: &mut Instance, repeat: u32) -> Left {
    let data: Vec<u8> = (0..1024_u32).map(|n| (n * 131 + n / 7) as u8).collect();
    let input = Input { data, ..Input::default() };
    let outcome = instance.run_repeated(&input, repeat);
    let outcome = outcome.map(|o| (o.output.retval, o.r0, o.output.data));
    let maps = instance.maps().map(|map| {
        let keys = map.keys().unwrap_or_default();
        let values = keys.iter().map(|key| map.user_lookup(key, 0).unwrap_or_default());
        (map.def().name.clone(), values.collect())
    });
    (outcome.map_err(|error| error.to_string()), maps.collect())
}

fn instances(engines: &[Engine], object: &Arc<Object>, name: &str) -> Option<Vec<Instance>> {
    let instance = |engine: &Engine| {
        let module = engine.verify(object, name).ok()?;
        engine.instantiate(&module).ok()
    };
    engines.iter().map(instance).collect()
}

#[test]
fn verified_programs_do_the_same_compiled() {
    let jit = || Arc::new(Jit::new().expect("the tests run where there is a JIT"));
    let builders = [
        Engine::builder(),
        Engine::builder().executor(jit()),
        Engine::builder().executor(jit()).caged(),
    ];
    let clock = ClockConfig::Virtual { start_ns: 1_000, step_ns: 10 };
    let env = EnvConfig { clock, ..EnvConfig::default() };
    let engines = builders.map(|builder| builder.environment(env.clone()).build());
    let compare = std::fs::read(suite_dir("compare").join("compare.bpf.o")).expect("the object");
    let mut objects: Vec<Vec<u8>> = vec![compare];
    objects.extend(all().expect("the objects").into_iter().map(|file| file.bytes));
    let mut compared = 0;
    for bytes in objects {
        let Ok(object) = engines[0].load(&bytes) else { continue };
        let names: Vec<String> = object.programs().map(|(_, p)| p.name.clone()).collect();
        for name in names {
            let Some(mut instances) = instances(&engines, &object, &name) else { continue };
            for repeat in [1, 3] {
                let left: Vec<Left> = instances.iter_mut().map(|i| run(i, repeat)).collect();
                for (left_by, mode) in left[1..].iter().zip(["proved", "caged"]) {
                    assert_eq!(left_by.0, left[0].0, "{name}, {mode}");
                    for (map, expected) in left_by.1.iter().zip(&left[0].1) {
                        assert_eq!(map, expected, "{name}, {mode}");
                    }
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "only {compared} runs could be compared");
}
