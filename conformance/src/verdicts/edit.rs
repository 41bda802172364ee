//! Taking instructions out of programs and putting others in, with jumps, subprograms and lines
//! following.

use ubpf::abi::program::Program;
use ubpf_isa::Slot;

pub(super) const CALL: u8 = 0x85;
pub(super) const EXIT: u8 = 0x95;
const LD_IMM64: u8 = 0x18;
const JMP: u8 = 5;
const JMP32: u8 = 6;
/// A jump whose offset is its immediate.
const GOTOL: u8 = 0x06;
/// `src` of calls of subprograms, and of wide loads of their addresses.
const TO_SUBPROG: u8 = 1;
const FUNC: u8 = 4;

pub(super) const fn is_wide(slot: Slot) -> bool {
    slot.opcode == LD_IMM64
}

/// Whether the slot's immediate leads somewhere in the program.
pub(super) const fn jumps_by_imm(slot: Slot) -> bool {
    slot.opcode == GOTOL
        || slot.opcode == CALL && slot.src == TO_SUBPROG
        || slot.opcode == LD_IMM64 && slot.src == FUNC
}

/// Whether the slot leads somewhere else than to the next one.
pub(super) const fn jumps(slot: Slot) -> bool {
    let class = slot.opcode & 7;
    jumps_by_imm(slot)
        || (class == JMP || class == JMP32) && slot.opcode != CALL && slot.opcode != EXIT
}

pub(super) const fn accesses_memory(slot: Slot) -> bool {
    slot.opcode & 7 < 4 && !is_wide(slot)
}

/// Where instructions begin.
pub(super) fn starts(slots: &[Slot]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(&slot) = slots.get(at) {
        starts.push(at);
        at += if is_wide(slot) { 2 } else { 1 };
    }
    starts
}

/// Takes the instruction at `at` out; whether that was possible.
pub(super) fn remove(program: &mut Program, at: usize) -> bool {
    let Some(&slot) = program.slots.get(at) else { return false };
    let len = if is_wide(slot) { 2 } else { 1 };
    if program.slots.len() <= len || at + len > program.slots.len() {
        return false;
    }
    let moved = |to: usize| if to > at { to.saturating_sub(len).max(at) } else { to };
    relocate(program, moved, moved);
    program.slots.drain(at..at + len);
    true
}

/// Puts instructions in front of the one at `at`; jumps there pass them by. Whether there were
/// any.
pub(super) fn insert(program: &mut Program, at: usize, piece: &[Slot]) -> bool {
    let first = program.subprogs.iter().any(|s| s.start.index() == at);
    let place = |from| if from >= at { from + piece.len() } else { from };
    // Calls still lead to the first instruction of a subprogram.
    relocate(program, |to| if to == at && first { to } else { place(to) }, place);
    program.slots.splice(at..at, piece.iter().copied());
    !piece.is_empty()
}

/// Rewrites what names a slot, before slots are moved: `target` says what a name stands for
/// afterwards, `place` where the slot itself goes.
fn relocate(
    program: &mut Program,
    target: impl Fn(usize) -> usize,
    place: impl Fn(usize) -> usize,
) {
    let starts = starts(&program.slots);
    for from in starts {
        let Some(slot) = program.slots.get_mut(from) else { continue };
        if !jumps(*slot) {
            continue;
        }
        let offset = if jumps_by_imm(*slot) { slot.imm } else { slot.off.into() };
        let Ok(to) = usize::try_from(from as i64 + 1 + i64::from(offset)) else { continue };
        let offset = target(to) as i64 - place(from) as i64 - 1;
        if jumps_by_imm(*slot) {
            slot.imm = i32::try_from(offset).unwrap_or(slot.imm);
        } else {
            slot.off = i16::try_from(offset).unwrap_or(slot.off);
        }
    }
    for subprog in program.subprogs.iter_mut().skip(1) {
        subprog.start.0 = target(subprog.start.index()) as u32;
    }
    program.lines.clear();
}
