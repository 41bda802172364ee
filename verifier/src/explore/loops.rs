//! Loops whose rounds end because they are alike: what mattered in one round matters in all.
//!
//! A path that ends at a state like one whose ways are still walked goes round a loop. What will
//! matter on those ways is not known yet, so the path is remembered as a back edge. When all
//! ways from the state that entered the loop are walked, what mattered goes along the back edges
//! until nothing is new.

use crate::cx::Cx;
use crate::precision::{self, Marking, Wanted};
use crate::state::State;
use crate::trail::{CheckpointId, SegmentId};
use std::collections::HashMap;
use ubpf_isa::Pc;

/// How often back edges are gone along; then every number on them matters.
const MAX_ROUNDS: u32 = 64;

/// A loop, as it is entered by one chain of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisitId(u32);

#[derive(Debug, Default)]
struct Visit {
    /// The state that entered it.
    entry: Option<CheckpointId>,
    edges: Vec<BackEdge>,
}

/// A path that ended because its state was like an earlier one.
#[derive(Clone, Copy, Debug)]
pub struct BackEdge {
    /// The state it was like.
    pub like: CheckpointId,
    /// The path.
    pub segment: SegmentId,
    /// Depth of its running frame.
    pub depth: usize,
}

/// All loops that were entered.
#[derive(Debug, Default)]
pub struct Loops {
    visits: Vec<Visit>,
    by_calls: HashMap<(Vec<Pc>, u32), VisitId>,
    edges: u32,
}

impl Loops {
    /// The outermost loop that a state at `pc` is in.
    pub fn visit(&mut self, cx: &Cx<'_>, state: &State, pc: Pc) -> Option<VisitId> {
        let scc = |depth: usize| cx.cfg.mark(state.place_of(depth, pc)).scc;
        let depth = (0..state.depth()).find(|&depth| scc(depth) != 0)?;
        let calls = (0..depth).map(|depth| state.place_of(depth, pc)).collect();
        let new = VisitId(self.visits.len() as u32);
        let id = *self.by_calls.entry((calls, scc(depth))).or_insert(new);
        if id == new {
            self.visits.push(Visit::default());
        }
        Some(id)
    }

    fn get_mut(&mut self, id: VisitId) -> Option<&mut Visit> {
        self.visits.get_mut(id.0 as usize)
    }

    /// A state that was kept in the loop enters it, unless it was entered.
    pub fn enter(&mut self, id: VisitId, state: CheckpointId) {
        if let Some(visit) = self.get_mut(id) {
            visit.entry.get_or_insert(state);
        }
    }

    /// What matters in the loop is not all known yet.
    #[must_use]
    pub fn is_open(&self, id: Option<VisitId>) -> bool {
        let visit = id.and_then(|id| self.visits.get(id.0 as usize));
        visit.is_some_and(|visit| !visit.edges.is_empty())
    }

    /// Back edges that are remembered.
    #[must_use]
    pub const fn edges(&self) -> u32 {
        self.edges
    }

    /// Remembers a back edge.
    pub fn add(&mut self, id: VisitId, edge: BackEdge) {
        if let Some(visit) = self.get_mut(id) {
            visit.edges.push(edge);
            self.edges += 1;
        }
    }

    /// All ways from a state in the loop are walked. Where it entered the loop, this gives the
    /// back edges, to be gone along and then [closed](Self::close).
    pub fn leave(&mut self, id: VisitId, state: CheckpointId) -> Option<Vec<BackEdge>> {
        let visit = self.get_mut(id)?;
        visit.entry.take_if(|entry| *entry == state)?;
        let edges = visit.edges.clone();
        self.edges -= edges.len() as u32;
        Some(edges)
    }

    /// What matters in the loop is known.
    pub fn close(&mut self, id: VisitId) {
        if let Some(visit) = self.get_mut(id) {
            visit.edges.clear();
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// What mattered goes along the back edges, newest first, until nothing is new.
pub fn go_along(marking: &mut Marking<'_>, edges: &[BackEdge]) {
    for round in 0.. {
        if round == MAX_ROUNDS {
            for edge in edges {
                precision::mark_all(marking.trail, marking.kept, edge.segment);
            }
            return;
        }
        let mut found = false;
        for edge in edges.iter().rev() {
            let Some(like) = marking.kept.get(edge.like) else { continue };
            let (pc, wanted) = (like.pc, Wanted::all(edge.depth, &like.precise));
            if let Some(log) = &mut marking.log {
                log.propagates(&like.precise);
            }
            found |= marking.mark(edge.segment, pc, &wanted);
        }
        if !found {
            return;
        }
    }
}
