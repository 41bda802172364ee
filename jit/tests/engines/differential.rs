//! Random programs: compiled and interpreted they leave the same behind, byte for byte.

use super::host::{Both, Input, MEMORY_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use ubpf_isa::{
    AluOp, CallTarget, Imm64, Insn, JumpForm, Operand, Reg, Size, Slot, Width, decode, encode_all,
    table,
};

/// How many programs; `UBPF_JIT_PROGRAMS` asks for another number in long runs.
fn programs() -> u32 {
    std::env::var("UBPF_JIT_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(4000)
}

const EDGES: [u64; 12] =
    [0, 1, 2, 31, 32, 63, 64, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, 1 << 63];

/// Numbers, with those at which arithmetic is apt to go wrong.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        prop::sample::select(&EDGES[..]),
        prop::sample::select(&EDGES[..]).prop_map(u64::wrapping_neg),
    ]
}

fn reg(number: u8) -> Reg {
    Reg::parse(number).expect("a register's number")
}

/// Registers that point nowhere.
fn scalar_reg() -> impl Strategy<Value = Reg> {
    prop::sample::select(vec![reg(0), reg(2), reg(3), reg(4), reg(5), reg(8), reg(9)])
}

/// Any register, `r10` included.
fn any_reg() -> impl Strategy<Value = Reg> {
    (0..=10_u8).prop_map(reg)
}

fn immediate() -> impl Strategy<Value = i32> {
    prop_oneof![
        -4..70_i32,
        any::<i32>(),
        number().prop_map(|n| n as i32),
        prop::sample::select(vec![3, 5, 7, 10, 12, 13, 100, 1000, 255, 65535, 1 << 20]),
    ]
}

/// An opcode that exists with its fields bent until it decodes.
fn any_insn() -> impl Strategy<Value = Insn> {
    let opcodes: Vec<u8> =
        table::ROWS.iter().flat_map(|row| row.opcodes()).map(|code| code.0).collect();
    let fields = (prop::sample::select(opcodes), 0..11_u8, 0..11_u8, -24..24_i16, immediate());
    fields.prop_filter_map("no instruction", |(opcode, dst, src, off, imm)| {
        let whole = Slot { opcode, dst, src, off, imm };
        let mut candidates = Vec::new();
        for off in [off, 0, 1, 8, 16, 32] {
            for imm in [imm, 0, 1, 16, 32, 64, 0xe1, 0x41] {
                for src in [src, 0] {
                    for dst in [dst, 0] {
                        candidates.push(Slot { dst, src, off, imm, ..whole });
                    }
                }
            }
        }
        let insn = candidates.iter().find_map(|slot| decode(&[*slot, Slot::default()]).ok())?;
        // Their registers afterwards are unspecified; see `call`.
        (!matches!(insn, Insn::Call(_) | Insn::CallX { .. })).then_some(insn)
    })
}

/// One that cannot fault, for the most part.
fn computation() -> impl Strategy<Value = Insn> {
    any_insn().prop_filter("an access", |insn| {
        matches!(
            insn,
            Insn::Alu { .. }
                | Insn::Neg { .. }
                | Insn::Mov { .. }
                | Insn::MovSx { .. }
                | Insn::Swap { .. }
                | Insn::Jump { .. }
                | Insn::Branch { .. }
                | Insn::MayGoto { .. }
        )
    })
}

/// An access that is likely to hit: through `r1` (memory), `r7` (its middle), `r6` (the region
/// of 13 bytes), `r10`, or any other register.
fn access() -> impl Strategy<Value = Insn> {
    let base = prop_oneof![
        4 => Just(Reg::R1),
        3 => Just(Reg::R7),
        2 => Just(Reg::R6),
        3 => Just(Reg::FP),
        1 => any_reg(),
    ];
    let size = prop::sample::select(vec![Size::B, Size::H, Size::W, Size::Dw]);
    let kind = 0..8_u8;
    let insn = any_insn();
    (base, size, kind, scalar_reg(), -70..70_i16, immediate(), any::<bool>(), insn).prop_map(
        |(base, size, kind, other, off, imm, aligned, random)| {
            let off = match base {
                Reg::FP => off.min(0),
                Reg::R7 => off.clamp(-34, 34),
                Reg::R6 => off.clamp(-1, 14),
                _ => off.max(-2),
            };
            let off = if aligned { off & !7 } else { off };
            match (kind, random) {
                (_, Insn::Atomic { op, size, .. }) => {
                    Insn::Atomic { op, size, base, off, src: other }
                }
                (0, _) => Insn::LoadAcquire { size, dst: other, base, off },
                (1, _) => Insn::StoreRelease { size, base, off, src: other },
                (2, _) => Insn::Store { size, base, off, src: Operand::Imm(imm) },
                (3 | 4, _) => Insn::Store { size, base, off, src: Operand::Reg(other) },
                (5, _) if size != Size::Dw => {
                    Insn::Load { size, signed: true, dst: other, base, off }
                }
                _ => Insn::Load { size, signed: false, dst: other, base, off },
            }
        },
    )
}

