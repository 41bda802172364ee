//! Which registers each instruction's future reads: a backward data-flow analysis.
//!
//! Two states that differ only in registers nobody reads again are the same, so the better this
//! is, the sooner exploration ends.

use crate::text::Text;
use ubpf_isa::{CallTarget, Insn, Pc, Reg, RegSet};

/// Live registers before each slot.
#[derive(Clone, Debug)]
pub struct Liveness {
    before: Vec<RegSet>,
}

impl Liveness {
    /// Computes liveness by going backwards over the code until nothing changes.
    #[must_use]
    pub fn compute(text: &Text) -> Self {
        let mut before = vec![RegSet::EMPTY; text.len()];
        let insns: Vec<(Pc, Insn)> = text.insns().collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (pc, insn) in insns.iter().rev() {
                let after = insn
                    .successors(*pc)
                    .flatten()
                    .filter_map(|to| before.get(to.index()))
                    .fold(RegSet::EMPTY, |set, live| set | *live);
                let live = (after - insn.defs()) | reads(insn);
                if live != before[pc.index()] {
                    before[pc.index()] = live;
                    changed = true;
                }
            }
        }
        Self { before }
    }

    /// Registers that matter when `pc` is about to be executed.
    #[must_use]
    pub fn before(&self, pc: Pc) -> RegSet {
        self.before.get(pc.index()).copied().unwrap_or(RegSet::ALL)
    }
}

/// What an instruction reads. A subprogram's arguments are all taken to be read.
fn reads(insn: &Insn) -> RegSet {
    match insn {
        Insn::Call(CallTarget::Helper(_) | CallTarget::Kfunc { .. } | CallTarget::Subprog(_)) => {
            RegSet::ARGS | RegSet::of(Reg::FP)
        }
        _ => insn.uses(),
    }
}
