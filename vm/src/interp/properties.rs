//! Properties: single instructions compute what `ubpf_isa` says, and no program whatever makes
//! the interpreter panic, hang, or let the backends disagree.

use super::tests::Host;
use crate::lower::{Target, lower};
use crate::run::Outcome;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Imm64, Insn, JumpForm, Operand, Reg, SignExtend, Size,
    Slot, SwapOp, SwapWidth, Width, decode, encode_all, table,
};

const ALU: [AluOp; 13] = [
    AluOp::Add,
    AluOp::Sub,
    AluOp::Mul,
    AluOp::Div,
    AluOp::SDiv,
    AluOp::Or,
    AluOp::And,
    AluOp::Lsh,
    AluOp::Rsh,
    AluOp::Mod,
    AluOp::SMod,
    AluOp::Xor,
    AluOp::Arsh,
];
const CMP: [CmpOp; 11] = [
    CmpOp::Eq,
    CmpOp::Ne,
    CmpOp::Gt,
    CmpOp::Ge,
    CmpOp::Lt,
    CmpOp::Le,
    CmpOp::Set,
    CmpOp::Sgt,
    CmpOp::Sge,
    CmpOp::Slt,
    CmpOp::Sle,
];
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

const EDGES: [u64; 11] = [0, 1, 2, 31, 32, 63, 64, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32];

/// Numbers, with those at which arithmetic is apt to go wrong.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        prop::sample::select(&EDGES[..]),
        prop::sample::select(&EDGES[..]).prop_map(u64::wrapping_neg),
        Just(1 << 63),
    ]
}

fn constant(dst: Reg, value: u64) -> Insn {
    Insn::LdImm64 { dst, imm: Imm64::Value(value) }
}

/// Runs instructions with `r3` and `r4` set, and then an exit.
fn run(host: &Host, r3: u64, r4: u64, body: &[Insn]) -> u64 {
    let mut insns = vec![constant(Reg::R3, r3), constant(Reg::R4, r4)];
    insns.extend_from_slice(body);
    insns.push(Insn::Exit);
    host.outcome_of(encode_all(&insns), [0; 5]).result.expect("these instructions do not trap")
}

fn take(reg: Reg) -> Insn {
    Insn::Mov { width: Width::W64, dst: Reg::R0, src: Operand::Reg(reg) }
}

#[test]
fn arithmetic_and_branches_are_those_of_the_isa() {
    let host = Host::new();
    proptest!(ProptestConfig::with_cases(200), |(x in number(), y in number(), imm: i32)| {
        let dst = Reg::R3;
        for width in WIDTHS {
            for src in [Operand::Reg(Reg::R4), Operand::Imm(imm)] {
                let right = src.value(|_| y);
                for op in ALU {
                    let insn = Insn::Alu { op, width, dst, src };
                    prop_assert_eq!(run(&host, x, y, &[insn, take(dst)]), op.eval(width, x, right));
                }
                let insn = Insn::Mov { width, dst, src };
                prop_assert_eq!(run(&host, x, y, &[insn, take(dst)]), width.truncate(right));
                for op in CMP {
                    // Over the wide load behind it.
                    let insn = Insn::Branch { op, width, dst, src, off: 2 };
                    let body = [constant(Reg::R0, 1), insn, constant(Reg::R0, 0)];
                    let taken = run(&host, x, y, &body);
                    prop_assert_eq!(taken, u64::from(op.eval(width, x, right)));
                }
            }
            let insn = Insn::Neg { width, dst };
            prop_assert_eq!(run(&host, x, y, &[insn, take(dst)]), width.negate(x));
        }
    });
}

#[test]
fn conversions_are_those_of_the_isa() {
    let host = Host::new();
    proptest!(|(x in number(), y in number())| {
        let (dst, src) = (Reg::R3, Reg::R4);
        for width in WIDTHS {
            for from in [SignExtend::From8, SignExtend::From16, SignExtend::From32] {
                if (width, from) == (Width::W32, SignExtend::From32) {
                    continue;
                }
                let insn = Insn::MovSx { width, dst, src, from };
                prop_assert_eq!(run(&host, x, y, &[insn, take(dst)]), from.eval(width, y));
            }
        }
        for op in [SwapOp::ToLe, SwapOp::ToBe, SwapOp::Bswap] {
            for width in [SwapWidth::W16, SwapWidth::W32, SwapWidth::W64] {
                let insn = Insn::Swap { op, width, dst };
                prop_assert_eq!(run(&host, x, y, &[insn, take(dst)]), op.eval(width, x));
            }
        }
        for size in [Size::B, Size::H, Size::W, Size::Dw] {
            for signed in [false, true] {
                if (size, signed) == (Size::Dw, true) {
                    continue;
                }
                let (base, off) = (Reg::FP, -16);
                let store = Insn::Store { size, base, off, src: Operand::Reg(src) };
                let load = Insn::Load { size, signed, dst, base, off };
                let expected = if signed { size.sign_extend(y) } else { size.zero_extend(y) };
                prop_assert_eq!(run(&host, x, y, &[store, load, take(dst)]), expected);
                let acquire = Insn::LoadAcquire { size, dst, base, off };
                let release = Insn::StoreRelease { size, base, off, src };
                let loaded = run(&host, x, y, &[release, acquire, take(dst)]);
                prop_assert_eq!(loaded, size.zero_extend(y));
            }
        }
    });
}

