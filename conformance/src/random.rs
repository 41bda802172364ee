//! Random programs that the kernel's verifier accepts by construction, and random packets.
//!
//! The programs are vectors without an expected result: `r1` points to [`WORDS`] words; all other
//! registers are loaded from them or from constants before they are used, jumps go forward, and
//! memory is accessed at constant offsets. What is left to chance is everything else: which
//! operations, in which width, on which values, in which order, across which jumps.

use crate::packets::Packet;
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Insn, JumpForm, Operand, Reg, SignExtend, Size, Slot,
    SwapOp, SwapWidth, Width, encode_all,
};

/// Words of memory that a random program works on.
pub const WORDS: usize = 8;

/// Instructions at the start of a random program that give its registers and stack their contents.
pub const PROLOGUE: usize = NUMBERS.len() + STACK_WORDS + 2;

/// A small generator of numbers, so that a seed says everything (xorshift64*). A script can say
/// the first choices instead.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    script: std::vec::IntoIter<u8>,
}

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::scripted(Vec::new(), seed)
    }

    /// Choices that bytes make, one each, and when they are used up the sequence of a seed. So a
    /// fuzzer can change single choices.
    #[must_use]
    pub fn scripted(script: Vec<u8>, seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { state, script: script.into_iter() }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let choice = self.script.next().map(usize::from);
        choice.unwrap_or_else(|| (self.next() >> 33) as usize) % bound
    }

    /// One of the choices, which are not none.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number in which borders of widths and signs are frequent.
    pub fn operand(&mut self) -> u64 {
        let near = u64::from(self.next() as u8 & 3);
        match self.below(5) {
            0 => near,
            1 => near.wrapping_neg(),
            2 => (1_u64 << self.below(64)).wrapping_sub(near),
            3 => self.next() >> self.below(64),
            _ => self.next(),
        }
    }
}

/// Registers that hold numbers.
const NUMBERS: [Reg; 8] = [Reg::R0, Reg::R2, Reg::R3, Reg::R4, Reg::R5, Reg::R7, Reg::R8, Reg::R9];
/// Words of stack that the programs use, at the top of the frame.
const STACK_WORDS: usize = 4;
/// Offset of the word for atomics, below the others. It has to hold what the verifier knows nothing
/// of: 6.18 does not track that a value fetched from the stack must be precise, prunes
/// paths by a constant that only some of them have, and removes code that does run.
const ATOMIC_OFF: i16 = -40;

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
const ATOMIC: [AtomicOp; 10] = [
    AtomicOp::Add { fetch: false },
    AtomicOp::Add { fetch: true },
    AtomicOp::Or { fetch: false },
    AtomicOp::Or { fetch: true },
    AtomicOp::And { fetch: false },
    AtomicOp::And { fetch: true },
    AtomicOp::Xor { fetch: false },
    AtomicOp::Xor { fetch: true },
    AtomicOp::Xchg,
    AtomicOp::Cmpxchg,
];
const SIZES: [Size; 4] = [Size::B, Size::H, Size::W, Size::Dw];
const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// A random program of about `len` instructions and the words that it works on.
#[must_use]
pub fn program(random: &mut Random, len: usize) -> (Vec<Slot>, Vec<u64>) {
    let load = |dst, word: usize| Insn::Load {
        size: Size::Dw,
        signed: false,
        dst,
        base: Reg::R1,
        off: (word * 8) as i16,
    };
    let mut insns: Vec<Insn> = (0..).zip(NUMBERS).map(|(word, reg)| load(reg, word)).collect();
    for (word, reg) in (1..=STACK_WORDS).zip(NUMBERS) {
        let off = -((word * 8) as i16);
        insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off, src: Operand::Reg(reg) });
    }
    let unknown = Operand::Reg(Reg::R7);
    insns.push(Insn::Store { size: Size::Dw, base: Reg::FP, off: ATOMIC_OFF, src: unknown });
    insns.push(Insn::Atomic {
        op: AtomicOp::Xor { fetch: false },
        size: AtomicSize::Dw,
        base: Reg::FP,
        off: ATOMIC_OFF,
        src: Reg::R8,
    });
    let body: Vec<Insn> = (0..len).map(|at| insn(random, len - at - 1)).collect();
    insns.extend(body);
    // Everything that was computed ends up in the result.
    for reg in NUMBERS.into_iter().skip(1) {
        insns.push(Insn::Alu {
            op: AluOp::Xor,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Reg(reg),
        });
    }
    let words = (1..=STACK_WORDS).map(|word| -((word * 8) as i16));
    for off in words.chain([ATOMIC_OFF]) {
        insns.push(Insn::Load { size: Size::Dw, signed: false, dst: Reg::R2, base: Reg::FP, off });
        insns.push(Insn::Alu {
            op: AluOp::Add,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Reg(Reg::R2),
        });
    }
    insns.push(Insn::Exit);
    let words = (0..WORDS).map(|_| random.operand()).collect();
    (encode_all(&insns), words)
}

