//! One run of a program: what generated code and the functions that it calls share.

use crate::image::Native;
use crate::window::Windows;
use core::cell::Cell;
use core::mem::offset_of;
use std::any::Any;
use ubpf_abi::{Trap, TrapKind};
use ubpf_isa::Pc;
use ubpf_vm::call::CallCx;
use ubpf_vm::code::OpIndex;
use ubpf_vm::mem::{Cage, Region};
use ubpf_vm::run::Cpu;
use ubpf_vm::world::World;

/// The state of a run, of which generated code holds the address in a register.
///
/// The first part is read and written by generated code, at the offsets in [`layout`]. Cells,
/// because a reference to the whole exists while generated code runs. A callback has a run of
/// its own, which takes over what is left of the budget and the tail calls and gives it back.
#[repr(C)]
pub(crate) struct Run<'m> {
    /// The counter: the budget left, less the credit of the place; see [`crate::meter`].
    pub(crate) counter: Cell<i64>,
    /// Host address of the end of the current frame's stack, at calls.
    pub(crate) fp: Cell<u64>,
    /// Where the host's stack was on entry, to go back there from any depth.
    stack_pointer: Cell<u64>,
    /// The op that calls or traps.
    op: Cell<u32>,
    /// The window that the access at hand tried.
    place: Cell<u32>,
    /// Address of the helpers' view of the run, for generated code to pass on.
    cx: Cell<u64>,
    /// Host address of the end of the deepest frame that exists.
    pub(crate) last_fp: u64,
    /// Host address of guest address 0.
    pub(crate) host_base: u64,
    /// Of checked code.
    pub(crate) windows: Option<&'m Windows>,
    /// The program that runs.
    pub(crate) image: Cell<&'m Native>,
    /// The CPU's number.
    pub(crate) cpu: Cpu,

    pub(crate) world: &'m World,
    /// The thread's frames, whose cage all accesses go to.
    pub(crate) stack: &'m Region,
    pub(crate) tail_calls: Cell<u32>,
    trap: Cell<Option<Trap>>,
    /// What a helper panicked with, on its way past the generated code.
    pub(crate) panic: Cell<Option<Box<dyn Any + Send>>>,
}

/// Offsets in bytes of what generated code uses of a [`Run`].
pub(crate) mod layout {
    use super::{Run, offset_of};
    pub(crate) const COUNTER: i32 = offset_of!(Run<'_>, counter) as i32;
    pub(crate) const FP: i32 = offset_of!(Run<'_>, fp) as i32;
    pub(crate) const STACK_POINTER: i32 = offset_of!(Run<'_>, stack_pointer) as i32;
    pub(crate) const OP: i32 = offset_of!(Run<'_>, op) as i32;
    pub(crate) const PLACE: i32 = offset_of!(Run<'_>, place) as i32;
    pub(crate) const CPU: i32 = offset_of!(Run<'_>, cpu) as i32;
    pub(crate) const CX: i32 = offset_of!(Run<'_>, cx) as i32;
    pub(crate) const LAST_FP: i32 = offset_of!(Run<'_>, last_fp) as i32;
    pub(crate) const HOST_BASE: i32 = offset_of!(Run<'_>, host_base) as i32;
    pub(crate) const WINDOWS: i32 = offset_of!(Run<'_>, windows) as i32;
    pub(crate) const IMAGE: i32 = offset_of!(Run<'_>, image) as i32;
}

/// Offset in bytes of the calling instruction in what helpers see.
pub(crate) const CX_PC: i32 = offset_of!(CallCx<'_>, pc) as i32;

/// What a run begins with.
pub(crate) struct Start<'m> {
    pub(crate) world: &'m World,
    pub(crate) stack: &'m Region,
    /// Host address of guest address 0, in the stack's cage.
    pub(crate) host_base: u64,
    pub(crate) windows: Option<&'m Windows>,
    pub(crate) cpu: Cpu,
    pub(crate) image: &'m Native,
    /// Budget left.
    pub(crate) budget: i64,
    pub(crate) tail_calls: u32,
    /// Host address of the end of the first frame's stack.
    pub(crate) fp: u64,
    /// The same of the deepest frame's.
    pub(crate) last_fp: u64,
}

impl<'m> Run<'m> {
    #[inline(always)]
    pub(crate) fn new(start: Start<'m>) -> Self {
        let Start { world, stack, host_base, windows, cpu, image, .. } = start;
        let Start { budget, tail_calls, fp, last_fp, .. } = start;
        Self {
            counter: Cell::new(budget),
            fp: Cell::new(fp),
            stack_pointer: Cell::new(0),
            op: Cell::new(0),
            place: Cell::new(0),
            cx: Cell::new(0),
            last_fp,
            host_base,
            windows,
            image: Cell::new(image),
            world,
            stack,
            cpu,
            tail_calls: Cell::new(tail_calls),
            trap: Cell::new(None),
            panic: Cell::new(None),
        }
    }

    pub(crate) fn cage(&self) -> &'m Cage {
        self.stack.cage()
    }

    /// The op that called out.
    pub(crate) fn op(&self) -> OpIndex {
        OpIndex(self.op.get())
    }

    /// Says which op it was, where generated code did not.
    pub(crate) fn set_op(&self, op: OpIndex) {
        self.op.set(op.0);
    }

    /// Its instruction.
    pub(crate) fn pc(&self) -> Pc {
        self.image.get().code().pc(self.op())
    }

    /// The window that it tried.
    pub(crate) fn place(&self) -> u8 {
        self.place.get() as u8
    }

    /// The trap that ends the run at the current op.
    pub(crate) fn trap_here(&self, kind: TrapKind) -> Trap {
        Trap::new(kind, self.pc())
    }

    pub(crate) fn set_trap(&self, trap: Trap) {
        self.trap.set(Some(trap));
    }

    /// Makes the counter exact in the middle of a block.
    pub(crate) fn settle(&self) {
        self.counter.set(self.counter.get() + self.image.get().meter().after(self.op()));
    }

    /// The trap that ended the run.
    pub(crate) fn taken_trap(&self) -> Trap {
        self.trap.get().unwrap_or(Trap::new(TrapKind::BadPc, Pc(0)))
    }
}
