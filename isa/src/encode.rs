//! Instruction to slots.

use alloc::vec::Vec;

use crate::insn::{CallTarget, Insn, JumpForm, Operand, Reg};
use crate::opcode::{Opcode, Source};
use crate::slot::Slot;

/// The slots of an instruction; the second only for [wide loads](Insn::LdImm64).
///
/// A [short](JumpForm::Short) jump that is too far for 16 bits becomes a long one, which means
/// the same. What [`Insn`] can spell but the ISA does not define (a sign-extending load of 8
/// bytes, a 32-bit move that sign-extends from 32, a packet load of 8) comes out as the bytes
/// that it would have, and [`decode`](crate::decode()) refuses those.
///
/// ```
/// use ubpf_isa::{Insn, decode, encode};
/// let (slot, second) = encode(&Insn::Exit);
/// assert_eq!(slot.to_le_bytes(), [0x95, 0, 0, 0, 0, 0, 0, 0]);
/// assert_eq!((decode(&[slot]), second), (Ok(Insn::Exit), None));
/// ```
#[must_use]
pub fn encode(insn: &Insn) -> (Slot, Option<Slot>) {
    let insn = &reachable(*insn);
    let row = insn.kind().row();
    let mut slot = Slot {
        opcode: opcode(insn, row.code).0,
        dst: 0,
        src: row.src.fixed() as u8,
        off: row.off.fixed() as i16,
        imm: row.imm.fixed(),
    };
    match *insn {
        Insn::Alu { dst, src, .. } | Insn::Mov { dst, src, .. } => {
            slot.dst = dst.number();
            slot.set_operand(src);
        }
        Insn::Neg { dst, .. } | Insn::Swap { dst, .. } | Insn::CallX { target: dst } => {
            slot.dst = dst.number();
        }
        Insn::MovSx { dst, src, .. } | Insn::AddrSpaceCast { dst, src, .. } => {
            slot.set_regs(dst, src);
        }
        Insn::Load { dst, base, off, .. } | Insn::LoadAcquire { dst, base, off, .. } => {
            slot.set_regs(dst, base);
            slot.off = off;
        }
        Insn::Store { base, off, src, .. } => {
            slot.dst = base.number();
            slot.off = off;
            slot.set_operand(src);
        }
        Insn::Atomic { base, off, src, .. } | Insn::StoreRelease { base, off, src, .. } => {
            slot.set_regs(base, src);
            slot.off = off;
        }
        Insn::LdImm64 { dst, imm } => {
            let (low, high) = imm.halves();
            slot.dst = dst.number();
            slot.imm = low;
            return (slot, Some(Slot { imm: high, ..Slot::default() }));
        }
        Insn::LdAbs { imm, .. } => slot.imm = imm,
        Insn::LdInd { src, imm, .. } => {
            slot.src = src.number();
            slot.imm = imm;
        }
        Insn::Jump { form: JumpForm::Short, off } => slot.off = off as i16,
        Insn::Jump { form: JumpForm::Long, off } => slot.imm = off,
        Insn::Branch { dst, src, off, .. } => {
            slot.dst = dst.number();
            slot.off = off;
            slot.set_operand(src);
        }
        Insn::MayGoto { off } => slot.off = off,
        Insn::Call(CallTarget::Helper(id)) => slot.imm = id.cast_signed(),
        Insn::Call(CallTarget::Subprog(off)) => slot.imm = off,
        Insn::Call(CallTarget::Kfunc { btf_id, btf_off }) => {
            slot.imm = btf_id;
            slot.off = btf_off;
        }
        Insn::Exit => {}
    }
    (slot, None)
}

/// The slots of a sequence of instructions, wide loads taking two.
#[must_use]
pub fn encode_all(insns: &[Insn]) -> Vec<Slot> {
    let mut slots = Vec::with_capacity(insns.len());
    for insn in insns {
        let (first, second) = encode(insn);
        slots.push(first);
        slots.extend(second);
    }
    slots
}

/// The same instruction in a form whose offset field is wide enough.
fn reachable(insn: Insn) -> Insn {
    match insn {
        Insn::Jump { form: JumpForm::Short, off } if i16::try_from(off).is_err() => {
            Insn::Jump { form: JumpForm::Long, off }
        }
        _ => insn,
    }
}

/// Fills in the bits that the row's span leaves open.
fn opcode(insn: &Insn, code: Opcode) -> Opcode {
    match *insn {
        Insn::Alu { width, src, .. }
        | Insn::Mov { width, src, .. }
        | Insn::Branch { width, src, .. } => code.with_width(width).with_source(source(src)),
        // The row of the 64-bit only sign extension is an ALU64 opcode already.
        Insn::Neg { width, .. } | Insn::MovSx { width, .. } => code.with_width(width),
        Insn::Load { size, .. }
        | Insn::Store { size, .. }
        | Insn::LoadAcquire { size, .. }
        | Insn::StoreRelease { size, .. }
        | Insn::LdAbs { size, .. }
        | Insn::LdInd { size, .. } => code.with_size(size),
        Insn::Atomic { size, .. } => code.with_size(size.size()),
        Insn::Swap { .. }
        | Insn::LdImm64 { .. }
        | Insn::Jump { .. }
        | Insn::MayGoto { .. }
        | Insn::AddrSpaceCast { .. }
        | Insn::Call(_)
        | Insn::CallX { .. }
        | Insn::Exit => code,
    }
}

const fn source(operand: Operand) -> Source {
    match operand {
        Operand::Reg(_) => Source::Reg,
        Operand::Imm(_) => Source::Imm,
    }
}

impl Slot {
    fn set_regs(&mut self, dst: Reg, src: Reg) {
        self.dst = dst.number();
        self.src = src.number();
    }

    fn set_operand(&mut self, operand: Operand) {
        match operand {
            Operand::Reg(reg) => self.src = reg.number(),
            Operand::Imm(imm) => self.imm = imm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::insn::{SignExtend, Size, Width};

    #[test]
    fn a_jump_that_is_too_far_becomes_long() {
        let near = Insn::Jump { form: JumpForm::Short, off: -32768 };
        assert_eq!(decode(&[encode(&near).0]), Ok(near));
        for off in [-32769, 32768, i32::MIN] {
            let far = Insn::Jump { form: JumpForm::Short, off };
            let long = Insn::Jump { form: JumpForm::Long, off };
            assert_eq!(decode(&[encode(&far).0]), Ok(long));
        }
    }

    #[test]
    fn what_the_isa_does_not_define_is_not_decoded() {
        let (dst, src, base, off) = (Reg::R1, Reg::R2, Reg::R2, 0);
        for insn in [
            Insn::Load { size: Size::Dw, signed: true, dst, base, off },
            Insn::MovSx { width: Width::W32, dst, src, from: SignExtend::From32 },
            Insn::LdAbs { size: Size::Dw, imm: 0 },
            Insn::LdInd { size: Size::Dw, src, imm: 0 },
        ] {
            assert!(decode(&[encode(&insn).0]).is_err(), "{insn}");
        }
    }
}
