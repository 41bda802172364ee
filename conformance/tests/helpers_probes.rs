//! Helpers and contexts, probed: objects that call helpers with what they should and should not be
//! given, and write down all that can be seen, run on the kernel and on ubpf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use ubpf::Engine;
use ubpf::abi::Errno;
use ubpf::abi::object::Object;
use ubpf_conformance::differential::{Difference, compare};
use ubpf_conformance::emulated::{
    EmulatedMachine, builder_like_this_machine, engine_like_this_machine,
};
use ubpf_conformance::kernel::{KernelMachine, pin_to_cpu_0};
use ubpf_conformance::machine::{Contents, Machine, Records, RunError, RunResult, Stimulus};
use ubpf_conformance::{objects, packets, skip_without_kernel, stimuli};

/// The object `name` of this suite.
fn object(engine: &Engine, name: &str) -> Arc<Object> {
    let path = objects::suite_dir("helpers").join(format!("{name}.bpf.o"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    engine.load(&bytes).expect("the probes load")
}

/// Inputs on which a verified program is compared as well.
const VERIFIED_INPUTS: usize = 40;

/// Engines that run verified programs: one that holds what was proved against what happens, and one
/// that trusts it and compiles.
fn trusting() -> Vec<Engine> {
    let builder = builder_like_this_machine().expect("the kernel's types can be read");
    let compiled = ubpf::Jit::new().ok().map(|jit| builder.clone().executor(Arc::new(jit)));
    let builders = [Some(builder.clone().check_facts()), compiled];
    builders.into_iter().flatten().map(|builder| builder.build()).collect()
}

/// Runs a program, verified, on some of what its type is given; the differences. Programs that use
/// what the verifier does not model are left out.
fn verified(engine: &Engine, object: &Arc<Object>, entry: &str) -> Vec<String> {
    let mut ubpf = match EmulatedMachine::create_verified(engine, object, entry) {
        Ok(Ok(machine)) => machine,
        Ok(Err(rejection)) if rejection.is_unsupported() => return Vec::new(),
        Ok(Err(rejection)) => return vec![format!("{entry}: refused: {rejection}")],
        Err(error) => return vec![format!("{entry}: {error}")],
    };
    let unobserved = unobserved(object);
    let mut kernel = KernelMachine::create(object, entry).expect("it could be created before");
    let inputs = stimuli::of_type(kernel.prog_type());
    for input in inputs.iter().take(VERIFIED_INPUTS) {
        if let Err(difference) = compare(&mut kernel, &mut ubpf, input, &unobserved) {
            return vec![format!("{entry}, verified, on {}: {difference}", input.name)];
        }
    }
    Vec::new()
}

/// Maps that are not compared: sections of their own hold locks, and lists of addresses.
fn unobserved(object: &Object) -> Vec<String> {
    let named = object.maps.iter().map(|map| map.name.clone());
    named.filter(|name| name.starts_with(".bss.")).collect()
}

/// A program on the kernel and on ubpf.
fn machines(
    engine: &Engine,
    object: &Arc<Object>,
    entry: &str,
) -> (KernelMachine, EmulatedMachine) {
    let kernel = KernelMachine::create(object, entry).unwrap_or_else(|e| panic!("{entry}: {e}"));
    let ubpf = EmulatedMachine::create(engine, object, entry);
    (kernel, ubpf.unwrap_or_else(|e| panic!("{entry}: {e}")))
}

/// Runs a program on everything its type is given; the differences by input.
fn of_program(engine: &Engine, object: &Arc<Object>, entry: &str) -> BTreeMap<String, Difference> {
    let unobserved = unobserved(object);
    let mut found = BTreeMap::new();
    let (mut kernel, mut ubpf) = machines(engine, object, entry);
    for input in stimuli::of_type(kernel.prog_type()) {
        if let Err(difference) = compare(&mut kernel, &mut ubpf, &input, &unobserved) {
            found.insert(input.name, difference);
            (kernel, ubpf) = machines(engine, object, entry);
        }
    }
    found
}

/// Runs every program of the object `name`; the differences.
fn differences(name: &str) -> Vec<String> {
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let object = object(&engine, name);
    let trusting = trusting();
    let (mut found, mut compared) = (Vec::new(), 0);
    for (_, function) in object.programs() {
        let entry = function.name.as_str();
        let prog_type = function.entry.as_ref().and_then(|entry| entry.prog_type);
        compared += prog_type.map_or(0, |prog_type| stimuli::of_type(prog_type).len());
        let mut differs = of_program(&engine, &object, entry);
        if !differs.is_empty() {
            // The kernel may have lacked memory for a moment: what differs must differ again.
            let again = of_program(&engine, &object, entry);
            differs.retain(|input, _| again.contains_key(input));
        }
        let differs = differs
            .iter()
            .map(|(input, difference)| format!("{name}/{entry} on {input}: {difference}"));
        found.extend(differs);
        for engine in &trusting {
            found.extend(verified(engine, &object, entry));
        }
    }
    println!("{} programs, {compared} programs x inputs compared", object.programs().count());
    found
}

#[test]
fn timers_expire_after_the_run() {
    skip_without_kernel!();
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let engine = engine_like_this_machine().expect("the kernel's types can be read");
    let object = object(&engine, "expiring");
    for (_, function) in object.programs() {
        let (kernel, ubpf) = machines(&engine, &object, &function.name);
        let stimulus = Stimulus::packet(&packets::corpus()[0].bytes);
        let input = stimuli::Named { name: "a packet".to_owned(), stimulus };
        let compared = compare(&mut Patient(kernel), &mut Patient(ubpf), &input, &[]);
        assert_eq!(compared.map_err(|e| e.to_string()), Ok(()), "{}", function.name);
    }
}

/// A machine that waits for what runs beside a program before it shows its maps.
struct Patient<M>(M);

impl<M: Machine> Machine for Patient<M> {
    fn run(&mut self, stimulus: &Stimulus) -> Result<RunResult, RunError> {
        self.0.run(stimulus)
    }

    fn contents(&mut self) -> Result<Contents, Errno> {
        std::thread::sleep(Duration::from_millis(50));
        self.0.contents()
    }

    fn records(&mut self) -> Records {
        self.0.records()
    }
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
    conntrack ctx dynptr fields frame lwt memory misc objects packet_dynptr skb storage strings sums text tunnel types
}
