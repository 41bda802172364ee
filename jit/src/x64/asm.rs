//! The assembler itself, and choices between encodings.

use super::abi::NativeFrame;
use super::regs::{R9, R11, RBP, native};
use crate::image::Assembled;
use crate::masm::Access;
use crate::run::layout;
use dynasmrt::x64::X64Relocation;
use dynasmrt::{AssemblyOffset, DynamicLabel, DynasmApi, DynasmError, VecAssembler, dynasm};
use ubpf_abi::TrapKind;
use ubpf_isa::{AtomicOp, Operand, Reg};
use ubpf_vm::code::{MemMode, OpIndex};

/// Bytes of code that an op takes, roughly.
const BYTES_PER_OP: usize = 12;

/// An assembler for x86-64.
pub(crate) struct Assembler {
    pub(super) ops: VecAssembler<X64Relocation>,
    pub(super) mode: MemMode,
    pub(super) has_bmi2: bool,
    pub(super) frame: NativeFrame,
    pub(super) routines: Routines,
    pub(super) cold: Vec<Cold>,
    /// Where accesses begin that nothing checks.
    pub(super) accesses: Vec<(DynamicLabel, OpIndex)>,
}

/// What all functions of a program share, at its start.
#[derive(Clone, Copy)]
pub(super) struct Routines {
    pub(super) trampoline: AssemblyOffset,
    /// The run is over: leaves generated code from any depth.
    pub(super) over: DynamicLabel,
    /// Where faults land.
    pub(super) landing: DynamicLabel,
    pub(super) raise: DynamicLabel,
    pub(super) load: DynamicLabel,
    pub(super) store: DynamicLabel,
    pub(super) atomic: DynamicLabel,
    pub(super) load_packet: DynamicLabel,
    pub(super) resolve: DynamicLabel,
    pub(super) tail_call: DynamicLabel,
}

/// Code that is seldom executed, put behind everything else.
pub(super) struct Cold {
    /// Where it is entered.
    pub(super) at: DynamicLabel,
    /// Where it goes on.
    pub(super) back: DynamicLabel,
    pub(super) what: Detour,
}

/// What is done out of line.
#[derive(Clone, Copy)]
pub(super) enum Detour {
    /// A charge on the way to a jump's target.
    Charge(i32),
    /// The end of the run.
    Raise(TrapKind, OpIndex),
    /// Accesses that their windows do not cover; of loads and stores, whether they are ordered.
    Load(Access, Reg, bool),
    Store(Access, Operand, bool),
    Atomic(Access, AtomicOp, Reg),
}

impl Detour {
    /// Whether it is a load or store that orders nothing.
    pub(super) const fn is_plain(self) -> bool {
        matches!(self, Self::Load(_, _, false) | Self::Store(_, _, false))
    }
}

impl Assembler {
    pub(super) fn with_mode(mode: MemMode, ops: usize) -> Self {
        let labels = ops / 8 + 16;
        let mut asm =
            VecAssembler::new_with_capacity(0, ops * BYTES_PER_OP + 512, 0, 0, labels, 0, labels);
        let mut label = || asm.new_dynamic_label();
        let routines = Routines {
            trampoline: AssemblyOffset(0),
            over: label(),
            landing: label(),
            raise: label(),
            load: label(),
            store: label(),
            atomic: label(),
            load_packet: label(),
            resolve: label(),
            tail_call: label(),
        };
        let mut masm = Self {
            ops: asm,
            mode,
            has_bmi2: std::arch::is_x86_feature_detected!("bmi2"),
            frame: NativeFrame::EMPTY,
            routines,
            cold: Vec::new(),
            accesses: Vec::new(),
        };
        masm.emit_routines();
        masm
    }

