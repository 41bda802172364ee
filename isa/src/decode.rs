//! Slots to instruction, and what can be wrong with them.

use core::fmt;

use crate::form::{BY_OPCODE, Form, fields};
use crate::insn::{AtomicSize, CallTarget, Insn, JumpForm, Operand, Reg, Size};
use crate::kind::{Callee, Kind};
use crate::opcode::{Class, Opcode, Source};
use crate::slot::{Pc, Slot};
use crate::table::{Family, Row, Use};

/// Decodes the instruction at the start of `slots`; those after it are not looked at.
///
/// Decoding is strict: reserved fields must be zero, so [`encode`](crate::encode()) gives back
/// exactly the slots that were read. That is the kernel's rule too, but for two fields that it
/// forgets to look at: the offset of `exit`, and the upper half of a subprogram's address.
///
/// ```
/// use ubpf_isa::{DecodeErrorKind, Field, Insn, Slot, decode};
/// assert_eq!(decode(&[Slot::from_le_bytes([0x95, 0, 0, 0, 0, 0, 0, 0])]), Ok(Insn::Exit));
///
/// let off_set = Slot::from_le_bytes([0x0f, 0x21, 7, 0, 0, 0, 0, 0]);
/// let error = decode(&[off_set]).unwrap_err();
/// assert_eq!(error.to_string(), "BPF_ALU (opcode 0x0f) has no form with off 7");
/// assert_eq!(error.verifier_message().to_string(), "BPF_ALU uses reserved fields");
/// ```
///
/// # Errors
/// [`DecodeError`] when the slots begin with no defined instruction. The opcode is judged first,
/// then the fields that select an operation, then reserved fields, then register numbers: the
/// order of the kernel's verifier.
pub fn decode(slots: &[Slot]) -> Result<Insn, DecodeError> {
    let Some((slot, rest)) = slots.split_first() else {
        return Err(DecodeError { slot: Slot::default(), kind: DecodeErrorKind::Missing });
    };
    let error = |kind| DecodeError { slot: *slot, kind };
    let fields = fields(slot.dst, slot.src, slot.off, slot.imm);
    let forms = BY_OPCODE[slot.opcode as usize];
    let Some(Form { row, .. }) = forms.iter().find(|form| form.matches(fields)) else {
        return Err(error(diagnose(forms, slot)));
    };
    // Fields that name no register hold small numbers here, so that both can be read as one.
    let (Some(dst), Some(src)) = (Reg::parse(slot.dst), Reg::parse(slot.src)) else {
        return Err(error(bad_register(slot)));
    };
    let next_imm = match row.next_imm {
        Some(usage) => second_half(usage, rest).map_err(error)?,
        None => 0,
    };
    Ok(build(row.kind, slot, (dst, src), next_imm))
}

/// Decodes a whole stream, giving each instruction with the position of its first slot.
///
/// After an error one slot is skipped, so that a caller may go on. What lies beyond the last
/// [`Pc`], 32 GiB into the stream, is not looked at.
pub fn decode_all(slots: &[Slot]) -> impl Iterator<Item = (Pc, Result<Insn, DecodeError>)> + Clone {
    let mut next = Pc(0);
    core::iter::from_fn(move || {
        let pc = next;
        let rest = slots.get(pc.index()..).filter(|rest| !rest.is_empty())?;
        let decoded = decode(rest);
        next = Pc(pc.0.checked_add(decoded.map_or(1, |insn| insn.slots()))?);
        Some((pc, decoded))
    })
}

/// Why no form matches: a field that should select one does not, or a reserved one is not zero.
#[cold]
fn diagnose(forms: &[Form], slot: &Slot) -> DecodeErrorKind {
    match forms.iter().find(|form| selected(form.row, slot).is_ok()) {
        Some(form) => misused(form.row, slot),
        None => unselected(forms, slot),
    }
}