/// One instruction of one slot; jumps stay within the `left` instructions that follow it.
fn insn(random: &mut Random, left: usize) -> Insn {
    let dst = random.pick(&NUMBERS);
    let src = random.pick(&NUMBERS);
    let width = random.pick(&WIDTHS);
    let imm = random.operand() as i32;
    let operand = if random.below(2) == 0 { Operand::Reg(src) } else { Operand::Imm(imm) };
    match random.below(16) {
        0..=5 => alu(random, width, dst, operand),
        6 => Insn::Mov { width, dst, src: operand },
        7 => move_signed(random, width, dst, src),
        8 => Insn::Neg { width, dst },
        9 => swap(random, dst),
        10 | 11 => load(random, dst),
        12 => store(random, operand),
        13 => atomic(random, src),
        _ => jump(random, width, dst, operand, left),
    }
}

/// Arithmetic; constants that the verifier refuses become registers.
fn alu(random: &mut Random, width: Width, dst: Reg, src: Operand) -> Insn {
    let op = random.pick(&ALU);
    let src = match (op, src) {
        (AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod, Operand::Imm(0)) => Operand::Reg(dst),
        (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(imm)) => {
            Operand::Imm(imm & (width.bits().cast_signed() - 1))
        }
        (_, src) => src,
    };
    Insn::Alu { op, width, dst, src }
}

fn move_signed(random: &mut Random, width: Width, dst: Reg, src: Reg) -> Insn {
    let from = match width {
        Width::W32 => random.pick(&[SignExtend::From8, SignExtend::From16]),
        Width::W64 => random.pick(&[SignExtend::From8, SignExtend::From16, SignExtend::From32]),
    };
    Insn::MovSx { width, dst, src, from }
}

fn swap(random: &mut Random, dst: Reg) -> Insn {
    let op = random.pick(&[SwapOp::ToLe, SwapOp::ToBe, SwapOp::Bswap]);
    Insn::Swap { op, width: random.pick(&[SwapWidth::W16, SwapWidth::W32, SwapWidth::W64]), dst }
}

/// A place on the stack, or in the memory, for an access of this size.
fn place(random: &mut Random, size: Size) -> (Reg, i16) {
    let bytes = size.bytes() as usize;
    let at = |random: &mut Random, words: usize| (random.below(words * 8 / bytes) * bytes) as i16;
    if random.below(2) == 0 {
        (Reg::R1, at(random, WORDS))
    } else {
        (Reg::FP, at(random, STACK_WORDS) - (STACK_WORDS * 8) as i16)
    }
}

fn load(random: &mut Random, dst: Reg) -> Insn {
    let size = random.pick(&SIZES);
    let signed = size != Size::Dw && random.below(2) == 0;
    let (base, off) = place(random, size);
    Insn::Load { size, signed, dst, base, off }
}

fn store(random: &mut Random, src: Operand) -> Insn {
    let size = random.pick(&SIZES);
    let (base, off) = place(random, size);
    Insn::Store { size, base, off, src }
}

/// On the stack only: the memory is a context to the kernel, where there are none.
fn atomic(random: &mut Random, src: Reg) -> Insn {
    let (size, off) = match random.below(3) {
        0 => (AtomicSize::W, ATOMIC_OFF),
        1 => (AtomicSize::W, ATOMIC_OFF + 4),
        _ => (AtomicSize::Dw, ATOMIC_OFF),
    };
    Insn::Atomic { op: random.pick(&ATOMIC), size, base: Reg::FP, off, src }
}

fn jump(random: &mut Random, width: Width, dst: Reg, src: Operand, left: usize) -> Insn {
    let off = random.below(left.min(6) + 1) as i16;
    // An unconditional jump over anything leaves code that no path reaches.
    if random.below(12) == 0 {
        return Insn::Jump { form: random.pick(&[JumpForm::Short, JumpForm::Long]), off: 0 };
    }
    Insn::Branch { op: random.pick(&CMP), width, dst, src, off }
}

/// A packet with bytes changed, cut off or appended.
pub fn mutate(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let mut bytes = packet.bytes.clone();
    for _ in 0..=random.below(4) {
        match random.below(6) {
            0 => bytes.truncate(random.below(bytes.len() + 1)),
            1 => bytes.extend(std::iter::repeat_n(random.next() as u8, random.below(64))),
            _ => {
                // Headers matter most.
                let at = random.below(bytes.len().clamp(1, 64));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.operand() as u8;
                }
            }
        }
    }
    bytes
}
