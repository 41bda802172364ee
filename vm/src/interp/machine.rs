//! What handlers work on.

use super::Interpreted;
use super::backend;
use super::step::{RegIndex, Step, Stop, WINDOWS};
use crate::call::{Guest, GuestCall};
use crate::engine::Thread;
use crate::mem::{Cage, Region, Window, Word};
use crate::run::{Cpu, RunState};
use crate::world::World;
use ubpf_abi::limits::{MAX_CALL_FRAMES, STACK_BYTES};
use ubpf_abi::program::SubprogId;
use ubpf_abi::{Access, Trap, TrapKind};
use ubpf_isa::{Pc, Reg};

/// What a run has once, whatever it calls: the parts that a helper and its callbacks share with
/// the program.
pub(super) struct Core<'m> {
    pub(super) world: &'m World,
    pub(super) cage: &'m Cage,
    pub(super) cpu: Cpu,
    stack: &'m Region,
    /// The program that runs, or that called the helper which runs.
    pub(super) image: &'m Interpreted,
    /// Frames in use.
    frames: u32,
    pub(super) tail_calls: u32,
    /// Budget left at the last exit, call or trap.
    pub(super) remaining: i64,
    trap: Option<Trap>,
    /// The program that trapped.
    pub(super) trapped_in: Option<&'m Interpreted>,
}

impl<'m> Core<'m> {
    pub(super) fn new(
        world: &'m World,
        thread: &'m Thread,
        image: &'m Interpreted,
        budget: i64,
    ) -> Self {
        Self {
            world,
            cage: world.cage(),
            cpu: thread.cpu,
            stack: thread.stack(),
            image,
            frames: 0,
            tail_calls: 0,
            remaining: budget,
            trap: None,
            trapped_in: None,
        }
    }

    pub(super) const fn remaining(&self) -> i64 {
        self.remaining
    }

    /// Calls a function of the current image on a machine of its own.
    pub(super) fn enter(
        &mut self,
        state: &mut dyn RunState,
        func: SubprogId,
        args: [u64; 5],
    ) -> Result<u64, Trap> {
        let image = self.image;
        let refused = |kind| Trap::new(kind, Pc(0));
        // Even a function that does not use its stack gets it here: windows need something to
        // show.
        let Stack { fp, window } = self.next_stack().map_err(refused)?;
        let Frame { steps, .. } = self.push_frame(image, func).map_err(refused)?;
        let [r1, r2, r3, r4, r5] = args;
        let regs = [0, r1, r2, r3, r4, r5, 0, 0, 0, 0, fp];
        let gas = self.remaining.wrapping_sub(steps.len() as i64);
        let epoch = self.cage.epoch();
        let mut machine = Machine {
            regs,
            steps: &image.steps,
            frame: window,
            loads: [window; WINDOWS],
            stores: [window; WINDOWS],
            victim: 0,
            iterations: 0,
            epoch,
            resume: (steps, gas),
            core: self,
            state,
        };
        let stop = backend::run(&mut machine, steps, gas);
        let r0 = machine.regs[0];
        self.pop_frame();
        self.image = image;
        match (stop, self.trap) {
            (Stop::Exit, None) => Ok(r0),
            (_, trap) => Err(trap.unwrap_or(Trap::new(TrapKind::BadPc, Pc(0)))),
        }
    }

    /// Takes the next frame for a function of `image`, cleared as far as the function can reach.
    #[inline]
    pub(super) fn push_frame(
        &mut self,
        image: &'m Interpreted,
        func: SubprogId,
    ) -> Result<Frame<'m>, TrapKind> {
        if self.frames as usize >= MAX_CALL_FRAMES {
            return Err(TrapKind::CallDepth);
        }
        let subprog = image.code.subprog(func).ok_or(TrapKind::BadCallTarget)?;
        let steps = image.steps.get(subprog.start.index()..).ok_or(TrapKind::BadPc)?;
        let stack = match subprog.stack_bytes {
            0 => None,
            bytes => Some(self.clear_next_stack(bytes)?),
        };
        self.frames += 1;
        Ok(Frame { steps, stack })
    }

    fn clear_next_stack(&self, bytes: u32) -> Result<Stack<'m>, TrapKind> {
        let end = Thread::frame_off(self.frames) + STACK_BYTES;
        let cleared = self.stack.fill(end.saturating_sub(bytes), bytes, 0);
        cleared.map_err(|_| TrapKind::StackOverflow)?;
        self.next_stack()
    }

    /// The stack of the frame that is taken next.
    fn next_stack(&self) -> Result<Stack<'m>, TrapKind> {
        if self.frames as usize >= MAX_CALL_FRAMES {
            return Err(TrapKind::CallDepth);
        }
        let off = Thread::frame_off(self.frames);
        let window = self.stack.window(off, STACK_BYTES).ok_or(TrapKind::StackOverflow)?;
        let fp = u64::from(self.stack.addr()) + u64::from(off + STACK_BYTES);
        Ok(Stack { fp, window })
    }

    #[inline]
    pub(super) const fn pop_frame(&mut self) {
        self.frames = self.frames.saturating_sub(1);
    }

    pub(super) const fn set_trap(&mut self, trap: Trap) {
        self.trap = Some(trap);
        self.trapped_in = Some(self.image);
    }
}

