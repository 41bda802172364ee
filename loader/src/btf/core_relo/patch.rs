//! Writing a relocation's result into an instruction.
//!
//! | class | patched | for |
//! |---|---|---|
//! | ALU, ALU64 with immediate | `imm` | everything |
//! | LDX, ST, STX | `off`, access size | byte offsets of fields |
//! | LD, 64-bit immediate | both `imm` | everything |

use super::error::CoreReloErrorKind as ErrorKind;
use super::value::{AccessClass, FieldAccess, Value};
use super::{Applied, Outcome};
use ubpf_isa::Slot;

/// What replaces an instruction that has no counterpart on the target: a call of a helper that
/// does not exist, as in libbpf, so that logs are recognised (0xbad2310 reads "bad relo").
pub const POISON: Slot = Slot { opcode: 0x85, dst: 0, src: 0, off: 0, imm: 195_896_080 };

/// Fields of the opcode (RFC 9669 section 3).
const CLASS: u8 = 0x07;
const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const ALU: u8 = 0x04;
const ALU64: u8 = 0x07;
const SOURCE_REG: u8 = 0x08;
const SIZE: u8 = 0x18;
const LD_IMM64: u8 = 0x18;

pub(super) fn patch(insn: &mut [Slot], outcome: Outcome) -> Result<Applied, ErrorKind> {
    let (local, target) = match outcome {
        Outcome::Values { local, target } => (local, target),
        Outcome::Missing { reason } => return poison(insn, reason),
    };
    let opcode = insn.first().ok_or(ErrorKind::NoInsn)?.opcode;
    match (opcode & CLASS, insn) {
        (ALU | ALU64, [slot, ..]) if opcode & SOURCE_REG == 0 => {
            check(&local, slot.imm.into())?;
            slot.imm = target.number as i32;
        }
        (LDX | ST | STX, insn @ [_, ..]) => return patch_access(insn, &local, &target),
        (LD, [low, high, ..]) if is_plain_imm64(low, high) => {
            let number = i64::from(high.imm) << 32 | i64::from(low.imm.cast_unsigned());
            check(&local, number)?;
            low.imm = target.number as i32;
            high.imm = (target.number >> 32) as i32;
        }
        _ => return Err(ErrorKind::Insn { opcode }),
    }
    Ok(Applied::Patched { old: local.number, new: target.number })
}

fn patch_access(insn: &mut [Slot], local: &Value, target: &Value) -> Result<Applied, ErrorKind> {
    let slot = insn.first_mut().ok_or(ErrorKind::NoInsn)?;
    check(local, slot.off.into())?;
    let off = i16::try_from(target.number).map_err(|_| ErrorKind::OffsetRange(target.number))?;
    let bytes = |access: Option<FieldAccess>| access.map_or(0, |a| a.bytes);
    let (local_bytes, target_bytes) = (bytes(local.access), bytes(target.access));
    if local_bytes != target_bytes {
        if !may_resize(local.access, target.access) {
            let reason = format!(
                "the field has {local_bytes} bytes here and {target_bytes} on the target, and only \
                 pointers and unsigned integers can be accessed in another size"
            );
            return poison(insn, reason);
        }
        let found = access_bytes(slot.opcode);
        let size = size_bits(target_bytes).filter(|_| found == local_bytes);
        let size =
            size.ok_or(ErrorKind::AccessSize { found, local: local_bytes, target: target_bytes })?;
        slot.opcode = (slot.opcode & !SIZE) | size;
    }
    slot.off = off;
    Ok(Applied::Patched { old: local.number, new: target.number })
}

/// Replaces the instruction, both slots of a wide load, by [`POISON`].
fn poison(insn: &mut [Slot], reason: String) -> Result<Applied, ErrorKind> {
    let first = insn.first_mut().ok_or(ErrorKind::NoInsn)?;
    let is_wide = first.opcode == LD_IMM64;
    *first = POISON;
    if is_wide {
        *insn.get_mut(1).ok_or(ErrorKind::NoInsn)? = POISON;
    }
    Ok(Applied::Poisoned { reason })
}

/// The instruction must hold what the compiler computed from the same types.
fn check(local: &Value, found: i64) -> Result<(), ErrorKind> {
    if local.checked && found.cast_unsigned() != local.number {
        return Err(ErrorKind::Unexpected { found, expected: local.number });
    }
    Ok(())
}

/// Whether an access can change its size without changing the value.
fn may_resize(local: Option<FieldAccess>, target: Option<FieldAccess>) -> bool {
    match (local, target) {
        (Some(local), Some(target)) => {
            local.class == target.class && local.class != AccessClass::Other
        }
        _ => false,
    }
}

fn is_plain_imm64(low: &Slot, high: &Slot) -> bool {
    (low.opcode, low.src, low.off) == (LD_IMM64, 0, 0)
        && (high.opcode, high.dst, high.src, high.off) == (0, 0, 0, 0)
}

const fn access_bytes(opcode: u8) -> u32 {
    match opcode & SIZE {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}

const fn size_bits(bytes: u32) -> Option<u8> {
    match bytes {
        4 => Some(0x00),
        2 => Some(0x08),
        1 => Some(0x10),
        8 => Some(0x18),
        _ => None,
    }
}
