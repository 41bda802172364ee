//! Which stack slots the rest of a path may read, as far as the walk has seen.
//!
//! Each walked instruction notes the slots that it reads and those that it surely overwrites, in
//! its own frame and in those of its callers. A slot is live where some way leads to a read and
//! no overwriting lies between. What is noted belongs to the chain of calls that leads to the
//! function, because a pointer into a caller's stack may mean other slots for another caller.
//!
//! Notes count when the path that made them ends, or leaves the function: only then states that
//! it came through are compared. New notes go backwards through the code from where they were
//! made, as far as they change anything.

use crate::cfg::Cfg;
use crate::text::Text;
use std::collections::HashMap;
use ubpf_abi::limits::MAX_CALL_FRAMES;
use ubpf_abi::program::SubprogId;
use ubpf_isa::Pc;

/// A function reached by one chain of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain(u32);

impl Chain {
    /// A chain of which nothing is noted.
    pub const UNKNOWN: Self = Self(u32::MAX);
}

/// Slots by bit: bit `n` is the slot at `fp - 8(n + 1)`.
pub type SlotSet = u64;

/// Bytes that the notes may take. Beyond them every slot counts as live, which is safe.
const MAX_BYTES: usize = 192 << 20;

/// What the walk has seen of all chains.
#[derive(Debug, Default)]
pub struct LiveStack {
    chains: Vec<Function>,
    by_call: HashMap<(Option<Chain>, Pc, SubprogId), Chain>,
    /// Instructions that lead to each one, inside a function.
    before: Predecessors,
    bytes: usize,
    /// What the running instruction surely overwrites, by frame.
    writes: [SlotSet; MAX_CALL_FRAMES],
}

#[derive(Debug)]
struct Function {
    caller: Option<(Chain, Pc)>,
    start: Pc,
    len: usize,
    /// Notes of its instructions by frame, where there are any.
    frames: [Option<Box<[Notes]>>; MAX_CALL_FRAMES],
    depth: usize,
    /// The instruction was walked, so its overwriting is known.
    walked: Vec<bool>,
    /// Instructions with notes that do not count yet, by frame.
    fresh: Vec<(u8, Pc)>,
    /// Something that was taken to be overwritten is not.
    overwrites_dropped: bool,
}

/// What is known of one instruction and one frame's stack.
#[derive(Clone, Copy, Debug, Default)]
struct Notes {
    reads: SlotSet,
    overwrites: SlotSet,
    /// Overwritten by it or on all ways from it.
    overwritten: SlotSet,
    live: SlotSet,
}

impl LiveStack {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(text: &Text) -> Self {
        Self { before: Predecessors::of(text), ..Self::default() }
    }

    /// The chain that leads to `subprog` from the instruction at `call` of another chain, or from
    /// nowhere.
    pub fn enter(&mut self, from: Option<(Chain, Pc)>, text: &Text, subprog: SubprogId) -> Chain {
        let (start, end) = text.extent(subprog);
        let key = (from.map(|(chain, _)| chain), from.map_or(start, |(_, call)| call), subprog);
        if let Some(&known) = self.by_call.get(&key) {
            return known;
        }
        self.bytes += size_of::<Function>();
        if self.bytes > MAX_BYTES {
            return Chain::UNKNOWN;
        }
        let caller = from.and_then(|(chain, _)| self.chains.get(chain.0 as usize));
        let depth = caller.map_or(0, |caller| caller.depth + 1);
        let id = Chain(self.chains.len() as u32);
        self.chains.push(Function {
            caller: from,
            start,
            len: (end.0 - start.0) as usize,
            frames: Default::default(),
            depth: depth.min(MAX_CALL_FRAMES - 1),
            walked: Vec::new(),
            fresh: Vec::new(),
            overwrites_dropped: false,
        });
        self.by_call.insert(key, id);
        id
    }

    /// The instruction at `pc` may read these slots of the frame at `depth`.
    pub fn read(&mut self, chain: Chain, depth: u8, pc: Pc, slots: SlotSet) {
        let Some(function) = self.chains.get_mut(chain.0 as usize) else { return };
        let Some(notes) = function.notes_mut(depth, pc, &mut self.bytes) else { return };
        let new = slots & !notes.reads;
        notes.reads |= slots;
        if new & !notes.live != 0 {
            function.fresh.push((depth, pc));
        }
    }