/// Whether every field that selects among rows holds what this row wants, else the first not.
fn selected(row: &Row, slot: &Slot) -> Result<(), Field> {
    for (field, usage) in [(Field::Src, row.src), (Field::Off, row.off), (Field::Imm, row.imm)] {
        match usage {
            Use::Is(value) if field.of(slot) != value => return Err(field),
            Use::Is(_) | Use::Zero | Use::Operand | Use::BySource => {}
        }
    }
    Ok(())
}

/// The reserved field of this row that is not zero, `dst` only where it is alone in that.
fn misused(row: &Row, slot: &Slot) -> DecodeErrorKind {
    let source = Opcode(slot.opcode).source();
    let reserved = |field, usage| match usage {
        Use::Zero => true,
        Use::Is(_) | Use::Operand => false,
        Use::BySource => match source {
            Source::Imm => field == Field::Src,
            Source::Reg => field == Field::Imm,
        },
    };
    let field = [(Field::Src, row.src), (Field::Off, row.off), (Field::Imm, row.imm)]
        .into_iter()
        .find(|&(field, usage)| reserved(field, usage) && field.of(slot) != 0)
        .map_or(Field::Dst, |(field, _)| field);
    DecodeErrorKind::Reserved { family: row.family, field }
}

/// The field that selects no row: the row that comes nearest says which.
fn unselected(forms: &[Form], slot: &Slot) -> DecodeErrorKind {
    let nearest = forms
        .iter()
        // Of rows equally near the first is meant, which is the plainest; `max_by_key` takes the
        // last.
        .rev()
        .filter_map(|form| Some((selected(form.row, slot).err()?, form.row.family)))
        .max_by_key(|&(field, _)| field);
    let Some((field, family)) = nearest else {
        return DecodeErrorKind::UnknownOpcode;
    };
    // The operation exists, only not in this size.
    let any_size = BY_OPCODE[Opcode(slot.opcode).with_size(Size::W).0 as usize];
    if family == Family::Atomic && any_size.iter().any(|form| selected(form.row, slot).is_ok()) {
        return DecodeErrorKind::AtomicSize;
    }
    DecodeErrorKind::Undefined { family, field }
}

/// Which register does not exist. Where neither does the kernel names the source: it is read
/// first.
#[cold]
fn bad_register(slot: &Slot) -> DecodeErrorKind {
    match Reg::parse(slot.src) {
        None => DecodeErrorKind::Register { field: Field::Src, number: slot.src },
        Some(_) => DecodeErrorKind::Register { field: Field::Dst, number: slot.dst },
    }
}

/// The immediate of a wide load's second slot, everything else in which is reserved.
fn second_half(usage: Use, rest: &[Slot]) -> Result<i32, DecodeErrorKind> {
    let Some(next) = rest.first() else {
        return Err(DecodeErrorKind::WideTruncated);
    };
    if next.opcode != 0 || next.dst != 0 || next.src != 0 || next.off != 0 {
        return Err(DecodeErrorKind::WideSecondSlot);
    }
    if usage == Use::Zero && next.imm != 0 {
        return Err(DecodeErrorKind::WideSecondImm);
    }
    Ok(next.imm)
}

