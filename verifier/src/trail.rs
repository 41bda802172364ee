//! How the walk got where it is: every instruction executed since the program's entry, shared by
//! all paths that have a common beginning.
//!
//! Paths are explored depth first, so all steps lie in one list. A path is a chain of segments,
//! each a stretch of that list; where it forks or a checkpoint is kept, a segment ends. When a
//! path ends and an older one goes on, what lies behind the fork is dropped.

use ubpf_isa::{Pc, RegSet};

/// What an instruction did that its code does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Note {
    /// Nothing.
    #[default]
    Plain,
    /// A register was spilled to, or filled from, a stack slot.
    Slot {
        /// Depth of the frame whose stack it is.
        depth: u8,
        /// Which slot, from the frame pointer downwards.
        slot: u8,
    },
    /// It compared numbers that others are tied to: what is demanded of one is demanded of all.
    Tied(TiedId),
    /// It compared pointers to the stack.
    Pointers {
        /// `dst` was one.
        dst: bool,
        /// `src` was one.
        src: bool,
    },
}

/// One executed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailStep {
    /// Which.
    pub pc: Pc,
    /// Depth of its frame: 0 is the outermost.
    pub depth: u8,
    /// What its code does not say.
    pub note: Note,
}

/// Index of a set of tied numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiedId(u32);

/// Registers and stack slots by frame, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// One entry a frame; frames that are missing have nothing.
    pub frames: Vec<FramePlaces>,
}

/// Registers and stack slots of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramePlaces {
    /// Registers.
    pub regs: RegSet,
    /// Slots, by bit: bit `n` is the slot at `fp - 8(n + 1)`.
    pub slots: u64,
}

impl FramePlaces {
    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Places {
    /// The places of the frame at `depth`.
    #[must_use]
    pub fn frame(&self, depth: usize) -> FramePlaces {
        self.frames.get(depth).copied().unwrap_or_default()
    }

    /// The places of the frame at `depth`, which exists from now on.
    pub fn frame_mut(&mut self, depth: usize) -> &mut FramePlaces {
        if self.frames.len() <= depth {
            self.frames.resize(depth + 1, FramePlaces::default());
        }
        &mut self.frames[depth]
    }
}

/// Index of a kept state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId(pub u32);

/// Index of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId(u32);

#[derive(Clone, Copy, Debug)]
struct Segment {
    parent: Option<SegmentId>,
    /// State kept where the segment begins.
    checkpoint: Option<CheckpointId>,
    start: u32,
    end: u32,
}

/// All steps of all paths that are not yet walked to their end.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    steps: Vec<TrailStep>,
    tied: Vec<Places>,
    segments: Vec<Segment>,
}

/// How much of the trail there was at some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrailMark {
    steps: usize,
    tied: usize,
    segments: usize,
}

impl Trail {
    /// Begins a segment after `parent`.
    pub fn begin(
        &mut self,
        parent: Option<SegmentId>,
        checkpoint: Option<CheckpointId>,
    ) -> SegmentId {
        let at = self.steps.len() as u32;
        self.segments.push(Segment { parent, checkpoint, start: at, end: at });
        SegmentId(self.segments.len() as u32 - 1)
    }

    /// Adds a step to the segment, which is the last one begun.
    pub fn push(&mut self, segment: SegmentId, step: TrailStep) {
        self.steps.push(step);
        self.segments[segment.0 as usize].end = self.steps.len() as u32;
    }

    /// Keeps a set of tied numbers.
    pub fn tie(&mut self, places: Places) -> TiedId {
        self.tied.push(places);
        TiedId(self.tied.len() as u32 - 1)
    }

    /// A set of tied numbers.
    #[must_use]
    pub fn tied(&self, id: TiedId) -> &Places {
        &self.tied[id.0 as usize]
    }

    /// The segment's steps, oldest first, then what lies before it.
    #[must_use]
    pub fn segment(
        &self,
        id: SegmentId,
    ) -> (&[TrailStep], Option<CheckpointId>, Option<SegmentId>) {
        let s = self.segments[id.0 as usize];
        (&self.steps[s.start as usize..s.end as usize], s.checkpoint, s.parent)
    }

    /// The last step up to the end of the segment.
    #[must_use]
    pub fn last_step(&self, id: SegmentId) -> Option<&TrailStep> {
        let mut at = Some(id);
        while let Some(id) = at {
            let (steps, _, parent) = self.segment(id);
            if let Some(last) = steps.last() {
                return Some(last);
            }
            at = parent;
        }
        None
    }

    /// How much there is now.
    #[must_use]
    pub const fn mark(&self) -> TrailMark {
        TrailMark { steps: self.steps.len(), tied: self.tied.len(), segments: self.segments.len() }
    }

    /// Drops what was added since. No path may go on from there.
    pub fn rewind(&mut self, to: TrailMark) {
        self.steps.truncate(to.steps);
        self.tied.truncate(to.tied);
        self.segments.truncate(to.segments);
    }
}
