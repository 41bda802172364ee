//! The instruction vectors, on the kernel and on ubpf, and the generator that writes most of them.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use ubpf::Jit;
use ubpf::vm::engine::Engine;
use ubpf::vm::interp::Interp;
use ubpf_conformance::objects::suite_dir;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::vectors::kernel::{self, Outcome};
use ubpf_conformance::vectors::{Case, Expect, Memory, Row, engine, generate, parse};
use ubpf_isa::Slot;

/// Every vector file with its cases.
fn suite() -> Vec<(PathBuf, Vec<Case>)> {
    let mut files: Vec<_> = std::fs::read_dir(suite_dir("isa"))
        .expect("the suite exists")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "isa"))
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let cases = parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, cases)
    };
    files.into_iter().map(read).collect()
}

/// Runs all vectors on one side and lists what is not as the files say.
fn check<E: Display>(
    run: impl Fn(&[Slot], &Row) -> Result<Outcome, E>,
    refuses: impl Fn(&Expect, &[Slot]) -> bool,
) {
    let mut wrong = Vec::new();
    let (mut cases, mut rows) = (0, 0);
    for (path, file) in suite() {
        for case in file {
            cases += 1;
            let name = format!("{}: {}", path.display(), case.name);
            let slots = case.code.slots().unwrap_or_else(|e| panic!("{name}: {e}"));
            match &case.expect {
                Expect::Refused | Expect::Undefined if refuses(&case.expect, &slots) => {}
                Expect::Refused | Expect::Undefined => {
                    wrong.push(format!("{name}: is not refused"));
                }
                Expect::Rows(expected) => {
                    for row in expected {
                        rows += 1;
                        match run(&slots, row) {
                            Ok(out) if out.matches(row) => {}
                            Ok(out) => wrong.push(format!("{name}: {row}: gives {out}")),
                            Err(error) => wrong.push(format!("{name}: {row}: {error}")),
                        }
                    }
                }
            }
        }
    }
    println!("{cases} cases, {rows} rows");
    assert!(rows > 10_000, "the suite is incomplete");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn generated_files_are_up_to_date() {
    let bless = std::env::var_os("UBPF_BLESS").is_some();
    for file in generate::files() {
        let path = suite_dir("isa").join(file.name);
        if bless {
            std::fs::write(&path, &file.text).expect("the suite is writable");
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == file.text, "{}: run with UBPF_BLESS=1", file.name);
    }
}

#[test]
fn the_kernel_gives_every_result() {
    skip_without_kernel!();
    check(kernel::run, |_, slots| kernel::refuses(slots));
}

#[test]
fn the_interpreter_gives_every_result() {
    runs_all(Arc::new(Interp));
}

#[test]
fn compiled_code_gives_every_result() {
    match Jit::new() {
        Ok(jit) => runs_all(Arc::new(jit)),
        Err(unsupported) => eprintln!("SKIPPED: {unsupported}"),
    }
}

fn runs_all(executor: Arc<dyn Engine>) {
    // What a verifier refuses (a loop without end, an access outside the stack, a shift past the
    // width) may well run without one.
    let harmless =
        |expect: &Expect, slots: &[Slot]| *expect == Expect::Refused || engine::refuses(slots);
    check(|slots, row| engine::run_on(&executor, slots, row), harmless);
}

/// Where ubpf knowingly differs: 6.18's verifier does not carry the need for precision through
/// a fetching atomic on the stack. It prunes the path on which the slot holds memory's word by
/// the one on which it holds -2, takes the branch for always taken, and removes what follows.
#[test]
fn fetched_constants_are_where_the_kernel_is_wrong() {
    skip_without_kernel!();
    let slots = ubpf_isa::assemble(
        "    r6 = *(u64 *)(r1 + 0)
             r2 = *(u64 *)(r1 + 8)
             r0 = 0
             r4 = 0
             *(u64 *)(r10 -16) = r2
             if r6 == 0 goto pc+1
             *(u64 *)(r10 -16) = -2
             goto pc+0
             r4 = atomic64_fetch_and((u64 *)(r10 -16), r4)
             if r4 == -2 goto pc+1
             r0 = 1
             exit",
    )
    .expect("well formed");
    let row = Row { input: Memory::Words(vec![0, 7]), result: 1, after: None };
    let ours = engine::run(&slots, &row).expect("it runs to its end");
    assert!(ours.matches(&row), "7 is not -2, so the branch is not taken: {ours}");
    let kernels = kernel::run(&slots, &row).expect("the kernel loads it");
    assert_eq!(kernels.result, 0, "the kernel is right now: let random programs fetch constants");
}