/// An atomic operation on something likely.
fn atomic() -> impl Strategy<Value = Insn> {
    let rows = any_insn().prop_filter_map("not atomic", |insn| match insn {
        Insn::Atomic { op, size, .. } => Some((op, size)),
        _ => None,
    });
    let base = prop::sample::select(vec![Reg::R1, Reg::R7, Reg::R6, Reg::FP]);
    (rows, base, scalar_reg(), -4..5_i16, 0..8_u8).prop_map(|((op, size), base, src, slot, odd)| {
        let off = if base == Reg::FP { -8 * (slot.abs() + 1) } else { 8 * slot.abs() };
        let off = if odd == 0 { off + 2 } else { off };
        Insn::Atomic { op, size, base, off, src }
    })
}

/// What compilers write: extensions by shifts, rotates, divisions, additions of registers.
fn idiom() -> impl Strategy<Value = Vec<Insn>> {
    let shape = 0..6_u8;
    let width = prop_oneof![Just(Width::W32), Just(Width::W64)];
    (shape, width, scalar_reg(), scalar_reg(), immediate(), 1..64_i32).prop_map(
        |(shape, width, dst, src, imm, count)| {
            let alu = |op, dst, src| Insn::Alu { op, width, dst, src };
            let mov = |dst, src| Insn::Mov { width, dst, src };
            let count = count % width.bits() as i32;
            match shape {
                0 => vec![
                    Insn::Alu { op: AluOp::Lsh, width: Width::W64, dst, src: Operand::Imm(32) },
                    Insn::Alu { op: AluOp::Rsh, width: Width::W64, dst, src: Operand::Imm(32) },
                ],
                1 => vec![
                    Insn::Alu { op: AluOp::Lsh, width: Width::W64, dst, src: Operand::Imm(32) },
                    Insn::Alu { op: AluOp::Arsh, width: Width::W64, dst, src: Operand::Imm(count) },
                ],
                2 => vec![
                    mov(dst, Operand::Reg(src)),
                    alu(AluOp::Lsh, dst, Operand::Imm(count)),
                    alu(AluOp::Rsh, src, Operand::Imm(width.bits() as i32 - count)),
                    alu(AluOp::Or, dst, Operand::Reg(src)),
                ],
                3 => vec![mov(dst, Operand::Reg(src)), alu(AluOp::Div, dst, Operand::Imm(imm))],
                4 => vec![mov(dst, Operand::Reg(src)), alu(AluOp::Mod, dst, Operand::Imm(imm))],
                _ => vec![mov(dst, Operand::Reg(src)), alu(AluOp::Add, dst, Operand::Imm(imm))],
            }
        },
    )
}

/// `r1` to `r5`, which calls leave unspecified, and the pointers among them.
fn after_call() -> Vec<Insn> {
    let mut insns: Vec<Insn> = (2..=5)
        .map(|n| Insn::Mov { width: Width::W64, dst: reg(n), src: Operand::Imm(n.into()) })
        .collect();
    let (width, src) = (Width::W64, Operand::Reg(Reg::R7));
    insns.push(Insn::Mov { width, dst: Reg::R1, src });
    insns
}

/// A call of a helper, a subprogram (its offset is found later), or back and forth.
fn call() -> impl Strategy<Value = Vec<Insn>> {
    (0..4_u8, 0..4_i32).prop_map(|(kind, times)| {
        let mov = |dst, src| Insn::Mov { width: Width::W64, dst, src };
        let mut insns = match kind {
            0 => vec![Insn::Call(CallTarget::Helper(100))],
            1 => vec![
                mov(Reg::R1, Operand::Imm(times)),
                Insn::LdImm64 { dst: Reg::R2, imm: Imm64::Func(0) },
                mov(Reg::R3, Operand::Imm(times)),
                Insn::Call(CallTarget::Helper(102)),
            ],
            _ => vec![Insn::Call(CallTarget::Subprog(0))],
        };
        insns.extend(after_call());
        insns
    })
}

fn piece() -> impl Strategy<Value = Vec<Insn>> {
    let one = |insn| vec![insn];
    prop_oneof![
        1 => any_insn().prop_map(one),
        6 => computation().prop_map(one),
        6 => access().prop_map(one),
        2 => atomic().prop_map(one),
        3 => idiom(),
        1 => call(),
    ]
}

/// A function: its registers go to the stack at its end.
fn function(pieces: core::ops::Range<usize>) -> impl Strategy<Value = Vec<Insn>> {
    vec(piece(), pieces).prop_map(|pieces| {
        let mut insns = pieces.concat();
        for n in 0..10_u8 {
            let off = -8 * i16::from(n) - 8;
            insns.push(Insn::Store {
                size: Size::Dw,
                base: Reg::FP,
                off,
                src: Operand::Reg(reg(n)),
            });
        }
        insns.push(Insn::Exit);
        insns
    })
}

