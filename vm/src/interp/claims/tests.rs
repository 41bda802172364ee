use super::super::Interp;
use super::claimed;
use crate::code::MemMode;
use crate::engine::{Call, Engine, Thread};
use crate::lower::{Target, lower_verified};
use crate::mem::Cage;
use crate::registry::Registry;
use crate::run::{Cpu, NoState};
use crate::world::World;
use std::sync::Arc;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::{Claim, Claims, Facts, InsnFacts, Range, Region, Verified};
use ubpf_abi::{Kernel, Trap, TrapKind};
use ubpf_isa::{Pc, Reg, assemble};

const PROGRAM: &str = "r2 = 7
                       if r2 == 7 goto pc+1
                       exit
                       *(u64 *)(r10 - 8) = r2
                       r0 = *(u64 *)(r10 - 8)
                       exit";

/// Runs the program with `change` made to what was proved of the instruction at `pc`.
#[allow(unsafe_code)]
fn run(pc: u32, claim: Option<(Reg, Claim)>, change: impl Fn(&mut InsnFacts)) -> Result<u64, Trap> {
    let program = Program::from_slots(ProgType::Xdp, assemble(PROGRAM).unwrap());
    let slots = program.slots.len() as u32;
    let mut facts = Facts { insns: vec![InsnFacts::NOTHING; slots as usize], ..Facts::default() };
    change(&mut facts.insns[pc as usize]);
    let starts = (0..=slots).map(|slot| u32::from(slot > pc && claim.is_some())).collect();
    facts.claims = Some(Arc::new(Claims { starts, claims: claim.into_iter().collect() }));
    // SAFETY: the accesses of code with claims are checked, and that claims may be wrong is what
    // is tested.
    let verified = unsafe { Verified::assume(Arc::new(program), facts) };
    let world = World::new(Cage::new().unwrap(), Kernel::V6_18, 1, Box::new(()));
    let registry = Registry::new();
    let target = Target { registry: &registry, world: &world, maps: &[] };
    let code = Arc::new(lower_verified(&verified, target, MemMode::Checked).unwrap());
    let image = Interp.compile(Arc::clone(&code)).unwrap();
    let mut thread = Thread::new(&world, Cpu(0)).unwrap();
    let call = Call { world: &world, state: &mut NoState, func: SubprogId(0), args: [0; 5] };
    let result = image.call(&mut thread, call).result;
    if let Err(trap) = result {
        assert!(claimed(&code, trap.pc, trap.size).is_some(), "a claim can be named");
    }
    result
}

fn disproved(pc: u32, reg: Reg, value: u64) -> Result<u64, Trap> {
    let trap = Trap::new(TrapKind::Disproved, Pc(pc)).with_info(value);
    Err(Trap { size: reg.number().into(), ..trap })
}

fn number(value: u64, mask: u64, max: u64) -> Claim {
    Claim::Number {
        value,
        mask,
        unsigned: (0, max),
        signed: (i64::MIN, i64::MAX),
        low: (0, u32::MAX),
        low_signed: (i32::MIN, i32::MAX),
    }
}

#[test]
fn what_is_true_changes_nothing() {
    assert_eq!(run(1, Some((Reg::R2, number(7, 0, 7))), |fact| fact.taken = Some(true)), Ok(7));
    assert_eq!(run(3, None, |fact| fact.region = Region::Stack { off: Some(-8) }), Ok(7));
    assert_eq!(run(2, None, |fact| fact.reached = false), Ok(7));
}

#[test]
fn what_is_not_ends_the_run_where_it_shows() {
    let r2_is_7 = disproved(1, Reg::R2, 7);
    assert_eq!(run(1, Some((Reg::R2, number(0, 6, 7))), |_| {}), r2_is_7, "bits");
    assert_eq!(run(1, Some((Reg::R2, number(0, 7, 6))), |_| {}), r2_is_7, "range");
    assert_eq!(run(1, None, |fact| fact.dst = Range::up_to(6)), r2_is_7, "operand");
    assert_eq!(run(1, None, |fact| fact.taken = Some(false)), r2_is_7, "jump");
    let stack = |off| Claim::Pointer { region: Region::Stack { off: Some(off) }, nullable: false };
    assert_eq!(run(3, Some((Reg::FP, stack(0))), |_| {}), Ok(7));
    assert!(run(3, Some((Reg::FP, stack(-8))), |_| {}).is_err(), "pointer");
    for region in [Region::Packet, Region::Stack { off: Some(-16) }] {
        let trap = run(4, None, |fact| fact.region = region).unwrap_err();
        assert_eq!((trap.kind, trap.pc), (TrapKind::Disproved, Pc(4)), "{region:?}");
    }
    let reached = run(3, None, |fact| fact.reached = false).unwrap_err();
    assert_eq!((reached.pc, reached.size), (Pc(3), u32::MAX));
    assert_eq!(reached.to_string(), "the verifier was wrong: insn 3 is reached");
}
