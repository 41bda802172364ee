//! How the walk got where it is: every instruction executed since the program's entry, shared by
//! all paths that have a common beginning.
//!
//! Paths are explored depth first, so all steps lie in one list. A path is a chain of segments,
//! each a stretch of that list; where it forks or a checkpoint is kept, a segment ends.

use crate::transfer::StackTouch;
use ubpf_isa::{Pc, RegSet};

/// One executed instruction.
#[derive(Clone, Copy, Debug)]
pub struct TrailStep {
    /// Which.
    pub pc: Pc,
    /// Stack bytes it read or wrote.
    pub touch: Option<StackTouch>,
    /// Frames on the call stack before it.
    pub frames: u8,
    /// It ended a callback: the frame below is at the call that called back, not behind it.
    pub callback_end: bool,
    /// Index of the numbers that it narrowed together.
    pub tied: Option<TiedId>,
}

/// Index of a [`Tied`] set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiedId(u32);

/// Numbers of common origin: what is demanded of one is demanded of all. One entry a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Registers and stack slots by frame, outermost first.
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
    /// Nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.iter().all(FramePlaces::is_empty)
    }

    /// The places of the frame at `depth`, which exists from now on.
    pub fn frame_mut(&mut self, depth: usize) -> &mut FramePlaces {
        if self.frames.len() <= depth {
            self.frames.resize(depth + 1, FramePlaces::default());
        }
        &mut self.frames[depth]
    }

    /// Whether the two have a place in common.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.frames
            .iter()
            .zip(&other.frames)
            .any(|(a, b)| a.slots & b.slots != 0 || a.regs & b.regs != RegSet::EMPTY)
    }

    /// Adds all places of the other.
    pub fn extend(&mut self, other: &Self) {
        for (depth, places) in other.frames.iter().enumerate() {
            let mine = self.frame_mut(depth);
            mine.regs |= places.regs;
            mine.slots |= places.slots;
        }
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

/// All steps of all paths.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    steps: Vec<TrailStep>,
    tied: Vec<Places>,
    segments: Vec<Segment>,
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

    /// Steps since the last checkpoint, or since the entry.
    #[must_use]
    pub fn steps_since_checkpoint(&self, mut id: SegmentId) -> usize {
        let mut count = 0;
        loop {
            let (steps, checkpoint, parent) = self.segment(id);
            count += steps.len();
            match (checkpoint, parent) {
                (None, Some(parent)) => id = parent,
                _ => return count,
            }
        }
    }
}
