//! What engines may rely on: facts that hold on every execution of a program that was accepted.
//!
//! The walk judges paths, and for that it may forget: a state stands for others that differ in
//! numbers which did not matter. So what it knew of a number at some place need not hold there on
//! paths that were pruned. What engines are told of numbers therefore comes from analyses of their
//! own, which are cheap, linear, and sound by themselves; from the walk come the things that
//! pruned states agree in.
//!
//! | module | what |
//! | --- | --- |
//! | `seen` | from the walk: memory, maps, ways that jumps take |
//! | `flow`, `range` | ranges of registers, forward |
//! | `upper` | upper halves that matter, backward |
//! | `claims` | all that the walk believes, for tests of the verifier |

mod claims;
mod flow;
mod range;
mod seen;
mod upper;

pub use claims::{Beliefs, MAX_INSNS as MAX_CLAIMED_INSNS};
pub use seen::{Seen, region};

use crate::cx::Cx;
use crate::explore::{Stats, Walked, explore_for_claims};
use flow::{StackValues, Stretch};
use std::sync::Arc;
use ubpf_abi::helper::HelperId;
use ubpf_abi::map::MapOp;
use ubpf_abi::program::SubprogId;
use ubpf_abi::verified::{CallFacts, Claims, Facts, InsnFacts, SubprogFacts};
use ubpf_isa::{CallTarget, Insn, Pc, RegSet};

/// Longest key that is worth knowing.
const MAX_KEY_BYTES: u32 = 8;

/// All facts of an accepted program.
#[must_use]
pub fn gather(cx: &Cx<'_>, walked: &Walked, stats: &Stats) -> Facts {
    let Walked { reached, found } = walked;
    let mut gathered = Facts {
        // Of what the walk reached the ranges may say that no execution does.
        insns: vec![InsnFacts { reached: false, ..InsnFacts::NOTHING }; cx.text.len()],
        subprogs: subprogs(cx, walked),
        calls: Vec::new(),
        max_insns: max_insns(cx, walked, stats),
        claims: cx.options.claims.then(|| Arc::new(claimed(cx))),
    };
    let blocks = flow::analyse(cx.text, &found.seen, reached);
    let upper = upper::analyse(cx.text, &blocks);
    for (block, upper) in blocks.iter().zip(upper) {
        note(cx, &found.seen, block, upper, &mut gathered);
    }
    gathered
}

/// What is to be held against executions: nothing but the facts, where the program is too large
/// for more.
fn claimed(cx: &Cx<'_>) -> Claims {
    let small = cx.text.len() <= claims::MAX_SLOTS;
    small.then(|| explore_for_claims(cx)).flatten().unwrap_or_default()
}

/// Notes the facts of one block, at the end of which the upper halves of `upper` matter.
fn note(cx: &Cx<'_>, seen: &Seen, block: &Stretch, upper: RegSet, facts: &mut Facts) {
    let mut upper = upper;
    for (pc, insn) in upper::insns(cx.text, block).rev() {
        if let Some(fact) = facts.insns.get_mut(pc.index()) {
            fact.needs_zext = !flow::is_narrow(&insn) || !(insn.defs() & upper).is_empty();
        }
        upper = upper::reads(&insn, upper);
    }
    let (mut regs, mut stack) = (block.regs, StackValues::default());
    for (pc, insn) in upper::insns(cx.text, block) {
        if let Some(call) = known_call(cx, seen, pc, &insn, &stack) {
            facts.calls.push(call);
        }
        let region = seen.region(pc);
        if let Some(fact) = facts.insns.get_mut(pc.index()) {
            fact.reached = true;
            fact.region = region;
            fact.taken = match insn {
                Insn::Branch { .. } => seen.only_way(pc).or_else(|| flow::decide(&insn, &regs)),
                _ => None,
            };
            fact.live = insn
                .successors(pc)
                .flatten()
                .fold(RegSet::EMPTY, |live, to| live | cx.live.before(to));
            (fact.dst, fact.src) = flow::operands(&insn, &regs);
        }
        flow::step(&insn, region, &mut regs, &mut stack);
    }
}

fn known_call(
    cx: &Cx<'_>,
    seen: &Seen,
    pc: Pc,
    insn: &Insn,
    stack: &StackValues,
) -> Option<CallFacts> {
    let Insn::Call(CallTarget::Helper(_)) = insn else { return None };
    let map = seen.known_map(pc)?;
    let key_size = cx.program.maps.get(map.index())?.key_size;
    let key = seen
        .key_at(pc)
        .filter(|_| key_size <= MAX_KEY_BYTES)
        .and_then(|off| stack.constant(off, key_size));
    Some(CallFacts { pc, map, key })
}

fn subprogs(cx: &Cx<'_>, walked: &Walked) -> Vec<SubprogFacts> {
    let facts = |id| {
        let (start, _) = cx.text.extent(SubprogId(id));
        let nothing = SubprogFacts { start, ..SubprogFacts::NOTHING };
        match u16::try_from(walked.found.stack_bytes(SubprogId(id))) {
            Ok(stack_bytes) => SubprogFacts { stack_bytes, ..nothing },
            Err(_) => nothing,
        }
    };
    (0..cx.text.subprogs() as u32).map(facts).collect()
}

/// Instructions that a run executes at most.
///
/// An execution follows walked paths, and where one was pruned it goes on on paths that had been
/// walked to their end by then. So it passes no walked instruction twice, unless states were also
/// compared with ones whose ways were still open, as in what calls back. Global functions are
/// walked once and executed whenever they are called, and tail calls leave the program.
fn max_insns(cx: &Cx<'_>, walked: &Walked, stats: &Stats) -> Option<u64> {
    let once = |(pc, insn): (Pc, Insn)| match insn {
        Insn::Call(CallTarget::Helper(id)) => {
            let tail_call = || {
                let helper = cx.platform.helper(HelperId(id));
                helper.is_some_and(|h| h.map_op == Some(MapOp::TailCall))
            };
            !cx.cfg.calls_back(pc) && !tail_call()
        }
        Insn::Call(CallTarget::Subprog(off)) => {
            let callee = pc.target(off).and_then(|to| cx.text.subprog_starting(to));
            callee.is_some_and(|id| cx.global(id).is_none())
        }
        // Asynchronous callbacks are functions whose address is taken.
        Insn::LdImm64 { .. } => insn.subprog().is_none(),
        Insn::Call(CallTarget::Kfunc { .. }) | Insn::CallX { .. } | Insn::MayGoto { .. } => false,
        _ => true,
    };
    let reached = |pc: Pc| walked.reached.get(pc.index()).copied().unwrap_or(false);
    let all = cx.text.insns().filter(|(pc, _)| reached(*pc)).all(once);
    all.then_some(stats.insns.into())
}
