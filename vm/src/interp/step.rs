//! What a step is.

use super::machine::Machine;
use core::sync::atomic::{AtomicU8, Ordering};
use ubpf_isa::{Operand, Reg};

/// Executes one step.
///
/// `rest` are the steps behind it. `gas` accounts for the budget without being touched in
/// straight code: it is the budget that is left, less the number of steps from this one to the
/// end of the program. So `gas + rest.len()` is what is left after this step.
pub(super) type Handler =
    for<'m, 'r> fn(&mut Machine<'m, 'r>, step: &'m Step, rest: &'m [Step], gas: i64) -> Stop;

/// Why a handler returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// To have the step in [`Machine::resume`] executed next.
    Next,
    /// The frame is done; `r0` holds its result.
    Exit,
    /// The run is done; [`Core`](super::machine::Core) holds the trap.
    Trap,
}

/// One op with its handler. What the fields mean depends on the op.
pub(super) struct Step {
    pub(super) run: Handler,
    /// A sign-extended immediate, an address offset, or 64 bits of a wide load.
    pub(super) value: u64,
    /// Index of a step, subprogram or helper, or the immediate of a store.
    pub(super) target: u32,
    pub(super) dst: RegIndex,
    pub(super) src: RegIndex,
    /// Which window the last access fell into. Only ever a guess: images are shared.
    hint: AtomicU8,
}

impl Step {
    pub(super) const fn new(run: Handler) -> Self {
        let (dst, src) = (RegIndex::R0, RegIndex::R0);
        Self { run, value: 0, target: 0, dst, src, hint: AtomicU8::new(0) }
    }

    pub(super) fn dst(self, reg: Reg) -> Self {
        Self { dst: reg.into(), ..self }
    }

    pub(super) fn src(self, reg: Reg) -> Self {
        Self { src: reg.into(), ..self }
    }

    pub(super) fn value(self, value: u64) -> Self {
        Self { value, ..self }
    }

    pub(super) fn signed(self, value: i64) -> Self {
        self.value(value.cast_unsigned())
    }

    pub(super) fn target(self, target: u32) -> Self {
        Self { target, ..self }
    }

    pub(super) fn operand(self, operand: Operand) -> Self {
        match operand {
            Operand::Reg(reg) => self.src(reg),
            Operand::Imm(imm) => self.signed(imm.into()),
        }
    }

    /// Which window to try first.
    #[inline(always)]
    pub(super) fn hint(&self) -> u8 {
        self.hint.load(Ordering::Relaxed)
    }

    pub(super) fn set_hint(&self, window: u8) {
        self.hint.store(window, Ordering::Relaxed);
    }
}

/// A register's number in a form that is known to be in range, so that indexing costs no check.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum RegIndex {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

impl From<Reg> for RegIndex {
    fn from(reg: Reg) -> Self {
        use RegIndex::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
        [R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10][reg.index()]
    }
}
