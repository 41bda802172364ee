//! What the verifier proved, held against what happens: before each instruction of code with
//! [claims](Code::claims), the registers must be as is claimed of them.
//!
//! Only for tests of the verifier, so it may be slow. Every step of such code has this handler;
//! the one that executes it is kept beside.

use super::machine::Machine;
use super::step::{Handler, RegIndex, Step, Stop};
use crate::code::{Code, Op, OpIndex};
use crate::mem::{Place, RegionKind};
use ubpf_abi::verified::{Claim, InsnFacts, Region};
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::{Operand, Pc, Reg};

/// A number that is no register's, where what was disproved is about none.
const NO_REG: u32 = u32::MAX;

/// The handler that looks, and then has the step executed.
pub(super) const CHECK: Handler = check;

fn check<'m>(m: &mut Machine<'m, '_>, step: &'m Step, rest: &'m [Step], gas: i64) -> Stop {
    let index = m.steps.len().saturating_sub(rest.len() + 1);
    let image = m.core.image;
    if let Some((reg, value)) = disproved(m, &image.code, OpIndex(index as u32)) {
        let pc = image.code.pc(OpIndex(index as u32));
        let mut trap = Trap::new(TrapKind::Disproved, pc).with_info(value);
        trap.size = reg;
        return m.stop(trap, rest, gas);
    }
    match image.unchecked.get(index) {
        Some(run) => run(m, step, rest, gas),
        None => m.trap(TrapKind::BadPc, rest, gas),
    }
}

/// The register of which something else was claimed or proved, with its value.
fn disproved(m: &Machine<'_, '_>, code: &Code, index: OpIndex) -> Option<(u32, u64)> {
    let facts = code.facts(index);
    if !facts.reached {
        return Some((NO_REG, 0));
    }
    let of = |reg: Reg| m.reg(RegIndex::from(reg));
    let claims = code.claims()?.at(code.pc(index));
    let wrong = claims.iter().find(|(reg, claim)| !holds(m, claim, of(*reg)));
    if let Some((reg, _)) = wrong {
        return Some((reg.number().into(), of(*reg)));
    }
    let op = code.ops().get(index.index())?;
    let (dst, src) = operands(op);
    let outside = |reg: Option<Reg>, range: ubpf_abi::verified::Range| {
        reg.filter(|&reg| !range.contains(of(reg)))
    };
    let wrong = outside(dst, facts.dst).or_else(|| outside(src, facts.src));
    let wrong = wrong.or_else(|| wrong_way(op, &facts, of)).or_else(|| {
        let (base, off, size) = access(op)?;
        let addr = of(base).wrapping_add_signed(off.into());
        (!lies_in(m, code, facts.region, addr, size)).then_some(base)
    });
    wrong.map(|reg| (reg.number().into(), of(reg)))
}

fn holds(m: &Machine<'_, '_>, claim: &Claim, value: u64) -> bool {
    let fp = m.reg(RegIndex::R10);
    match claim {
        Claim::Pointer { region: Region::Stack { off: Some(off) }, nullable: false } => {
            value == fp.wrapping_add_signed((*off).into())
        }
        _ => claim.holds(value),
    }
}

/// The register that makes a jump go the way it never goes.
fn wrong_way(op: &Op, facts: &InsnFacts, of: impl Fn(Reg) -> u64) -> Option<Reg> {
    let Op::Branch { op, width, dst, src, .. } = *op else { return None };
    let taken = op.eval(width, of(dst), src.value(&of));
    facts.taken.is_some_and(|always| always != taken).then_some(dst)
}

/// The registers that facts are about.
const fn operands(op: &Op) -> (Option<Reg>, Option<Reg>) {
    const fn reg(operand: Operand) -> Option<Reg> {
        match operand {
            Operand::Reg(reg) => Some(reg),
            Operand::Imm(_) => None,
        }
    }
    match *op {
        Op::Alu { dst, src, .. } | Op::Branch { dst, src, .. } => (Some(dst), reg(src)),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => (Some(dst), None),
        Op::Mov { src, .. } => (None, reg(src)),
        Op::MovSx { src, .. } => (None, Some(src)),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => (None, Some(base)),
        Op::Store { base, src, .. } => (Some(base), reg(src)),
        Op::StoreRelease { base, src, .. } | Op::Atomic { base, src, .. } => {
            (Some(base), Some(src))
        }
        _ => (None, None),
    }
}

/// What an op accesses: base, offset, bytes.
const fn access(op: &Op) -> Option<(Reg, i16, u32)> {
    match *op {
        Op::Load { size, base, off, .. }
        | Op::LoadAcquire { size, base, off, .. }
        | Op::Store { size, base, off, .. }
        | Op::StoreRelease { size, base, off, .. } => Some((base, off, size.bytes())),
        Op::Atomic { size, base, off, .. } => Some((base, off, size.size().bytes())),
        _ => None,
    }
}

/// Whether the bytes lie in memory of this kind.
fn lies_in(m: &Machine<'_, '_>, code: &Code, region: Region, addr: u64, bytes: u32) -> bool {
    let fp = m.reg(RegIndex::R10);
    let kind = match region {
        Region::Unknown | Region::Object => return true,
        Region::Stack { off: Some(off) } => return addr == fp.wrapping_add_signed(off.into()),
        Region::Stack { off: None } | Region::CallerStack => Some(RegionKind::Stack),
        Region::Ctx => Some(RegionKind::Context),
        Region::Packet => Some(RegionKind::Packet),
        Region::MapValue(_) => Some(RegionKind::MapValue),
        Region::Memory => None,
    };
    let Some(near) = m.core.cage.describe(addr) else { return false };
    let Place::At(off) = near.place else { return false };
    let inside = off.checked_add(bytes).is_some_and(|end| end <= near.bytes);
    let name = match region {
        Region::MapValue(map) => code.program().maps.get(map.index()).map(|def| &*def.name),
        _ => None,
    };
    inside
        && kind.is_none_or(|kind| kind == near.kind)
        && name.is_none_or(|name| name == &*near.label)
}

/// What was claimed of a register and does not hold, in words: of the instruction at `pc`, whose
/// trap names register `reg`.
#[must_use]
pub fn claimed(code: &Code, pc: Pc, reg: u32) -> Option<String> {
    let facts = code.facts(code.op_at(pc)?);
    if reg == NO_REG {
        return Some("no path reaches it".to_owned());
    }
    let claims = code.claims()?.at(pc).iter();
    let of_reg: Vec<String> = claims
        .filter(|(claimed, _)| u32::from(claimed.number()) == reg)
        .map(|(_, claim)| claim.to_string())
        .collect();
    let InsnFacts { dst, src, taken, region, .. } = facts;
    let proved = format!("operands in {dst:x?} and {src:x?}, jump {taken:?}, memory {region:?}");
    Some(of_reg.into_iter().chain([proved]).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests;
