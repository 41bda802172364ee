//! What handlers work on.

use super::Interpreted;
use super::allowance::Allowance;
use super::backend;
use super::step::{RegIndex, Step, Stop};
use crate::call::{Guest, GuestCall};
use crate::engine::Thread;
use crate::mem::{Cage, Region, View, Window, Windows, Word};
use crate::run::{Cpu, RunState};
use crate::world::World;
use core::hint::black_box;
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
    /// The thread's windows, until the outermost machine has them.
    windows: Option<&'m mut Windows>,
    /// The program that runs, or that called the helper which runs.
    pub(super) image: &'m Interpreted,
    /// Frames in use.
    frames: u32,
    pub(super) tail_calls: u32,
    /// Budget left at the last exit, call or trap.
    pub(super) remaining: i64,
    pub(super) allowance: Allowance,
    trap: Option<Trap>,
    /// The program that trapped.
    pub(super) trapped_in: Option<&'m Interpreted>,
}

impl<'m> Core<'m> {
    pub(super) fn new(
        world: &'m World,
        cpu: Cpu,
        stack: &'m Region,
        windows: &'m mut Windows,
        image: &'m Interpreted,
        allowance: Allowance,
    ) -> Self {
        Self {
            world,
            // The stack and the windows are of this cage, so all accesses must be.
            cage: stack.cage(),
            cpu,
            stack,
            windows: Some(windows),
            image,
            frames: 0,
            tail_calls: 0,
            remaining: allowance.granted(),
            allowance,
            trap: None,
            trapped_in: None,
        }
    }

    /// Calls a function of the current image on a machine of its own, and gives its `r0`.
    /// `None` means that [`Core::trap`] says why there is none.
    pub(super) fn enter(
        &mut self,
        state: &mut dyn RunState,
        func: SubprogId,
        args: &[u64; 5],
    ) -> Option<u64> {
        let image = self.image;
        // Even a function that does not use its stack gets it here: windows need something to
        // show.
        let (stack, frame) = match (self.next_stack(), self.push_frame(image, func)) {
            (Ok(stack), Ok(frame)) => (stack, frame),
            (Err(kind), _) | (_, Err(kind)) => {
                self.set_trap(Trap::new(kind, Pc(0)));
                return None;
            }
        };
        // One by one: a wide copy would have to wait until the caller's narrow stores of these
        // numbers are through, which takes longer than an empty program.
        let [r1, r2, r3, r4, r5] = args.map(black_box);
        let regs = [0, r1, r2, r3, r4, r5, 0, 0, 0, 0, stack.fp];
        let gas = self.remaining.wrapping_sub(frame.steps.len() as i64);
        // A callback has windows of its own: its stack is another.
        let mut own;
        let windows = match self.windows.take() {
            Some(windows) => {
                windows.refresh(self.cage);
                windows.set_stack(stack.window);
                windows
            }
            None => {
                own = Windows::new(self.cage, stack.window);
                &mut own
            }
        };
        let mut machine = Machine {
            regs,
            steps: &image.steps,
            frame: stack.window,
            windows,
            iterations: 0,
            resume: (frame.steps, gas),
            view: self.cage.view(),
            core: self,
            state,
        };
        let stop = backend::run(&mut machine, frame.steps, gas);
        let r0 = machine.regs[0];
        self.pop_frame();
        self.image = image;
        (stop == Stop::Exit).then_some(r0)
    }

    /// The trap that ended the run.
    #[cold]
    pub(super) fn trap(&self) -> Trap {
        self.trap.unwrap_or(Trap::new(TrapKind::BadPc, Pc(0)))
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

    fn clear_next_stack(&self, bytes: u32) -> Result<Stack, TrapKind> {
        let end = Thread::frame_off(self.frames) + STACK_BYTES;
        let cleared = self.stack.fill(end.saturating_sub(bytes), bytes, 0);
        cleared.map_err(|_| TrapKind::StackOverflow)?;
        self.next_stack()
    }

    /// The stack of the frame that is taken next.
    fn next_stack(&self) -> Result<Stack, TrapKind> {
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

    /// Notes why the run ends. A trap in a callback comes by again on its way out through the
    /// helper; the innermost program is the one it belongs to.
    pub(super) fn set_trap(&mut self, trap: Trap) {
        self.trap = Some(trap);
        self.trapped_in.get_or_insert(self.image);
    }
}

/// A frame just taken.
pub(super) struct Frame<'m> {
    /// The function's steps, to the end of the program.
    pub(super) steps: &'m [Step],
    /// Its stack, where it has use for one.
    stack: Option<Stack>,
}

/// The stack of a frame.
struct Stack {
    /// Its end: `r10`.
    fp: u64,
    window: Window,
}

impl Guest for Core<'_> {
    fn call(&mut self, cx: GuestCall<'_>, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let Some(id) = self.image.code.subprog_at(func) else {
            return Err(Trap::new(TrapKind::BadCallTarget, cx.pc).with_info(func));
        };
        if self.remaining < 0 {
            let refilled = self.allowance.refill(self.remaining);
            self.remaining = refilled.map_err(|kind| Trap::new(kind, cx.pc))?;
        }
        if self.frames as usize >= MAX_CALL_FRAMES {
            return Err(Trap::new(TrapKind::CallDepth, cx.pc));
        }
        self.enter(cx.run, id, &args).ok_or_else(|| self.trap())
    }
}

