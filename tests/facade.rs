//! The facade as an embedder uses it, on the committed examples.

use std::sync::Arc;
use ubpf::abi::helper::HelperGroup;
use ubpf::abi::{Kernel, TrapKind};
use ubpf::vm::call::CallCx;
use ubpf::vm::{helper, registry::HelperDef};
use ubpf::{Engine, Input, InstantiateError, Module, Object, Outcome, RunError, Trust};

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