/// A frame just taken.
pub(super) struct Frame<'m> {
    /// The function's steps, to the end of the program.
    pub(super) steps: &'m [Step],
    /// Its stack, where it has use for one.
    stack: Option<Stack<'m>>,
}

/// The stack of a frame.
struct Stack<'m> {
    /// Its end: `r10`.
    fp: u64,
    window: Window<'m>,
}

impl Guest for Core<'_> {
    fn call(&mut self, cx: GuestCall<'_>, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let Some(id) = self.image.code.subprog_at(func) else {
            return Err(Trap::new(TrapKind::BadCallTarget, cx.pc).with_info(func));
        };
        if self.remaining < 0 {
            return Err(Trap::new(TrapKind::BudgetExhausted, cx.pc));
        }
        let outcome = self.enter(cx.run, id, args);
        // Whatever traps inside has its own place; the frames that could not be taken have not.
        outcome.map_err(|trap| match trap.kind {
            TrapKind::CallDepth if self.trap.is_none() => Trap { pc: cx.pc, ..trap },
            _ => trap,
        })
    }
}

/// The state of execution: what changes from step to step.
pub(super) struct Machine<'m, 'r> {
    regs: [u64; Reg::COUNT],
    /// All steps of the program that executes, of which jump targets are indexes.
    pub(super) steps: &'m [Step],
    /// The current frame's stack.
    frame: Window<'m>,
    loads: [Window<'m>; WINDOWS],
    stores: [Window<'m>; WINDOWS],
    /// The window that was replaced last.
    victim: usize,
    /// `may_goto`s that the current frame has executed.
    pub(super) iterations: u32,
    /// The cage's epoch when the windows were good.
    epoch: u64,
    /// Where [`Looped`](super::backend::Looped) goes on.
    pub(super) resume: (&'m [Step], i64),
    pub(super) core: &'r mut Core<'m>,
    pub(super) state: &'r mut dyn RunState,
}

impl<'m> Machine<'m, '_> {
    #[inline(always)]
    pub(super) const fn reg(&self, reg: RegIndex) -> u64 {
        self.regs[reg as usize]
    }

    #[inline(always)]
    pub(super) const fn set(&mut self, reg: RegIndex, value: u64) {
        self.regs[reg as usize] = value;
    }

    /// `r1` to `r5`.
    pub(super) const fn args(&self) -> [u64; 5] {
        let [_, r1, r2, r3, r4, r5, ..] = self.regs;
        [r1, r2, r3, r4, r5]
    }

    /// The instruction in front of `rest`.
    pub(super) fn pc(&self, rest: &[Step]) -> Pc {
        let index = self.steps.len().saturating_sub(rest.len() + 1);
        self.core.image.code.pc(crate::code::OpIndex(index as u32))
    }

    /// Ends the run at the step in front of `rest`.
    #[cold]
    pub(super) fn trap(&mut self, kind: TrapKind, rest: &[Step], gas: i64) -> Stop {
        let trap = Trap::new(kind, self.pc(rest));
        self.stop(trap, rest, gas)
    }

    /// Ends the run at the step in front of `rest`, with a trap that says why.
    #[cold]
    pub(super) fn stop(&mut self, trap: Trap, rest: &[Step], gas: i64) -> Stop {
        self.core.remaining = gas + rest.len() as i64;
        self.core.set_trap(trap);
        Stop::Trap
    }
}

/// Frames.
impl<'m> Machine<'m, '_> {
    /// What a callee must leave as it was.
    #[inline(always)]
    pub(super) const fn save(&self) -> Saved<'m> {
        let [_, _, _, _, _, _, r6, r7, r8, r9, fp] = self.regs;
        Saved {
            regs: [r6, r7, r8, r9],
            fp,
            steps: self.steps,
            image: self.core.image,
            frame: self.frame,
            iterations: self.iterations,
        }
    }

