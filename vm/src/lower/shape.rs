//! The instructions of a program: decoded, cut into functions, and without those that no path
//! reaches where that is known.

use super::{LowerError, LowerErrorKind, at};
use crate::code::{MAX_FUNCS, OpIndex};
use std::collections::BTreeSet;
use ubpf_abi::limits::MAX_PROCESSED_INSNS;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::Facts;
use ubpf_isa::{Flow, Insn, Pc, decode};

/// The instructions of a program and where its functions begin.
pub(super) struct Shape {
    pub(super) insns: Vec<Placed>,
    /// For each slot, the op that its instruction becomes.
    begins: Vec<Option<OpIndex>>,
    /// First slots of the functions, ascending.
    starts: Vec<Pc>,
}

/// An instruction in its place.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    pub(super) pc: Pc,
    pub(super) insn: Insn,
    /// No path reaches it: it stands for what was left out here.
    pub(super) dead: bool,
}

impl Shape {
    pub(super) fn of(program: &Program) -> Result<Self, LowerError> {
        let slots = &program.slots;
        if slots.is_empty() {
            return Err(at(Pc(0))(LowerErrorKind::Empty));
        }
        if slots.len() > MAX_PROCESSED_INSNS as usize {
            let kind = LowerErrorKind::TooLong { slots: slots.len() };
            return Err(at(Pc(0))(kind));
        }
        let mut shape = Self {
            insns: Vec::with_capacity(slots.len()),
            begins: vec![None; slots.len()],
            starts: Vec::new(),
        };
        shape.decode(program)?;
        shape.find_starts(program)?;
        shape.check_flow()?;
        Ok(shape)
    }

    fn decode(&mut self, program: &Program) -> Result<(), LowerError> {
        let mut slot = 0;
        while let Some(rest) = program.slots.get(slot..).filter(|rest| !rest.is_empty()) {
            let pc = Pc(slot as u32);
            let insn = decode(rest).map_err(|e| at(pc)(e.into()))?;
            self.begins[slot] = Some(OpIndex(self.insns.len() as u32));
            self.insns.push(Placed { pc, insn, dead: false });
            slot += insn.slots() as usize;
        }
        Ok(())
    }

    /// Functions begin where the linker says and, as in the kernel, wherever one is called or
    /// has its address taken.
    fn find_starts(&mut self, program: &Program) -> Result<(), LowerError> {
        let mut starts: BTreeSet<Pc> = program.subprogs.iter().map(|s| s.start).collect();
        starts.insert(Pc(0));
        starts.retain(|start| start.index() < program.slots.len());
        for &Placed { pc, insn, .. } in &self.insns {
            if let Some(off) = insn.subprog() {
                starts.insert(self.target(pc, off).map_err(at(pc))?);
            }
        }
        if let Some(&wide) = starts.iter().find(|s| self.begins[s.index()].is_none()) {
            return Err(at(wide)(LowerErrorKind::TargetInWideLoad { target: wide }));
        }
        if starts.len() > MAX_FUNCS as usize {
            return Err(at(Pc(0))(LowerErrorKind::TooManySubprogs));
        }
        self.starts = starts.into_iter().collect();
        Ok(())
    }

    /// No path leaves a function but by a call or an exit.
    fn check_flow(&self) -> Result<(), LowerError> {
        for (index, &Placed { pc, insn, .. }) in self.insns.iter().enumerate() {
            let home = self.subprog_at(pc);
            let flow = insn.flow();
            if let Flow::Jump(off) | Flow::Branch(off) = flow {
                let target = self.target(pc, off).map_err(at(pc))?;
                if self.subprog_at(target) != home {
                    return Err(at(pc)(LowerErrorKind::TargetInOtherSubprog { target }));
                }
            }
            let next = self.insns.get(index + 1).map(|next| self.subprog_at(next.pc));
            if flow.falls_through() && next != Some(home) {
                return Err(at(pc)(LowerErrorKind::FallsOff));
            }
        }
        Ok(())
    }

    pub(super) fn target(&self, pc: Pc, off: i32) -> Result<Pc, LowerErrorKind> {
        let target = pc.target(off).filter(|target| target.index() < self.begins.len());
        let target = target.ok_or(LowerErrorKind::TargetOutside { off })?;
        match self.begins[target.index()] {
            Some(_) => Ok(target),
            None => Err(LowerErrorKind::TargetInWideLoad { target }),
        }
    }

    pub(super) fn target_op(&self, pc: Pc, off: i32) -> Result<OpIndex, LowerErrorKind> {
        let target = self.target(pc, off)?;
        self.begins[target.index()].ok_or(LowerErrorKind::TargetInWideLoad { target })
    }

    /// The function that a slot belongs to.
    pub(super) fn subprog_at(&self, pc: Pc) -> SubprogId {
        let after = self.starts.partition_point(|start| *start <= pc);
        SubprogId(after.saturating_sub(1) as u32)
    }

    /// Leaves out what no path reaches. Where a function would be empty, or control would seem to
    /// run on into what follows, one dead instruction stays.
    pub(super) fn drop_dead(&mut self, facts: &Facts) {
        let mut kept: Vec<Placed> = Vec::with_capacity(self.insns.len());
        self.begins.fill(None);
        let mut in_dead = false;
        for &placed in &self.insns {
            let fact = facts.insn(placed.pc);
            let dead = !fact.reached;
            let runs_on = |last: &Placed| {
                let jumps = facts.insn(last.pc).taken == Some(true);
                !last.dead && last.insn.flow().falls_through() && !jumps
            };
            let needed = self.starts.binary_search(&placed.pc).is_ok()
                || !in_dead && kept.last().is_some_and(runs_on);
            if !dead || needed {
                self.begins[placed.pc.index()] = Some(OpIndex(kept.len() as u32));
                kept.push(Placed { dead, ..placed });
            }
            in_dead = dead;
        }
        self.insns = kept;
    }

    /// Whether the instruction so far from `pc` was not left out.
    pub(super) fn leads_on(&self, pc: Pc, off: i32) -> bool {
        let op = pc.target(off).and_then(|to| self.begins.get(to.index()));
        matches!(op, Some(Some(_)))
    }

    /// First slots of the functions, with the ops that they begin at.
    pub(super) fn starts(&self) -> impl Iterator<Item = (Pc, OpIndex)> {
        self.starts.iter().filter_map(|&start| Some((start, self.begins[start.index()]?)))
    }
}
