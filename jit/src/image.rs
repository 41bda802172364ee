//! A compiled program, and the ways into it: calls from outside and callbacks from helpers.

use crate::code::Executable;
use crate::compile_as;
use crate::entry;
use crate::fault::Watch;
use crate::meter::Meter;
use crate::run::{Run, Start};
use crate::thunks;
use crate::window::Windows;
use core::ptr::with_exposed_provenance;
use dynasmrt::AssemblyOffset;
use std::any::Any;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock};
use ubpf_abi::limits::{MAX_CALL_FRAMES, STACK_BYTES};
use ubpf_abi::program::SubprogId;
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Pc;
use ubpf_vm::call::{Answer, CallCx, Guest, GuestCall};
use ubpf_vm::code::{Code, MemMode, Op, OpIndex};
use ubpf_vm::engine::{Call, Image, Thread};
use ubpf_vm::run::Outcome;

/// What a machine's assembler makes of a program.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) code: Vec<u8>,
    /// The way in from Rust; see [`entry`].
    pub(crate) trampoline: AssemblyOffset,
    /// Where each function begins.
    pub(crate) entries: Vec<AssemblyOffset>,
    /// Where tail calls enter.
    pub(crate) tail_entry: AssemblyOffset,
    /// Where faults land; see [`fault`](crate::fault).
    pub(crate) landing: AssemblyOffset,
    /// Where the accesses that nothing checks begin, ascending, with their ops.
    pub(crate) accesses: Vec<(AssemblyOffset, OpIndex)>,
    pub(crate) needs: Needs,
    /// Where ops begin, in the code's order, where that was asked for.
    pub(crate) marks: Vec<(AssemblyOffset, OpIndex)>,
}

/// What code needs of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs<A = AssemblyOffset> {
    /// Nothing: it computes a number from numbers.
    Nothing,
    /// Memory. This is the way in.
    Memory(A),
    /// All of it.
    Run,
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Native {
    code: Arc<Code>,
    meter: Meter,
    /// Addresses, exposed, of its trampoline, its functions, and where tail calls enter.
    trampoline: usize,
    entries: Vec<usize>,
    tail_entry: usize,
    needs: Needs<usize>,
    /// A run with at least this budget need not be counted. 0 where the code counts anyway.
    free_budget: u64,
    /// Whether it counts the ops that it executes.
    metered: bool,
    /// Whether it can tail-call others, which may be checked code.
    tail_calls: bool,
    /// The same code counting, made when a run first demands it.
    counting: OnceLock<Option<Box<Self>>>,
    accesses: Vec<(AssemblyOffset, OpIndex)>,
    /// Before the pages, so that it goes first.
    _watch: Option<Watch>,
    pages: Executable,
}

/// Bytes from the end of one frame's stack to the end of the next.
pub(crate) const FRAME_STRIDE: u32 = Thread::frame_off(0) - Thread::frame_off(1);

impl Native {
    pub(crate) fn new(
        code: Arc<Code>,
        assembled: Assembled,
        meter: Meter,
        metered: bool,
    ) -> std::io::Result<Self> {
        let Assembled { code: bytes, entries, landing, accesses, needs, .. } = assembled;
        let Assembled { trampoline, tail_entry, .. } = assembled;
        let pages = Executable::new(&bytes)?;
        let start = pages.at(AssemblyOffset(0)).addr();
        let watched = start..start + bytes.len();
        let watch = if accesses.is_empty() {
            None
        } else {
            let landing = pages.at(landing).addr();
            let watch = Watch::new(watched, code.host_base(), landing);
            Some(watch.ok_or_else(|| std::io::Error::other("faults cannot be handled here"))?)
        };
        let (tail_calls, counting) = (code.ops().contains(&Op::TailCall), OnceLock::new());
        let address = |at| pages.at(at).expose_provenance();
        let free_budget = if metered { 0 } else { code.max_insns().unwrap_or(u64::MAX) };
        Ok(Self {
            trampoline: address(trampoline),
            entries: entries.into_iter().map(address).collect(),
            tail_entry: address(tail_entry),
            needs: match needs {
                Needs::Nothing => Needs::Nothing,
                Needs::Memory(leaf) => Needs::Memory(address(leaf)),
                Needs::Run => Needs::Run,
            },
            free_budget,
            code,
            meter,
            metered,
            tail_calls,
            counting,
            accesses,
            _watch: watch,
            pages,
        })
    }