    /// Puts what is out of line behind everything, and resolves labels.
    pub(super) fn assembled(
        mut self,
        entries: &[DynamicLabel],
        tail_entry: DynamicLabel,
    ) -> Result<Assembled, Box<dyn std::error::Error + Send + Sync>> {
        for cold in std::mem::take(&mut self.cold) {
            self.emit_cold(&cold);
        }
        let offset = |label| self.ops.labels().resolve_dynamic(label);
        let entries: Result<_, DynasmError> = entries.iter().map(|&label| offset(label)).collect();
        let (entries, tail_entry) = (entries?, offset(tail_entry)?);
        let (trampoline, landing) = (self.routines.trampoline, offset(self.routines.landing)?);
        let accesses = self.accesses.iter().map(|&(at, op)| Ok((offset(at)?, op)));
        let mut accesses = accesses.collect::<Result<Vec<_>, DynasmError>>()?;
        // Those of detours come last, and lie behind everything.
        accesses.sort_unstable();
        let code = self.ops.finalize()?;
        Ok(Assembled { code, trampoline, entries, tail_entry, landing, accesses })
    }

    /// Sends something out of line, to come back to `back`.
    pub(super) fn detour(&mut self, what: Detour, back: DynamicLabel) -> DynamicLabel {
        let at = self.ops.new_dynamic_label();
        self.cold.push(Cold { at, back, what });
        at
    }

    /// Moves a whole register, unless it is the same.
    pub(super) fn copy(&mut self, dst: u8, src: u8) {
        if dst != src {
            dynasm!(self.ops ; .arch x64 ; mov Rq(dst), Rq(src));
        }
    }

    /// Whether the counter is in `r9`, rather than in the run.
    pub(super) fn counter_in_register(&self) -> bool {
        self.mode == MemMode::Checked
    }

    /// The register that holds an operand's value: its own, or `scratch` for `r10`.
    pub(super) fn value_of(&mut self, reg: Reg, scratch: u8) -> u8 {
        if reg != Reg::FP {
            return native(reg);
        }
        dynasm!(self.ops ; .arch x64 ; mov Rq(scratch), rbp);
        if self.counter_in_register() {
            dynasm!(self.ops ; .arch x64 ; sub Rq(scratch), [r12 + layout::HOST_BASE]);
        } else {
            dynasm!(self.ops ; .arch x64 ; sub Rq(scratch), r9);
        }
        scratch
    }

    /// A 64-bit constant, in the shortest way that leaves flags alone.
    pub(super) fn load_constant(&mut self, dst: u8, value: u64) {
        if let Ok(small) = u32::try_from(value) {
            dynasm!(self.ops ; .arch x64 ; mov Rd(dst), small.cast_signed());
        } else if let Ok(small) = i32::try_from(value.cast_signed()) {
            dynasm!(self.ops ; .arch x64 ; mov Rq(dst), DWORD small);
        } else {
            dynasm!(self.ops ; .arch x64 ; mov Rq(dst), QWORD value.cast_signed());
        }
    }
}

/// A memory operand: base register, index register times 1, and displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mem {
    pub(super) base: u8,
    pub(super) index: Option<u8>,
    pub(super) disp: i32,
}

impl Mem {
    /// Bytes from a register's address on.
    pub(super) const fn at(base: u8, disp: i32) -> Self {
        Self { base, index: None, disp }
    }

    /// In the current frame.
    pub(super) const fn frame(disp: i32) -> Self {
        Self::at(RBP, disp)
    }

    /// Guest memory at the offset that a register holds.
    pub(super) const fn guest(index: u8, disp: i32) -> Self {
        Self { base: R9, index: Some(index), disp }
    }

    /// Where [`R11`] points to.
    pub(super) const CHECKED: Self = Self::at(R11, 0);
}

/// An instruction with a memory operand: what stands before it, the operand, what stands behind.
macro_rules! with_mem {
    ($masm:expr, $mem:expr; ($($before:tt)*) ($($after:tt)*)) => {{
        let Mem { base, index, disp } = $mem;
        match (index, i8::try_from(disp)) {
            (None, Ok(disp)) => dynasm!($masm.ops ; .arch x64
                ; $($before)* [BYTE Rq(base) + disp] $($after)*),
            (None, Err(_)) => dynasm!($masm.ops ; .arch x64
                ; $($before)* [DWORD Rq(base) + disp] $($after)*),
            (Some(index), Ok(disp)) => dynasm!($masm.ops ; .arch x64
                ; $($before)* [BYTE Rq(base) + Rq(index) + disp] $($after)*),
            (Some(index), Err(_)) => dynasm!($masm.ops ; .arch x64
                ; $($before)* [DWORD Rq(base) + Rq(index) + disp] $($after)*),
        }
    }};
}
pub(super) use with_mem;
