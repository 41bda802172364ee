//! Random packet programs that give a verifier something to think about: packet, stack and map
//! pointers at variable offsets, loops, calls of subprograms and helpers, spills. Most of them are
//! accepted; whatever is, must run without a fault and as was proved.
//!
//! `r6` is the context, `r7` and `r8` are the packet and its end, `r9` is a pointer or a counter for
//! a few instructions. `r0` to `r5` hold numbers between the pieces that a program is put together
//! from.

use crate::random::Random;
use ubpf_abi::map::{MapDef, MapFlags, MapId, MapInit, MapType};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::{
    AluOp, CallTarget, CmpOp, Imm64, Insn, JumpForm, Operand, Reg, SignExtend, Size, SwapOp,
    SwapWidth, Width, encode_all,
};

const NUMBERS: [Reg; 6] = [Reg::R0, Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];
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

/// Bytes of packet that every program checks for.
const HEADER: i32 = 32;
/// Bytes of stack that hold numbers, at the top of the frame; keys lie below.
const STACK: i16 = 32;
const KEY: i16 = -40;
/// Elements of the map, and bytes of each.
const ENTRIES: i32 = 8;
const VALUE_BYTES: i32 = 64;

/// A random program.
#[must_use]
pub fn program(random: &mut Random) -> Program {
    let mut main = prologue(random);
    let pieces = 2 + random.below(10);
    for _ in 0..pieces {
        main.extend(piece(random, 2));
    }
    for reg in NUMBERS.into_iter().skip(1) {
        main.push(alu(AluOp::Xor, Width::W64, Reg::R0, Operand::Reg(reg)));
    }
    main.push(Insn::Exit);
    let subprog = subprog(random);
    // Calls were made without knowing where it would be.
    let start = slots(&main);
    let mut at = 0;
    for insn in &mut main {
        if let Insn::Call(CallTarget::Subprog(off)) = insn {
            *off = start - at - 1;
        }
        at += insn.slots().cast_signed();
    }
    if main.iter().any(|insn| matches!(insn, Insn::Call(CallTarget::Subprog(_)))) {
        main.extend(subprog);
    }
    let mut program = Program::from_slots(ProgType::Xdp, encode_all(&main));
    program.name = "puzzle".into();
    program.license = "GPL".into();
    program.maps = [map(random)].into();
    program
}

