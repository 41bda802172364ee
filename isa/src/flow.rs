//! Where an instruction goes next, and which registers it reads and writes.
//!
//! Facts of one instruction alone, from which graphs and liveness are built elsewhere.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign, Not, Sub};

use crate::insn::{AtomicOp, CallTarget, Imm64, Insn, Operand, Reg};
use crate::slot::Pc;

/// Where control goes after an instruction. Offsets count slots from the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// To the next instruction. Calls of helpers and kernel functions come back, so they too.
    Next,
    /// Always to the target.
    Jump(i32),
    /// To the next instruction or to the target.
    Branch(i32),
    /// Into the subprogram at the target and, if that returns, to the next instruction.
    Call(i32),
    /// Out of the subprogram.
    Exit,
}

impl Flow {
    /// Whether the next instruction can follow.
    #[must_use]
    pub const fn falls_through(self) -> bool {
        match self {
            Self::Next | Self::Branch(_) | Self::Call(_) => true,
            Self::Jump(_) | Self::Exit => false,
        }
    }

    /// Whether a basic block ends here. Calls do not end blocks.
    #[must_use]
    pub const fn ends_block(self) -> bool {
        match self {
            Self::Jump(_) | Self::Branch(_) | Self::Exit => true,
            Self::Next | Self::Call(_) => false,
        }
    }
}

impl Insn {
    /// Where control goes.
    #[must_use]
    pub const fn flow(&self) -> Flow {
        match *self {
            Self::Jump { off, .. } => Flow::Jump(off),
            Self::Branch { off, .. } | Self::MayGoto { off } => Flow::Branch(off as i32),
            Self::Call(CallTarget::Subprog(off)) => Flow::Call(off),
            Self::Exit => Flow::Exit,
            Self::Alu { .. }
            | Self::Neg { .. }
            | Self::Mov { .. }
            | Self::MovSx { .. }
            | Self::Swap { .. }
            | Self::Load { .. }
            | Self::Store { .. }
            | Self::Atomic { .. }
            | Self::LoadAcquire { .. }
            | Self::StoreRelease { .. }
            | Self::LdImm64 { .. }
            | Self::LdAbs { .. }
            | Self::LdInd { .. }
            | Self::AddrSpaceCast { .. }
            | Self::Call(CallTarget::Helper(_) | CallTarget::Kfunc { .. })
            | Self::CallX { .. } => Flow::Next,
        }
    }

    /// Whether control never reaches the next instruction: jumps and `exit`.
    #[must_use]
    pub const fn is_terminator(&self) -> bool {
        !self.flow().falls_through()
    }

    /// The instructions that can follow this one within its subprogram, when it stands at `pc`:
    /// first the one it falls through to, then the jump target. `None` is a target outside
    /// of what a [`Pc`] can say; targets past the program's end are the caller's to find.
    pub fn successors(&self, pc: Pc) -> impl Iterator<Item = Option<Pc>> + use<> {
        let flow = self.flow();
        let next = flow.falls_through().then(|| pc.0.checked_add(self.slots()).map(Pc));
        let target = match flow {
            Flow::Jump(off) | Flow::Branch(off) => Some(pc.target(off)),
            Flow::Next | Flow::Call(_) | Flow::Exit => None,
        };
        next.into_iter().chain(target)
    }

    /// The subprogram that this instruction calls or takes the address of, in slots from the
    /// slot after this instruction's first; see [`Pc::target`].
    #[must_use]
    pub const fn subprog(&self) -> Option<i32> {
        match *self {
            Self::Call(CallTarget::Subprog(off)) | Self::LdImm64 { imm: Imm64::Func(off), .. } => {
                Some(off)
            }
            _ => None,
        }
    }

