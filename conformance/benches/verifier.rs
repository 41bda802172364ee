//! How long a verdict takes: ubpf's verifier beside the kernel's, on every example program that
//! both accept.
//!
//! `cargo bench -p ubpf-conformance --bench verifier`. The kernel's figure is its own
//! `verification time`, without loading and compiling; of both the fastest of several rounds
//! counts.

use std::sync::Arc;
use std::time::Instant;
use ubpf_conformance::kernel::{self, KernelWorld, LogLevel};
use ubpf_conformance::objects;
use ubpf_loader::{LoadOptions, btf, btf_source};
use ubpf_verifier::{Options, verify};

const ROUNDS: usize = 15;

fn main() {
    if let Err(errno) = kernel::available() {
        println!("skipped: bpf(2) is refused ({errno})");
        return;
    }
    let options = LoadOptions {
        target_btf: btf_source::target_btf(None).expect("the kernel's BTF is well formed"),
        ..LoadOptions::default()
    };
    let platform = ubpf_helpers::linux();
    println!(
        "{:32} {:>8} {:>8} {:>9} {:>9} {:>6}",
        "program", "insns", "kernel", "µs", "kernel", "×"
    );
    let mut ratios = Vec::new();
    for file in objects::all().expect("the suite can be read") {
        let object = ubpf_loader::load(&file.bytes, &options).expect("it loads");
        let types = object.btf.as_ref().and_then(|types| btf::encode(types).ok());
        let world = KernelWorld::create(&object.maps, types.as_deref())
            .or_else(|_| KernelWorld::create(&object.maps, None));
        let Ok(world) = world else { continue };
        for (entry, function) in object.programs() {
            let program = Arc::new(ubpf_loader::link(&object, entry, None).expect("it links"));
            let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
            let (mut insns, mut kernel_insns) = (0, 0);
            for _ in 0..ROUNDS {
                let start = Instant::now();
                let report = verify(&program, &platform, &Options::default());
                let elapsed = start.elapsed().as_nanos() as f64 / 1e3;
                let loaded = world.load(&program, LogLevel::Stats).ok();
                let (Ok(_), Some(stats)) = (report.verdict, loaded.and_then(|l| l.stats())) else {
                    break;
                };
                ours = ours.min(elapsed);
                theirs = theirs.min(stats.verification_us as f64);
                (insns, kernel_insns) = (report.stats.insns, stats.insns);
            }
            if theirs < f64::MAX && theirs > 0.0 {
                let name = format!("{}/{}", file.name, function.name);
                let ratio = ours / theirs;
                println!(
                    "{name:32} {insns:8} {kernel_insns:8} {ours:9.1} {theirs:9.0} {ratio:6.2}"
                );
                ratios.push(ratio);
            }
        }
    }
    let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len().max(1) as f64).exp();
    println!("{} programs, geometric mean {mean:.2} × the kernel's time", ratios.len());
}