    /// The op whose access the instruction at this address makes.
    pub(crate) fn op_at(&self, ip: usize) -> Option<OpIndex> {
        let start = self.pages.at(AssemblyOffset(0)).addr();
        let offset = AssemblyOffset(ip.checked_sub(start)?);
        let behind = self.accesses.partition_point(|(at, _)| *at <= offset);
        self.accesses.get(behind.checked_sub(1)?).map(|&(_, op)| op)
    }

    pub(crate) const fn code(&self) -> &Arc<Code> {
        &self.code
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Its machine code.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.pages.bytes()
    }

    #[inline]
    pub(crate) fn trampoline(&self) -> *const u8 {
        with_exposed_provenance(self.trampoline)
    }

    #[inline]
    pub(crate) fn entry(&self, func: SubprogId) -> Option<*const u8> {
        self.entries.get(func.0 as usize).map(|&at| with_exposed_provenance(at))
    }

    pub(crate) fn tail_entry(&self) -> *const u8 {
        with_exposed_provenance(self.tail_entry)
    }
}

/// Where the first and the last frame's stack end, in bytes from the start of the thread's.
const FIRST_END: u32 = Thread::frame_off(0) + STACK_BYTES;
const LAST_END: u32 = Thread::frame_off(MAX_CALL_FRAMES as u32 - 1) + STACK_BYTES;

impl Native {
    /// Whether the budget, or somebody, demands that ops are counted and this code does not.
    #[inline]
    const fn must_count(&self, thread: &Thread) -> bool {
        self.free_budget > thread.budget || thread.counts && !self.metered
    }

    /// The outcome of a run that ended in a fault, as [`entry::enter_leaf`] tells it.
    #[cold]
    fn faulted(&self, thread: &mut Thread, answer: Answer) -> Outcome {
        let addr = (answer.over.cast_signed() >> 1).cast_unsigned();
        let op = self.op_at(answer.value as usize).unwrap_or_default();
        thread.trapped_in = Some(Arc::clone(&self.code));
        Outcome { result: Err(thunks::fault_trap(&self.code, op, addr)), insns: 0 }
    }

    /// Runs the same program compiled so that it counts.
    #[cold]
    fn counted(&self, thread: &mut Thread, call: Call<'_>) -> Outcome {
        self.twin().run(thread, call)
    }

    /// The same program compiled so that it counts. Should there be no memory for that, it does
    /// without.
    fn twin(&self) -> &Self {
        let make = || compile_as(Arc::clone(&self.code), self.code.mode(), true);
        self.counting.get_or_init(|| make().ok().map(Box::new)).as_deref().unwrap_or(self)
    }

    /// What takes over when a program tail-calls this one: code that counts where that counted.
    /// Checked code and such that was verified keep different things in registers.
    pub(crate) fn follower_of(&self, now: &Self) -> Option<&Self> {
        let checked = |image: &Self| image.code.mode() == MemMode::Checked;
        let follower = if now.metered && !self.metered { self.twin() } else { self };
        (checked(self) == checked(now)).then_some(follower)
    }