    /// The registers that the instruction writes; those that a call leaves undefined included.
    #[must_use]
    pub const fn defs(&self) -> RegSet {
        match *self {
            Self::Alu { dst, .. }
            | Self::Neg { dst, .. }
            | Self::Mov { dst, .. }
            | Self::MovSx { dst, .. }
            | Self::Swap { dst, .. }
            | Self::Load { dst, .. }
            | Self::LoadAcquire { dst, .. }
            | Self::LdImm64 { dst, .. }
            | Self::AddrSpaceCast { dst, .. } => RegSet::of(dst),
            Self::Atomic { op, src, .. } => match op.old_value_to(src) {
                Some(reg) => RegSet::of(reg),
                None => RegSet::EMPTY,
            },
            Self::LdAbs { .. } | Self::LdInd { .. } | Self::Call(_) | Self::CallX { .. } => {
                RegSet::CALLER_SAVED
            }
            Self::Store { .. }
            | Self::StoreRelease { .. }
            | Self::Jump { .. }
            | Self::Branch { .. }
            | Self::MayGoto { .. }
            | Self::Exit => RegSet::EMPTY,
        }
    }

    /// The registers that the instruction reads. A call is taken to read all argument registers,
    /// because what it calls is not known here.
    #[must_use]
    pub const fn uses(&self) -> RegSet {
        match *self {
            Self::Alu { dst, src, .. } | Self::Branch { dst, src, .. } => {
                RegSet::of(dst).union(RegSet::of_operand(src))
            }
            Self::Neg { dst, .. } | Self::Swap { dst, .. } => RegSet::of(dst),
            Self::Mov { src, .. } => RegSet::of_operand(src),
            Self::MovSx { src, .. } | Self::AddrSpaceCast { src, .. } => RegSet::of(src),
            Self::Load { base, .. } | Self::LoadAcquire { base, .. } => RegSet::of(base),
            Self::Store { base, src, .. } => RegSet::of(base).union(RegSet::of_operand(src)),
            Self::StoreRelease { base, src, .. } => RegSet::of(base).union(RegSet::of(src)),
            Self::Atomic { op, base, src, .. } => {
                let both = RegSet::of(base).union(RegSet::of(src));
                match op {
                    AtomicOp::Cmpxchg => both.union(RegSet::of(Reg::R0)),
                    AtomicOp::Add { .. }
                    | AtomicOp::Or { .. }
                    | AtomicOp::And { .. }
                    | AtomicOp::Xor { .. }
                    | AtomicOp::Xchg => both,
                }
            }
            Self::LdAbs { .. } => RegSet::of(Reg::R6),
            Self::LdInd { src, .. } => RegSet::of(Reg::R6).union(RegSet::of(src)),
            Self::Call(_) => RegSet::ARGS,
            Self::CallX { target } => RegSet::ARGS.union(RegSet::of(target)),
            Self::Exit => RegSet::of(Reg::R0),
            Self::LdImm64 { .. } | Self::Jump { .. } | Self::MayGoto { .. } => RegSet::EMPTY,
        }
    }
}

/// A set of registers.
///
/// ```
/// use ubpf_isa::{Reg, RegSet};
/// let live = RegSet::of(Reg::R0) | RegSet::of(Reg::R6);
/// assert_eq!((live - RegSet::CALLER_SAVED).to_string(), "{r6}");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RegSet(u16);

impl RegSet {
    /// No register.
    pub const EMPTY: Self = Self(0);
    /// `r0` to `r10`.
    pub const ALL: Self = Self((1 << Reg::COUNT) - 1);
    /// `r1` to `r5`, which carry arguments.
    pub const ARGS: Self = Self(0b11_1110);
    /// `r0` to `r5`, which calls overwrite.
    pub const CALLER_SAVED: Self = Self(0b11_1111);

    /// The set of one register.
    #[must_use]
    pub const fn of(reg: Reg) -> Self {
        Self(1 << reg.number())
    }

    const fn of_operand(operand: Operand) -> Self {
        match operand {
            Operand::Reg(reg) => Self::of(reg),
            Operand::Imm(_) => Self::EMPTY,
        }
    }

    /// The registers in either set; `|` outside of constants.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the register is in the set.
    #[must_use]
    pub const fn contains(self, reg: Reg) -> bool {
        self.0 & Self::of(reg).0 != 0
    }

