//! The proof that a program was verified, and what the verifier found out on the way.
//!
//! Trust is a type: code without run-time checks is made from a [`Verified`] and from nothing
//! else, and a `Verified` can be made in one place only.
//!
//! Facts are of two kinds. [`InsnFacts`] and [`SubprogFacts`] are what engines build on. They hold
//! on every execution. [`Claims`] are everything that the walk believes of registers, kept on
//! request and for one purpose: to be held against executions, which shows where the verifier errs.

use crate::limits::STACK_BYTES;
use crate::map::MapId;
use crate::program::Program;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use ubpf_isa::{Pc, Reg, RegSet};

/// A program together with the proof that all its paths are safe, and the facts that follow.
#[derive(Clone, Debug)]
pub struct Verified {
    program: Arc<Program>,
    facts: Facts,
}

impl Verified {
    /// Claims that `program` was verified.
    ///
    /// # Safety
    /// Every obligation of every instruction on every path must have been shown to hold under
    /// the rules of the platform that the program will run on, and `facts` must hold for every
    /// execution. Engines leave checks out on the strength of it.
    #[must_use]
    #[allow(unsafe_code)]
    pub const unsafe fn assume(program: Arc<Program>, facts: Facts) -> Self {
        Self { program, facts }
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// What holds at each instruction.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What the verifier proved. Empty lists say nothing.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// One entry a slot of the program.
    pub insns: Vec<InsnFacts>,
    /// The subprograms, by ascending start.
    pub subprogs: Vec<SubprogFacts>,
    /// Helper calls of which more is known, by ascending place.
    pub calls: Vec<CallFacts>,
    /// Instructions that a run executes at most, where there is such a number.
    pub max_insns: Option<u64>,
    /// What the walk believes of registers, where that was asked for: then these facts are to be
    /// held against executions, and nothing is to be built on them.
    pub claims: Option<Arc<Claims>>,
}

impl Facts {
    /// What holds at the instruction at `pc`.
    #[must_use]
    pub fn insn(&self, pc: Pc) -> InsnFacts {
        self.insns.get(pc.index()).copied().unwrap_or(InsnFacts::NOTHING)
    }

    /// What holds of the subprogram that begins at `start`.
    #[must_use]
    pub fn subprog(&self, start: Pc) -> SubprogFacts {
        let found = self.subprogs.binary_search_by_key(&start, |subprog| subprog.start);
        let nothing = SubprogFacts { start, ..SubprogFacts::NOTHING };
        found.ok().map_or(nothing, |at| self.subprogs[at])
    }

    /// What is known of the helper call at `pc`.
    #[must_use]
    pub fn call(&self, pc: Pc) -> Option<&CallFacts> {
        self.calls.binary_search_by_key(&pc, |call| call.pc).ok().map(|at| &self.calls[at])
    }
}

/// What holds every time one instruction is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsnFacts {
    /// Some path reaches it.
    pub reached: bool,
    /// For conditional jumps: the jump is always taken, or never.
    pub taken: Option<bool>,
    /// For 32-bit results: something may read the upper half, which must be zero. Without it the
    /// upper half may be left as it comes.
    pub needs_zext: bool,
    /// For loads, stores and atomics: the memory that is accessed.
    pub region: Region,
    /// Registers whose values somebody may read after the instruction.
    pub live: RegSet,
    /// The destination operand of arithmetic and of jumps (the base of stores, the packet offset
    /// aside), before the instruction: all 64 bits of it, unsigned.
    pub dst: Range,
    /// The source operand (the base of loads) likewise.
    pub src: Range,
}

impl InsnFacts {
    /// Nothing is known.
    pub const NOTHING: Self = Self {
        reached: true,
        taken: None,
        needs_zext: true,
        region: Region::Unknown,
        live: RegSet::ALL,
        dst: Range::ANY,
        src: Range::ANY,
    };
}

impl Default for InsnFacts {
    fn default() -> Self {
        Self::NOTHING
    }
}

/// A range of unsigned 64-bit numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// Smallest.
    pub min: u64,
    /// Largest.
    pub max: u64,
}

impl Range {
    /// Any number.
    pub const ANY: Self = Self { min: 0, max: u64::MAX };

    /// One number.
    #[must_use]
    pub const fn of(value: u64) -> Self {
        Self { min: value, max: value }
    }

    /// From 0 to `max`.
    #[must_use]
    pub const fn up_to(max: u64) -> Self {
        Self { min: 0, max }
    }

    /// The number, if there is only one.
    #[must_use]
    pub const fn as_const(self) -> Option<u64> {
        if self.min == self.max { Some(self.min) } else { None }
    }

    /// Whether it has this number.
    #[must_use]
    pub const fn contains(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }

    /// Whether all its numbers have an upper half of zero.
    #[must_use]
    pub const fn fits_32(self) -> bool {
        self.max <= u32::MAX as u64
    }

    /// The numbers of both, and what lies between.
    #[must_use]
    pub const fn hull(self, other: Self) -> Self {
        let min = if self.min < other.min { self.min } else { other.min };
        let max = if self.max > other.max { self.max } else { other.max };
        Self { min, max }
    }
}

