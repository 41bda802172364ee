//! Nanoseconds an executed instruction, beside rbpf's interpreter on the same bytes.
//!
//! `cargo bench -p ubpf-vm`. Rounds of the two engines alternate and the fastest round of each
//! counts; the cost of an empty call is taken off. A word behind `--` selects programs by name.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use ubpf_abi::Kernel;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::{Slot, assemble};
use ubpf_vm::engine::{Call, Engine, Image, Thread};
use ubpf_vm::interp::Interp;
use ubpf_vm::lower::{Target, lower};
use ubpf_vm::mem::{Cage, Region, RegionKind, RegionSpec};
use ubpf_vm::registry::Registry;
use ubpf_vm::run::{Cpu, NoState};
use ubpf_vm::world::World;

/// Bytes of memory that programs get in `r1`.
const MEMORY: usize = 1024;
const ROUNDS: u32 = 20;

const PROGRAMS: &[(&str, &str)] = &[
    (
        "lcg",
        "r0 = 1
         r3 = 1000
         r4 = 6364136223846793005 ll
  again: r0 *= r4
         r0 += 1442695
         r3 -= 1
         if r3 != 0 goto again
         exit",
    ),
    (
        "divmod",
        "r0 = 0
         r3 = 500
  again: r4 = r3
         r4 *= 7919
         r5 = r4
         w4 /= 13
         w5 %= 17
         r0 += r4
         r0 += r5
         r3 -= 1
         if r3 != 0 goto again
         exit",
    ),
    (
        "copy",
        "r3 = 0
  again: r4 = r1
         r4 += r3
         r5 = *(u8 *)(r4 + 0)
         *(u8 *)(r4 + 512) = r5
         r3 += 1
         if r3 != 512 goto again
         r0 = r3
         exit",
    ),
    (
        "checksum",
        "r0 = 0
         r3 = r1
         r4 = r1
         r4 += 1024
  again: r5 = *(u16 *)(r3 + 0)
         r0 += r5
         r3 += 2
         if r3 != r4 goto again
         r5 = r0
         r5 >>= 16
         r0 &= 0xffff
         r0 += r5
         exit",
    ),
    (
        "hash",
        "r0 = 0x9e3779b9
         r3 = r1
         r4 = 128
  again: r5 = *(u64 *)(r3 + 0)
         r0 ^= r5
         r6 = r0
         r6 <<= 13
         r7 = r0
         r7 >>= 51
         r6 |= r7
         r0 += r6
         r0 *= 5
         r3 += 8
         r4 -= 1
         if r4 != 0 goto again
         exit",
    ),
    (
        "search",
        "r0 = 0
         r6 = 64
  outer: r3 = 0
         r4 = 127
  again: if r3 s> r4 goto done
         r5 = r3
         r5 += r4
         r5 >>= 1
         r7 = r5
         r7 <<= 3
         r8 = r1
         r8 += r7
         r9 = *(u64 *)(r8 + 0)
         r0 += 1
         if r9 s> r6 goto left
         r3 = r5
         r3 += 1
         goto again
   left: r4 = r5
         r4 -= 1
         goto again
   done: r6 -= 1
         if r6 != 0 goto outer
         exit",
    ),
    (
        "stack",
        "r3 = 300
         *(u64 *)(r10 - 8) = 0
  again: r4 = *(u64 *)(r10 - 8)
         r4 += r3
         *(u64 *)(r10 - 8) = r4
         *(u32 *)(r10 - 16) = r3
         r5 = *(u32 *)(r10 - 16)
         r3 = r5
         r3 -= 1
         if r3 != 0 goto again
         r0 = *(u64 *)(r10 - 8)
         exit",
    ),
    (
        "bytes",
        "r0 = 0
         r3 = 0
  again: r4 = r1
         r4 += r3
         r5 = *(u32 *)(r4 + 0)
         r5 = be32 r5
         r6 = *(u16 *)(r4 + 4)
         r6 = be16 r6
         r0 += r5
         r0 ^= r6
         r3 += 8
         if r3 < 1000 goto again
         exit",
    ),
    (
        "calls",
        "r6 = 256
         r7 = 0
  again: r1 = r6
         call sub
         r7 += r0
         r6 -= 1
         if r6 != 0 goto again
         r0 = r7
         exit
    sub: r0 = r1
         r0 *= 3
         r0 ^= 5
         exit",
    ),
    (
        "states",
        "r0 = 0
         r3 = 0
         r6 = 0
  again: r4 = r1
         r4 += r3
         r5 = *(u8 *)(r4 + 0)
         r3 += 1
         if r6 == 0 goto zero
         if r6 == 1 goto one
         r6 = 0
         if r5 > 100 goto next
         r0 += 1
         goto next
   zero: r6 = 1
         if r5 & 1 goto next
         r6 = 2
         goto next
    one: r6 = 2
         if r5 != 9 goto next
         r6 = 0
   next: if r3 < 1000 goto again
         exit",
    ),
];

