//! Calls, callbacks and returns: of every program in `suites/verifier` the verifier says what the
//! kernel says, in its words.

use std::sync::Arc;
use ubpf_conformance::kernel::{KernelWorld, LogLevel, WorldError};
use ubpf_conformance::{objects, skip_without_kernel};
use ubpf_loader::{LoadOptions, btf};
use ubpf_verifier::{Options, verify};

/// What ends a log but is not the reason: statistics, and the states of a loop without end.
const AFTER_THE_REASON: [&str; 4] = ["processed ", "verification time", "cur state", "old state"];

fn reason(log: &str) -> Option<&str> {
    let after = |line: &str| AFTER_THE_REASON.iter().any(|text| line.starts_with(text));
    let line = log.lines().rev().find(|line| !line.is_empty() && !after(line))?;
    // One reason has no end of line.
    Some(line.split_once("processed ").map_or(line, |(reason, _)| reason))
}

fn compare(suite: &str) {
    let file = objects::suite_dir("verifier").join(suite).with_extension("bpf.o");
    let bytes = std::fs::read(&file).expect("the suite can be read");
    let object = ubpf_loader::load(&bytes, &LoadOptions::default()).expect("it is an object");
    let types = object.btf.as_ref().map(|types| btf::encode(types).expect("its types encode"));
    let world = KernelWorld::create(&object.maps, types.as_deref()).expect("its maps can be made");
    let platform = ubpf_helpers::linux();
    let mut wrong = Vec::new();
    for (entry, function) in object.programs() {
        let program = Arc::new(ubpf_loader::link(&object, entry, None).expect("it links"));
        let kernel = match world.load(&program, LogLevel::Brief) {
            Ok(_) => "accepted".to_owned(),
            Err(WorldError::Prog(refused)) => {
                format!("{:?}: {}", refused.errno, reason(&refused.log).unwrap_or_default())
            }
            Err(error) => panic!("{}: {error}", function.name),
        };
        let ours = match verify(&program, &platform, &Options::default()).verdict {
            Ok(_) => "accepted".to_owned(),
            Err(r) => format!("{:?}: {r}", r.reason.errno()),
        };
        if ours != kernel {
            wrong.push(format!("{}\n  kernel {kernel}\n  ours   {ours}", function.name));
        }
    }
    assert!(object.programs().count() > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn subprograms_are_called_as_the_kernel_lets_them() {
    skip_without_kernel!();
    compare("calls");
}

#[test]
fn helpers_call_back_as_the_kernel_lets_them() {
    skip_without_kernel!();
    compare("callbacks");
}

#[test]
fn helpers_take_the_arguments_that_the_kernel_lets_them() {
    skip_without_kernel!();
    compare("args");
}
