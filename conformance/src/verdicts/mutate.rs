//! Programs that are nearly right: valid ones with a few things changed.
//!
//! A mutant differs from its parent in one to four places, each of a kind that real mistakes are
//! of: another offset, size, bound, operator or register, a check left out, two instructions
//! exchanged, a piece of another program, another helper or map, another type of program.
//! The same seed always gives the same mutant.

use super::edit;
use crate::random::Random;
use std::sync::Arc;
use ubpf::abi::helper::HelperId;
use ubpf::abi::prog_type::{AttachType, ProgType};
use ubpf::abi::program::Program;
use ubpf_isa::{Insn, Slot, assemble};

/// A random program near `parent`. Pieces are taken from `donor`, which has the same maps.
#[must_use]
pub fn mutant(parent: &Program, donor: &Program, random: &mut Random) -> Program {
    let mut program = parent.clone();
    let changes = 1 + random.below(4).min(random.below(4));
    let mut done = 0;
    // Not every kind of change fits every place.
    for _ in 0..changes * 8 {
        if done < changes && change(&mut program, donor, random) {
            done += 1;
        }
    }
    program
}

/// Changes something, if what was chosen can be changed.
fn change(program: &mut Program, donor: &Program, random: &mut Random) -> bool {
    let slots = program.slots.len();
    let starts = edit::starts(&program.slots);
    if slots == 0 || starts.is_empty() {
        return false;
    }
    let at = random.pick(&starts);
    match random.below(40) {
        0..=7 => tweak_imm(&mut program.slots, at, random),
        8..=13 => tweak_off(&mut program.slots, at, random),
        14..=18 => tweak_opcode(&mut program.slots, at, random),
        19..=23 => tweak_reg(&mut program.slots, at, random),
        24..=26 => edit::remove(program, at),
        27 => exchange(&mut program.slots, at),
        28..=29 => edit::insert(program, at, &copied(donor, random)),
        30..=34 => edit::insert(program, at, &snippet(random)),
        35..=36 => tweak_call(&mut program.slots, at, random),
        37 => tweak_map(program, at, random),
        38 => tweak_wide(&mut program.slots, at, random),
        _ => tweak_type(program, random),
    }
}

fn tweak_imm(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let Some(slot) = slots.get_mut(at) else { return false };
    if edit::is_wide(*slot) || edit::jumps_by_imm(*slot) {
        return false;
    }
    let old = slot.imm;
    slot.imm = match random.below(10) {
        0 => 0,
        1 => old.wrapping_add(1),
        2 => old.wrapping_sub(1),
        3 => old.wrapping_neg(),
        4 => old.wrapping_add(8),
        5 => old.wrapping_sub(8),
        6 => 1_i32.wrapping_shl(random.below(32) as u32).wrapping_sub(random.below(2) as i32),
        7 => random.pick(&[-1, i32::MAX, i32::MIN, 64, 63, 32, 31, 255, 256, 512, -512]),
        8 => old ^ 1_i32.wrapping_shl(random.below(32) as u32),
        _ => random.operand() as i32,
    };
    slot.imm != old
}

fn tweak_off(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let starts = edit::starts(slots);
    let Some(slot) = slots.get_mut(at) else { return false };
    let old = *slot;
    if edit::jumps(old) {
        let target = random.pick(&starts) as i64 - at as i64 - 1;
        if edit::jumps_by_imm(old) {
            slot.imm = i32::try_from(target).unwrap_or(0);
        } else {
            slot.off = i16::try_from(target).unwrap_or(0);
        }
    } else if edit::accesses_memory(old) {
        let step = random.pick(&[1, 2, 4, 8, 16, 64, 512]);
        slot.off = match random.below(5) {
            0 => old.off.wrapping_add(step),
            1 => old.off.wrapping_sub(step),
            2 => old.off.wrapping_neg(),
            3 => 0,
            _ => random.operand() as i16,
        };
    }
    *slot != old
}

/// Other operators, widths, sizes, modes and sources of the second operand: any other bits of
/// the opcode that leave its class, or exchange it for its sibling.
fn tweak_opcode(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let Some(slot) = slots.get_mut(at) else { return false };
    if edit::is_wide(*slot) {
        return false;
    }
    let old = *slot;
    let class = old.opcode & 7;
    match class {
        // ALU and ALU64, JMP and JMP32.
        4..=7 => match random.below(4) {
            0 => slot.opcode ^= 3,
            1 => {
                slot.opcode ^= 8;
                slot.imm = if slot.opcode & 8 == 0 { random.below(64) as i32 } else { 0 };
            }
            2 => slot.off = random.pick(&[0, 1, 8, 16, 32]),
            _ => slot.opcode = (old.opcode & 0x0f) | (random.below(14) as u8) << 4,
        },
        _ => match random.below(3) {
            0 | 1 => slot.opcode = (old.opcode & !0x18) | random.pick(&[0, 8, 0x10, 0x18]),
            _ => {
                slot.opcode = (old.opcode & 0x1f) | random.pick(&[0x60, 0x80, 0xc0]);
                slot.imm = random.pick(&[0, 1, 0x40, 0xe1, 0xf1, 0x100, 0x110]);
            }
        },
    }
    *slot != old
}

