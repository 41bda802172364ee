//! Shape checks: what can be said of the code before any path is walked.
//!
//! The order is the kernel's, because a program with several faults is refused for the first:
//! length, subprogram calls, jump ranges and ends of subprograms, opcodes and wide loads,
//! reachability.

use crate::exception;
use crate::reason::{Rejection, ShapeReason};
use crate::text::{At, Text, subprog_starts};
use crate::{Options, Privilege};
use std::collections::BTreeSet;
use ubpf_abi::limits;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_isa::{CallTarget, DecodeErrorKind, Flow, Imm64, Insn, Pc, decode};

/// Checks the shape of `program` and gives its decoded code.
///
/// # Errors
/// The first fault, with the kernel's reason for it.
pub fn check(program: &Program, options: &Options) -> Result<Text, Rejection> {
    check_length(program, options)?;
    check_calls(program, options)?;
    let exception = exception::callback(program).map_err(Rejection::whole)?;
    let text = Text::new(&program.slots, subprog_starts(program, exception));
    for subprog in (0..text.subprogs() as u32).map(SubprogId) {
        check_subprog(&text, subprog)?;
    }
    check_opcodes(&text)?;
    check_maps(&text)?;
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
    let mut targets = Vec::new();
    for (pc, i) in (0..program.slots.len()).map(|i| (Pc(i as u32), i)) {
        let Ok(insn) = decode(&program.slots[i..]) else { continue };
        let kfunc = matches!(insn, Insn::Call(CallTarget::Kfunc { .. }));
        if options.privilege == Privilege::Unprivileged && (kfunc || insn.subprog().is_some()) {
            return Err(Rejection::at(pc, ShapeReason::CallsNeedPrivilege));
        }
        let Some(off) = insn.subprog() else { continue };
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

/// Jumps stay inside their subprogram, and its last instruction does not fall through.
fn check_subprog(text: &Text, subprog: SubprogId) -> Result<(), Rejection> {
    let (start, end) = text.extent(subprog);
    for pc in (start.0..end.0).map(Pc) {
        let flow = text.insn(pc).map(|insn| insn.flow());
        if let Some(Flow::Jump(off) | Flow::Branch(off)) = flow {
            let to = i64::from(pc.0) + 1 + i64::from(off);
            if to < i64::from(start.0) || to >= i64::from(end.0) {
                return Err(Rejection::at(pc, ShapeReason::JumpOutOfRange { from: pc, to }));
            }
        }
    }
    let last = Pc(end.0.saturating_sub(1));
    match text.insn(last).map(|insn| insn.flow()) {
        Some(Flow::Exit | Flow::Jump(_)) => Ok(()),
        _ => Err(Rejection::at(last, ShapeReason::FallsThrough)),
    }
}

/// Opcodes exist and wide loads have their second half. Other faults of single instructions are
/// judged when a path reaches them.
fn check_opcodes(text: &Text) -> Result<(), Rejection> {
    for pc in (0..text.len() as u32).map(Pc) {
        let Some(At::Bad(error)) = text.at(pc) else { continue };
        let early = match error.kind() {
            DecodeErrorKind::UnknownOpcode
            | DecodeErrorKind::WideTruncated
            | DecodeErrorKind::WideSecondSlot
            | DecodeErrorKind::WideSecondImm
            | DecodeErrorKind::Missing => true,
            DecodeErrorKind::Undefined { family, .. } => family == ubpf_isa::table::Family::LdImm64,
            _ => false,
        };
        if early {
            return Err(Rejection::at(pc, ShapeReason::Decode(error)));
        }
    }
    Ok(())
}

/// The program refers to no more maps than the kernel keeps for it.
fn check_maps(text: &Text) -> Result<(), Rejection> {
    let mut used = BTreeSet::new();
    for (pc, insn) in text.insns() {
        if let Insn::LdImm64 { imm: Imm64::MapFd(fd) | Imm64::MapValue { fd, .. }, .. } = insn {
            used.insert(fd);
        }
        if used.len() > limits::MAX_USED_MAPS {
            return Err(Rejection::at(pc, ShapeReason::TooManyMaps(limits::MAX_USED_MAPS)));
        }
    }
    Ok(())
}
