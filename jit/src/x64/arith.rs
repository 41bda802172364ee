//! Arithmetic.

use super::asm::{ADD, AND, Assembler, Binary, Detour, Mem, OR, Opcode, SUB, XOR};
use super::regs::{R10, R11, RAX, RCX, RDX, native};
use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use ubpf_isa::{AluOp, Operand, Reg, Width};

/// Shifts by a constant, by a register with BMI2, and by a register without.
macro_rules! shift {
    ($masm:expr, $name:tt, $bmi2:tt, $width:expr, $dst:expr, $src:expr) => {{
        let dst = native($dst);
        match ($width, $src) {
            (Width::W32, Operand::Imm(imm)) => {
                let count = (imm as u8 % 32) as i8;
                dynasm!($masm.ops ; .arch x64 ; $name Rd(dst), BYTE count);
            }
            (Width::W64, Operand::Imm(imm)) => {
                let count = (imm as u8 % 64) as i8;
                dynasm!($masm.ops ; .arch x64 ; $name Rq(dst), BYTE count);
            }
            (width, Operand::Reg(src)) => {
                let src = $masm.value_of(src, R11);
                match width {
                    Width::W32 if $masm.has_bmi2 => {
                        dynasm!($masm.ops ; .arch x64 ; $bmi2 Rd(dst), Rd(dst), Rd(src));
                    }
                    Width::W64 if $masm.has_bmi2 => {
                        dynasm!($masm.ops ; .arch x64 ; $bmi2 Rq(dst), Rq(dst), Rq(src));
                    }
                    width => {
                        // The count must be in cl, which may be either operand.
                        $masm.copy(R10, dst);
                        $masm.copy(R11, src);
                        dynasm!($masm.ops ; .arch x64 ; xchg rcx, r11);
                        match width {
                            Width::W32 => dynasm!($masm.ops ; .arch x64 ; $name r10d, cl),
                            Width::W64 => dynasm!($masm.ops ; .arch x64 ; $name r10, cl),
                        }
                        $masm.copy(RCX, R11);
                        $masm.copy(dst, R10);
                    }
                }
            }
        }
        if $width == Width::W32 && matches!($src, Operand::Imm(imm) if imm % 32 == 0) {
            // A shift by 0 does not write the register, and its upper half stays.
            dynasm!($masm.ops ; .arch x64 ; mov Rd(dst), Rd(dst));
        }
    }};
}

impl Assembler {
    pub(super) fn emit_alu(&mut self, op: AluOp, width: Width, dst: Reg, left: Reg, src: Operand) {
        if self.emit_three_operands(op, width, dst, left, src) {
            return;
        }
        self.copy(native(dst), native(left));
        match op {
            AluOp::Add => self.emit_binary(ADD, width, dst, src),
            AluOp::Sub => self.emit_binary(SUB, width, dst, src),
            AluOp::Or => self.emit_binary(OR, width, dst, src),
            AluOp::And => self.emit_binary(AND, width, dst, src),
            AluOp::Xor => self.emit_binary(XOR, width, dst, src),
            AluOp::Lsh => shift!(self, shl, shlx, width, dst, src),
            AluOp::Rsh => shift!(self, shr, shrx, width, dst, src),
            AluOp::Arsh => shift!(self, sar, sarx, width, dst, src),
            AluOp::Mul => self.emit_mul(width, dst, src),
            AluOp::Div => self.emit_div(Division { signed: false, modulo: false, width }, dst, src),
            AluOp::SDiv => self.emit_div(Division { signed: true, modulo: false, width }, dst, src),
            AluOp::Mod => self.emit_div(Division { signed: false, modulo: true, width }, dst, src),
            AluOp::SMod => self.emit_div(Division { signed: true, modulo: true, width }, dst, src),
        }
    }