/// Makes jumps stay inside each function and calls go to the second one.
fn link(functions: [Vec<Insn>; 2]) -> Vec<Slot> {
    let lens = functions.each_ref().map(Vec::len);
    let mut insns = functions.concat();
    let mut starts = Vec::new();
    let mut slot = 0;
    for insn in &insns {
        starts.push(slot);
        slot += i64::from(insn.slots());
    }
    for (index, insn) in insns.iter_mut().enumerate() {
        let (first, len) = if index < lens[0] { (0, lens[0]) } else { lens.into() };
        let bend = |off: i64| {
            let at = (index as i64 + 1 + off - first as i64).rem_euclid(len as i64);
            starts[first + at as usize] - starts[index] - 1
        };
        let sub = (starts[lens[0]] - starts[index] - 1) as i32;
        match insn {
            Insn::Jump { form: JumpForm::Short | JumpForm::Long, off } => {
                *off = bend(i64::from(*off) % 24) as i32;
            }
            Insn::Branch { off, .. } | Insn::MayGoto { off } => *off = bend((*off).into()) as i16,
            Insn::Call(CallTarget::Subprog(off)) | Insn::LdImm64 { imm: Imm64::Func(off), .. } => {
                *off = sub;
            }
            _ => {}
        }
    }
    encode_all(&insns)
}

/// Sets `r6` to `r9` and `r0`: pointers and numbers.
fn prologue(values: [u64; 3]) -> Vec<Insn> {
    let mov = |dst, src| Insn::Mov { width: Width::W64, dst, src: Operand::Reg(src) };
    let constant = |dst, value| Insn::LdImm64 { dst, imm: Imm64::Value(value) };
    let half = Operand::Imm(MEMORY_BYTES as i32 / 2);
    vec![
        mov(Reg::R6, Reg::R2),
        mov(Reg::R7, Reg::R1),
        Insn::Alu { op: AluOp::Add, width: Width::W64, dst: Reg::R7, src: half },
        constant(Reg::R0, values[0]),
        constant(Reg::R8, values[1]),
        constant(Reg::R9, values[2]),
        mov(Reg::R2, Reg::R5),
    ]
}

/// The same for a subprogram, which finds `r1` to `r5` and nothing else.
fn inner_prologue() -> Vec<Insn> {
    let mov = |dst, src| Insn::Mov { width: Width::W64, dst, src };
    let mut insns: Vec<Insn> =
        [0, 8, 9].map(|n| mov(reg(n), Operand::Imm(i32::from(n) * 0x0101_0101))).into();
    for pointer in [Reg::R6, Reg::R7] {
        insns.push(mov(pointer, Operand::Reg(Reg::FP)));
        let (op, src) = (AluOp::Add, Operand::Imm(-64));
        insns.push(Insn::Alu { op, width: Width::W64, dst: pointer, src });
    }
    insns
}

fn input() -> impl Strategy<Value = Input> {
    let memory = vec(any::<u8>(), MEMORY_BYTES as usize)
        .prop_map(|bytes| bytes.try_into().expect("as many bytes"));
    (memory, number(), prop_oneof![0..600_u64, Just(3000)])
        .prop_map(|(memory, arg, budget)| Input { memory, arg, budget })
}

#[test]
fn compiled_programs_do_what_interpreted_ones_do() {
    // Worlds are reused for some programs, so that what a thread keeps is put to the test.
    let both = RefCell::new(Both::with_trusting());
    let (ran, returned, insns) = (Cell::new(0_u32), Cell::new(0_u32), Cell::new(0_u64));
    let config =
        ProptestConfig { max_local_rejects: u32::MAX, ..ProptestConfig::with_cases(programs()) };
    let strategy =
        (function(1..30), function(0..8), [number(), number(), number()], vec(input(), 4));
    proptest!(config, |((main, sub, values, inputs) in strategy)| {
        let slots = link([[prologue(values), main].concat(), [inner_prologue(), sub].concat()]);
        let mut both = both.borrow_mut();
        if ran.get() % 64 == 0 {
            *both = Both::with_trusting();
        }
        if let Ok(seen) = both.run(&slots, &inputs) {
            ran.set(ran.get() + 1);
            for seen in seen {
                returned.set(returned.get() + u32::from(seen.outcome.result.is_ok()));
                insns.set(insns.get() + seen.outcome.insns);
            }
        }
    });
    let (ran, returned, insns) = (ran.get(), returned.get(), insns.get());
    println!("{ran} programs on 4 inputs, {insns} instructions; {returned} runs returned");
    assert!(ran > programs() / 2 && returned > ran / 2, "too many are refused or trap");
}