    #[inline(always)]
    pub(super) fn restore(&mut self, saved: &Saved<'m>) {
        self.regs[Reg::R6.index()..Reg::FP.index()].copy_from_slice(&saved.regs);
        self.steps = saved.steps;
        self.core.image = saved.image;
        self.iterations = saved.iterations;
        // Every stack ends elsewhere, so this tells whether the callee had one.
        if self.regs[Reg::FP.index()] != saved.fp {
            self.set_stack(&Stack { fp: saved.fp, window: saved.frame });
        }
    }

    /// Begins a frame for a function of `image`.
    #[inline(always)]
    pub(super) fn begin(&mut self, image: &'m Interpreted, frame: &Frame<'m>) {
        self.core.image = image;
        self.steps = &image.steps;
        self.iterations = 0;
        if let Some(stack) = &frame.stack {
            self.set_stack(stack);
        }
    }

    /// Registers of a program that is entered with `r1` as it is.
    pub(super) fn clear_regs(&mut self) {
        let [_, r1, .., fp] = self.regs;
        self.regs = [0, r1, 0, 0, 0, 0, 0, 0, 0, 0, fp];
    }

    const fn set_stack(&mut self, stack: &Stack<'m>) {
        self.regs[Reg::FP.index()] = stack.fp;
        self.frame = stack.window;
        self.loads[0] = stack.window;
        self.stores[0] = stack.window;
    }
}

/// What a frame keeps while its callee executes.
pub(super) struct Saved<'m> {
    /// `r6` to `r9`.
    regs: [u64; 4],
    fp: u64,
    steps: &'m [Step],
    image: &'m Interpreted,
    frame: Window<'m>,
    iterations: u32,
}

/// Memory.
impl<'m> Machine<'m, '_> {
    /// The current frame's stack.
    #[inline(always)]
    pub(super) const fn frame(&self) -> &Window<'m> {
        &self.frame
    }

    /// The window that the step's last load fell into.
    #[inline(always)]
    pub(super) fn load_window(&self, step: &Step) -> &Window<'m> {
        &self.loads[step.hint()]
    }

    /// The window that the step's last store fell into.
    #[inline(always)]
    pub(super) fn store_window(&self, step: &Step) -> &Window<'m> {
        &self.stores[step.hint()]
    }

    /// A load that the first window does not cover.
    #[inline(never)]
    pub(super) fn load_slow<W: Word>(&mut self, step: &Step, addr: u64) -> Option<W> {
        for (index, window) in self.loads.iter().enumerate() {
            if let Some(value) = window.load(addr) {
                step.set_hint(index);
                return Some(value);
            }
        }
        let Some(window) = self.core.cage.window(addr, Access::Read) else {
            return self.core.cage.load(addr).ok();
        };
        let value = window.load(addr)?;
        let index = self.next_victim();
        self.loads[index] = window;
        step.set_hint(index);
        Some(value)
    }

    /// A store that the first window does not cover.
    #[inline(never)]
    pub(super) fn store_slow<W: Word>(&mut self, step: &Step, addr: u64, value: W) -> Stored {
        if let Some(window) = self.find_store_window(step, addr) {
            return if window.store(addr, value).is_some() { Stored::Done } else { Stored::Fault };
        }
        if let Some(off) = self.core.cage.hooked_off(addr) {
            let size = size_of::<W>() as u32;
            let done = self.state.ctx_store(self.core.world, off, size, value.into());
            return if done.is_ok() { Stored::Done } else { Stored::Forbidden };
        }
        if self.core.cage.store(addr, value).is_ok() { Stored::Done } else { Stored::Fault }
    }

    /// The window on which a store at `addr` can fall, made the step's first guess.
    #[inline(never)]
    pub(super) fn find_store_window(&mut self, step: &Step, addr: u64) -> Option<Window<'m>> {
        for (index, window) in self.stores.iter().enumerate() {
            if window.load::<u8>(addr).is_some() {
                step.set_hint(index);
                return Some(*window);
            }
        }
        let window = self.core.cage.window(addr, Access::Write)?;
        let index = self.next_victim();
        self.stores[index] = window;
        step.set_hint(index);
        Some(window)
    }

    /// The window to replace: in turn, but for the first, which is the frame's.
    const fn next_victim(&mut self) -> usize {
        self.victim = self.victim % (WINDOWS - 1) + 1;
        self.victim
    }

    /// Forgets windows that may show what programs may not see any more.
    #[inline]
    pub(super) fn refresh_windows(&mut self) {
        let epoch = self.core.cage.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.loads = [self.frame; WINDOWS];
            self.stores = [self.frame; WINDOWS];
        }
    }
}

/// What became of a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Done.
    Done,
    /// There is no writable memory.
    Fault,
    /// The context's layout does not allow it.
    Forbidden,
}
