//! Windows: what checked code remembers of successful look-ups in the region table.
//!
//! Each access in the code tries one window and takes the slow path when that does not cover the
//! address. Which one was decided when the code was emitted: accesses through the same pointer
//! share one ([`Places`]). Windows stay with the thread, so that the next run finds them filled.

use core::cell::Cell;
use ubpf_abi::Access;
use ubpf_isa::{Operand, Reg, Size};
use ubpf_vm::code::Op;
use ubpf_vm::mem::{Cage, Word};

/// Windows for each kind of access. A power of two.
pub(crate) const PLACES: usize = 16;

/// One window: the guest bytes from `start` on, which lie from `host` on for the machine.
/// Generated code reads it.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Window {
    pub(crate) start: Cell<u64>,
    pub(crate) host: Cell<u64>,
    /// For accesses of 1, 2, 4 and 8 bytes: the offset that is just too large. All 0 while the
    /// window shows nothing.
    pub(crate) limits: [Cell<u64>; 4],
}

/// The windows of a thread.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Windows {
    loads: [Window; PLACES],
    stores: [Window; PLACES],
    /// The cage's epoch when they were good.
    epoch: Cell<u64>,
}

impl Windows {
    /// Offset in bytes of a window.
    pub(crate) const fn offset(access: Access, place: u8) -> usize {
        let first = match access {
            Access::Read => core::mem::offset_of!(Self, loads),
            Access::Write => core::mem::offset_of!(Self, stores),
        };
        first + (place as usize % PLACES) * size_of::<Window>()
    }

    /// Makes the window at `addr` the one of a place. What lies there must be accessible in this
    /// way; nothing happens where it is too small for a window.
    pub(crate) fn fill(&self, cage: &Cage, place: u8, addr: u64, access: Access) {
        let Some(window) = cage.window(addr, access) else { return };
        let (start, bytes) = window.bounds();
        let windows = match access {
            Access::Read => &self.loads,
            Access::Write => &self.stores,
        };
        let into = &windows[place as usize % PLACES];
        into.start.set(start);
        into.host.set(cage.host_base().as_ptr().addr() as u64 + start);
        for (limit, size) in into.limits.iter().zip([1, 2, 4, 8]) {
            limit.set((bytes + 1).saturating_sub(size));
        }
    }

    /// Forgets what programs may not see any more.
    #[inline]
    pub(crate) fn refresh(&self, cage: &Cage) {
        let epoch = cage.epoch();
        if self.epoch.get() != epoch {
            self.epoch.set(epoch);
            for limit in self.loads.iter().chain(&self.stores).flat_map(|w| &w.limits) {
                limit.set(0);
            }
        }
    }
}

/// Index of a size in [`Window::limits`].
pub(crate) const fn limit_index(size: Size) -> usize {
    match size {
        Size::B => 0,
        Size::H => 1,
        Size::W => 2,
        Size::Dw => 3,
    }
}

/// Calls `$body` with the word type of a size.
macro_rules! with_word {
    ($size:expr, $word:ident => $body:expr) => {
        match $size {
            ::ubpf_isa::Size::B => {
                type $word = u8;
                $body
            }
            ::ubpf_isa::Size::H => {
                type $word = u16;
                $body
            }
            ::ubpf_isa::Size::W => {
                type $word = u32;
                $body
            }
            ::ubpf_isa::Size::Dw => {
                type $word = u64;
                $body
            }
        }
    };
}
pub(crate) use with_word;

/// Sign-extends where the op says so.
pub(crate) fn extend<W: Word>(word: W, signed: bool) -> u64 {
    if signed { word.sign_extend() } else { word.into() }
}

/// Guesses which registers point into the same memory: each fresh value gets a new place, and
/// moves and arithmetic pass it on.
#[derive(Debug, Default)]
pub(crate) struct Places {
    of_reg: [u8; Reg::COUNT],
    fresh: u8,
}

impl Places {
    /// The place to try for accesses through a register.
    pub(crate) const fn of(&self, base: Reg) -> u8 {
        self.of_reg[base.index()]
    }

    /// Follows what an op does, in program order.
    pub(crate) fn follow(&mut self, op: &Op) {
        match *op {
            Op::Mov { dst, src: Operand::Reg(src), .. } => {
                self.of_reg[dst.index()] = self.of_reg[src.index()];
            }
            Op::Const { dst, .. } | Op::Load { dst, .. } | Op::LoadAcquire { dst, .. } => {
                self.renew(dst);
            }
            Op::CallHelper { .. } | Op::CallSubprog { .. } | Op::CallReg { .. } => {
                self.renew(Reg::R0);
            }
            _ => {}
        }
    }

    /// Registers at the start of a function: `r1` to `r5` are anything.
    pub(crate) fn enter(&mut self) {
        for reg in [Reg::R1, Reg::R2, Reg::R3, Reg::R4, Reg::R5] {
            self.renew(reg);
        }
    }

    const fn renew(&mut self, reg: Reg) {
        // Place 0 is that of `r10`.
        self.fresh = self.fresh % (PLACES as u8 - 1) + 1;
        self.of_reg[reg.index()] = self.fresh;
    }
}