    /// Apart from calls of programs that need none of this, which it would slow down.
    #[inline(never)]
    fn run(&self, thread: &mut Thread, call: Call<'_>) -> Outcome {
        let budget = i64::try_from(thread.budget).unwrap_or(i64::MAX);
        let Some(entry) = self.entry(call.func) else {
            let trap = Trap::new(TrapKind::BadCallTarget, Pc(0));
            return Outcome { result: Err(trap), insns: 0 };
        };
        let windows = (self.code.mode() == MemMode::Checked || self.tail_calls).then(|| {
            let kept = thread.kept.take().and_then(|kept| kept.downcast().ok());
            let windows: Box<Windows> = kept.unwrap_or_default();
            windows.refresh(thread.stack().cage());
            windows
        });
        let stack = thread.stack();
        let host_base = stack.cage().host_base().as_ptr().addr() as u64;
        let host_stack = host_base + u64::from(stack.addr());
        let run = Run::new(Start {
            world: call.world,
            stack,
            host_base,
            windows: windows.as_deref(),
            cpu: thread.cpu,
            image: self,
            budget,
            tail_calls: 0,
            fp: host_stack + u64::from(FIRST_END),
            last_fp: host_stack + u64::from(LAST_END),
        });
        let mut guest = Callbacks { run: &run };
        let (world, cpu) = (call.world, thread.cpu);
        let mut cx = CallCx { world, run: call.state, cpu, pc: Pc(0), guest: &mut guest };
        let answer = entry::enter(self, &run, entry, &call.args, &mut cx);
        let insns = if self.metered { budget.wrapping_sub(run.counter.get()) } else { 0 };
        let insns = insns.cast_unsigned();
        let result = if answer.over == 0 { Ok(answer.value) } else { Err(run.taken_trap()) };
        let trapped_in = result.is_err().then(|| Arc::clone(run.image.get().code()));
        let panic = run.panic.take();
        drop(run);
        if windows.is_some() {
            thread.kept = windows.map(|windows| windows as Box<dyn Any + Send>);
        }
        if trapped_in.is_some() || thread.trapped_in.is_some() {
            thread.trapped_in = trapped_in;
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        Outcome { result, insns }
    }
}

impl Image for Native {
    fn code(&self) -> &Arc<Code> {
        &self.code
    }

    #[inline]
    fn call(&self, thread: &mut Thread, call: Call<'_>) -> Outcome {
        if self.must_count(thread) {
            return self.counted(thread, call);
        }
        let Some(entry) = self.entry(call.func) else { return self.run(thread, call) };
        let value = match self.needs {
            Needs::Nothing => entry::enter_alone(entry, call.args),
            Needs::Memory(leaf) => {
                let stack = thread.stack();
                let host_base = stack.cage().host_base().as_ptr().addr() as u64;
                let fp = host_base + u64::from(stack.addr()) + u64::from(FIRST_END);
                let leaf = with_exposed_provenance(leaf);
                let answer = entry::enter_leaf(leaf, call.args, host_base, fp, entry);
                if answer.over != 0 {
                    return self.faulted(thread, answer);
                }
                answer.value
            }
            Needs::Run => return self.run(thread, call),
        };
        if thread.trapped_in.is_some() {
            thread.trapped_in = None;
        }
        Outcome { result: Ok(value), insns: 0 }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The way back into the program for helpers.
pub(crate) struct Callbacks<'a, 'm> {
    pub(crate) run: &'a Run<'m>,
}

impl Guest for Callbacks<'_, '_> {
    fn call(&mut self, cx: GuestCall<'_>, func: u64, args: [u64; 5]) -> Result<u64, Trap> {
        let outer = self.run;
        let image = outer.image.get();
        let bad_target = Trap::new(TrapKind::BadCallTarget, cx.pc).with_info(func);
        let Some(entry) = image.code.subprog_at(func).and_then(|id| image.entry(id)) else {
            return Err(bad_target);
        };
        if outer.counter.get() < 0 {
            return Err(Trap::new(TrapKind::BudgetExhausted, cx.pc));
        }
        if outer.fp.get() <= outer.last_fp {
            return Err(Trap::new(TrapKind::CallDepth, cx.pc));
        }
        let run = Run::new(Start {
            world: outer.world,
            stack: outer.stack,
            host_base: outer.host_base,
            windows: outer.windows,
            cpu: outer.cpu,
            image,
            budget: outer.counter.get(),
            tail_calls: outer.tail_calls.get(),
            fp: outer.fp.get() - u64::from(FRAME_STRIDE),
            last_fp: outer.last_fp,
        });
        let mut guest = Callbacks { run: &run };
        let GuestCall { world, run: state, cpu, pc } = cx;
        let mut cx = CallCx { world, run: state, cpu, pc, guest: &mut guest };
        let answer = entry::enter(image, &run, entry, &args, &mut cx);
        outer.counter.set(run.counter.get());
        outer.tail_calls.set(run.tail_calls.get());
        if let Some(payload) = run.panic.take() {
            // Through the helper, to its thunk.
            resume_unwind(payload);
        }
        match answer.over {
            0 => Ok(answer.value),
            _ => Err(run.taken_trap()),
        }
    }

    fn trapped(&mut self, trap: Trap) {
        self.run.set_trap(trap);
    }

    fn panicked(&mut self, payload: Box<dyn Any + Send>) {
        self.run.panic.set(Some(payload));
    }
}
