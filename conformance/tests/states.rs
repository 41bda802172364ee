//! At every instruction the verifier knows of numbers and pointers what the kernel knows.
//!
//! Both logs are read side by side, up to where the two walks take different turns (they may:
//! what one finds covered by an earlier path the other may walk again).

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use ubpf_abi::object::ExternKind;
use ubpf_conformance::kernel::{self, KernelWorld, LogLevel};
use ubpf_conformance::{objects, skip_without_kernel};
use ubpf_loader::{LoadOptions, btf_source};
use ubpf_verifier::{Class, Options, verify};

/// One line of a log: the instruction, and what it says of registers and stack slots.
#[derive(Debug)]
struct Line {
    pc: u32,
    known: BTreeMap<String, String>,
}

fn lines(log: &str) -> Vec<Line> {
    log.lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let (pc, rest) = text.split_once(": (")?;
    let pc = pc.parse().ok()?;
    let (_, state) = rest.split_once("; ").unwrap_or((rest, ""));
    Some(Line { pc, known: known(state) })
}

fn known(state: &str) -> BTreeMap<String, String> {
    let place = |word: &str| word.starts_with('R') || word.starts_with("fp-");
    let words = state.split(' ').filter_map(|word| word.split_once('='));
    words.filter(|(at, _)| place(at)).map(|(at, what)| (at.into(), without_ids(what))).collect()
}

/// Ids are the verifier's own, precision marks depend on the walk, map names are cut by the
/// kernel.
fn without_ids(what: &str) -> String {
    let what = what.strip_prefix('P').unwrap_or(what);
    let Some((head, tail)) = what.split_once('(') else { return what.into() };
    let own =
        |item: &&str| !["id=", "ref_obj_id=", "map="].iter().any(|name| item.starts_with(name));
    let kept: Vec<&str> = tail.trim_end_matches(')').split(',').filter(own).collect();
    format!("{head}({})", kept.join(","))
}

#[test]
fn what_is_known_is_what_the_kernel_knows() {
    skip_without_kernel!();
    let options = LoadOptions {
        target_btf: btf_source::target_btf(None).expect("the kernel's BTF is well formed"),
        ..LoadOptions::default()
    };
    let platform = ubpf_helpers::linux();
    let cpus = u32::try_from(kernel::possible_cpus()).ok().and_then(NonZeroU32::new);
    let cpus = cpus.expect("there is a CPU");
    let (mut compared, mut differences) = (0, Vec::new());
    let suites =
        ["object", "kfunc", "fields"].map(|name| objects::of_suite(name).expect("it can be read"));
    for file in suites.into_iter().flatten() {
        let object = ubpf_loader::load(&file.bytes, &options)
            .unwrap_or_else(|e| panic!("{}: {e}", file.name));
        // What cannot be set up or linked is compared elsewhere.
        let Ok(world) = KernelWorld::like_libbpf(&object) else { continue };
        for (entry, function) in object.programs() {
            let Ok(program) = ubpf_loader::link(&object, entry, None) else { continue };
            let program = Arc::new(program);
            // To the kernel the address of an untyped symbol is a number that the loader looks up.
            if program.externs.iter().any(|e| e.kind == ExternKind::Address) {
                continue;
            }
            let Ok(kernel) = world.load(&program, LogLevel::Full) else { continue };
            let options = Options { log: true, cpus, ..Options::default() };
            let report = verify(&program, &platform, &options);
            if report.verdict.is_err_and(|r| r.reason.class() == Class::Unsupported) {
                continue;
            }
            let ours = lines(&report.log.unwrap_or_default());
            let theirs = lines(after_liveness(kernel.log()));
            for (a, b) in ours.iter().zip(&theirs).take_while(|(a, b)| a.pc == b.pc) {
                for (at, what) in &a.known {
                    let Some(expected) = b.known.get(at) else { continue };
                    compared += 1;
                    if what != expected {
                        differences.push(format!(
                            "{}/{} insn {}: {at} is {what}, the kernel says {expected}",
                            file.name, function.name, a.pc
                        ));
                    }
                }
            }
        }
    }
    println!("{compared} values compared, {} differ", differences.len());
    assert!(differences.is_empty(), "{}", differences[..differences.len().min(40)].join("\n"));
}

/// The kernel's log begins with a list of live registers, in which instructions stand too.
fn after_liveness(log: &str) -> &str {
    log.find("\n0: R1=").map_or(log, |at| &log[at..])
}
