//! Random programs that verifiers have to think about: what is accepted does not fault, is as was
//! proved, comes to the same in every way of running it, and to what the kernel says.

use std::sync::Arc;
use ubpf::vm::registry::Registry;
use ubpf_conformance::kernel::{KernelWorld, Loaded, LogLevel, TestInput, available, pin_to_cpu_0};
use ubpf_conformance::packets;
use ubpf_conformance::puzzles;
use ubpf_conformance::random::{Random, mutate};
use ubpf_conformance::ways::{self, Observed};

/// The packets that programs are run on.
fn inputs(random: &mut Random) -> Vec<Vec<u8>> {
    let packets = packets::corpus();
    let mut input = || {
        let packet = random.below(packets.len());
        mutate(random, &packets[packet])
    };
    (0..4).map(|_| input()).collect()
}

/// What the kernel says of the same.
fn on_kernel(loaded: &Loaded, packets: &[Vec<u8>], observed: &[Observed]) -> Result<(), String> {
    for (packet, observed) in packets.iter().zip(observed) {
        let data_out_bytes = packet.len() + 512;
        let input = TestInput { data: packet, data_out_bytes, ..TestInput::default() };
        let Ok(output) = loaded.test_run(&input) else { return Ok(()) };
        let retval = observed.result.map(|r0| r0 as u32);
        if retval != Ok(output.retval) || observed.data.as_ref() != Some(&output.data) {
            return Err(format!("kernel {:#x}, ubpf {observed:x?}", output.retval));
        }
    }
    Ok(())
}

/// What became of a seed's program.
#[derive(PartialEq, Eq)]
enum Tried {
    Refused,
    Accepted,
    Compared,
}

fn try_seed(seed: u64, registry: &Registry, with_kernel: bool) -> Tried {
    let mut random = Random::new(seed);
    let program = Arc::new(puzzles::program(&mut random));
    let packets = inputs(&mut random);
    let packets: Vec<_> = packets.into_iter().filter(|p| p.len() >= 14).collect();
    let text = || ubpf_isa::disassemble(&program.slots).unwrap_or_default();
    let observed = match ways::compare(registry, &program, &packets) {
        Ok(Ok(observed)) => observed,
        Ok(Err(_)) => return Tried::Refused,
        Err(error) => panic!("seed {seed}: {error}\n{}", text()),
    };
    for run in &observed {
        assert!(run.result.is_ok(), "seed {seed} traps: {run:x?}\n{}", text());
    }
    if !with_kernel {
        return Tried::Accepted;
    }
    pin_to_cpu_0().expect("this thread may run on CPU 0");
    let world = KernelWorld::create(&program.maps, None).expect("maps can be made");
    let loaded = world.load(&program, LogLevel::Brief).unwrap_or_else(|refused| {
        panic!("seed {seed}: accepted, but the kernel says {refused}\n{}", text())
    });
    if let Err(difference) = on_kernel(&loaded, &packets, &observed) {
        panic!("seed {seed}: {difference}\n{}", text());
    }
    Tried::Compared
}

fn try_seeds(seeds: std::ops::Range<u64>) {
    let (registry, with_kernel) = (ubpf::linux(), available().is_ok());
    let tried: Vec<Tried> = seeds.map(|seed| try_seed(seed, &registry, with_kernel)).collect();
    let count = |what| tried.iter().filter(|tried| **tried == what).count();
    let (refused, compared) = (count(Tried::Refused), count(Tried::Compared));
    let accepted = tried.len() - refused;
    println!("{accepted} accepted, {refused} refused; {compared} compared with the kernel");
    assert!(accepted > refused, "the generator makes too many programs that are refused");
}

/// Programs that something was wrong with: dead code that was known by halves, bytes of spilled
/// numbers taken for others, a distance from a number's origin that the kernel takes for an offset.
#[test]
fn what_was_found_before_stays_mended() {
    for seed in [777, 909, 1_295, 6_607, 21_211] {
        try_seed(seed, &ubpf::linux(), available().is_ok());
    }
}

#[test]
fn accepted_programs_come_to_the_same_in_every_way() {
    try_seeds(0..400);
}

/// A long run: `PUZZLES=100000 cargo test … --ignored`.
#[test]
#[ignore = "as long as one likes"]
fn many_more_of_them() {
    let count = std::env::var("PUZZLES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    try_seeds(400..400 + count);
}