struct Bench {
    world: World,
    thread: Thread,
    memory: Region,
}

impl Bench {
    fn image(&self, slots: Vec<Slot>) -> Arc<dyn Image> {
        let registry = Registry::new();
        let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
        let target = Target { registry: &registry, world: &self.world, maps: &[] };
        let code = lower(&program, target).expect("benchmark programs lower");
        Interp.compile(Arc::new(code)).expect("the interpreter takes everything")
    }

    fn run(&mut self, image: &dyn Image) -> (u64, u64) {
        let args = [self.memory.addr().into(), 0, 0, 0, 0];
        let (world, func) = (&self.world, SubprogId(0));
        let call = Call { world, state: &mut NoState, func, args };
        let outcome = image.call(&mut self.thread, call);
        (outcome.result.expect("benchmark programs do not trap"), outcome.insns)
    }
}

/// Nanoseconds for one of `times` calls.
fn time(times: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(times)
}

fn main() {
    let world = World::new(Cage::new().expect("address space"), Kernel::V6_18, 1, Box::new(()));
    let thread = Thread::new(&world, Cpu(0)).expect("a stack");
    let spec = RegionSpec::new(MEMORY as u64, RegionKind::Host, "memory");
    let memory = world.cage().alloc(spec).expect("memory");
    let mut bytes: Vec<u8> = (0..MEMORY).map(|n| (n * 31 % 251) as u8).collect();
    memory.write(0, &bytes).expect("memory is writable");
    let mut bench = Bench { world, thread, memory };

    let empty = assemble("r0 = 0\nexit").expect("assembles");
    let (ours_empty, theirs_empty) = compare(&mut bench, &empty, &mut bytes, 20_000).times;
    println!("empty call: {ours_empty:.1} ns, rbpf {theirs_empty:.1} ns\n");
    println!("{:10} {:>7} {:>9} {:>9} {:>7}", "program", "insns", "ns/insn", "rbpf", "ratio");
    let (mut ours_log, mut ratio_log) = (0.0, 0.0);
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let chosen = || PROGRAMS.iter().filter(|(name, _)| name.contains(&wanted));
    for (name, text) in chosen() {
        let slots = assemble(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let Compared { insns, times } = compare(&mut bench, &slots, &mut bytes, 300);
        let ours = (times.0 - ours_empty) / insns as f64;
        let theirs = (times.1 - theirs_empty) / insns as f64;
        ours_log += ours.ln();
        ratio_log += (theirs / ours).ln();
        println!("{name:10} {insns:7} {ours:9.2} {theirs:9.2} {:7.2}", theirs / ours);
    }
    let count = chosen().count() as f64;
    let (ours, ratio) = ((ours_log / count).exp(), (ratio_log / count).exp());
    println!("{:10} {:7} {ours:9.2} {:9} {ratio:7.2}", "geomean", "", "");
}

struct Compared {
    insns: u64,
    times: (f64, f64),
}

fn compare(bench: &mut Bench, slots: &[Slot], bytes: &mut [u8], times: u32) -> Compared {
    let image = bench.image(slots.to_vec());
    let code: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
    let theirs = rbpf::EbpfVmRaw::new(Some(&code)).expect("rbpf takes the program");
    let (result, insns) = bench.run(&*image);
    let (mut best, mut best_theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        best = best.min(time(times, || {
            black_box(bench.run(&*image));
        }));
        best_theirs = best_theirs.min(time(times, || {
            let theirs = theirs.execute_program(bytes).expect("rbpf runs the program");
            assert_eq!(theirs, result);
        }));
    }
    Compared { insns, times: (best, best_theirs) }
}
