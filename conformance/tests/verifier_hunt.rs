//! The verifier says of mutants of the suites' programs, and of random arithmetic, what the kernel
//! says. `cargo run --release -p ubpf-conformance --example hunt` looks at as many as one likes.

use std::path::Path;
use ubpf_conformance::objects::suite_dir;
use ubpf_conformance::skip_without_kernel;
use ubpf_conformance::verdicts::cases::CaseFile;
use ubpf_conformance::verdicts::hunt::{Bag, Find, Pool};
use ubpf_conformance::verdicts::{Outcome, Verifier};

/// Programs to compare.
const SEEDS: u64 = 1500;
/// Slots of the longest program that mutants are made of.
const SLOTS: usize = 200;

#[test]
fn near_programs_get_the_kernels_verdicts() {
    skip_without_kernel!();
    let mut pool = Pool::new(Verifier::like_this_machine().expect("the kernel's BTF"));
    for suite in ["object", "helpers", "verifier"] {
        let files = std::fs::read_dir(suite_dir(suite)).expect("the suite exists");
        let mut paths: Vec<_> = files.map(|f| f.expect("a readable entry").path()).collect();
        paths.sort();
        paths.iter().for_each(|path| add(&mut pool, path));
    }
    pool.add_arithmetic().expect("the kernel creates an array");
    let mut bag = Bag::default();
    for seed in 0..SEEDS {
        pool.try_seed(seed, &mut bag);
    }
    println!("{}", bag.summary);
    let wrong =
        |find: &&Find| matches!(find.outcome(), Outcome::WrongAccept | Outcome::WrongReject);
    let wrong: Vec<_> = bag.finds().into_iter().filter(wrong).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn add(pool: &mut Pool, path: &Path) {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let bytes = || std::fs::read(path).expect("a readable file");
    if name.ends_with(".o") {
        pool.add_object(name, &bytes(), SLOTS);
    } else if name.ends_with(".cases") {
        let text = String::from_utf8(bytes()).expect("cases are text");
        let target = pool.verifier().load_options().target_btf.clone();
        let file = CaseFile::parse(&text, target.as_ref());
        pool.add_cases(name, &file.unwrap_or_else(|e| panic!("{name}: {e}")));
    }
}