fn tweak_reg(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let Some(slot) = slots.get_mut(at) else { return false };
    if edit::is_wide(*slot) {
        slot.dst = random.below(10) as u8;
        return true;
    }
    let old = *slot;
    // Bit 3 of arithmetic and jumps says that there is a source register.
    let has_src = matches!(old.opcode & 7, 1 | 3) || old.opcode & 8 != 0;
    if has_src && random.below(2) == 0 {
        slot.src = random.below(11) as u8;
    } else {
        slot.dst = random.below(11) as u8;
    }
    *slot != old
}

fn exchange(slots: &mut [Slot], at: usize) -> bool {
    let two = slots.get(at).zip(slots.get(at + 1));
    let movable = |s: Slot| !edit::is_wide(s) && !edit::jumps(s) && s.opcode != edit::EXIT;
    if !two.is_some_and(|(a, b)| movable(*a) && movable(*b) && a != b) {
        return false;
    }
    slots.swap(at, at + 1);
    true
}

/// Up to four instructions of another program, none of which jumps.
fn copied(donor: &Program, random: &mut Random) -> Vec<Slot> {
    let starts = edit::starts(&donor.slots);
    if starts.is_empty() {
        return Vec::new();
    }
    let first = random.below(starts.len());
    let wanted = 1 + random.below(4);
    let mut piece = Vec::new();
    for &at in starts.iter().skip(first).take(wanted) {
        let Some(&slot) = donor.slots.get(at) else { break };
        let refers_to_code = edit::jumps(slot) || edit::is_wide(slot) && slot.src > 2;
        if refers_to_code || slot.opcode == edit::EXIT {
            break;
        }
        let len = if edit::is_wide(slot) { 2 } else { 1 };
        piece.extend(donor.slots.iter().skip(at).take(len));
    }
    piece
}

/// A typical instruction or two, between registers and stack slots that were picked at random.
fn snippet(random: &mut Random) -> Vec<Slot> {
    let (a, b) = (random.below(11), random.below(11));
    let n = random.pick(&[0, 1, 2, 4, 7, 8, 15, 16, 63, 64, 255, 256, 511, 0xffff, 0x7fff_ffff]);
    let off = -8 * (1 + random.below(8) as i32) + random.pick(&[0, 0, 0, 4, 2, 1]);
    let size = random.pick(&["u8", "u16", "u32", "u64"]);
    let op = random.pick(&["+=", "-=", "&=", "|=", "^=", "*=", "<<=", ">>=", "s>>=", "/=", "%="]);
    let cmp = random.pick(&["==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"]);
    let w = random.pick(&["r", "r", "w"]);
    let skip = random.below(4);
    let text = match random.below(16) {
        0 => format!("{w}{a} = {w}{b}"),
        1 => format!("{w}{a} = {n}"),
        2 => format!("{w}{a} {op} {n}"),
        3 => format!("{w}{a} {op} {w}{b}"),
        4 => format!("if {w}{a} {cmp} {n} goto +{skip}"),
        5 => format!("if {w}{a} {cmp} {w}{b} goto +{skip}"),
        6 => format!("*({size} *)(r10 + {off}) = r{a}"),
        7 => format!("{w}{a} = *({size} *)(r10 + {off})").replace('w', "r"),
        8 => format!("*({size} *)(r10 + {off}) = {n}"),
        9 => format!("r{a} = r10\nr{a} += {off}"),
        10 => format!("r{a} <<= 32\nr{a} s>>= 32"),
        11 => format!("r{a} = *({size} *)(r{b} + {})", n & 0xff),
        12 => format!("*({size} *)(r{a} + {}) = r{b}", n & 0xff),
        13 => format!("r{a} = (s8)r{b}"),
        14 => format!("lock *(u64 *)(r10 + {off}) += r{a}"),
        _ => format!("r{a} = be16 r{a}"),
    };
    assemble(&text).unwrap_or_default()
}

