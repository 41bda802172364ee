//! What is known at one point of one path: registers, stacks, references.

pub mod held;
pub mod object;
pub mod reg;
pub mod stack;

pub use held::{Acquired, LockKind, LockPlace, Resource};
pub use object::{Dynptr, IrqClass, IrqFlag, Iter, IterState, IterTrust, Object};
pub use reg::{
    Delta, Hold, Link, MapRef, MemKind, Number, Pointer, PtrId, PtrTo, RefId, Reg, ScalarId, Space,
    Trust,
};
pub use stack::{Slot, Stack};

use crate::trail::FramePlaces;
use std::rc::Rc;
use ubpf_abi::program::SubprogId;
use ubpf_isa::{Pc, Reg as RegName};

/// One subprogram's registers and stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which subprogram.
    pub subprog: SubprogId,
    /// Where to go on in the caller; `None` for the outermost frame.
    pub return_to: Option<Pc>,
    /// A helper called it: what it may return.
    pub callback: Option<Callback>,
    /// How often the frame's helper call has called back on the way here.
    pub loops: u32,
    /// How many functions that run later led here, each set by the one before.
    pub entries: u32,
    /// Registers by number.
    pub regs: [Reg; RegName::COUNT],
    /// Stack.
    pub stack: Stack,
}

impl Frame {
    /// A frame at depth `depth` with nothing but its frame pointer.
    #[must_use]
    pub fn new(subprog: SubprogId, depth: u8, return_to: Option<Pc>) -> Self {
        let mut regs = [Reg::Uninit; RegName::COUNT];
        regs[RegName::FP.index()] = Reg::Pointer(Pointer::new(PtrTo::Stack(depth)));
        Self {
            subprog,
            return_to,
            callback: None,
            loops: 0,
            entries: 0,
            regs,
            stack: Stack::default(),
        }
    }

    /// Cuts the ties of numbers.
    pub fn untie(&mut self, places: FramePlaces) {
        let regs = RegName::all().filter(|&r| places.regs.contains(r));
        for reg in regs {
            self.regs[reg.index()].untie();
        }
        let slots = self.stack.slots_mut().iter_mut().enumerate();
        for (_, slot) in slots.filter(|(n, _)| places.slots & 1 << n != 0) {
            slot.reg.untie();
        }
    }

    /// The call that entered it; `None` for the outermost frame.
    #[must_use]
    pub fn call(&self) -> Option<Pc> {
        // A callback goes back to the call itself, which may call again.
        let back = u32::from(self.callback.is_none());
        self.return_to.map(|pc| Pc(pc.0.wrapping_sub(back)))
    }
}

/// What a subprogram that a helper calls owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Smallest and largest value it may return.
    pub returns: (i32, i32),
}

/// Everything known at one point of one path. Frames are shared until they are written.
#[derive(Clone, Debug)]
pub struct State {
    /// Call stack, the running frame last. Never empty.
    frames: Vec<Rc<Frame>>,
    /// What must be given back, oldest first: references, locks, disabled interrupts.
    pub refs: Vec<Acquired>,
    /// RCU read sections entered and not left.
    pub rcu_sections: u32,
    /// How often preemption was disabled and not enabled again.
    pub preempt_disabled: u32,
    /// How many callbacks were entered on the way here.
    pub unrolled: u32,
    /// What runs here may sleep.
    pub sleepable: bool,
    /// How often a `may_goto` went on in its loop on the way here.
    pub may_gotos: u32,
}

impl State {
    /// The state at the entry of a program, or of what is verified on its own.
    #[must_use]
    pub fn new(entry: Frame, sleepable: bool) -> Self {
        Self {
            frames: vec![Rc::new(entry)],
            refs: Vec::new(),
            rcu_sections: 0,
            preempt_disabled: 0,
            unrolled: 0,
            sleepable,
            may_gotos: 0,
        }
    }

    /// Frames on the call stack, at least 1.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.frames.len()
    }

    /// The frames, outermost first.
    #[must_use]
    pub fn frames(&self) -> &[Rc<Frame>] {
        &self.frames
    }

    /// The running frame.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    /// Bytes of the frames that no more than one other state has.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        let own = self.frames.iter().filter(|frame| Rc::strong_count(frame) <= 2);
        own.map(|frame| size_of::<Frame>() + size_of_val(frame.stack.slots())).sum()
    }

    /// The running frame, to be changed.
    pub fn frame_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        Rc::make_mut(&mut self.frames[last])
    }

    /// Both have the same callers, at the same calls.
    #[must_use]
    pub fn has_callers_of(&self, other: &Self) -> bool {
        self.depth() == other.depth()
            && self.frames.iter().zip(&other.frames).all(|(a, b)| a.call() == b.call())
    }

    /// The instruction that the frame at `depth` is at, in a state at `pc`: the running frame is
    /// there, all others are at calls.
    #[must_use]
    pub fn place_of(&self, depth: usize, pc: Pc) -> Pc {
        self.frames.get(depth + 1).and_then(|frame| frame.call()).unwrap_or(pc)
    }

    /// The frame at a depth that a pointer names.
    #[must_use]
    pub fn frame_at(&self, depth: u8) -> &Frame {
        &self.frames[usize::from(depth)]
    }

    /// The frame at a depth that a pointer names, to be changed.
    pub fn frame_at_mut(&mut self, depth: u8) -> &mut Frame {
        Rc::make_mut(&mut self.frames[usize::from(depth)])
    }

    /// Enters a subprogram.
    pub fn push(&mut self, frame: Frame) {
        self.frames.push(Rc::new(frame));
    }

    /// Leaves the running subprogram, unless it is the outermost.
    pub fn pop(&mut self) -> Option<Rc<Frame>> {
        if self.frames.len() > 1 { self.frames.pop() } else { None }
    }

    /// Applies `f` to every register and every spilled register of every frame. Frames in which
    /// `wanted` finds nothing are left alone, and stay shared.
    pub fn for_each_reg(&mut self, wanted: impl Fn(&Reg) -> bool, mut f: impl FnMut(&mut Reg)) {
        for frame in &mut self.frames {
            let spilled = |slot: &Slot| slot.spill_bytes() > 0 && wanted(&slot.reg);
            if !frame.regs.iter().any(&wanted) && !frame.stack.slots().iter().any(spilled) {
                continue;
            }
            let frame = Rc::make_mut(frame);
            frame.regs.iter_mut().filter(|r| wanted(r)).for_each(&mut f);
            let slots = frame.stack.slots_mut().iter_mut();
            slots.filter(|s| spilled(s)).for_each(|s| f(&mut s.reg));
        }
    }

    /// Every object on every stack, with the depth of its frame and its offset.
    pub fn objects(&self) -> impl Iterator<Item = (u8, i32, &Object)> {
        (0..).zip(&self.frames).flat_map(|(depth, frame)| {
            frame.stack.objects().map(move |(off, object)| (depth, off, object))
        })
    }
}
