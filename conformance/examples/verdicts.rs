//! What the running kernel and ubpf say of every program of every object, side by side:
//! `cargo run --release -p ubpf-conformance --example verdicts -- [--all] [--csv FILE] PATH…`.
//!
//! A path is an object, a file of bare instructions (`.bin`, taken as a socket filter), a file of
//! cases (`.cases`), or a directory that holds such files at any depth. Printed are the programs on which the two differ
//! (with `--all`, every one) and a summary; `--csv` writes a row for each program.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ubpf_abi::prog_type::ProgType;
use ubpf_conformance::kernel::KernelWorld;
use ubpf_conformance::verdicts::cases::CaseFile;
use ubpf_conformance::verdicts::{self, CSV_HEAD, Comparison, Outcome, Summary, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut all, mut csv, mut paths) = (false, None, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => all = true,
            "--csv" => csv = Some(fs::File::create(args.next().ok_or("--csv takes a file")?)?),
            _ => collect(Path::new(&arg), &mut paths)?,
        }
    }
    if paths.is_empty() {
        return Err("usage: verdicts [--all] [--csv FILE] PATH…".into());
    }
    ubpf_conformance::kernel::available()?;
    if let Some(csv) = &mut csv {
        writeln!(csv, "{CSV_HEAD}")?;
    }
    let verifier = Verifier::like_this_machine()?;
    let mut summary = Summary::default();
    for path in &paths {
        for comparison in compare(path, &verifier)? {
            summary.add(&comparison);
            if all || !matches!(comparison.outcome(), Outcome::Agree | Outcome::NotComparable) {
                println!("{comparison}");
            }
            if let Some(csv) = &mut csv {
                writeln!(csv, "{}", comparison.csv())?;
            }
        }
    }
    println!("{summary}");
    Ok(())
}

/// The files at a path that hold programs; a file that is named is taken whatever its name.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(path)?.collect();
    let mut entries: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let holds_programs =
            entry.extension().is_some_and(|e| e == "o" || e == "bin" || e == "cases");
        if entry.is_dir() || holds_programs {
            collect(&entry, found)?;
        }
    }
    Ok(())
}

fn compare(path: &Path, verifier: &Verifier) -> Result<Vec<Comparison>, Box<dyn Error>> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if path.extension().is_some_and(|e| e == "bin") {
        let program = Arc::new(ubpf_loader::load_raw(&bytes, ProgType::SocketFilter)?);
        let world = KernelWorld::create(&[], None);
        return Ok(vec![verdicts::pair(name, &world, &program, verifier)]);
    }
    if path.extension().is_some_and(|e| e == "cases") {
        let target = verifier.load_options().target_btf.as_ref();
        let file = CaseFile::parse(str::from_utf8(&bytes)?, target)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let mut world = file.world()?;
        let mut comparisons = Vec::with_capacity(file.cases.len());
        for case in &file.cases {
            comparisons.push(case.compare(name, &world, verifier));
            if !file.shares_world() {
                world = file.world()?;
            }
        }
        return Ok(comparisons);
    }
    Ok(verdicts::object(name, &bytes, verifier))
}