/// The instruction of this kind with the operands of the slot.
fn build(kind: Kind, slot: &Slot, (dst, src): (Reg, Reg), next_imm: i32) -> Insn {
    let opcode = Opcode(slot.opcode);
    let (width, size, off, imm) = (opcode.width(), opcode.size(), slot.off, slot.imm);
    let operand = match opcode.source() {
        Source::Imm => Operand::Imm(imm),
        Source::Reg => Operand::Reg(src),
    };
    match kind {
        Kind::Alu(op) => Insn::Alu { op, width, dst, src: operand },
        Kind::Neg => Insn::Neg { width, dst },
        Kind::Mov => Insn::Mov { width, dst, src: operand },
        Kind::MovSx(from) => Insn::MovSx { width, dst, src, from },
        Kind::Swap(op, width) => Insn::Swap { op, width, dst },
        Kind::Load => Insn::Load { size, signed: false, dst, base: src, off },
        Kind::LoadSx => Insn::Load { size, signed: true, dst, base: src, off },
        Kind::StoreReg => Insn::Store { size, base: dst, off, src: Operand::Reg(src) },
        Kind::StoreImm => Insn::Store { size, base: dst, off, src: Operand::Imm(imm) },
        Kind::Atomic(op) => {
            let size = if size == Size::W { AtomicSize::W } else { AtomicSize::Dw };
            Insn::Atomic { op, size, base: dst, off, src }
        }
        Kind::LoadAcquire => Insn::LoadAcquire { size, dst, base: src, off },
        Kind::StoreRelease => Insn::StoreRelease { size, base: dst, off, src },
        Kind::LdImm64(pseudo) => Insn::LdImm64 { dst, imm: pseudo.join(imm, next_imm) },
        Kind::LdAbs => Insn::LdAbs { size, imm },
        Kind::LdInd => Insn::LdInd { size, src, imm },
        Kind::Jump(form @ JumpForm::Short) => Insn::Jump { form, off: off.into() },
        Kind::Jump(form @ JumpForm::Long) => Insn::Jump { form, off: imm },
        Kind::Branch(op) => Insn::Branch { op, width, dst, src: operand, off },
        Kind::MayGoto => Insn::MayGoto { off },
        Kind::AddrSpaceCast(cast) => Insn::AddrSpaceCast { cast, dst, src },
        Kind::Call(Callee::Helper) => Insn::Call(CallTarget::Helper(imm.cast_unsigned())),
        Kind::Call(Callee::Subprog) => Insn::Call(CallTarget::Subprog(imm)),
        Kind::Call(Callee::Kfunc) => Insn::Call(CallTarget::Kfunc { btf_id: imm, btf_off: off }),
        Kind::CallX => Insn::CallX { target: dst },
        Kind::Exit => Insn::Exit,
    }
}

/// Why slots are not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Described(self))]
pub struct DecodeError {
    slot: Slot,
    kind: DecodeErrorKind,
}

/// What is wrong with the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// There is no slot to decode.
    Missing,
    /// No instruction has this opcode byte.
    UnknownOpcode,
    /// The field selects the operation, and no operation has this value.
    Undefined {
        /// The instructions that share the opcode byte.
        family: Family,
        /// The selecting field.
        field: Field,
    },
    /// The atomic operation exists, but not for 1 or 2 bytes.
    AtomicSize,
    /// The field must be zero.
    Reserved {
        /// The kind of instruction.
        family: Family,
        /// The field that is not zero.
        field: Field,
    },
    /// There is no register with this number.
    Register {
        /// [`Field::Dst`] or [`Field::Src`].
        field: Field,
        /// 11 to 15.
        number: u8,
    },
    /// The stream ends after the first slot of a wide load.
    WideTruncated,
    /// The second slot of a wide load has something other than an immediate in it.
    WideSecondSlot,
    /// The second slot's immediate must be zero for this kind of wide load.
    WideSecondImm,
}

/// A field of a slot. The order is that in which the kernel judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Destination register.
    Dst,
    /// Source register.
    Src,
    /// Offset.
    Off,
    /// Immediate.
    Imm,
}

