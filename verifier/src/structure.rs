//! Shape checks: what can be said of the code before any path is walked.
//!
//! The order is the kernel's, because a program with several faults is refused for the first:
//! length, subprogram calls, jump ranges and ends of subprograms, opcodes, wide loads and maps,
//! reachability.

use crate::exception;
use crate::kfunc;
use crate::map_use::UsedMaps;
use crate::reason::{Rejection, ShapeReason};
use crate::symbols;
use crate::text::{At, Text, named_subprog, subprog_starts};
use crate::{Options, Privilege};
use ubpf_abi::limits;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::table::Family;
use ubpf_isa::{Class, DecodeError, DecodeErrorKind, Field, Imm64, Insn, Opcode, Pc, Slot};

/// Checks the shape of `program` and gives its decoded code.
///
/// # Errors
/// The first fault, with the kernel's reason for it.
pub fn check(
    program: &Program,
    platform: &dyn Platform,
    options: &Options,
) -> Result<Text, Rejection> {
    check_length(program, options)?;
    check_calls(program, options)?;
    kfunc::check(program, platform)?;
    let exception = exception::callback(program).map_err(Rejection::whole)?;
    let text = Text::new(&program.slots, subprog_starts(program, exception));
    check_jumps(program, &text)?;
    check_func_info(program, &text)?;
    check_opcodes(program, platform, options, &text)?;
    Ok(text)
}

fn check_length(program: &Program, options: &Options) -> Result<(), Rejection> {
    let limit = options.max_slots();
    let insns = program.slots.len();
    if insns == 0 || insns > limit as usize {
        return Err(Rejection::whole(ShapeReason::Length { insns, limit }));
    }
    Ok(())
}

/// Calls of subprograms stay inside the program, and there are not too many of them.
fn check_calls(program: &Program, options: &Options) -> Result<(), Rejection> {
    const CALL: u8 = 0x85;
    const KFUNC: u8 = 2;
    let mut targets = Vec::new();
    for (pc, slot) in program.slots.iter().enumerate().map(|(i, slot)| (Pc(i as u32), slot)) {
        let subprog = named_subprog(slot);
        let kfunc = slot.opcode == CALL && slot.src == KFUNC;
        if options.privilege == Privilege::Unprivileged && (kfunc || subprog.is_some()) {
            return Err(Rejection::at(pc, ShapeReason::CallsNeedPrivilege));
        }
        let Some(off) = subprog else { continue };
        match pc.target(off) {
            Some(target) if target.index() < program.slots.len() => targets.push(target),
            _ => return Err(Rejection::at(pc, ShapeReason::CallTarget)),
        }
    }
    targets.retain(|&t| t != Pc(0));
    targets.sort_unstable();
    targets.dedup();
    if targets.len() + 1 > limits::MAX_SUBPROGS {
        return Err(Rejection::whole(ShapeReason::TooManySubprogs));
    }
    Ok(())
}

/// Jumps stay inside their subprogram, and its last instruction does not fall through. Only the
/// opcode counts here: what else is wrong with an instruction shows when a path gets there.
fn check_jumps(program: &Program, text: &Text) -> Result<(), Rejection> {
    const EXIT: u8 = 0x95;
    for subprog in (0..text.subprogs() as u32).map(SubprogId) {
        let (start, end) = text.extent(subprog);
        for pc in (start.0..end.0).map(Pc) {
            let Some(slot) = program.slots.get(pc.index()) else { continue };
            if let Some(off) = jump_offset(slot) {
                let to = i64::from(pc.0) + 1 + i64::from(off);
                if to < i64::from(start.0) || to >= i64::from(end.0) {
                    return Err(Rejection::at(pc, ShapeReason::JumpOutOfRange { from: pc, to }));
                }
            }
            let ends = [EXIT, GOTO, GOTOL].contains(&slot.opcode);
            if pc.0 + 1 == end.0 && !ends {
                return Err(Rejection::at(pc, ShapeReason::FallsThrough));
            }
        }
    }
    Ok(())
}

/// `goto` with a 16-bit and with a 32-bit offset.
const GOTO: u8 = 0x05;
const GOTOL: u8 = 0x06;

/// Where a slot jumps to, if its opcode is a jump's.
pub(crate) fn jump_offset(slot: &Slot) -> Option<i32> {
    /// Operations of the jump classes that are no jumps, in the upper half of the opcode.
    const CALL: u8 = 0x80;
    const EXIT: u8 = 0x90;
    let jumps = matches!(Opcode(slot.opcode).class(), Class::Jmp | Class::Jmp32);
    match slot.opcode {
        GOTOL => Some(slot.imm),
        code if jumps && ![CALL, EXIT].contains(&(code & 0xf0)) => Some(slot.off.into()),
        _ => None,
    }
}

/// A program that says which functions it has says it of all that its code calls.
fn check_func_info(program: &Program, text: &Text) -> Result<(), Rejection> {
    let known = program.subprogs.iter().all(|s| s.btf_func.is_some());
    if known && program.subprogs.len() != text.subprogs() {
        return Err(Rejection::whole(ShapeReason::FuncInfo));
    }
    Ok(())
}

/// Opcodes exist, wide loads have their second half, and the maps and symbols they name are there. Other
/// faults of single instructions are judged when a path reaches them.
fn check_opcodes(
    program: &Program,
    platform: &dyn Platform,
    options: &Options,
    text: &Text,
) -> Result<(), Rejection> {
    let mut maps = UsedMaps::default();
    for pc in (0..text.len() as u32).map(Pc) {
        match text.at(pc) {
            Some(At::Bad(_))
                if program.slots.get(pc.index()).is_some_and(|s| s.opcode == CALLX) =>
            {
                return Err(Rejection::at(pc, ShapeReason::UnknownOpcode(CALLX)));
            }
            Some(At::Bad(error)) if is_early(&error) => {
                return Err(Rejection::at(pc, ShapeReason::Decode(error)));
            }
            Some(At::Insn(Insn::CallX { .. })) => {
                return Err(Rejection::at(pc, ShapeReason::UnknownOpcode(CALLX)));
            }
            Some(At::Insn(Insn::LdImm64 { imm: Imm64::BtfId { id, .. }, .. })) => {
                let symbol = symbols::address(program, options, id);
                symbol.map_err(|reason| Rejection::at(pc, reason))?;
            }
            Some(At::Insn(Insn::LdImm64 { imm, .. })) => {
                maps.check(program, platform, imm).map_err(|reason| Rejection::at(pc, reason))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A call through a register, which LLVM has and the kernel does not.
const CALLX: u8 = 0x8d;

/// Whether the kernel finds the fault before it walks any path.
fn is_early(error: &DecodeError) -> bool {
    match error.kind() {
        DecodeErrorKind::UnknownOpcode
        | DecodeErrorKind::WideTruncated
        | DecodeErrorKind::WideSecondSlot
        | DecodeErrorKind::WideSecondImm
        | DecodeErrorKind::Missing => true,
        DecodeErrorKind::Undefined { family, .. } => family == Family::LdImm64,
        DecodeErrorKind::Reserved { family, field: Field::Imm } => family == Family::Ldx,
        _ => false,
    }
}
