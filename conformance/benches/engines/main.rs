//! How fast programs run: ubpf's engines beside the kernel's JIT, rbpf, and native code of the
//! same C.
//!
//! `cargo bench -p ubpf-conformance --bench engines`, with names of programs behind `--` to run
//! only those. All engines take turns in rounds of one process; of each the fastest round counts,
//! less the fastest call of an empty program. The programs are in `suites/compare`. The kernel's
//! times are those of `BPF_PROG_TEST_RUN`; native code is there where clang is. At the end: the
//! price of calls and of compiling. Writes the chart `docs/src/engines.svg`.

mod chart;
mod compile;
mod ours;
mod peers;

use ours::Mode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ubpf_abi::object::Object;
use ubpf_conformance::objects::suite_dir;

const ROUNDS: usize = 25;
/// What one round lasts, about: long enough for the clock, short enough to dodge interruptions.
const ROUND: Duration = Duration::from_micros(1500);
/// Bytes of the packet that programs work on.
const PACKET_BYTES: usize = 1024;

fn packet() -> Vec<u8> {
    (0..PACKET_BYTES).map(|i| (i * 131 + i / 7 + (i / 64) * 17) as u8).collect()
}

/// Something that runs one program.
trait Contestant {
    /// Which column it is.
    fn column(&self) -> Column;
    /// The low half of `r0`, on a fresh packet.
    fn result(&mut self) -> u32;
    /// Nanoseconds that each of so many runs takes.
    fn run(&mut self, times: u32) -> f64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Column {
    Native,
    NativeVector,
    Kernel,
    Proved,
    Caged,
    Checked,
    Interp,
    Rbpf,
    RbpfInterp,
}

const COLUMNS: [(Column, &str); 9] = [
    (Column::Native, "native"),
    (Column::NativeVector, "native+vec"),
    (Column::Kernel, "kernel"),
    (Column::Proved, "proved"),
    (Column::Caged, "caged"),
    (Column::Checked, "checked"),
    (Column::Interp, "interp"),
    (Column::Rbpf, "rbpf"),
    (Column::RbpfInterp, "rbpf int"),
];

/// Nanoseconds a run by column; infinite where the engine does not take the program.
#[derive(Clone, Copy, Debug)]
struct Times([f64; COLUMNS.len()]);

impl Times {
    const fn of(&self, column: Column) -> f64 {
        self.0[column as usize]
    }

    fn net(&self, empty: &Self) -> Self {
        Self(core::array::from_fn(|n| (self.0[n] - empty.0[n]).max(0.01)))
    }

    /// One column over another, where both ran the program.
    fn ratio(&self, of: Column, to: Column) -> Option<f64> {
        let ratio = self.of(of) / self.of(to);
        (self.of(of).is_finite() && self.of(to).is_finite()).then_some(ratio)
    }
}

fn contestants(object: &Arc<Object>, name: &str) -> Vec<Box<dyn Contestant>> {
    let mut all: Vec<Box<dyn Contestant>> = Vec::new();
    for mode in [Mode::Proved, Mode::Caged, Mode::Checked, Mode::Interp] {
        all.push(Box::new(ours::Ours::new(object, name, mode)));
    }
    all.extend(peers::all(object, name));
    all
}

fn measure(object: &Arc<Object>, name: &str) -> Times {
    let mut all = contestants(object, name);
    let mut expected = None;
    all.retain_mut(|contestant| {
        let result = contestant.result();
        let expected = *expected.get_or_insert(result);
        if result != expected {
            println!("{name}: {:?} gives {result:#x}, not {expected:#x}", contestant.column());
        }
        result == expected
    });
    let calls: Vec<u32> = all
        .iter_mut()
        .map(|contestant| {
            let once = contestant.run(32);
            ((ROUND.as_nanos() as f64 / once) as u32).clamp(32, 100_000)
        })
        .collect();
    let mut best = Times([f64::INFINITY; COLUMNS.len()]);
    for _ in 0..ROUNDS {
        for (contestant, &calls) in all.iter_mut().zip(&calls) {
            let best = &mut best.0[contestant.column() as usize];
            *best = best.min(contestant.run(calls));
        }
    }
    best
}

/// Nanoseconds that each of so many calls takes.
fn time(times: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

fn geomean(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) =
        ratios.fold((0.0, 0.0), |(sum, count), ratio| (sum + ratio.ln(), count + 1.0));
    f64::exp(sum / count)
}

/// Programs that are measured for the price of one operation, of which each makes 64.
const OPERATIONS: f64 = 64.0;

fn is_group(name: &str) -> bool {
    name.starts_with("map_") || name.starts_with("helper_")
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let bytes = std::fs::read(suite_dir("compare").join("compare.bpf.o")).expect("the object");
    let object = ours::load(&bytes);
    let names: Vec<&str> = object.programs().map(|(_, program)| program.name.as_str()).collect();
    let _ = ubpf_conformance::kernel::pin_to_cpu_0();

    let empty = measure(&object, "empty");
    println!("a call of an empty program, ns:");
    print_row("empty", &empty);
    println!("\nns a run, less the empty call:");
    print!("{:<15}", "program");
    COLUMNS.iter().for_each(|(_, title)| print!(" {title:>10}"));
    println!("   jit/kern  jit/nat  jit/rbpf caged/proved");
    let mut rows = Vec::new();
    for name in names.into_iter().filter(|&name| name != "empty") {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let times = measure(&object, name).net(&empty);
        print!("{name:<15}");
        print_times(&times);
        for (of, to) in PAIRS {
            match times.ratio(of, to) {
                Some(ratio) => print!(" {ratio:>9.2}"),
                None => print!(" {:>9}", "-"),
            }
        }
        println!();
        rows.push((name.to_owned(), times));
    }
    summarise(&rows);
    if wanted.is_empty() {
        compile::report();
        chart::write(&rows);
    }
}

/// The ratios that matter.
const PAIRS: [(Column, Column); 4] = [
    (Column::Proved, Column::Kernel),
    (Column::Proved, Column::Native),
    (Column::Proved, Column::Rbpf),
    (Column::Caged, Column::Proved),
];

fn print_times(times: &Times) {
    for ns in times.0 {
        if ns.is_finite() { print!(" {ns:>10.1}") } else { print!(" {:>10}", "-") }
    }
}

fn print_row(name: &str, times: &Times) {
    print!("{name:<15}");
    print_times(times);
    println!();
}

fn summarise(rows: &[(String, Times)]) {
    for (title, group) in [("computing", false), ("maps and helpers", true)] {
        let rows: Vec<_> = rows.iter().filter(|(name, _)| is_group(name) == group).collect();
        if rows.is_empty() {
            continue;
        }
        println!("\n{title}, geometric means over {} programs:", rows.len());
        for (of, to) in PAIRS {
            let ratios = || rows.iter().filter_map(|(_, times)| times.ratio(of, to));
            if ratios().next().is_none() {
                continue;
            }
            let worst = ratios().fold(0.0, f64::max);
            println!("  {of:?} / {to:?}: {:.2}, at most {worst:.2}", geomean(ratios()));
        }
    }
    println!("\nns an operation:");
    for (name, times) in rows.iter().filter(|(name, _)| is_group(name)) {
        let each = Times(times.0.map(|ns| ns / OPERATIONS));
        print_row(name, &each);
    }
}