fn tweak_call(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let calls = |s: &Slot| s.opcode == edit::CALL && s.src == 0;
    let from = slots.iter().skip(at).position(calls).map(|n| n + at);
    let Some(slot) = from.and_then(|at| slots.get_mut(at)) else { return false };
    let known = HelperId::ALL;
    let near = (slot.imm + random.pick(&[-2, -1, 1, 2])).max(0);
    slot.imm = match random.below(3) {
        0 => near,
        _ => random.pick(known).0.cast_signed(),
    };
    true
}

fn tweak_map(program: &mut Program, at: usize, random: &mut Random) -> bool {
    let maps = program.maps.len();
    let names_map = |s: &Slot| edit::is_wide(*s) && matches!(s.src, 1 | 2);
    let from = program.slots.iter().skip(at).position(names_map).map(|n| n + at);
    let Some(slot) = from.and_then(|at| program.slots.get_mut(at)) else { return false };
    if maps < 2 {
        return false;
    }
    slot.imm = random.below(maps) as i32;
    true
}

fn tweak_wide(slots: &mut [Slot], at: usize, random: &mut Random) -> bool {
    let wide = |s: &Slot| edit::is_wide(*s);
    let Some(at) = slots.iter().skip(at).position(wide).map(|n| n + at) else { return false };
    let [first, second, ..] = slots.get_mut(at..).unwrap_or_default() else { return false };
    match first.src {
        0 => (first.imm, second.imm) = (random.operand() as i32, random.operand() as i32),
        2 => second.imm = random.pick(&[0, 1, 4, 8, 48, 0x1000, -1]),
        1 => (first.src, second.imm) = (2, 0),
        _ => return false,
    }
    true
}

fn tweak_type(program: &mut Program, random: &mut Random) -> bool {
    // Mutants share a world.
    if program.maps.iter().any(super::holds_programs) {
        return false;
    }
    match random.below(6) {
        0 => program.license = String::from("Proprietary"),
        1 => program.section.sleepable ^= true,
        2 => program.section.attach_type = AttachType(random.below(58) as u32),
        _ => {
            // Classic filters have no number here, and are loaded another way.
            let loaded: Vec<_> = ProgType::ALL.iter().filter(|t| t.id() != 0).copied().collect();
            program.prog_type = random.pick(&loaded);
            program.section.attach_type = AttachType(0);
        }
    }
    true
}

/// A program without what a property does not need: instructions, from the back, one at a time and
/// in ever smaller pieces.
#[must_use]
pub fn shrunk(program: &Arc<Program>, keeps: impl Fn(&Arc<Program>) -> bool) -> Arc<Program> {
    let mut best = Arc::clone(program);
    let mut piece = best.slots.len().next_power_of_two() / 2;
    while piece > 0 {
        let mut at = best.slots.len();
        while at > 0 {
            at = at.saturating_sub(piece);
            let mut smaller = Program::clone(&best);
            let starts = edit::starts(&smaller.slots);
            let within = starts.iter().rev().filter(|&&s| s >= at && s < at + piece);
            let removed = within.copied().filter(|&s| edit::remove(&mut smaller, s)).count();
            let smaller = Arc::new(smaller);
            if removed > 0 && keeps(&smaller) {
                best = smaller;
            }
        }
        piece /= 2;
    }
    simplified(best, keeps)
}

/// The same with plain immediates and offsets where those do.
fn simplified(mut best: Arc<Program>, keeps: impl Fn(&Arc<Program>) -> bool) -> Arc<Program> {
    for at in edit::starts(&best.slots) {
        let replacements = assemble("r0 = 0\nexit").unwrap_or_default();
        let zeroed = best
            .slots
            .get(at)
            .map(|s| Slot { imm: 0, ..*s })
            .filter(|s| !edit::is_wide(*s) && !edit::jumps(*s) && s.opcode != edit::CALL);
        for slot in replacements.into_iter().take(1).chain(zeroed) {
            let mut simpler = Program::clone(&best);
            match simpler.slots.get_mut(at) {
                Some(old) if *old != slot && !edit::is_wide(*old) => *old = slot,
                _ => continue,
            }
            let simpler = Arc::new(simpler);
            if keeps(&simpler) {
                best = simpler;
                break;
            }
        }
    }
    best
}

/// The program as text.
#[must_use]
pub fn text(program: &Program) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(rest) = program.slots.get(at..).filter(|rest| !rest.is_empty()) {
        let insn = ubpf_isa::decode(rest);
        let slots = insn.as_ref().map_or(1, Insn::slots) as usize;
        let line = rest.get(..slots).and_then(|s| ubpf_isa::disassemble(s).ok());
        let raw = || format!("{:?}\n", rest.first().unwrap_or(&Slot::default()));
        text.push_str(&format!("    {at:3}: {}", line.unwrap_or_else(raw)));
        at += slots;
    }
    text
}