fn map(random: &mut Random) -> MapDef {
    let map_type = random.pick(&[MapType::Array, MapType::Hash]);
    MapDef {
        name: "values".into(),
        map_type: Ok(map_type),
        key_size: 4,
        value_size: VALUE_BYTES.unsigned_abs(),
        max_entries: ENTRIES.unsigned_abs(),
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

fn slots(insns: &[Insn]) -> i32 {
    insns.iter().map(|insn| insn.slots().cast_signed()).sum()
}

const fn alu(op: AluOp, width: Width, dst: Reg, src: Operand) -> Insn {
    Insn::Alu { op, width, dst, src }
}

const fn mov(dst: Reg, src: Operand) -> Insn {
    Insn::Mov { width: Width::W64, dst, src }
}

const fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Insn {
    Insn::Load { size, signed: false, dst, base, off }
}

const fn store(size: Size, base: Reg, off: i16, src: Operand) -> Insn {
    Insn::Store { size, base, off, src }
}

const fn branch(op: CmpOp, dst: Reg, src: Operand, off: i32) -> Insn {
    Insn::Branch { op, width: Width::W64, dst, src, off: off as i16 }
}

/// Context and packet in their registers, numbers from the packet in all others and on the stack.
fn prologue(random: &mut Random) -> Vec<Insn> {
    let mut insns = vec![
        mov(Reg::R6, Operand::Reg(Reg::R1)),
        mov(Reg::R0, Operand::Imm(0)),
        load(Size::W, Reg::R7, Reg::R6, 0),
        load(Size::W, Reg::R8, Reg::R6, 4),
        mov(Reg::R9, Operand::Reg(Reg::R7)),
        alu(AluOp::Add, Width::W64, Reg::R9, Operand::Imm(HEADER)),
        branch(CmpOp::Le, Reg::R9, Operand::Reg(Reg::R8), 1),
        Insn::Exit,
    ];
    for reg in NUMBERS {
        insns.push(number(random, reg));
    }
    for off in (1..=STACK / 8).map(|n| -8 * n) {
        let src = Operand::Reg(random.pick(&NUMBERS));
        insns.push(store(Size::Dw, Reg::FP, off, src));
    }
    insns
}

/// A number from the packet, or a constant.
fn number(random: &mut Random, dst: Reg) -> Insn {
    match random.below(4) {
        0 => mov(dst, Operand::Imm(random.operand() as i32)),
        _ => {
            let size = random.pick(&SIZES);
            let off = random.below((HEADER as usize - size.bytes() as usize) + 1);
            let signed = size != Size::Dw && random.below(4) == 0;
            Insn::Load { size, signed, dst, base: Reg::R7, off: off as i16 }
        }
    }
}

/// Some instructions that leave registers as the module says.
fn piece(random: &mut Random, depth: u32) -> Vec<Insn> {
    match random.below(if depth == 0 { 9 } else { 13 }) {
        0..=2 => (0..=random.below(4)).map(|_| arithmetic(random)).collect(),
        3 => packet(random),
        4 => stack(random),
        5 => element(random),
        6 => spill(random),
        7 => call(random),
        8 => table(random),
        9 | 10 => choice(random, depth - 1),
        _ => repeat(random, depth - 1),
    }
}

fn arithmetic(random: &mut Random) -> Insn {
    let (dst, src) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let width = random.pick(&WIDTHS);
    match random.below(10) {
        0 => Insn::Neg { width, dst },
        1 => Insn::Mov { width, dst, src: Operand::Reg(src) },
        2 => Insn::MovSx {
            width,
            dst,
            src,
            from: random.pick(&[SignExtend::From8, SignExtend::From16]),
        },
        3 => Insn::Swap {
            op: random.pick(&[SwapOp::ToLe, SwapOp::ToBe]),
            width: random.pick(&[SwapWidth::W16, SwapWidth::W32, SwapWidth::W64]),
            dst,
        },
        _ => {
            let op = random.pick(&ALU);
            let imm = match op {
                AluOp::Lsh | AluOp::Rsh | AluOp::Arsh => random.below(width.bits() as usize) as i32,
                AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => {
                    (random.operand() as i32).max(1)
                }
                _ => random.operand() as i32,
            };
            let by = if random.below(3) == 0 { Operand::Reg(src) } else { Operand::Imm(imm) };
            alu(op, width, dst, by)
        }
    }
}

/// Makes a number small enough for an offset: by a mask, or by comparing and leaving.
fn bounded(random: &mut Random, reg: Reg, below: i32) -> Vec<Insn> {
    if random.below(2) == 0 {
        return vec![alu(AluOp::And, Width::W64, reg, Operand::Imm(below - 1))];
    }
    vec![
        branch(CmpOp::Lt, reg, Operand::Imm(below), 1),
        mov(reg, Operand::Imm(random.below(below as usize) as i32)),
    ]
}

/// Packet bytes at a variable offset, behind a check.
fn packet(random: &mut Random) -> Vec<Insn> {
    let index = random.pick(&NUMBERS);
    let dst = random.pick(&NUMBERS);
    let size = random.pick(&SIZES);
    let bound = 1 << (3 + random.below(5));
    let mut insns = bounded(random, index, bound);
    let access = if random.below(3) == 0 {
        store(size, Reg::R9, 0, Operand::Reg(dst))
    } else {
        load(size, dst, Reg::R9, 0)
    };
    insns.extend([
        mov(Reg::R9, Operand::Reg(Reg::R7)),
        alu(AluOp::Add, Width::W64, Reg::R9, Operand::Reg(index)),
        alu(AluOp::Add, Width::W64, Reg::R9, Operand::Imm(size.bytes().cast_signed())),
        branch(CmpOp::Gt, Reg::R9, Operand::Reg(Reg::R8), 2),
        alu(AluOp::Sub, Width::W64, Reg::R9, Operand::Imm(size.bytes().cast_signed())),
        access,
    ]);
    insns
}

/// Stack bytes at a variable offset.
fn stack(random: &mut Random) -> Vec<Insn> {
    let (index, dst) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let size = random.pick(&SIZES);
    let places = i32::from(STACK) / size.bytes().cast_signed();
    let mut insns = vec![alu(AluOp::And, Width::W64, index, Operand::Imm(places - 1))];
    let shift = size.bytes().trailing_zeros().cast_signed();
    insns.push(alu(AluOp::Lsh, Width::W64, index, Operand::Imm(shift)));
    insns.push(mov(Reg::R9, Operand::Reg(Reg::FP)));
    insns.push(alu(AluOp::Add, Width::W64, Reg::R9, Operand::Reg(index)));
    insns.push(if random.below(2) == 0 {
        store(size, Reg::R9, -STACK, Operand::Reg(dst))
    } else {
        load(size, dst, Reg::R9, -STACK)
    });
    insns
}

/// A slot written and read back, perhaps in part.
fn spill(random: &mut Random) -> Vec<Insn> {
    let slot = -8 * (1 + random.below(STACK as usize / 8) as i16);
    let (src, dst) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let size = random.pick(&SIZES);
    let stored = random.pick(&SIZES);
    let mut insns = vec![store(stored, Reg::FP, slot, Operand::Reg(src))];
    if random.below(2) == 0 {
        insns.push(arithmetic(random));
    }
    insns.push(load(size, dst, Reg::FP, slot));
    insns
}

/// Numbers where a call left none.
fn renewed(random: &mut Random, except: Reg) -> Vec<Insn> {
    NUMBERS.into_iter().filter(|&reg| reg != except).map(|reg| number(random, reg)).collect()
}

/// An element of the map, at a constant or variable key, and bytes of it.
fn element(random: &mut Random) -> Vec<Insn> {
    let index = random.pick(&NUMBERS);
    let mut insns = Vec::new();
    let key = if random.below(2) == 0 {
        Operand::Imm(random.below(ENTRIES as usize + 2) as i32)
    } else {
        insns.push(alu(AluOp::And, Width::W64, index, Operand::Imm(ENTRIES * 2 - 1)));
        Operand::Reg(index)
    };
    insns.push(store(Size::W, Reg::FP, KEY, key));
    insns.push(mov(Reg::R2, Operand::Reg(Reg::FP)));
    insns.push(alu(AluOp::Add, Width::W64, Reg::R2, Operand::Imm(KEY.into())));
    insns.push(Insn::LdImm64 { dst: Reg::R1, imm: Imm64::MapFd(MapId(0).0.cast_signed()) });
    insns.push(Insn::Call(CallTarget::Helper(1)));
    let size = random.pick(&SIZES);
    let mut inside = Vec::new();
    let off = random.below((VALUE_BYTES as usize / 2 - size.bytes() as usize) + 1) as i16;
    inside.push(number(random, Reg::R3));
    inside.extend(bounded(random, Reg::R3, VALUE_BYTES / 2));
    inside.push(mov(Reg::R9, Operand::Reg(Reg::R0)));
    inside.push(alu(AluOp::Add, Width::W64, Reg::R9, Operand::Reg(Reg::R3)));
    inside.push(match random.below(3) {
        0 => store(size, Reg::R9, off, Operand::Imm(random.operand() as i32)),
        1 => store(size, Reg::R0, off, Operand::Reg(Reg::R3)),
        _ => load(size, Reg::R3, Reg::R9, off),
    });
    insns.push(branch(CmpOp::Eq, Reg::R0, Operand::Imm(0), slots(&inside)));
    insns.extend(inside);
    insns.extend(renewed(random, Reg::FP));
    insns
}

/// A byte of a direct lookup in a packet header by a computed index, with its bound in 32 bits.
fn table(random: &mut Random) -> Vec<Insn> {
    let index = random.pick(&NUMBERS);
    let op = random.pick(&[CmpOp::Gt, CmpOp::Ge, CmpOp::Sgt]);
    let skip = 5;
    vec![
        Insn::Branch {
            op,
            width: Width::W32,
            dst: index,
            src: Operand::Imm(HEADER - 1),
            off: skip,
        },
        Insn::Branch {
            op: CmpOp::Slt,
            width: Width::W32,
            dst: index,
            src: Operand::Imm(0),
            off: skip - 1,
        },
        Insn::Mov { width: Width::W32, dst: index, src: Operand::Reg(index) },
        mov(Reg::R9, Operand::Reg(Reg::R7)),
        alu(AluOp::Add, Width::W64, Reg::R9, Operand::Reg(index)),
        load(Size::B, index, Reg::R9, 0),
    ]
}

/// A call of the subprogram, or of a helper without arguments.
fn call(random: &mut Random) -> Vec<Insn> {
    let target = if random.below(2) == 0 {
        CallTarget::Subprog(0)
    } else {
        // bpf_get_smp_processor_id
        CallTarget::Helper(8)
    };
    let mut insns = vec![Insn::Call(target)];
    insns.extend(renewed(random, Reg::R0));
    insns
}

/// One way or the other.
fn choice(random: &mut Random, depth: u32) -> Vec<Insn> {
    let mut then = piece(random, depth);
    let otherwise = piece(random, depth);
    then.push(Insn::Jump { form: JumpForm::Short, off: slots(&otherwise) });
    let (dst, src) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
    let by = if random.below(3) == 0 {
        Operand::Reg(src)
    } else {
        Operand::Imm(random.operand() as i32)
    };
    let (op, width) = (random.pick(&CMP), random.pick(&WIDTHS));
    let mut insns = vec![Insn::Branch { op, width, dst, src: by, off: slots(&then) as i16 }];
    insns.extend(then);
    insns.extend(otherwise);
    insns
}

/// A loop with its counter on the stack below everything else, up to a constant or to a small
/// number.
fn repeat(random: &mut Random, depth: u32) -> Vec<Insn> {
    const COUNTER: i16 = -56;
    const LIMIT: i16 = -64;
    let times = 1 + random.below(12) as i32;
    let limit = random.pick(&NUMBERS);
    let variable = random.below(2) == 0;
    let mut insns = Vec::new();
    if variable {
        insns.push(alu(AluOp::And, Width::W64, limit, Operand::Imm(15)));
        insns.push(store(Size::Dw, Reg::FP, LIMIT, Operand::Reg(limit)));
    }
    insns.push(store(Size::Dw, Reg::FP, COUNTER, Operand::Imm(0)));
    let mut body = if depth == 0 { vec![arithmetic(random)] } else { plain_piece(random) };
    body.push(load(Size::Dw, Reg::R9, Reg::FP, COUNTER));
    body.push(alu(AluOp::Add, random.pick(&WIDTHS), Reg::R9, Operand::Imm(1)));
    body.push(store(Size::Dw, Reg::FP, COUNTER, Operand::Reg(Reg::R9)));
    let until = if variable {
        body.push(load(Size::Dw, Reg::R5, Reg::FP, LIMIT));
        Operand::Reg(Reg::R5)
    } else {
        Operand::Imm(times)
    };
    let op = if variable || random.below(2) == 0 { CmpOp::Lt } else { CmpOp::Ne };
    let back = -slots(&body) - 1;
    body.push(branch(op, Reg::R9, until, back));
    insns.extend(body);
    insns
}

/// A piece without loops, so that there is an end.
fn plain_piece(random: &mut Random) -> Vec<Insn> {
    match random.below(5) {
        0 => packet(random),
        1 => stack(random),
        2 => element(random),
        3 => spill(random),
        _ => vec![arithmetic(random), arithmetic(random)],
    }
}

/// The subprogram: two numbers in, one out, with some stack of its own.
fn subprog(random: &mut Random) -> Vec<Insn> {
    let mut insns = vec![
        mov(Reg::R0, Operand::Reg(Reg::R1)),
        mov(Reg::R3, Operand::Reg(Reg::R2)),
        mov(Reg::R4, Operand::Imm(random.operand() as i32)),
        mov(Reg::R5, Operand::Imm(7)),
        mov(Reg::R9, Operand::Reg(Reg::R1)),
    ];
    for off in (1..=STACK / 8).map(|n| -8 * n) {
        insns.push(store(Size::Dw, Reg::FP, off, Operand::Reg(random.pick(&NUMBERS))));
    }
    for _ in 0..random.below(4) {
        insns.push(arithmetic(random));
    }
    insns.extend(stack(random));
    insns.push(Insn::Exit);
    insns
}
