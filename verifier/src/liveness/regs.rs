//! Which registers each instruction's future reads: a backward data-flow analysis.

use crate::cfg::{Cfg, callee};
use crate::text::Text;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::Program;
use ubpf_isa::{Insn, Pc, Reg, RegSet};

/// Live registers before each slot.
#[derive(Clone, Debug)]
pub struct LiveRegs {
    before: Vec<RegSet>,
}

impl LiveRegs {
    /// Goes backwards over the code until nothing changes.
    #[must_use]
    pub fn compute(program: &Program, text: &Text, cfg: &Cfg, platform: &dyn Platform) -> Self {
        let insns: Vec<Effect> = cfg
            .all_postorder()
            .iter()
            .filter_map(|&pc| Some(Effect::of(program, platform, pc, &text.insn(pc)?)))
            .collect();
        let mut before = vec![RegSet::EMPTY; text.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for insn in &insns {
                let after = insn.next.into_iter().flatten().filter_map(|to| before.get(to.index()));
                let after = after.fold(RegSet::EMPTY, |set, live| set | *live);
                let live = (after - insn.writes) | insn.reads;
                let known = &mut before[insn.at.index()];
                changed |= live != *known;
                *known = live;
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

/// What an instruction does to the set of live registers.
struct Effect {
    at: Pc,
    reads: RegSet,
    writes: RegSet,
    next: [Option<Pc>; 2],
}

impl Effect {
    fn of(program: &Program, platform: &dyn Platform, at: Pc, insn: &Insn) -> Self {
        let (reads, writes) = match *insn {
            // The kernel does not look closer at these.
            Insn::LdAbs { .. } | Insn::LdInd { .. } => (RegSet::ALL, RegSet::EMPTY),
            Insn::Call(target) => {
                let count = callee::arguments(program, platform, target).unwrap_or(ARGS.len());
                (ARGS.into_iter().take(count).collect(), RegSet::CALLER_SAVED)
            }
            _ => (insn.uses(), insn.defs()),
        };
        let mut ways = insn.successors(at).flatten();
        Self { at, reads, writes, next: [ways.next(), ways.next()] }
    }
}

const ARGS: [Reg; 5] = [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5];