impl Field {
    /// What the field holds.
    #[must_use]
    pub const fn of(self, slot: &Slot) -> i32 {
        match self {
            Self::Dst => slot.dst as i32,
            Self::Src => slot.src as i32,
            Self::Off => slot.off as i32,
            Self::Imm => slot.imm,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dst => "dst",
            Self::Src => "src",
            Self::Off => "off",
            Self::Imm => "imm",
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alu => "BPF_ALU",
            Self::Neg => "BPF_NEG",
            Self::End => "BPF_END",
            Self::Mov => "BPF_MOV",
            Self::AddrSpaceCast => "addr_space_cast",
            Self::Ldx => "BPF_LDX",
            Self::St => "BPF_ST",
            Self::Stx => "BPF_STX",
            Self::Atomic => "BPF_ATOMIC",
            Self::LdImm64 => "BPF_LD_IMM64",
            Self::LdAbsInd => "BPF_LD_[ABS|IND]",
            Self::Ja => "BPF_JA",
            Self::Jmp => "BPF_JMP/JMP32",
            Self::MayGoto => "may_goto",
            Self::Call => "BPF_CALL",
            Self::Exit => "BPF_EXIT",
        })
    }
}

impl DecodeError {
    /// What is wrong.
    #[must_use]
    pub const fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The (first) slot that was read; all zero when there was none.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The line that the verifier of kernel 6.18 logs for this slot.
    pub fn verifier_message(&self) -> impl fmt::Display {
        VerifierMessage(*self)
    }
}

/// [`DecodeError`] in our own words.
struct Described<'a>(&'a DecodeError);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeError { slot, kind } = self.0;
        let opcode = slot.opcode;
        match kind {
            DecodeErrorKind::Missing => f.write_str("no slot left to decode"),
            DecodeErrorKind::UnknownOpcode => write!(f, "unknown opcode 0x{opcode:02x}"),
            DecodeErrorKind::Undefined { family, field } => {
                let value = field.of(slot);
                write!(f, "{family} (opcode 0x{opcode:02x}) has no form with {field} {value}")
            }
            DecodeErrorKind::AtomicSize => {
                write!(f, "atomic operation 0x{:x} needs 4 or 8 bytes", slot.imm)
            }
            DecodeErrorKind::Reserved { family, field } => {
                let value = field.of(slot);
                write!(f, "{family} (opcode 0x{opcode:02x}) has reserved {field} {value}, not 0")
            }
            DecodeErrorKind::Register { field, number } => {
                write!(f, "{field} names r{number}, the last register is r10")
            }
            DecodeErrorKind::WideTruncated => f.write_str("wide load lacks its second slot"),
            DecodeErrorKind::WideSecondSlot => {
                f.write_str("second slot of a wide load holds more than an immediate")
            }
            DecodeErrorKind::WideSecondImm => {
                write!(f, "wide load with src {} has an upper half that is not 0", slot.src)
            }
        }
    }
}

/// [`DecodeError`] in the words of the kernel, whose exact text tools search for.
struct VerifierMessage(DecodeError);

impl fmt::Display for VerifierMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeError { slot, kind } = &self.0;
        match *kind {
            DecodeErrorKind::Missing => f.write_str("last insn is not an exit or jmp"),
            DecodeErrorKind::UnknownOpcode if is_odd_ldx(slot) => {
                f.write_str("BPF_LDX uses reserved fields")
            }
            DecodeErrorKind::UnknownOpcode => write!(f, "unknown opcode {:02x}", slot.opcode),
            DecodeErrorKind::AtomicSize => f.write_str("invalid atomic operand size"),
            DecodeErrorKind::Register { number, .. } => write!(f, "R{number} is invalid"),
            DecodeErrorKind::WideTruncated | DecodeErrorKind::WideSecondSlot => {
                f.write_str("invalid bpf_ld_imm64 insn")
            }
            DecodeErrorKind::WideSecondImm
            | DecodeErrorKind::Undefined { family: Family::LdImm64, .. } => {
                f.write_str("unrecognized bpf_ld_imm64 insn")
            }
            DecodeErrorKind::Undefined { family: Family::Atomic, .. } => {
                write!(f, "BPF_ATOMIC uses invalid atomic opcode {:02x}", slot.imm)
            }
            DecodeErrorKind::Undefined { family: Family::AddrSpaceCast, .. } => {
                f.write_str("addr_space_cast insn can only convert between address space 1 and 0")
            }
            DecodeErrorKind::Undefined { family: Family::MayGoto, .. }
            | DecodeErrorKind::Reserved { family: Family::MayGoto, .. } => {
                write!(f, "invalid may_goto imm {}", slot.imm)
            }
            DecodeErrorKind::Undefined { family, .. }
            | DecodeErrorKind::Reserved { family, .. } => {
                write!(f, "{family} uses reserved fields")
            }
        }
    }
}

