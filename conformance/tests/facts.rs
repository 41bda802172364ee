//! What is proved of small programs: facts that engines build on, each where it must be known.

use std::sync::Arc;
use ubpf::verifier::{Options, verify};
use ubpf_abi::map::{MapDef, MapFlags, MapId, MapInit, MapType};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_abi::verified::{Facts, InsnFacts, Range, Region};
use ubpf_isa::{Pc, Reg, assemble};

fn array() -> MapDef {
    MapDef {
        name: "values".into(),
        map_type: Ok(MapType::Array),
        key_size: 4,
        value_size: 64,
        max_entries: 8,
        flags: MapFlags::default(),
        extra: 0,
        numa_node: 0,
        pin_by_name: false,
        key_type: None,
        value_type: None,
        inner: None,
        init: MapInit::Empty,
    }
}

fn facts(text: &str) -> Facts {
    let mut program = Program::from_slots(ProgType::Xdp, assemble(text).expect("assembles"));
    program.maps = [array()].into();
    let report = verify(&Arc::new(program), &ubpf::linux(), &Options::default());
    let verified = report.verdict.unwrap_or_else(|reason| panic!("{reason}:\n{text}"));
    verified.facts().clone()
}

fn at(facts: &Facts, pc: u32) -> InsnFacts {
    facts.insn(Pc(pc))
}

#[test]
fn counters_stay_below_what_they_are_compared_with() {
    for (step, jump, before) in [
        ("r3 += 1", "if r3 != 64 goto again", Range { min: 0, max: 63 }),
        ("w3 += 1", "if w3 < 64 goto again", Range { min: 0, max: 63 }),
        ("r3 += 2", "if r3 s< 64 goto again", Range { min: 0, max: 63 }),
    ] {
        let text = format!("r3 = 0\nagain: {step}\n{jump}\nr0 = r3\nexit");
        assert_eq!(at(&facts(&text), 1).dst, before, "{text}");
    }
    let down = facts("r3 = 64\nagain: r3 += -1\nif r3 != 0 goto again\nr0 = r3\nexit");
    assert_eq!(at(&down, 1).dst, Range { min: 1, max: 64 });
    assert_eq!(at(&down, 3).src, Range::of(0));
    assert!(down.max_insns.is_some_and(|max| (64 * 2..300).contains(&max)));
}

#[test]
fn nested_loops_settle() {
    let facts = facts(
        "r3 = 0
  outer: r4 = 0
  inner: r4 += 1
         if r4 < 10 goto inner
         r3 += 1
         if r3 < 20 goto outer
         r0 = r4
         exit",
    );
    assert_eq!(at(&facts, 2).dst, Range { min: 0, max: 9 });
    assert_eq!(at(&facts, 4).dst, Range { min: 0, max: 19 });
    assert_eq!(at(&facts, 6).src.min, 10);
}

#[test]
fn accesses_say_what_memory_they_mean() {
    let facts = facts(
        "r6 = r1
         r2 = *(u32 *)(r1 + 0)
         r3 = *(u32 *)(r1 + 4)
         r4 = r2
         r4 += 14
         r0 = 0
         if r4 > r3 goto out
         r5 = *(u8 *)(r2 + 12)
         *(u32 *)(r10 - 4) = 3
         r2 = r10
         r2 += -4
         r1 = map[fd:0]
         call 1
         if r0 == 0 goto out
         *(u64 *)(r0 + 8) = 1
         r0 = 2
    out: exit",
    );
    assert_eq!(at(&facts, 1).region, Region::Ctx);
    assert_eq!(at(&facts, 7).region, Region::Packet);
    assert_eq!(at(&facts, 8).region, Region::Stack { off: Some(-4) });
    assert_eq!(at(&facts, 15).region, Region::MapValue(MapId(0)));
    let call = facts.call(Pc(13)).expect("a call of a known map");
    assert_eq!((call.map, call.key), (MapId(0), Some(3)));
    assert_eq!(facts.subprog(Pc(0)).stack_bytes, 8);
}

#[test]
fn what_no_path_reaches_is_known() {
    let facts = facts(
        "r0 = *(u32 *)(r1 + 12)
         r0 &= 7
         if r0 > 7 goto never
         if r0 < 8 goto always
  never: r0 = 9
         exit
 always: exit",
    );
    assert_eq!(at(&facts, 2).taken, Some(false));
    assert_eq!(at(&facts, 3).taken, Some(true));
    assert!(!at(&facts, 4).reached && !at(&facts, 5).reached);
    assert!(at(&facts, 6).reached);
}

#[test]
fn upper_halves_and_registers_nobody_reads_are_known() {
    let facts = facts(
        "w2 = 1
         w2 += 3
         *(u32 *)(r10 - 4) = r2
         w3 = 5
         r0 = r3
         exit",
    );
    assert!(!at(&facts, 0).needs_zext && !at(&facts, 1).needs_zext);
    assert!(at(&facts, 3).needs_zext, "r0 is returned whole");
    assert!(at(&facts, 1).live.contains(Reg::R2) && !at(&facts, 2).live.contains(Reg::R2));
}

#[test]
fn divisors_and_shifts_are_known() {
    let facts = facts(
        "r2 = *(u32 *)(r1 + 12)
         r3 = r2
         r3 &= 31
         r2 <<= r3
         r3 += 1
         r2 /= r3
         w2 += 1
         r0 = r2
         exit",
    );
    assert_eq!(at(&facts, 0).src, Range::up_to(u32::MAX.into()), "the context's address");
    assert_eq!(at(&facts, 3).src, Range::up_to(31));
    assert_eq!(at(&facts, 5).src, Range { min: 1, max: 32 });
    assert!(at(&facts, 7).src.fits_32());
}
