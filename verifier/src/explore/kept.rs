//! States kept at places where paths meet, by place, newest first.
//!
//! Those at one place that were entered by the same call form a list. A state leaves its list
//! when it is compared in vain too often, and is dropped when no way from it is left to walk and
//! no loop still refers to it.

use super::Stats;
use super::loops::VisitId;
use crate::liveness::Chain;
use crate::prune::Old;
use crate::state::State;
use crate::trail::{CheckpointId, Places};
use ubpf_isa::Pc;

/// A kept state.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where.
    pub pc: Pc,
    /// What was known.
    pub state: State,
    /// Numbers that mattered on some way from here.
    pub precise: Places,
    /// Stack slots that no way from here reads, by frame, once all are walked.
    pub dead: Vec<u64>,
    /// The dead parts are known.
    pub cleaned: bool,
    /// The chain of calls that leads here.
    pub chain: Chain,
    /// The kept state before it on its path.
    pub parent: Option<CheckpointId>,
    /// The loop that it is in.
    pub visit: Option<VisitId>,
    /// Ways from here that are not walked to their end.
    pub open: u32,
    /// Comparisons that ended a path.
    pub hits: u32,
    /// Comparisons in vain.
    pub misses: u32,
    /// What it takes, without what it shares with the state kept before it.
    bytes: usize,
    /// The next one in its list.
    next: Option<CheckpointId>,
    /// It is in no list any more.
    evicted: bool,
}

impl Checkpoint {
    /// A state at `pc` that is about to be walked from.
    #[must_use]
    pub const fn new(
        pc: Pc,
        state: State,
        chain: Chain,
        parent: Option<CheckpointId>,
        visit: Option<VisitId>,
    ) -> Self {
        Self {
            pc,
            state,
            precise: Places { frames: Vec::new() },
            dead: Vec::new(),
            cleaned: false,
            chain,
            parent,
            visit,
            open: 1,
            hits: 0,
            misses: 0,
            bytes: 0,
            next: None,
            evicted: false,
        }
    }

    /// What is known of it, to be compared with a new state.
    #[must_use]
    pub fn old(&self) -> Old<'_> {
        Old { state: &self.state, precise: &self.precise, dead: &self.dead }
    }
}

/// All kept states.
#[derive(Debug)]
pub struct Kept {
    states: Vec<Option<Checkpoint>>,
    free: Vec<CheckpointId>,
    /// First of each list, by place and call.
    lists: Vec<Option<CheckpointId>>,
    /// In lists.
    listed: u32,
    /// Evicted but not dropped.
    evicted: u32,
    /// What all of them take.
    bytes: usize,
}

/// Bytes that kept states may take. Beyond them no more are kept, which is safe: paths are walked
/// that need not be, up to the limit of instructions.
const MAX_BYTES: usize = 640 << 20;

impl Kept {
    /// None yet, of a program of `slots` slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            states: Vec::new(),
            free: Vec::new(),
            lists: vec![None; slots],
            listed: 0,
            evicted: 0,
            bytes: 0,
        }
    }

    /// A kept state.
    #[must_use]
    pub fn get(&self, id: CheckpointId) -> Option<&Checkpoint> {
        self.states.get(id.0 as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: CheckpointId) -> Option<&mut Checkpoint> {
        self.states.get_mut(id.0 as usize)?.as_mut()
    }

    /// The list of states at `pc` whose running frame was entered by the same call as that of
    /// `state`. States of other places may be in it.
    fn list(&self, pc: Pc, state: &State) -> usize {
        let call = state.frame().call().map_or(u32::MAX, |call| call.0);
        (pc.0 ^ call) as usize % self.lists.len().max(1)
    }

    /// The newest state of the list for `pc` and `state`.
    #[must_use]
    pub fn first(&self, pc: Pc, state: &State) -> Option<CheckpointId> {
        self.lists.get(self.list(pc, state)).copied().flatten()
    }

    /// The next older state in the same list.
    #[must_use]
    pub fn next(&self, id: CheckpointId) -> Option<CheckpointId> {
        self.get(id)?.next
    }

    /// The states in the list for `pc` and `state`, newest first.
    pub fn iter(&self, pc: Pc, state: &State) -> impl Iterator<Item = (CheckpointId, &Checkpoint)> {
        let first = self.first(pc, state);
        std::iter::successors(first, |&id| self.next(id))
            .filter_map(|id| Some((id, self.get(id)?)))
            .filter(move |(_, kept)| kept.pc == pc)
    }

    /// Whether one more can be kept.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.bytes < MAX_BYTES
    }

    /// Keeps a state.
    pub fn add(&mut self, mut kept: Checkpoint) -> CheckpointId {
        kept.bytes = size_of::<Checkpoint>() + kept.state.own_bytes();
        self.bytes += kept.bytes;
        let list = self.list(kept.pc, &kept.state);
        let first = self.lists.get(list).copied().flatten();
        kept.next = first;
        let id = match self.free.pop() {
            Some(id) => {
                self.states[id.0 as usize] = Some(kept);
                id
            }
            None => {
                self.states.push(Some(kept));
                CheckpointId(self.states.len() as u32 - 1)
            }
        };
        if let Some(list) = self.lists.get_mut(list) {
            *list = Some(id);
        }
        self.listed += 1;
        id
    }

    /// Takes a state out of its list, where `before` is the one before it. `referred` says that
    /// a loop refers to it.
    pub fn evict(&mut self, before: Option<CheckpointId>, id: CheckpointId, referred: bool) {
        let Some(kept) = self.get_mut(id) else { return };
        kept.evicted = true;
        let next = kept.next;
        let list = self.get(id).map(|kept| self.list(kept.pc, &kept.state));
        match before {
            Some(before) => {
                if let Some(before) = self.get_mut(before) {
                    before.next = next;
                }
            }
            None => {
                if let Some(list) = list.and_then(|list| self.lists.get_mut(list)) {
                    *list = next;
                }
            }
        }
        self.listed -= 1;
        self.evicted += 1;
        self.drop_evicted(id, referred);
    }

    /// Drops a state that is in no list, unless ways from it are open or a loop refers to it.
    pub fn drop_evicted(&mut self, id: CheckpointId, referred: bool) {
        let done = |kept: &Checkpoint| kept.evicted && kept.open == 0 && !referred;
        if self.get(id).is_some_and(done) {
            if let Some(kept) = self.states[id.0 as usize].take() {
                self.bytes -= kept.bytes;
            }
            self.free.push(id);
            self.evicted -= 1;
        }
    }

    /// Counts the states there are, and `others` beside them.
    pub fn count_peak(&self, others: u32, stats: &mut Stats) {
        stats.peak_states = stats.peak_states.max(self.listed + self.evicted + others);
    }

    /// Forgets all states, though not how many there were: the kernel does not either.
    pub fn clear(&mut self) {
        self.states.clear();
        self.free.clear();
        self.lists.fill(None);
        self.evicted = 0;
        self.bytes = 0;
    }
}