    /// Adds a register.
    pub const fn insert(&mut self, reg: Reg) {
        self.0 |= Self::of(reg).0;
    }

    /// Takes a register out.
    pub const fn remove(&mut self, reg: Reg) {
        self.0 &= !Self::of(reg).0;
    }

    /// Whether no register is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many registers are in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The registers in order.
    pub fn iter(self) -> impl Iterator<Item = Reg> {
        Reg::all().filter(move |&reg| self.contains(reg))
    }
}

impl BitOr for RegSet {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for RegSet {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for RegSet {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for RegSet {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Not for RegSet {
    type Output = Self;
    fn not(self) -> Self {
        Self::ALL - self
    }
}

impl FromIterator<Reg> for RegSet {
    fn from_iter<I: IntoIterator<Item = Reg>>(regs: I) -> Self {
        regs.into_iter().fold(Self::EMPTY, |set, reg| set | Self::of(reg))
    }
}

impl fmt::Debug for RegSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for RegSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::insn::{AtomicSize, CmpOp, JumpForm, Width};

    fn successors(insn: Insn, pc: u32) -> Vec<Option<Pc>> {
        insn.successors(Pc(pc)).collect()
    }

    #[test]
    fn successors_count_slots() {
        let wide = Insn::LdImm64 { dst: Reg::R1, imm: Imm64::Value(1) };
        let back = Insn::Jump { form: JumpForm::Short, off: -3 };
        let branch = Insn::Branch {
            op: CmpOp::Eq,
            width: Width::W64,
            dst: Reg::R1,
            src: Operand::Imm(0),
            off: 4,
        };
        assert_eq!(successors(wide, 7), [Some(Pc(9))]);
        assert_eq!(successors(back, 7), [Some(Pc(5))]);
        assert_eq!(successors(back, 1), [None]);
        assert_eq!(successors(branch, 7), [Some(Pc(8)), Some(Pc(12))]);
        assert_eq!(successors(Insn::Exit, 7), []);
        assert_eq!(successors(Insn::MayGoto { off: 1 }, u32::MAX), [None, None]);
        assert!(back.is_terminator() && !branch.is_terminator());
        assert!(
            branch.flow().ends_block() && !Insn::Call(CallTarget::Subprog(1)).flow().ends_block()
        );
    }

    #[test]
    fn cmpxchg_reads_and_writes_r0_while_fetching_ops_write_src() {
        let atomic =
            |op| Insn::Atomic { op, size: AtomicSize::Dw, base: Reg::R2, off: 0, src: Reg::R3 };
        let cmpxchg = atomic(AtomicOp::Cmpxchg);
        assert_eq!(cmpxchg.defs(), RegSet::of(Reg::R0));
        assert_eq!(cmpxchg.uses(), [Reg::R0, Reg::R2, Reg::R3].into_iter().collect());
        assert_eq!(atomic(AtomicOp::Add { fetch: true }).defs(), RegSet::of(Reg::R3));
        assert_eq!(atomic(AtomicOp::Add { fetch: false }).defs(), RegSet::EMPTY);
    }

    #[test]
    fn legacy_packet_loads_clobber_like_calls() {
        let load = Insn::LdInd { size: crate::Size::W, src: Reg::R7, imm: 0 };
        assert_eq!(load.defs(), RegSet::CALLER_SAVED);
        assert_eq!(load.uses(), RegSet::of(Reg::R6) | RegSet::of(Reg::R7));
    }

    #[test]
    fn set_arithmetic() {
        let mut set = RegSet::ALL - RegSet::CALLER_SAVED;
        assert_eq!(set.iter().map(Reg::number).collect::<Vec<_>>(), [6, 7, 8, 9, 10]);
        set.remove(Reg::FP);
        set.insert(Reg::R0);
        assert_eq!((set.len(), set.contains(Reg::FP)), (5, false));
        assert_eq!(!set & RegSet::ALL, !set);
    }
}