/// Loads into a register whose mode or immediate the kernel refuses before it looks the opcode up.
fn is_odd_ldx(slot: &Slot) -> bool {
    let mode = slot.opcode & 0xe0;
    let modes = [Kind::Load, Kind::LoadSx].map(|kind| kind.row().code.0 & 0xe0);
    Opcode(slot.opcode).class() == Class::Ldx && (slot.imm != 0 || !modes.contains(&mode))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn slot(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Slot {
        Slot { opcode, dst, src, off, imm }
    }

    /// Our words and the kernel's.
    fn complaint(slots: &[Slot]) -> (alloc::string::String, alloc::string::String) {
        let error = decode(slots).expect_err("no instruction");
        (error.to_string(), error.verifier_message().to_string())
    }

    #[test]
    fn each_complaint_names_the_field_at_fault() {
        let wide = slot(0x18, 1, 0, 0, 0);
        let cases: [(&[Slot], &str, &str); 12] = [
            (&[], "no slot left to decode", "last insn is not an exit or jmp"),
            (&[slot(0x8f, 0, 0, 0, 0)], "unknown opcode 0x8f", "unknown opcode 8f"),
            (&[slot(0x21, 0, 0, 0, 0)], "unknown opcode 0x21", "BPF_LDX uses reserved fields"),
            (
                &[slot(0x95, 0, 0, 0, 7)],
                "BPF_EXIT (opcode 0x95) has reserved imm 7, not 0",
                "BPF_EXIT uses reserved fields",
            ),
            (
                &[slot(0xd4, 1, 0, 0, 17)],
                "BPF_END (opcode 0xd4) has no form with imm 17",
                "BPF_END uses reserved fields",
            ),
            (
                &[slot(0xdb, 1, 2, 0, 0x42)],
                "BPF_ATOMIC (opcode 0xdb) has no form with imm 66",
                "BPF_ATOMIC uses invalid atomic opcode 42",
            ),
            (
                &[slot(0xcb, 1, 2, 0, 0x01)],
                "atomic operation 0x1 needs 4 or 8 bytes",
                "invalid atomic operand size",
            ),
            (
                &[slot(0xbf, 12, 11, 0, 0)],
                "src names r11, the last register is r10",
                "R11 is invalid",
            ),
            (&[wide], "wide load lacks its second slot", "invalid bpf_ld_imm64 insn"),
            (
                &[wide, slot(0, 0, 0, 1, 0)],
                "second slot of a wide load holds more than an immediate",
                "invalid bpf_ld_imm64 insn",
            ),
            (
                &[slot(0x18, 1, 1, 0, 3), slot(0, 0, 0, 0, 1)],
                "wide load with src 1 has an upper half that is not 0",
                "unrecognized bpf_ld_imm64 insn",
            ),
            (
                &[slot(0x18, 1, 7, 0, 0), slot(0, 0, 0, 0, 0)],
                "BPF_LD_IMM64 (opcode 0x18) has no form with src 7",
                "unrecognized bpf_ld_imm64 insn",
            ),
        ];
        for (slots, ours, kernels) in cases {
            assert_eq!(complaint(slots), (ours.into(), kernels.into()));
        }
    }

    #[test]
    fn fields_beyond_their_bits_are_not_taken_for_smaller_ones() {
        // A slot made by hand can hold more than a nibble.
        assert!(decode(&[slot(0x95, 16, 0, 0, 0)]).is_err());
        assert!(decode(&[slot(0xbf, 1, 0x12, 0, 0)]).is_err());
    }
}