/// The state of execution: what changes from step to step.
pub(super) struct Machine<'m, 'r> {
    regs: [u64; Reg::COUNT],
    /// All steps of the program that executes, of which jump targets are indexes.
    pub(super) steps: &'m [Step],
    /// The current frame's stack.
    frame: Window,
    windows: &'r mut Windows,
    /// `may_goto`s that the current frame has executed.
    pub(super) iterations: u32,
    /// Where [`Looped`](super::backend::Looped) goes on.
    pub(super) resume: (&'m [Step], i64),
    pub(super) view: View<'m>,
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
    pub(super) fn save(&self) -> Saved<'m> {
        let [_, _, _, _, _, _, r6, r7, r8, r9, fp] = self.regs;
        Saved {
            // One by one, for the reason given in `enter`.
            regs: [r6, r7, r8, r9].map(black_box),
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

    const fn set_stack(&mut self, stack: &Stack) {
        self.regs[Reg::FP.index()] = stack.fp;
        self.frame = stack.window;
        self.windows.set_stack(stack.window);
    }
}

/// What a frame keeps while its callee executes.
pub(super) struct Saved<'m> {
    /// `r6` to `r9`.
    regs: [u64; 4],
    fp: u64,
    steps: &'m [Step],
    image: &'m Interpreted,
    frame: Window,
    iterations: u32,
}

/// Memory.
impl Machine<'_, '_> {
    /// The current frame's stack.
    #[inline(always)]
    pub(super) const fn frame(&self) -> &Window {
        &self.frame
    }

    /// The window that the step's last load fell into.
    #[inline(always)]
    pub(super) fn load_window(&self, step: &Step) -> &Window {
        self.windows.load(step.hint())
    }

    /// The window that the step's last store fell into.
    #[inline(always)]
    pub(super) fn store_window(&self, step: &Step) -> &Window {
        self.windows.store(step.hint())
    }

    /// Finds the window that an access at `addr` falls into, and makes it the step's guess.
    #[inline(never)]
    pub(super) fn find_window(&mut self, step: &Step, addr: u64, access: Access) -> Option<Window> {
        let number = self.windows.find(self.core.cage, addr, access)?;
        step.set_hint(number);
        Some(match access {
            Access::Read => *self.windows.load(number),
            Access::Write => *self.windows.store(number),
        })
    }

    /// A load that the first window does not cover.
    pub(super) fn load_slow<W: Word>(&mut self, step: &Step, addr: u64) -> Option<W> {
        match self.find_window(step, addr, Access::Read) {
            Some(window) => self.view.load(&window, addr),
            None => self.core.cage.load(addr).ok(),
        }
    }

    /// A store that the first window does not cover.
    pub(super) fn store_slow<W: Word>(&mut self, step: &Step, addr: u64, value: W) -> Stored {
        if let Some(window) = self.find_window(step, addr, Access::Write) {
            let done = self.view.store(&window, addr, value).is_some();
            return if done { Stored::Done } else { Stored::Fault };
        }
        if let Some(off) = self.core.cage.hooked_off(addr) {
            let size = size_of::<W>() as u32;
            let done = self.state.ctx_store(self.core.world, off, size, value.into());
            return if done.is_ok() { Stored::Done } else { Stored::Forbidden };
        }
        if self.core.cage.store(addr, value).is_ok() { Stored::Done } else { Stored::Fault }
    }

    /// Forgets windows that may show what programs may not see any more.
    #[inline]
    pub(super) fn refresh_windows(&mut self) {
        self.windows.refresh(self.core.cage);
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
