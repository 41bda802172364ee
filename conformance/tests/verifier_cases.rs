//! Small programs, theme by theme: the verifier gives each the verdict that stands in its file, and
//! so does the kernel.

use std::path::PathBuf;
use ubpf_conformance::kernel::{self, WorldError};
use ubpf_conformance::objects::suite_dir;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::Verifier;
use ubpf_conformance::verdicts::cases::CaseFile;

fn files(verifier: &Verifier) -> Vec<(PathBuf, CaseFile)> {
    let mut paths: Vec<_> = std::fs::read_dir(suite_dir("verifier"))
        .expect("the suite exists")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cases"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let file = CaseFile::parse(&text, verifier.load_options().target_btf.as_ref());
        let file = file.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, file)
    };
    paths.into_iter().map(read).collect()
}

fn verifier() -> Verifier {
    Verifier::like_this_machine().expect("the kernel's BTF is well formed")
}

#[test]
fn the_kernel_gives_the_verdicts_in_the_files() {
    skip_without_kernel!();
    let bless = std::env::var_os("UBPF_BLESS").is_some();
    let mut wrong = Vec::new();
    for (path, file) in files(&verifier()) {
        let world =
            || file.world().unwrap_or_else(|e: WorldError| panic!("{}: {e}", path.display()));
        let shared = file.shares_world().then(world);
        let asked = file.cases.iter().map(|case| match &shared {
            Some(world) => case.ask(world).line(),
            None => case.ask(&world()).line(),
        });
        let asked: Vec<_> = asked.collect();
        if bless {
            std::fs::write(&path, file.with_verdicts(&asked)).expect("a writable file");
            continue;
        }
        for (case, verdict) in file.cases.iter().zip(asked).filter(|(c, v)| c.verdict != *v) {
            wrong.push(format!("{}: {}: {verdict}", path.display(), case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_verifier_gives_the_verdicts_in_the_files() {
    // Loads of the kernel's types and variables depend on the machine that the files are from.
    if kernel::available().is_err() {
        eprintln!("the verdicts are those of Linux 6.18 on x86-64");
    }
    let verifier = verifier();
    let (mut compared, mut wrong) = (0, Vec::new());
    for (path, file) in files(&verifier) {
        for case in &file.cases {
            compared += 1;
            let ours = case.judge(&verifier).line();
            if ours != case.verdict {
                let (file, name, theirs) = (path.display(), &case.name, &case.verdict);
                wrong.push(format!("{file}: {name}:\n    kernel  {theirs}\n    ubpf    {ours}"));
            }
        }
    }
    println!("{compared} cases compared");
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} of {compared} differ:\n{}", wrong.join("\n"));
}
