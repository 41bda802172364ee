//! The table, the texts and the semantics against the running kernel (expected: 6.18).
//!
//! Where bpf(2) is refused or the kernel is an older one these tests say so and pass.

#[path = "../common/mod.rs"]
mod common;

mod bpf;
mod classic;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ubpf_isa::disasm::{Disassembler, Names};
use ubpf_isa::table::{Family, ROWS};
use ubpf_isa::{
    AluOp, AtomicSize, CallTarget, Callee, DecodeError, DecodeErrorKind, Field, Imm64, Insn,
    JumpForm, Kind, Operand, Pseudo, Reg, RegSet, Size, Slot, Width, decode, decode_all, encode,
    encode_all,
};

fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Mov { width: Width::W64, dst, src }
}

/// Makes all registers readable, and `r6` the context, so that no program is refused for that.
fn initialised() -> Vec<Insn> {
    let scalars = [Reg::R0, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R7, Reg::R8, Reg::R9];
    let mut insns = scalars.map(|reg| mov(reg, Operand::Imm(1))).to_vec();
    insns.push(mov(Reg::R6, Operand::Reg(Reg::R1)));
    insns
}

fn exit() -> [Insn; 2] {
    [mov(Reg::R0, Operand::Imm(0)), Insn::Exit]
}

/// Kinds that stand alone: no map, BTF, subprogram or other context is needed to get past the
/// checks that precede the listing, and they do not end the program.
fn stands_alone(kind: Kind) -> bool {
    match kind {
        Kind::Exit | Kind::CallX | Kind::Call(_) => false,
        Kind::LdImm64(pseudo) => pseudo == Pseudo::Value,
        _ => true,
    }
}

/// The instruction with jumps going to the next one, so that any sequence is a valid graph.
fn fall_through(insn: Insn) -> Insn {
    match insn {
        Insn::Jump { form, .. } => Insn::Jump { form, off: 0 },
        Insn::Branch { op, width, dst, src, .. } => Insn::Branch { op, width, dst, src, off: 0 },
        Insn::MayGoto { .. } => Insn::MayGoto { off: 0 },
        _ => insn,
    }
}