    /// What there are instructions for that leave their operands alone, where that is better.
    fn emit_three_operands(
        &mut self,
        op: AluOp,
        width: Width,
        dst: Reg,
        left: Reg,
        right: Operand,
    ) -> bool {
        let (same, dst, left) = (dst == left, native(dst), native(left));
        let lea = match width {
            Width::W32 => Opcode::new(0x8d),
            Width::W64 => Opcode::new(0x8d).wide(),
        };
        match (op, right) {
            (AluOp::And, Operand::Imm(0xff)) => {
                self.with_register(Opcode::new(0xb6).escaped().byte(), dst, left);
            }
            (AluOp::And, Operand::Imm(0xffff)) => {
                self.with_register(Opcode::new(0xb7).escaped(), dst, left);
            }
            _ if same => return false,
            (AluOp::Add, Operand::Imm(imm)) => self.with_memory(lea, dst, Mem::at(left, imm)),
            (AluOp::Add, Operand::Reg(right)) if right != Reg::FP => {
                let index = Some((native(right), 0));
                self.with_memory(lea, dst, Mem { base: left, index, disp: 0 });
            }
            (AluOp::Lsh, Operand::Imm(1)) => {
                self.with_memory(lea, dst, Mem { base: left, index: Some((left, 0)), disp: 0 });
            }
            (AluOp::Mul, Operand::Imm(imm)) => match width {
                Width::W32 => dynasm!(self.ops ; .arch x64 ; imul Rd(dst), Rd(left), DWORD imm),
                Width::W64 => dynasm!(self.ops ; .arch x64 ; imul Rq(dst), Rq(left), DWORD imm),
            },
            (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Reg(by))
                if self.has_bmi2 && by != Reg::FP =>
            {
                let by = native(by);
                match (op, width) {
                    (AluOp::Lsh, Width::W32) => {
                        dynasm!(self.ops ; .arch x64 ; shlx Rd(dst), Rd(left), Rd(by));
                    }
                    (AluOp::Lsh, Width::W64) => {
                        dynasm!(self.ops ; .arch x64 ; shlx Rq(dst), Rq(left), Rq(by));
                    }
                    (AluOp::Rsh, Width::W32) => {
                        dynasm!(self.ops ; .arch x64 ; shrx Rd(dst), Rd(left), Rd(by));
                    }
                    (AluOp::Rsh, Width::W64) => {
                        dynasm!(self.ops ; .arch x64 ; shrx Rq(dst), Rq(left), Rq(by));
                    }
                    (_, Width::W32) => {
                        dynasm!(self.ops ; .arch x64 ; sarx Rd(dst), Rd(left), Rd(by));
                    }
                    (_, Width::W64) => {
                        dynasm!(self.ops ; .arch x64 ; sarx Rq(dst), Rq(left), Rq(by));
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn emit_binary(&mut self, op: Binary, width: Width, dst: Reg, src: Operand) {
        let dst = native(dst);
        match src {
            Operand::Reg(src) => {
                let src = self.value_of(src, R11);
                self.with_register(Opcode::new(op.code).of(width), src, dst);
            }
            Operand::Imm(imm) => self.with_immediate(op.number, width, dst, imm),
        }
        self.set_flags(dst, width);
    }

    fn emit_mul(&mut self, width: Width, dst: Reg, src: Operand) {
        let dst = native(dst);
        match (width, src) {
            (width, Operand::Reg(src)) => {
                let src = self.value_of(src, R11);
                match width {
                    Width::W32 => dynasm!(self.ops ; .arch x64 ; imul Rd(dst), Rd(src)),
                    Width::W64 => dynasm!(self.ops ; .arch x64 ; imul Rq(dst), Rq(src)),
                }
            }
            (Width::W32, Operand::Imm(imm)) => {
                dynasm!(self.ops ; .arch x64 ; imul Rd(dst), Rd(dst), DWORD imm);
            }
            (Width::W64, Operand::Imm(imm)) => {
                dynasm!(self.ops ; .arch x64 ; imul Rq(dst), Rq(dst), DWORD imm);
            }
        }
    }

    /// The machine divides `rdx:rax` and traps where BPF has results of its own: on zero, and on
    /// the signed quotient that does not fit.
    fn emit_div(&mut self, division: Division, dst: Reg, src: Operand) {
        let Division { signed, modulo, width } = division;
        let dst = native(dst);
        let special = match src {
            Operand::Imm(0) => {
                self.emit_div_by_zero(division, dst);
                return;
            }
            Operand::Imm(-1) if signed => {
                self.emit_div_by_minus_one(division, dst);
                return;
            }
            Operand::Imm(imm) if !signed && self.has_bmi2 => {
                self.emit_div_by_constant(division, dst, imm);
                return;
            }
            Operand::Imm(imm) => {
                self.load_constant(R11, i64::from(imm).cast_unsigned());
                false
            }
            Operand::Reg(src) => {
                let src = self.value_of(src, R11);
                self.copy(R11, src);
                true
            }
        };
        let done = self.new_label();
        if special {
            let zero = self.detour(Detour::DivByZero(division, dst), done);
            match width {
                Width::W32 => dynasm!(self.ops ; .arch x64 ; test r11d, r11d ; jz =>zero),
                Width::W64 => dynasm!(self.ops ; .arch x64 ; test r11, r11 ; jz =>zero),
            }
            if signed {
                let minus_one = self.detour(Detour::DivByMinusOne(division, dst), done);
                match width {
                    Width::W32 => dynasm!(self.ops ; .arch x64 ; cmp r11d, BYTE -1),
                    Width::W64 => dynasm!(self.ops ; .arch x64 ; cmp r11, BYTE -1),
                }
                dynasm!(self.ops ; .arch x64 ; je =>minus_one);
            }
        }
        let (keep_rax, keep_rdx) = (dst != RAX, dst != RDX);
        if keep_rax {
            self.copy(R10, RAX);
        }
        if keep_rdx {
            dynasm!(self.ops ; .arch x64 ; push rdx);
        }
        self.copy(RAX, dst);
        match (width, signed) {
            (Width::W32, false) => dynasm!(self.ops ; .arch x64 ; xor edx, edx ; div r11d),
            (Width::W64, false) => dynasm!(self.ops ; .arch x64 ; xor edx, edx ; div r11),
            (Width::W32, true) => dynasm!(self.ops ; .arch x64 ; cdq ; idiv r11d),
            (Width::W64, true) => dynasm!(self.ops ; .arch x64 ; cqo ; idiv r11),
        }
        self.copy(R11, if modulo { RDX } else { RAX });
        if keep_rdx {
            dynasm!(self.ops ; .arch x64 ; pop rdx);
        }
        if keep_rax {
            self.copy(RAX, R10);
        }
        self.copy(dst, R11);
        dynasm!(self.ops ; .arch x64 ; =>done);
    }

    /// Unsigned division by a constant other than 0: shifts and masks for powers of two,
    /// otherwise a multiplication with the reciprocal (Granlund and Montgomery; for 32 bits,
    /// Lemire).
    fn emit_div_by_constant(&mut self, division: Division, dst: u8, imm: i32) {
        let Division { modulo, width, .. } = division;
        let divisor = width.truncate(i64::from(imm).cast_unsigned());
        if divisor.is_power_of_two() {
            let by = divisor.trailing_zeros() as i8;
            match (width, modulo) {
                (Width::W32, true) => {
                    dynasm!(self.ops ; .arch x64 ; and Rd(dst), DWORD imm.wrapping_sub(1));
                }
                (Width::W64, true) => {
                    dynasm!(self.ops ; .arch x64 ; and Rq(dst), DWORD imm.wrapping_sub(1));
                }
                (Width::W32, false) => {
                    dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(dst) ; shr Rd(dst), BYTE by);
                }
                (Width::W64, false) => dynasm!(self.ops ; .arch x64 ; shr Rq(dst), BYTE by),
            }
            return;
        }
        let reciprocal = Reciprocal::of(divisor, width);
        if width == Width::W32 {
            dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(dst));
        }
        self.load_constant(R11, reciprocal.factor);
        if dst == RDX {
            dynasm!(self.ops ; .arch x64 ; mulx r11, r11, r11);
        } else {
            self.copy(R10, RDX);
            self.copy(RDX, dst);
            dynasm!(self.ops ; .arch x64 ; mulx r11, r11, r11);
            self.copy(RDX, R10);
        }
        if width == Width::W64 {
            let by = reciprocal.shift as i8;
            self.copy(R10, dst);
            dynasm!(self.ops ; .arch x64
                ; sub r10, r11
                ; shr r10, BYTE 1
                ; add r11, r10
                ; shr r11, BYTE by
            );
        }
        if !modulo {
            self.copy(dst, R11);
            return;
        }
        match width {
            Width::W32 => dynasm!(self.ops ; .arch x64
                ; imul r11d, r11d, DWORD imm
                ; sub Rd(dst), r11d
            ),
            Width::W64 => dynasm!(self.ops ; .arch x64
                ; imul r11, r11, DWORD imm
                ; sub Rq(dst), r11
            ),
        }
    }

    /// The quotient is 0, the remainder what was to be divided.
    pub(super) fn emit_div_by_zero(&mut self, division: Division, dst: u8) {
        match division {
            Division { modulo: false, .. } => {
                dynasm!(self.ops ; .arch x64 ; xor Rd(dst), Rd(dst));
            }
            Division { width: Width::W32, .. } => {
                dynasm!(self.ops ; .arch x64 ; mov Rd(dst), Rd(dst));
            }
            Division { width: Width::W64, .. } => {}
        }
    }

    /// The quotient is the negative, which wraps; the remainder is 0.
    pub(super) fn emit_div_by_minus_one(&mut self, division: Division, dst: u8) {
        match division {
            Division { modulo: true, .. } => {
                dynasm!(self.ops ; .arch x64 ; xor Rd(dst), Rd(dst));
            }
            Division { width: Width::W32, .. } => dynasm!(self.ops ; .arch x64 ; neg Rd(dst)),
            Division { width: Width::W64, .. } => dynasm!(self.ops ; .arch x64 ; neg Rq(dst)),
        }
    }
}

/// What to multiply with instead of dividing: of the product, the upper 64 bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reciprocal {
    factor: u64,
    /// In 64 bits the quotient is `(t + (n - t) / 2) >> shift`, where `t` is the upper half; in
    /// 32 bits it is the upper half.
    shift: u32,
}

impl Reciprocal {
    /// Of a divisor that is no power of two.
    fn of(divisor: u64, width: Width) -> Self {
        match width {
            Width::W32 => Self { factor: u64::MAX / divisor + 1, shift: 0 },
            Width::W64 => {
                let bits = u64::BITS - divisor.leading_zeros();
                let excess = (1_u128 << bits) - u128::from(divisor);
                let factor = (excess << 64) / u128::from(divisor) + 1;
                Self { factor: factor as u64, shift: bits - 1 }
            }
        }
    }
}

/// Which division.
#[derive(Clone, Copy)]
pub(super) struct Division {
    signed: bool,
    modulo: bool,
    width: Width,
}