#[test]
fn atomics_are_those_of_the_isa() {
    let host = Host::new();
    let mut ops = vec![AtomicOp::Xchg, AtomicOp::Cmpxchg];
    for fetch in [false, true] {
        ops.extend([AtomicOp::Add { fetch }, AtomicOp::Or { fetch }]);
        ops.extend([AtomicOp::And { fetch }, AtomicOp::Xor { fetch }]);
    }
    proptest!(|(old in number(), src_value in number(), r0 in number(), same: bool)| {
        let (base, off, src) = (Reg::FP, -8, Reg::R4);
        let r0 = if same { old } else { r0 };
        for &op in &ops {
            for size in [AtomicSize::W, AtomicSize::Dw] {
                let store = Insn::Store { size: Size::Dw, base, off, src: Operand::Reg(Reg::R3) };
                let atomic = Insn::Atomic { op, size, base, off, src };
                let set_r0 = constant(Reg::R0, r0);
                let load = Insn::Load { size: size.size(), signed: false, dst: Reg::R0, base, off };
                let after = run(&host, old, src_value, &[store, set_r0, atomic, load]);
                prop_assert_eq!(after, op.eval(size, old, src_value, r0));
                if let Some(reg) = op.old_value_to(src) {
                    let got = run(&host, old, src_value, &[store, set_r0, atomic, take(reg)]);
                    prop_assert_eq!(got, size.size().zero_extend(old));
                }
            }
        }
    });
}

/// Any instruction: a slot of a random opcode that exists, its fields bent until it decodes.
fn any_insn() -> impl Strategy<Value = Insn> {
    let opcodes: Vec<u8> =
        table::ROWS.iter().flat_map(|row| row.opcodes()).map(|code| code.0).collect();
    let imm = prop_oneof![-4..12_i32, any::<i32>(), prop::sample::select(vec![16, 32, 64, 0xe1])];
    let fields = (prop::sample::select(opcodes), 0..11_u8, 0..11_u8, -24..24_i16, imm);
    fields.prop_filter_map("no instruction", |(opcode, dst, src, off, imm)| {
        let whole = Slot { opcode, dst, src, off, imm };
        let mut candidates = Vec::new();
        for off in [off, 0] {
            for imm in [imm, 0, 1, 16] {
                for src in [src, 0, 1] {
                    for dst in [dst, 0] {
                        candidates.push(Slot { dst, src, off, imm, ..whole });
                    }
                }
            }
        }
        candidates.iter().find_map(|slot| decode(&[*slot, Slot::default()]).ok())
    })
}

/// Makes jumps and calls stay inside a program of `insns`.
fn retarget(insns: &mut [Insn]) {
    let starts: Vec<i64> = insns
        .iter()
        .scan(0, |slot, insn| {
            let start = *slot;
            *slot += i64::from(insn.slots());
            Some(start)
        })
        .collect();
    for (index, insn) in insns.iter_mut().enumerate() {
        let bend = |off: i64| {
            let target = starts[(index as i64 + 1 + off).rem_euclid(starts.len() as i64) as usize];
            target - starts[index] - 1
        };
        match insn {
            Insn::Jump { form: JumpForm::Short | JumpForm::Long, off } => {
                *off = bend(i64::from(*off) % 24) as i32;
            }
            Insn::Branch { off, .. } | Insn::MayGoto { off } => *off = bend((*off).into()) as i16,
            _ => {}
        }
    }
}

#[test]
fn no_program_panics_or_escapes() {
    let mut host = Host::new();
    host.budget = 500;
    let memory = host.memory(64);
    let ran = Cell::new(0_u32);
    let config = ProptestConfig::with_cases(1500);
    proptest!(config, |(mut insns in vec(any_insn(), 1..40), args: [u64; 5])| {
        retarget(&mut insns);
        insns.push(Insn::Exit);
        let program = Arc::new(Program::from_slots(ProgType::Xdp, encode_all(&insns)));
        let target = Target { registry: &host.registry, world: &host.world, maps: &host.maps };
        if lower(&program, target).is_ok() {
            let args = [memory.addr().into(), args[1], args[2], args[3], args[4]];
            let Outcome { insns, .. } = host.outcome_of(program.slots.clone(), args);
            prop_assert!(insns <= 500 + 41 + 1);
            ran.set(ran.get() + 1);
        }
    });
    assert!(ran.get() > 100, "only {} programs were executable at all", ran.get());
}

#[test]
fn no_bytes_panic_the_lowering() {
    let host = Host::new();
    proptest!(|(slots in vec(any::<[u8; 8]>(), 0..30))| {
        let slots = slots.into_iter().map(Slot::from_le_bytes).collect();
        let program = Arc::new(Program::from_slots(ProgType::Xdp, slots));
        let target = Target { registry: &host.registry, world: &host.world, maps: &host.maps };
        let _ = lower(&program, target);
    });
}
