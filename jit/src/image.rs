//! A compiled program, and the ways into it: calls from outside and callbacks from helpers.

use crate::code::Executable;
use crate::entry;
use crate::fault::Watch;
use crate::meter::Meter;
use crate::run::{Run, Start};
use crate::window::Windows;
use dynasmrt::AssemblyOffset;
use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;
use ubpf_abi::limits::{MAX_CALL_FRAMES, STACK_BYTES};
use ubpf_abi::program::SubprogId;
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Pc;
use ubpf_vm::call::{Guest, GuestCall};
use ubpf_vm::code::{Code, OpIndex};
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
}

/// A compiled program.
#[derive(Debug)]
pub(crate) struct Native {
    code: Arc<Code>,
    meter: Meter,
    trampoline: AssemblyOffset,
    entries: Vec<AssemblyOffset>,
    tail_entry: AssemblyOffset,
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
    ) -> std::io::Result<Self> {
        let Assembled { code: bytes, trampoline, entries, tail_entry, landing, accesses } =
            assembled;
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
        Ok(Self { code, meter, trampoline, entries, tail_entry, accesses, _watch: watch, pages })
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

    pub(crate) fn trampoline(&self) -> *const u8 {
        self.pages.at(self.trampoline)
    }

    pub(crate) fn entry(&self, func: SubprogId) -> Option<*const u8> {
        self.entries.get(func.0 as usize).map(|&at| self.pages.at(at))
    }

    pub(crate) fn tail_entry(&self) -> *const u8 {
        self.pages.at(self.tail_entry)
    }
}

/// Where the first and the last frame's stack end, in bytes from the start of the thread's.
const FIRST_END: u32 = Thread::frame_off(0) + STACK_BYTES;
const LAST_END: u32 = Thread::frame_off(MAX_CALL_FRAMES as u32 - 1) + STACK_BYTES;

impl Image for Native {
    fn code(&self) -> &Arc<Code> {
        &self.code
    }

    fn call(&self, thread: &mut Thread, call: Call<'_>) -> Outcome {
        let budget = i64::try_from(thread.budget).unwrap_or(i64::MAX);
        thread.trapped_in = None;
        let Some(entry) = self.entry(call.func) else {
            let trap = Trap::new(TrapKind::BadCallTarget, Pc(0));
            return Outcome { result: Err(trap), insns: 0 };
        };
        let kept = thread.kept.take().and_then(|kept| kept.downcast().ok());
        let windows: Box<Windows> = kept.unwrap_or_default();
        let stack = thread.stack();
        let cage = stack.cage();
        windows.refresh(cage);
        let host_base = cage.host_base().as_ptr().addr() as u64;
        let host_stack = host_base + u64::from(stack.addr());
        let run = Run::new(Start {
            world: call.world,
            stack,
            host_base,
            windows: &windows,
            cpu: thread.cpu,
            image: self,
            state: call.state,
            budget,
            tail_calls: 0,
            fp: host_stack + u64::from(FIRST_END),
            last_fp: host_stack + u64::from(LAST_END),
        });
        let answer = entry::enter(self, &run, entry, &call.args);
        let insns = budget.wrapping_sub(run.counter.get()).cast_unsigned();
        let (result, trapped_in) = match answer.over {
            0 => (Ok(answer.value), None),
            _ => (Err(run.taken_trap()), Some(Arc::clone(run.image.get().code()))),
        };
        let panic = run.panic.take();
        drop(run);
        thread.kept = Some(windows);
        thread.trapped_in = trapped_in;
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        Outcome { result, insns }
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
            state: cx.run,
            budget: outer.counter.get(),
            tail_calls: outer.tail_calls.get(),
            fp: outer.fp.get() - u64::from(FRAME_STRIDE),
            last_fp: outer.last_fp,
        });
        let answer = entry::enter(image, &run, entry, &args);
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
}
