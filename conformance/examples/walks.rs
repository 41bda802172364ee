//! How ubpf's verifier walks beside the kernel's, on every program of every object that both
//! accept: `cargo run --release -p ubpf-conformance --example walks -- [--rounds N] PATH…`.
//!
//! A path is an object, a file of instructions as text (`.asm`, taken as a socket filter), or a
//! directory that holds such files at any depth. Printed are instructions walked, states kept,
//! most states at once and microseconds, ours and the kernel's, the programs that differ most
//! first. Times are the fastest of the rounds (the default is one).

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_conformance::kernel::{KernelWorld, WorldError};
use ubpf_conformance::verdicts::{self, Comparison, Effort, Outcome, Verifier};

/// A program and what it takes both sides.
struct Walk {
    name: String,
    ours: Effort,
    kernel: Effort,
}

impl Walk {
    fn differs(&self) -> bool {
        let walk = |e: &Effort| (e.insns, e.states, e.peak_states);
        walk(&self.ours) != walk(&self.kernel)
    }

    /// How many times more instructions one side walks than the other, at least 1.
    fn deviation(&self) -> f64 {
        let ratio = self.ours.insns.max(1) as f64 / self.kernel.insns.max(1) as f64;
        ratio.max(1.0 / ratio)
    }

    fn time_ratio(&self) -> f64 {
        self.ours.time.as_secs_f64() / self.kernel.time.max(Duration::from_micros(1)).as_secs_f64()
    }

    fn print(&self) {
        let side = |e: &Effort| (e.insns, e.states, e.peak_states, e.time.as_secs_f64() * 1e6);
        let (a, b) = (side(&self.ours), side(&self.kernel));
        println!(
            "{:44} {:>7} {:>7}  {:>5} {:>5}  {:>5} {:>5}  {:>9.1} {:>9.0} {:>6.2}",
            self.name,
            a.0,
            b.0,
            a.1,
            b.1,
            a.2,
            b.2,
            a.3,
            b.3,
            self.time_ratio()
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut rounds, mut paths) = (1, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().ok_or("--rounds takes a number")?.parse()?,
            _ => collect(Path::new(&arg), &mut paths)?,
        }
    }
    if paths.is_empty() {
        return Err("usage: walks [--rounds N] PATH…".into());
    }
    ubpf_conformance::kernel::available()?;
    let verifier = Verifier::like_this_machine()?;
    let mut walks = Vec::new();
    for path in &paths {
        walk(path, &verifier, rounds, &mut walks)?;
    }
    walks.sort_by(|a, b| {
        (b.differs(), b.deviation()).partial_cmp(&(a.differs(), a.deviation())).expect("no NaN")
    });
    println!(
        "{:44} {:>7} {:>7}  {:>5} {:>5}  {:>5} {:>5}  {:>9} {:>9} {:>6}",
        "program", "insns", "kernel", "state", "kern", "peak", "kern", "µs", "kernel", "×"
    );
    walks.iter().for_each(Walk::print);
    summarize(&walks);
    Ok(())
}

fn summarize(walks: &[Walk]) {
    let count = |same: &dyn Fn(&Walk) -> bool| walks.iter().filter(|w| same(w)).count();
    println!(
        "{} programs; the same: {} insns, {} states, {} peak, {} all three",
        walks.len(),
        count(&|w| w.ours.insns == w.kernel.insns),
        count(&|w| w.ours.states == w.kernel.states),
        count(&|w| w.ours.peak_states == w.kernel.peak_states),
        count(&|w| !w.differs()),
    );
    let ratios: Vec<f64> = walks.iter().map(Walk::time_ratio).collect();
    let mean = ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len().max(1) as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    println!("time: geometric mean {:.2} × the kernel's, worst {worst:.2}", mean.exp());
}

/// The files at a path that hold programs.
fn collect(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(path)?.collect();
    let mut entries: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|e| e == "o" || e == "asm") {
            collect(&entry, found)?;
        }
    }
    Ok(())
}

fn walk(
    path: &Path,
    verifier: &Verifier,
    rounds: u32,
    walks: &mut Vec<Walk>,
) -> Result<(), Box<dyn Error>> {
    let file = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let file = file.split('.').next().unwrap_or_default();
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if path.extension().is_some_and(|e| e == "asm") {
        let slots = ubpf_isa::asm::assemble(&String::from_utf8(bytes)?)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let program = Arc::new(Program::from_slots(ProgType::SocketFilter, slots));
        walks.extend(measure(file, &KernelWorld::create(&[], None), &program, verifier, rounds));
        return Ok(());
    }
    let Ok(object) = ubpf_loader::load(&bytes, verifier.load_options()) else { return Ok(()) };
    let world = KernelWorld::like_libbpf(&object);
    for (index, function) in object.programs() {
        let Ok(program) = ubpf_loader::link(&object, index, None) else { continue };
        let name = format!("{file}/{}", function.name);
        walks.extend(measure(&name, &world, &Arc::new(program), verifier, rounds));
    }
    Ok(())
}

fn measure(
    name: &str,
    world: &Result<KernelWorld, WorldError>,
    program: &Arc<Program>,
    verifier: &Verifier,
    rounds: u32,
) -> Option<Walk> {
    let first = verdicts::pair(name, world, program, verifier);
    if let Outcome::WrongReject | Outcome::WrongAccept = first.outcome() {
        println!("{first}");
    }
    let both_accept = |c: &Comparison| c.kernel.refusal.is_none() && c.ours.refusal.is_none();
    if !both_accept(&first) {
        return None;
    }
    let mut walk =
        Walk { name: name.to_owned(), ours: first.ours.effort, kernel: first.kernel.effort };
    for _ in 1..rounds {
        let again = verdicts::pair(name, world, program, verifier);
        walk.ours.time = walk.ours.time.min(again.ours.effort.time);
        walk.kernel.time = walk.kernel.time.min(again.kernel.effort.time);
    }
    Some(walk)
}