    /// The running instruction surely overwrites these slots of the frame at `depth`.
    pub fn write(&mut self, depth: u8, slots: SlotSet) {
        if let Some(writes) = self.writes.get_mut(usize::from(depth)) {
            *writes |= slots;
        }
    }

    /// The instruction at `pc` is done.
    pub fn commit(&mut self, chain: Chain, pc: Pc) {
        let writes = std::mem::take(&mut self.writes);
        if let Some(function) = self.chains.get_mut(chain.0 as usize) {
            function.commit(pc, &writes, &mut self.bytes);
        }
    }

    /// The instruction entered another function: what it overwrites is known when that returns.
    pub fn leave_open(&mut self) {
        self.writes = Default::default();
    }

    /// The path in the function of this chain ends or returns: all notes of the chain and of its
    /// callers count.
    pub fn settle(&mut self, text: &Text, cfg: &Cfg, chain: Chain) {
        let mut at = Some(chain);
        while let Some(id) = at {
            let Some(function) = self.chains.get_mut(id.0 as usize) else { return };
            let caller = function.caller;
            if !function.fresh.is_empty() {
                function.update(&self.before, text, cfg, id_of(text, function.start));
                self.tell_caller(id);
            }
            at = caller.map(|(chain, _)| chain);
        }
    }

    /// What a call does is what the function does from its start.
    fn tell_caller(&mut self, id: Chain) {
        let Some(function) = self.chains.get(id.0 as usize) else { return };
        let Some((caller, call)) = function.caller else { return };
        let mut writes = [0; MAX_CALL_FRAMES];
        let mut reads = [0; MAX_CALL_FRAMES];
        for depth in 0..function.depth {
            let first = function.frames[depth].as_ref().and_then(|notes| notes.first());
            if let Some(first) = first {
                (writes[depth], reads[depth]) = (first.overwritten, first.live);
            }
        }
        for (depth, &slots) in (0..).zip(&reads[..function.depth]) {
            if slots != 0 {
                self.read(caller, depth, call, slots);
            }
        }
        if let Some(caller) = self.chains.get_mut(caller.0 as usize) {
            caller.commit(call, &writes, &mut self.bytes);
        }
    }

    /// Slots of the frame at `depth` that a state at `pc` in `chain` may still read. `calls_back`
    /// tells calls that may go into their callbacks again.
    #[must_use]
    pub fn live(
        &self,
        mut chain: Chain,
        mut pc: Pc,
        depth: u8,
        calls_back: impl Fn(Pc) -> bool,
    ) -> SlotSet {
        if self.bytes > MAX_BYTES {
            return SlotSet::MAX;
        }
        let mut live = 0;
        loop {
            let Some(function) = self.chains.get(chain.0 as usize) else { return SlotSet::MAX };
            if function.depth < usize::from(depth) {
                return live;
            }
            live |= function.notes(depth, pc).live;
            let Some((caller, call)) = function.caller else { return live };
            chain = caller;
            pc = if calls_back(call) { call } else { Pc(call.0 + 1) };
        }
    }
}

fn id_of(text: &Text, start: Pc) -> SubprogId {
    text.subprog_at(start)
}

impl Function {
    fn index(&self, pc: Pc) -> usize {
        (pc.0 - self.start.0) as usize
    }

    fn notes(&self, depth: u8, pc: Pc) -> Notes {
        let notes = self.frames.get(usize::from(depth)).and_then(Option::as_ref);
        notes.and_then(|notes| notes.get(self.index(pc)).copied()).unwrap_or_default()
    }

    fn notes_mut(&mut self, depth: u8, pc: Pc, bytes: &mut usize) -> Option<&mut Notes> {
        let index = self.index(pc);
        let frame = self.frames.get_mut(usize::from(depth))?;
        if frame.is_none() {
            *bytes += self.len * size_of::<Notes>();
            if *bytes > MAX_BYTES {
                return None;
            }
            *frame = Some(vec![Notes::default(); self.len].into_boxed_slice());
        }
        frame.as_mut()?.get_mut(index)
    }

