//! The facade as an embedder uses it, on the committed examples.

use std::sync::Arc;
use std::time::Duration;
use ubpf::abi::helper::HelperGroup;
use ubpf::abi::{Kernel, TrapKind};
use ubpf::vm::call::CallCx;
use ubpf::vm::{helper, registry::HelperDef};
use ubpf::{
    Engine, EngineBuilder, Input, Instance, InstantiateError, Jit, Module, Object, Outcome,
    RunError, Trust,
};

fn file(path: &str) -> Vec<u8> {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn object(engine: &Engine, path: &str) -> Arc<Object> {
    engine.load(&file(path)).expect("a committed object")
}

fn dns() -> Input {
    Input { data: file("examples/dns.bin"), ..Input::default() }
}

#[test]
fn what_is_shared_between_threads_can_be() {
    fn shared<T: Send + Sync>() {}
    shared::<Engine>();
    shared::<Module>();
    shared::<Outcome>();
    fn sent<T: Send>() {}
    sent::<Instance>();
}

#[test]
fn maps_keep_their_contents_between_runs() {
    let engine = Engine::builder().build();
    let module = engine.prepare(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
    assert_eq!(module.trust(), Trust::Unverified);
    let mut instance = engine.instantiate(&module).unwrap();
    for _ in 0..2 {
        assert_eq!(instance.run(&dns()).unwrap().output.retval, 2);
    }
    assert_eq!(instance.drain_events().len(), 2);
    let outcomes = instance.map("outcomes").unwrap();
    let passed = outcomes.user_lookup(&0_u32.to_le_bytes(), 0).unwrap();
    assert_eq!(passed[..8], 2_u64.to_le_bytes());

    // A world of its own starts anew.
    let other = engine.instantiate(&module).unwrap();
    let passed = other.map("outcomes").unwrap().user_lookup(&0_u32.to_le_bytes(), 0).unwrap();
    assert_eq!(passed[..8], 0_u64.to_le_bytes());
}

#[test]
fn repetitions_go_on_with_what_the_program_left() {
    let engine = Engine::builder().build();
    let module = engine.prepare(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
    let mut instance = engine.instantiate(&module).unwrap();
    let outcome = instance.run_repeated(&dns(), 3).unwrap();
    let packet = outcome.output.data.unwrap();
    let ttl = 14 + 8;
    assert_eq!((outcome.repeat, packet[ttl]), (3, dns().data[ttl] - 3));
}

#[test]
fn the_budget_ends_what_does_not_end() {
    let engine = Engine::builder().budget(1000).build();
    let object = object(&engine, "cli/tests/objects/traps.bpf.o");
    let module = engine.prepare(&object, "forever").unwrap();
    let mut instance = engine.instantiate(&module).unwrap();
    match instance.run(&dns()) {
        Err(RunError::Trap(trapped)) => {
            assert_eq!(trapped.trap.kind, TrapKind::BudgetExhausted);
            assert_eq!(trapped.program.name, "forever");
        }
        other => panic!("{other:?}"),
    }
    // What was printed until then is there.
    assert_eq!(instance.drain_trace(), ["going round"]);
}

#[test]
fn a_kernel_has_only_what_it_had() {
    let engine = Engine::builder().kernel("5.4".parse::<Kernel>().unwrap()).build();
    let module = engine.prepare(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
    match engine.instantiate(&module) {
        Err(InstantiateError::MapType { name, .. }) => assert_eq!(name, "events"),
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("ring buffers came with 5.8"),
    }
}

const NO_SUCH_HELPER: HelperDef = helper!(
    9999 answer, since 6.18,
    "What an example object calls without a kernel that has it.",
    groups: &[HelperGroup("base")],
);

fn answer(_: &mut CallCx<'_>) -> u64 {
    42
}

/// Both engines, where there are two.
fn builders() -> Vec<EngineBuilder> {
    let jit = Jit::new().map(|jit| Engine::builder().executor(Arc::new(jit)));
    [Engine::builder()].into_iter().chain(jit.ok()).collect()
}

mod failing {
    use ubpf::host::{CallCx, Errno, Fail, HelperDef, Trap, helper};

    pub const PANICS: HelperDef = helper!(9999 panics, "Panics.");
    fn panics(_: &mut CallCx<'_>) -> u64 {
        panic!("the host has a bug")
    }

    pub const ERRS: HelperDef = helper!(9999 errs, "Ends the run.");
    fn errs(cx: &mut CallCx<'_>) -> Result<u64, Fail> {
        Err(cx.fail(std::io::Error::other("the database is down")).into())
    }

    pub const REFUSES: HelperDef = helper!(9999 refuses, "Tells the program.");
    fn refuses(_: &mut CallCx<'_>) -> Result<u64, Errno> {
        Err(Errno::EPERM)
    }

    pub const WANTS: HelperDef = helper!(9999 wants, "Works on what it was not given.");
    fn wants(cx: &mut CallCx<'_>) -> Result<u64, Trap> {
        cx.host::<u64>().copied()
    }
}

/// The program that calls helper 9999, and returns what it does.
fn calling(builder: EngineBuilder, helper: HelperDef) -> Instance {
    let engine = builder.helper(helper).build();
    let object = object(&engine, "cli/tests/objects/unsupported.bpf.o");
    engine.instantiate(&engine.prepare(&object, "helper").unwrap()).unwrap()
}

#[test]
fn helpers_of_the_host_may_fail() {
    for builder in builders() {
        let refused = calling(builder.clone(), failing::REFUSES).run(&dns()).unwrap();
        assert_eq!(refused.r0, (-1_i64).cast_unsigned());

        let mut instance = calling(builder.clone(), failing::ERRS);
        for _ in 0..2 {
            let error = instance.run(&dns()).unwrap_err();
            assert_eq!(error.trap().unwrap().trap.kind, TrapKind::HostError);
            let RunError::Host(failure) = error else { panic!("{error:?}") };
            assert!(failure.source.is::<std::io::Error>());
            assert_eq!(failure.source.to_string(), "the database is down");
        }

        let error = calling(builder, failing::WANTS).run(&dns()).unwrap_err();
        let RunError::Host(failure) = error else { panic!("{error:?}") };
        let expected = "the instance was not given a u64 for its helpers";
        assert_eq!(failure.source.to_string(), expected);
    }
}

#[test]
fn panics_in_helpers_end_the_run_and_nothing_else() {
    for builder in builders() {
        let mut instance = calling(builder, failing::PANICS);
        for _ in 0..3 {
            match instance.run(&dns()) {
                Err(RunError::Panicked(panic)) => assert_eq!(panic.message, "the host has a bug"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_budget_of_zero_runs_to_the_first_way_back() {
    for builder in builders() {
        let engine = builder.budget(0).build();
        let object = object(&engine, "cli/tests/objects/traps.bpf.o");
        let module = engine.prepare(&object, "forever").unwrap();
        let error = engine.instantiate(&module).unwrap().run(&dns()).unwrap_err();
        assert_eq!(error.trap().unwrap().trap.kind, TrapKind::BudgetExhausted);
    }
}

#[test]
fn a_deadline_ends_what_does_not_end() {
    let time = Duration::from_millis(20);
    let engine = Engine::builder().budget(u64::MAX).deadline(time).build();
    let object = object(&engine, "cli/tests/objects/traps.bpf.o");
    let module = engine.prepare(&object, "forever").unwrap();
    let mut instance = engine.instantiate(&module).unwrap();
    for _ in 0..2 {
        let error = instance.run(&dns()).unwrap_err();
        assert_eq!(error.trap().unwrap().trap.kind, TrapKind::HostLimit);
    }
    // What ends in time is as it is without.
    let other = engine.prepare(&engine.load(b"1,6 0 0 7").unwrap(), "filter").unwrap();
    assert_eq!(engine.instantiate(&other).unwrap().run(&dns()).unwrap().insns, 5);
}

#[test]
fn memory_has_a_limit() {
    let engine = Engine::builder().memory_limit(16 << 10).build();
    let module = engine.prepare(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
    match engine.instantiate(&module) {
        Err(InstantiateError::CreateMap { source, .. }) => {
            assert_eq!(source.name(), Some("ENOMEM"))
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("the ring buffer alone has 64 KiB"),
    }
    let engine = Engine::builder().memory_limit(1 << 20).build();
    let mut instance = engine.instantiate(&module).unwrap();
    assert_eq!(instance.run(&dns()).unwrap().output.retval, 2);
    assert!(instance.world().cage().used_bytes() <= 1 << 20);
}

#[test]
fn maps_are_read_filled_and_walked() {
    let engine = Engine::builder().build();
    let module = engine.verify(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
    let mut instance = engine.instantiate(&module).unwrap();
    let blocked = instance.open_map("blocked").unwrap();
    assert_eq!((blocked.is_empty(), blocked.get(&[53, 0])), (Ok(true), Ok(None)));
    blocked.insert(&[53, 0], &7_u64.to_le_bytes()).unwrap();
    blocked.insert(&[80, 0], &0_u64.to_le_bytes()).unwrap();
    assert_eq!(blocked.insert(&[53], &[0; 8]).unwrap_err().name(), Some("EINVAL"));
    assert_eq!((blocked.remove(&[80, 0]), blocked.remove(&[80, 0])), (Ok(true), Ok(false)));
    assert_eq!(instance.run(&dns()).unwrap().output.retval, 1);
    let blocked = instance.open_map("blocked").unwrap();
    let all: Vec<_> = blocked.iter().unwrap().collect();
    assert_eq!(all, [(vec![53, 0], 8_u64.to_le_bytes().to_vec())]);
    let missing = instance.open_map("block").err().unwrap();
    assert!(missing.to_string().contains("blocked, outcomes, events"), "{missing}");
}

#[test]
fn a_reloaded_program_finds_its_maps() {
    let engine = Engine::builder().build();
    let guard = object(&engine, "examples/guard.bpf.o");
    let module = engine.verify(&guard, "guard").unwrap();
    let mut instance = engine.instantiate(&module).unwrap();
    let blocked = instance.open_map("blocked").unwrap();
    blocked.insert(&[53, 0], &7_u64.to_le_bytes()).unwrap();

    // The same file, as if it were a newer build.
    let newer = object(&engine, "examples/guard.bpf.o");
    instance.reload(&engine, &engine.verify(&newer, "guard").unwrap()).unwrap();
    assert_eq!(instance.run(&dns()).unwrap().output.retval, 1);
    let blocked = instance.open_map("blocked").unwrap();
    assert_eq!(blocked.get(&[53, 0]), Ok(Some(8_u64.to_le_bytes().to_vec())));

    // What cannot replace it leaves it as it is.
    let filter = engine.load(b"1,6 0 0 1").unwrap();
    let filter = engine.prepare(&filter, "filter").unwrap();
    let refused = instance.reload(&engine, &filter);
    assert!(matches!(refused, Err(InstantiateError::ReloadType { .. })));
    assert_eq!(instance.run(&dns()).unwrap().output.retval, 1);
}

#[test]
fn instances_run_in_threads_of_their_own() {
    for builder in builders() {
        let engine = builder.build();
        let module = engine.verify(&object(&engine, "examples/guard.bpf.o"), "guard").unwrap();
        let verdicts: Vec<u32> = std::thread::scope(|scope| {
            let run = || {
                let mut instance = engine.instantiate(&module).unwrap();
                instance.run(&dns()).unwrap().output.retval
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(verdicts, [2; 4]);
    }
}

#[test]
fn a_host_can_add_helpers() {
    let path = "cli/tests/objects/unsupported.bpf.o";
    let plain = Engine::builder().build();
    let module = plain.prepare(&object(&plain, path), "helper").unwrap();
    assert!(matches!(plain.instantiate(&module), Err(InstantiateError::Lower { .. })));

    let engine = Engine::builder().helper(NO_SUCH_HELPER).build();
    let mut instance = engine.instantiate(&module).unwrap();
    assert_eq!(instance.run(&dns()).unwrap().r0, 42);
}