/// The listing that the verifier logs before it looks at paths: each instruction with the
/// registers that are live before it, `01........ (7b) *(u64 *)(r10 -8) = r1`.
fn listing(log: &str) -> Vec<(RegSet, String)> {
    let register = |digit: u8| Reg::parse(digit.wrapping_sub(b'0'));
    log.lines()
        .skip_while(|line| !line.starts_with("Live regs before insn:"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .filter_map(|line| {
            let (digits, text) = line.split_once(": ")?.1.split_once(' ')?;
            Some((digits.bytes().filter_map(register).collect(), text.to_owned()))
        })
        .collect()
}

#[test]
fn text_is_the_logs() {
    if !bpf::available() {
        return;
    }
    let insn = common::valid_insn()
        .prop_filter("needs context", |insn| stands_alone(insn.kind()))
        .prop_map(fall_through);
    let strategy = prop::collection::vec(insn, 100..300);
    let mut runner =
        TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let log_text = Disassembler::new().opcodes(true);
    runner
        .run(&strategy, |body| {
            let insns: Vec<Insn> = initialised().into_iter().chain(body).chain(exit()).collect();
            let log = bpf::load(&encode_all(&insns), 2).log;
            let theirs: Vec<String> = listing(&log).into_iter().map(|(_, text)| text).collect();
            let ours: Vec<String> = insns.iter().map(|i| log_text.insn(i).to_string()).collect();
            prop_assert_eq!(&ours, &theirs);
            Ok(())
        })
        .expect("the log's text");
}

#[test]
fn names_and_calls_are_written_as_in_the_log() {
    struct Known;
    impl Names for Known {
        fn helper(&self, id: u32) -> Option<&str> {
            (id == 5).then_some("bpf_ktime_get_ns")
        }
    }
    if !bpf::available() {
        return;
    }
    let insns = [
        Insn::Call(CallTarget::Helper(5)),
        Insn::Call(CallTarget::Subprog(2)),
        exit()[0],
        exit()[1],
        exit()[0],
        exit()[1],
    ];
    let log = bpf::load(&encode_all(&insns), 2).log;
    let text = Disassembler::new().names(Known).opcodes(true);
    let ours: Vec<String> = insns.iter().map(|insn| text.insn(insn).to_string()).collect();
    let theirs: Vec<String> = listing(&log).into_iter().map(|(_, text)| text).collect();
    assert_eq!(theirs, ours);
}

#[test]
fn live_registers_are_the_verifiers() {
    if !bpf::available() {
        return;
    }
    let insn = common::valid_insn()
        // The kernel takes legacy packet loads to read everything.
        .prop_filter("known exactly", |insn| {
            stands_alone(insn.kind()) && !matches!(insn.kind(), Kind::LdAbs | Kind::LdInd)
        })
        .prop_map(fall_through);
    let strategy = prop::collection::vec(insn, 10..100);
    let mut runner =
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |body| {
            let insns: Vec<Insn> = body.into_iter().chain(exit()).collect();
            let log = bpf::load(&encode_all(&insns), 2).log;
            let theirs: Vec<RegSet> = listing(&log).into_iter().map(|(live, _)| live).collect();
            // The frame pointer is always live and not listed.
            let mut live = RegSet::EMPTY;
            let mut ours: Vec<RegSet> = insns
                .iter()
                .rev()
                .map(|insn| {
                    live = ((live - insn.defs()) | insn.uses()) - RegSet::of(Reg::FP);
                    live
                })
                .collect();
            ours.reverse();
            prop_assert_eq!(ours, theirs);
            Ok(())
        })
        .expect("registers read and written");
}

/// The line that states why a program was refused: the last before the summary.
fn reason(log: &str) -> &str {
    log.lines().rfind(|line| !line.starts_with("processed ")).unwrap_or("")
}

/// The field with another value.
fn with_field(slot: Slot, field: Field, value: u8) -> Slot {
    match field {
        Field::Dst => Slot { dst: value & 0xf, ..slot },
        Field::Src => Slot { src: value & 0xf, ..slot },
        Field::Off => Slot { off: value.into(), ..slot },
        Field::Imm => Slot { imm: value.into(), ..slot },
    }
}

/// Whether the kernel comes to judge the fields of this form in a program that has no maps,
/// BTF or arena, and says what it thinks of this one.
fn is_judged(kind: Kind, error: &DecodeError) -> bool {
    match kind {
        Kind::CallX | Kind::Call(Callee::Kfunc) => false,
        Kind::LdImm64(pseudo) => {
            pseudo == Pseudo::Value || matches!(error.kind(), DecodeErrorKind::Undefined { .. })
        }
        // With another `src` it is no call of a subprogram, and what follows is not reached.
        Kind::Call(Callee::Subprog) => !matches!(error.kind(), DecodeErrorKind::Undefined { .. }),
        Kind::AddrSpaceCast(_) => !matches!(error.kind(), DecodeErrorKind::Register { .. }),
        Kind::Exit => {
            error.kind() != DecodeErrorKind::Reserved { family: Family::Exit, field: Field::Off }
        }
        _ => true,
    }
}

#[test]
fn complaints_are_the_verifiers() {
    if !bpf::available() {
        return;
    }
    let mut compared = 0;
    let mut wrong = Vec::new();
    for form in common::forms() {
        let kind = form.0.kind;
        // A subprogram follows the program; other jumps go to the next instruction.
        let imm = match kind {
            Kind::Call(Callee::Subprog) => 2,
            Kind::Jump(_) => 0,
            _ => 1,
        };
        let good = common::fill(form, (3, 4), 0, (imm, 0));
        let (first, second) = good.split_first().expect("a form has a slot");
        for field in [Field::Dst, Field::Src, Field::Off, Field::Imm] {
            for value in [1, 3, 11, 77] {
                let bad: Vec<Slot> =
                    [with_field(*first, field, value)].iter().chain(second).copied().collect();
                let Err(error) = decode(&bad) else { continue };
                if !is_judged(kind, &error) {
                    continue;
                }
                let mut slots = encode_all(&initialised());
                slots.extend(&bad);
                if kind != Kind::Exit {
                    slots.extend(encode_all(&exit()));
                }
                if kind == Kind::Call(Callee::Subprog) {
                    slots.extend(encode_all(&exit()));
                }
                let ours = error.verifier_message().to_string();
                let log = bpf::load(&slots, 1).log;
                let theirs = reason(&log);
                compared += 1;
                if theirs != ours {
                    wrong.push(format!("{kind:?}, {field} {value}: `{ours}`, kernel `{theirs}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 1000, "only {compared} compared");
}

#[test]
fn unknown_opcodes_are_refused_in_the_same_words() {
    if !bpf::available() {
        return;
    }
    for opcode in 0..=u8::MAX {
        let slot = Slot { opcode, ..Slot::default() };
        let Err(error) = decode(&[slot, Slot::default()]) else { continue };
        let mut slots = vec![slot];
        slots.extend(encode_all(&exit()));
        let log = bpf::load(&slots, 1).log;
        let ours = error.verifier_message().to_string();
        // What looks like a jump is followed before it is looked up.
        if reason(&log) != "unreachable insn 1" {
            assert_eq!(reason(&log), ours, "opcode {opcode:02x}");
        }
    }
}

#[test]
fn the_kernel_takes_nothing_that_decoding_refuses() {
    if !bpf::available() {
        return;
    }
    let mut runner =
        TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    let accepted = Cell::new(0);
    runner
        .run(&common::damaged_slots(), |middle| {
            let mut slots = encode_all(&initialised());
            slots.extend(&middle);
            slots.extend(encode_all(&exit()));
            if bpf::load(&slots, 0).program.is_err() {
                return Ok(());
            }
            accepted.set(accepted.get() + 1);
            for (pc, decoded) in decode_all(&slots) {
                prop_assert!(decoded.is_ok(), "slot {}: {:?}", pc, decoded);
            }
            Ok(())
        })
        .expect("decoding is no stricter than the kernel");
    assert!(accepted.get() > 100, "only {} accepted", accepted.get());
}

#[test]
fn the_kernel_overlooks_the_offset_of_exit() {
    if !bpf::available() {
        return;
    }
    let [zero, exit] = exit();
    let odd = Slot { off: 1, ..encode(&exit).0 };
    assert!(bpf::load(&[encode(&zero).0, odd], 0).program.is_ok());
    assert!(decode(&[odd]).is_err());
}

#[test]
fn the_kernel_overlooks_the_upper_half_of_a_subprogs_address() {
    if !bpf::available() {
        return;
    }
    let address = Insn::LdImm64 { dst: Reg::R2, imm: Imm64::Func(3) };
    let plain = encode_all(&[[address].as_slice(), &exit(), &exit()].concat());
    let mut odd = plain.clone();
    odd[1].imm = 1;
    // What is missing is looked for after the fields are judged.
    for slots in [&plain, &odd] {
        assert_eq!(reason(&bpf::load(slots, 1).log), "missing btf func_info");
    }
    assert!(decode(&plain).is_ok() && decode(&odd).is_err());
}

/// Values at the edges of signs and widths.
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    7,
    31,
    32,
    63,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1122_3344_5566_7788,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

fn wide(dst: Reg, value: u64) -> Insn {
    Insn::LdImm64 { dst, imm: Imm64::Value(value) }
}

/// Runs `insns` with `r2` = `x` and `r3` = `y` and gives all 64 bits of `r2`, of which a run
/// returns only 32.
fn kernel_computes(x: u64, y: u64, insns: &[Insn]) -> u64 {
    let half = |shift| {
        let mut program = vec![wide(Reg::R2, x), wide(Reg::R3, y)];
        program.extend(insns);
        let (op, width) = (AluOp::Rsh, Width::W64);
        program.push(Insn::Alu { op, width, dst: Reg::R2, src: Operand::Imm(shift) });
        program.push(mov(Reg::R0, Operand::Reg(Reg::R2)));
        program.push(Insn::Exit);
        let verdict = bpf::load(&encode_all(&program), 1);
        let fd = verdict.program.unwrap_or_else(|e| panic!("{e}: {insns:?}: {}", verdict.log));
        u64::from(bpf::run(&fd).expect("a loaded program runs"))
    };
    half(0) | half(32) << 32
}

fn pairs() -> impl Iterator<Item = (u64, u64)> {
    EDGES.into_iter().flat_map(|x| EDGES.map(|y| (x, y)))
}

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

#[test]
fn arithmetic_is_the_kernels() {
    if !bpf::available() {
        return;
    }
    let ops = ROWS.iter().filter_map(|row| match row.kind {
        Kind::Alu(op) => Some(op),
        _ => None,
    });
    for op in ops {
        for width in WIDTHS {
            for (x, y) in pairs() {
                let insn = Insn::Alu { op, width, dst: Reg::R2, src: Operand::Reg(Reg::R3) };
                let theirs = kernel_computes(x, y, &[insn]);
                assert_eq!(op.eval(width, x, y), theirs, "{insn}: {x:#x}, {y:#x}");
            }
        }
    }
}

#[test]
fn conversions_are_the_kernels() {
    if !bpf::available() {
        return;
    }
    let dst = Reg::R2;
    for row in ROWS {
        for x in EDGES {
            let check = |insn: Insn, ours: u64| {
                assert_eq!(ours, kernel_computes(x, 0, &[insn]), "{insn}: {x:#x}");
            };
            match row.kind {
                Kind::Swap(op, width) => check(Insn::Swap { op, width, dst }, op.eval(width, x)),
                Kind::Neg => WIDTHS
                    .into_iter()
                    .for_each(|width| check(Insn::Neg { width, dst }, width.negate(x))),
                Kind::MovSx(from) => row.opcodes().for_each(|opcode| {
                    let width = opcode.width();
                    let insn = Insn::MovSx { width, dst, src: dst, from };
                    check(insn, from.eval(width, x));
                }),
                _ => {}
            }
        }
    }
}

#[test]
fn comparisons_are_the_kernels() {
    if !bpf::available() {
        return;
    }
    for row in ROWS {
        let Kind::Branch(op) = row.kind else { continue };
        for width in WIDTHS {
            for (x, y) in pairs() {
                let (dst, src) = (Reg::R2, Operand::Reg(Reg::R3));
                let branch = Insn::Branch { op, width, dst, src, off: 2 };
                let insns = [
                    branch,
                    mov(dst, Operand::Imm(0)),
                    Insn::Jump { form: JumpForm::Short, off: 1 },
                    mov(dst, Operand::Imm(1)),
                ];
                let theirs = kernel_computes(x, y, &insns);
                assert_eq!(u64::from(op.eval(width, x, y)), theirs, "{branch}: {x:#x}, {y:#x}");
            }
        }
    }
}

#[test]
fn atomics_are_the_kernels() {
    if !bpf::available() {
        return;
    }
    let r0 = 7;
    let (base, off) = (Reg::FP, -8);
    for row in ROWS {
        let Kind::Atomic(op) = row.kind else { continue };
        for size in [AtomicSize::W, AtomicSize::Dw] {
            for (old, src) in pairs() {
                let atomic = Insn::Atomic { op, size, base, off, src: Reg::R3 };
                let store = |src| Insn::Store { size: Size::Dw, base, off, src };
                let run = |result| {
                    kernel_computes(
                        old,
                        src,
                        &[
                            mov(Reg::R0, Operand::Imm(r0)),
                            store(Operand::Reg(Reg::R2)),
                            atomic,
                            result,
                        ],
                    )
                };
                // The whole stack slot: what is beside four bytes must stay.
                let memory =
                    run(Insn::Load { size: Size::Dw, signed: false, dst: Reg::R2, base, off });
                let beside = if size == AtomicSize::W { old >> 32 << 32 } else { 0 };
                let ours = op.eval(size, old, src, r0 as u64) | beside;
                assert_eq!(ours, memory, "{atomic}: {old:#x}, {src:#x}");
                if let Some(reg) = op.old_value_to(Reg::R3) {
                    let fetched = run(mov(Reg::R2, Operand::Reg(reg)));
                    assert_eq!(size.size().zero_extend(old), fetched, "{atomic}: {old:#x}");
                }
            }
        }
    }
}
