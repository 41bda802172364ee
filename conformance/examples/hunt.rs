//! Looks for programs on which ubpf and the running kernel differ, among mutants of the programs
//! given: `cargo run --release -p ubpf-conformance --example hunt -- [--from SEED] [--count N]
//! [--slots N] [PATH…]`.
//!
//! Without paths, the committed suites are the pool. Every difference is shown once, on the
//! smallest program that has it.

use std::error::Error;
use std::path::{Path, PathBuf};
use ubpf_conformance::objects::suite_dir;
use ubpf_conformance::verdicts::Verifier;
use ubpf_conformance::verdicts::cases::CaseFile;
use ubpf_conformance::verdicts::hunt::{Bag, Pool};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut from, mut count, mut slots, mut paths) = (0, 100_000, 400, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number =
            || args.next().and_then(|n| n.parse::<u64>().ok()).ok_or("a number is missing");
        match arg.as_str() {
            "--from" => from = number()?,
            "--count" => count = number()?,
            "--slots" => slots = usize::try_from(number()?)?,
            _ => paths.push(PathBuf::from(arg)),
        }
    }
    if paths.is_empty() {
        paths = ["object", "helpers", "verifier"].map(suite_dir).into();
    }
    ubpf_conformance::kernel::available()?;
    let mut pool = Pool::new(Verifier::like_this_machine()?);
    for path in &paths {
        add(&mut pool, path, slots)?;
    }
    pool.add_arithmetic()?;
    println!("{} programs to start from", pool.programs());
    let mut bag = Bag::default();
    for seed in from..from + count {
        pool.try_seed(seed, &mut bag);
    }
    for find in bag.finds() {
        println!("{find}");
    }
    println!("{}", bag.summary);
    Ok(())
}

fn add(pool: &mut Pool, path: &Path, slots: usize) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path)?.collect();
        let mut entries: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
        entries.sort();
        return entries.iter().try_for_each(|entry| add(pool, entry, slots));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if name.ends_with(".o") {
        pool.add_object(name, &std::fs::read(path)?, slots);
    } else if name.ends_with(".cases") {
        let text = std::fs::read_to_string(path)?;
        let target = pool.verifier().load_options().target_btf.clone();
        pool.add_cases(name, &CaseFile::parse(&text, target.as_ref())?);
    }
    Ok(())
}