    /// An instruction overwrites what it overwrote every time that it was walked.
    fn commit(&mut self, pc: Pc, writes: &[SlotSet; MAX_CALL_FRAMES], bytes: &mut usize) {
        let index = self.index(pc);
        let walked = self.walked.get(index).copied().unwrap_or_default();
        for (depth, &slots) in (0..).zip(&writes[..=self.depth]) {
            let known = self.frames[usize::from(depth)].is_some();
            if slots == 0 && !(walked && known) {
                continue;
            }
            let Some(notes) = self.notes_mut(depth, pc, bytes) else { continue };
            let old = notes.overwrites;
            let new = if walked { slots & old } else { slots };
            notes.overwrites = new;
            if old != new {
                self.fresh.push((depth, pc));
            }
            self.overwrites_dropped |= old & !new != 0;
        }
        if !walked {
            if self.walked.is_empty() {
                self.walked = vec![false; self.len];
            }
            if let Some(walked) = self.walked.get_mut(index) {
                *walked = true;
            }
        }
    }

    /// Takes the fresh notes in.
    fn update(&mut self, before: &Predecessors, text: &Text, cfg: &Cfg, subprog: SubprogId) {
        let mut work = std::mem::take(&mut self.fresh);
        if std::mem::take(&mut self.overwrites_dropped) {
            for notes in self.frames.iter_mut().flatten().flat_map(|notes| notes.iter_mut()) {
                notes.overwritten = 0;
            }
            for depth in (0..=self.depth as u8).filter(|&d| self.frames[usize::from(d)].is_some()) {
                work.extend(cfg.postorder(subprog).iter().rev().map(|&pc| (depth, pc)));
            }
        }
        while let Some((depth, pc)) = work.pop() {
            let (start, len) = (self.start, self.len);
            let Some(notes) = self.frames[usize::from(depth)].as_mut() else { continue };
            let at = |pc: Pc| {
                let index = pc.0.checked_sub(start.0).map(|i| i as usize);
                index.filter(|&i| i < len)
            };
            let (mut live, mut overwritten, mut ends) = (0, SlotSet::MAX, true);
            for next in crate::cfg::successors(text, pc) {
                ends = false;
                let next = at(next).and_then(|i| notes.get(i).copied()).unwrap_or_default();
                live |= next.live;
                overwritten &= next.overwritten;
            }
            // Nothing follows an exit, and it accesses no stack.
            let Some(mine) = at(pc).and_then(|i| notes.get_mut(i)).filter(|_| !ends) else {
                continue;
            };
            let live = live & !mine.overwrites | mine.reads;
            let overwritten = overwritten | mine.overwrites;
            if (live, overwritten) != (mine.live, mine.overwritten) {
                (mine.live, mine.overwritten) = (live, overwritten);
                work.extend(before.of_insn(pc).iter().map(|&pc| (depth, pc)));
            }
        }
    }
}

/// Which instructions lead to each one, inside a function.
#[derive(Debug, Default)]
struct Predecessors {
    /// Where those of each slot begin, and the end of the last.
    starts: Vec<u32>,
    pcs: Vec<Pc>,
}

impl Predecessors {
    fn of(text: &Text) -> Self {
        let edges = || {
            text.insns()
                .flat_map(|(pc, _)| crate::cfg::successors(text, pc).map(move |to| (pc, to)))
        };
        let mut starts = vec![0_u32; text.len() + 1];
        for (_, to) in edges() {
            starts[to.index() + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut fill = starts.clone();
        let mut pcs = vec![Pc(0); edges().count()];
        for (from, to) in edges() {
            let at = &mut fill[to.index()];
            pcs[*at as usize] = from;
            *at += 1;
        }
        Self { starts, pcs }
    }

    fn of_insn(&self, pc: Pc) -> &[Pc] {
        let at = |i: usize| self.starts.get(i).map_or(self.pcs.len(), |&at| at as usize);
        self.pcs.get(at(pc.index())..at(pc.index() + 1)).unwrap_or_default()
    }
}