/// What kind of memory an instruction accesses, on every execution the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// Nothing is proved: the access must be checked. Also of instructions that access none.
    #[default]
    Unknown,
    /// The stack of the running subprogram.
    Stack {
        /// Bytes from its `r10`, where they are always the same.
        off: Option<i16>,
    },
    /// The stack of a subprogram further out.
    CallerStack,
    /// The context. Stores may mean more than writing its bytes.
    Ctx,
    /// The packet, or the metadata before it.
    Packet,
    /// Values of this map of the program.
    MapValue(MapId),
    /// Memory that is there, of whatever kind.
    Memory,
    /// An object of the kernel, or what may be none: it may be gone, and a load then gives 0.
    Object,
}

impl Region {
    /// What holds where either of two holds.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Stack { .. }, Self::Stack { .. }) => Self::Stack { off: None },
            // These are accessed in ways of their own.
            (Self::Unknown | Self::Ctx | Self::Object, _)
            | (_, Self::Unknown | Self::Ctx | Self::Object) => Self::Unknown,
            _ => Self::Memory,
        }
    }
}

/// What holds of one subprogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubprogFacts {
    /// Its first instruction.
    pub start: Pc,
    /// Bytes below its `r10` that are accessed, by whomever; a multiple of 8.
    pub stack_bytes: u16,
    /// Some byte of its stack may be read before it is written, so the stack must be cleared on
    /// entry.
    pub reads_uninit: bool,
}

impl SubprogFacts {
    /// Nothing is known.
    pub const NOTHING: Self =
        Self { start: Pc(0), stack_bytes: STACK_BYTES as u16, reads_uninit: true };
}

/// What is known of one helper call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallFacts {
    /// The call.
    pub pc: Pc,
    /// The map it works on, one of the program's.
    pub map: MapId,
    /// The key, of up to 8 bytes, where it is always the same: as a little-endian number.
    pub key: Option<u64>,
}

/// What the walk believes before each instruction. Nothing is claimed of registers that are not
/// listed.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// By slot, where its claims begin in `claims`; one more than there are slots.
    pub starts: Vec<u32>,
    /// All claims.
    pub claims: Vec<(Reg, Claim)>,
}

impl Claims {
    /// What is claimed before the instruction at `pc`.
    #[must_use]
    pub fn at(&self, pc: Pc) -> &[(Reg, Claim)] {
        let bound = |slot: usize| self.starts.get(slot).map(|&at| at as usize);
        match (bound(pc.index()), bound(pc.index() + 1)) {
            (Some(start), Some(end)) => self.claims.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// What the walk believes of one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A number.
    Number {
        /// Bits that are known to be set.
        value: u64,
        /// Bits that are not known.
        mask: u64,
        /// Range of the unsigned number.
        unsigned: (u64, u64),
        /// Range of the signed number.
        signed: (i64, i64),
        /// Range of the low half, unsigned.
        low: (u32, u32),
        /// Range of the low half, signed.
        low_signed: (i32, i32),
    },
    /// A pointer into memory of this kind, or null where that is possible.
    Pointer {
        /// What it points into.
        region: Region,
        /// It may be null.
        nullable: bool,
    },
}

impl Claim {
    /// Whether the claim holds of a number. What pointers point into is judged where memory is
    /// accessed; here they are only told apart from null.
    #[must_use]
    pub const fn holds(&self, register: u64) -> bool {
        match *self {
            Self::Number { value, mask, unsigned, signed, low, low_signed } => {
                let (half, s, half_s) = (register as u32, register as i64, register as i32);
                register & !mask == value
                    && unsigned.0 <= register
                    && register <= unsigned.1
                    && signed.0 <= s
                    && s <= signed.1
                    && low.0 <= half
                    && half <= low.1
                    && low_signed.0 <= half_s
                    && half_s <= low_signed.1
            }
            // Pointers to kernel objects may be null where the kernel does not say so.
            Self::Pointer { region: Region::Object | Region::Unknown, .. } => true,
            Self::Pointer { nullable, .. } => nullable || register != 0,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { value, mask, unsigned, signed, low, low_signed } => write!(
                f,
                "a number, bits {value:#x} of mask {mask:#x}, {:#x} to {:#x}, {} to {}, low half \
                 {:#x} to {:#x}, {} to {}",
                unsigned.0,
                unsigned.1,
                signed.0,
                signed.1,
                low.0,
                low.1,
                low_signed.0,
                low_signed.1
            ),
            Self::Pointer { region, nullable } => {
                write!(f, "a pointer to {region:?}{}", if *nullable { " or null" } else { "" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_that_are_accessed_in_ways_of_their_own_join_with_nothing() {
        let map = Region::MapValue(MapId(0));
        assert_eq!(map.join(Region::Packet), Region::Memory);
        assert_eq!(map.join(Region::Ctx), Region::Unknown);
        assert_eq!(Region::Object.join(Region::Memory), Region::Unknown);
        let at = |off| Region::Stack { off: Some(off) };
        assert_eq!(at(-8).join(at(-16)), Region::Stack { off: None });
        assert_eq!(at(-8).join(Region::CallerStack), Region::Memory);
    }

    #[test]
    fn facts_of_instructions_stay_small() {
        // Programs have up to a million of them.
        assert!(size_of::<InsnFacts>() <= 48, "{}", size_of::<InsnFacts>());
    }
}
