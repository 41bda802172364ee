//! How fast programs run: ubpf's interpreter, with every access checked, beside rbpf's.
//!
//! `cargo bench -p ubpf-conformance`. Both engines run the same bytes on the same memory, in
//! alternating rounds of one process; of each the fastest round counts, less the fastest call of
//! an empty program. At the end: loading a 1 MB object, where clang is there to build one.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use ubpf_conformance::bare::Bare;
use ubpf_conformance::objects::suite_dir;
use ubpf_isa::parse_slots;

const MEMORY_BYTES: usize = 4096;
const ROUNDS: usize = 30;
/// What one round lasts, about: long enough for the clock, short enough to dodge interruptions.
const ROUND: Duration = Duration::from_millis(2);

fn memory() -> Vec<u8> {
    (0..MEMORY_BYTES).map(|i| (i * 131 + i / 7) as u8).collect()
}

/// A program's name and bytes.
struct Workload {
    name: String,
    code: Vec<u8>,
}

fn workloads() -> Vec<Workload> {
    let dir = std::fs::read_dir(suite_dir("bench")).expect("the suite exists");
    let mut workloads: Vec<Workload> = dir
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "bin"))
        .map(|path| Workload {
            name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
            code: std::fs::read(&path).expect("a readable file"),
        })
        .collect();
    workloads.sort_by(|a, b| a.name.cmp(&b.name));
    workloads
}

/// Nanoseconds that a call takes, measured over as many as fill a round.
fn round(calls: u32, mut call: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        assert!(call(), "programs run to their end");
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// Nanoseconds a call of each engine, the fastest of all rounds, and what the program executes.
/// rbpf has no atomics, and what it gets wrong (`lcg`) is not compared.
struct Measured {
    ubpf_ns: f64,
    rbpf_ns: Option<f64>,
    insns: u64,
}

fn measure(workload: &Workload) -> Measured {
    let slots = parse_slots(&workload.code).expect("whole slots");
    let mut ours = Bare::new(slots, &memory()).expect("a valid program");
    let outcome = ours.run();
    assert!(outcome.result.is_ok(), "{}: {:?}", workload.name, outcome.result);
    let mut theirs_memory = memory();
    let theirs = rbpf::EbpfVmRaw::new(Some(&workload.code)).ok();
    let theirs =
        theirs.filter(|vm| vm.execute_program(&mut theirs_memory).ok() == outcome.result.ok());
    let once = round(1, || black_box(ours.run().result).is_ok());
    let calls = ((ROUND.as_nanos() as f64 / once) as u32).clamp(1, 100_000);
    let (mut ubpf_ns, mut rbpf_ns) = (f64::INFINITY, None);
    for _ in 0..ROUNDS {
        ubpf_ns = ubpf_ns.min(round(calls, || black_box(ours.run().result).is_ok()));
        if let Some(theirs) = &theirs {
            let ns = round(calls, || black_box(theirs.execute_program(&mut theirs_memory)).is_ok());
            rbpf_ns = Some(rbpf_ns.unwrap_or(f64::INFINITY).min(ns));
        }
    }
    Measured { ubpf_ns, rbpf_ns, insns: outcome.insns }
}

fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

fn compare_interpreters() {
    let workloads = workloads();
    let empty = workloads.iter().find(|w| w.name == "empty").map(measure).expect("an empty one");
    let empty_rbpf_ns = empty.rbpf_ns.unwrap_or_default();
    println!(
        "{:<10} {:>8} {:>14} {:>14} {:>8}",
        "", "insns", "ubpf ns/insn", "rbpf ns/insn", "ratio"
    );
    let (mut ours, mut ratios) = (Vec::new(), Vec::new());
    for workload in workloads.iter().filter(|w| w.name != "empty") {
        let measured = measure(workload);
        let insns = measured.insns as f64;
        let ubpf = (measured.ubpf_ns - empty.ubpf_ns) / insns;
        ours.push(ubpf);
        print!("{:<10} {:>8} {ubpf:>14.2}", workload.name, measured.insns);
        match measured.rbpf_ns {
            Some(ns) => {
                let rbpf = (ns - empty_rbpf_ns) / insns;
                ratios.push(rbpf / ubpf);
                println!(" {rbpf:>14.2} {:>8.2}", rbpf / ubpf);
            }
            None => println!(" {:>14} {:>8}", "-", "-"),
        }
    }
    let (ubpf, ratio) = (geomean(&ours), geomean(&ratios));
    println!("{:<10} {:>8} {ubpf:>14.2} {:>14} {ratio:>8.2}", "geomean", "", "");
    println!("empty call: ubpf {:.1} ns, rbpf {empty_rbpf_ns:.1} ns", empty.ubpf_ns);
}

/// A source that clang makes an object of a little over 1 MB from: many programs with maps, BTF
/// and line information, as large objects have.
fn large_source() -> String {
    let mut source = String::from(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n\
         struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16);\n\
         __type(key, __u32); __type(value, __u64); } table SEC(\".maps\");\n",
    );
    for i in 0..190 {
        source.push_str(&format!("SEC(\"xdp\") int program_{i}(struct xdp_md *ctx)\n{{\n"));
        source.push_str("\t__u32 key;\n\t__u64 *value;\n");
        for step in 0..12 {
            source.push_str(&format!(
                "\tkey = {};\n\tvalue = bpf_map_lookup_elem(&table, &key);\n\
                 \tif (value)\n\t\t*value += ctx->rx_queue_index * {};\n",
                i * 100 + step,
                step + 3
            ));
        }
        source.push_str("\treturn XDP_PASS;\n}\n");
    }
    source.push_str("char _license[] SEC(\"license\") = \"GPL\";\n");
    source
}

fn build_large_object(dir: &Path) -> Option<Vec<u8>> {
    let (source, object) = (dir.join("ubpf-large.bpf.c"), dir.join("ubpf-large.bpf.o"));
    std::fs::write(&source, large_source()).ok()?;
    let clang = std::env::var("CLANG").unwrap_or_else(|_| String::from("clang-19"));
    let include = format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let status = Command::new(clang)
        .args(["-target", "bpfel", "-O2", "-g", &include, "-c"])
        .arg(&source)
        .arg("-o")
        .arg(&object)
        .status();
    status.ok()?.success().then(|| std::fs::read(&object).ok())?
}

fn load_large_object() {
    let Some(bytes) = build_large_object(&std::env::temp_dir()) else {
        eprintln!("SKIPPED loading a large object: no clang to build it with");
        return;
    };
    let engine = ubpf::Engine::builder().build();
    let fastest = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            drop(black_box(engine.load(&bytes).expect("clang's objects load")));
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!(
        "loading an object of {:.2} MB: {:.1} ms",
        bytes.len() as f64 / 1e6,
        fastest.as_secs_f64() * 1e3
    );
}

fn main() {
    // `cargo test --benches` wants to know that it runs, not how fast.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    compare_interpreters();
    load_large_object();
}
