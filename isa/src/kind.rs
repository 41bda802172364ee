//! The key of the table: what an instruction does, without its operands.

use crate::insn::{
    AddrSpaceCast, AluOp, AtomicOp, CallTarget, CmpOp, Imm64, Insn, JumpForm, Operand, SignExtend,
    SwapOp, SwapWidth,
};

/// What an instruction does: an [`Insn`](crate::Insn) without its operands.
///
/// Each kind has exactly one row in the table, [`Kind::row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are those of `Insn`, described there")]
pub enum Kind {
    Alu(AluOp),
    Neg,
    Mov,
    MovSx(SignExtend),
    Swap(SwapOp, SwapWidth),
    Load,
    LoadSx,
    StoreReg,
    StoreImm,
    Atomic(AtomicOp),
    LoadAcquire,
    StoreRelease,
    LdImm64(Pseudo),
    LdAbs,
    LdInd,
    Jump(JumpForm),
    Branch(CmpOp),
    MayGoto,
    AddrSpaceCast(AddrSpaceCast),
    Call(Callee),
    CallX,
    Exit,
}

/// What `src` says the immediate of a wide load is: an [`Imm64`](crate::Imm64) without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are those of `Imm64`, described there")]
pub enum Pseudo {
    Value,
    MapFd,
    MapValue,
    BtfId,
    Func,
    MapIdx,
    MapIdxValue,
}

/// What `src` says is called: a [`CallTarget`](crate::CallTarget) without its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are those of `CallTarget`, described there")]
pub enum Callee {
    Helper,
    Subprog,
    Kfunc,
}

impl Insn {
    /// What the instruction does, which is also its row in the [table](crate::table).
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match *self {
            Self::Alu { op, .. } => Kind::Alu(op),
            Self::Neg { .. } => Kind::Neg,
            Self::Mov { .. } => Kind::Mov,
            Self::MovSx { from, .. } => Kind::MovSx(from),
            Self::Swap { op, width, .. } => Kind::Swap(op, width),
            Self::Load { signed: false, .. } => Kind::Load,
            Self::Load { signed: true, .. } => Kind::LoadSx,
            Self::Store { src: Operand::Reg(_), .. } => Kind::StoreReg,
            Self::Store { src: Operand::Imm(_), .. } => Kind::StoreImm,
            Self::Atomic { op, .. } => Kind::Atomic(op),
            Self::LoadAcquire { .. } => Kind::LoadAcquire,
            Self::StoreRelease { .. } => Kind::StoreRelease,
            Self::LdImm64 { imm, .. } => Kind::LdImm64(imm.pseudo()),
            Self::LdAbs { .. } => Kind::LdAbs,
            Self::LdInd { .. } => Kind::LdInd,
            Self::Jump { form, .. } => Kind::Jump(form),
            Self::Branch { op, .. } => Kind::Branch(op),
            Self::MayGoto { .. } => Kind::MayGoto,
            Self::AddrSpaceCast { cast, .. } => Kind::AddrSpaceCast(cast),
            Self::Call(target) => Kind::Call(target.callee()),
            Self::CallX { .. } => Kind::CallX,
            Self::Exit => Kind::Exit,
        }
    }
}

impl Imm64 {
    /// What the `src` field says of the value.
    #[must_use]
    pub const fn pseudo(&self) -> Pseudo {
        match self {
            Self::Value(_) => Pseudo::Value,
            Self::MapFd(_) => Pseudo::MapFd,
            Self::MapValue { .. } => Pseudo::MapValue,
            Self::BtfId { .. } => Pseudo::BtfId,
            Self::Func(_) => Pseudo::Func,
            Self::MapIdx(_) => Pseudo::MapIdx,
            Self::MapIdxValue { .. } => Pseudo::MapIdxValue,
        }
    }

    /// The immediates of the first and the second slot.
    pub(crate) const fn halves(self) -> (i32, i32) {
        match self {
            Self::Value(value) => (value as i32, (value >> 32) as i32),
            Self::MapFd(n) | Self::MapIdx(n) | Self::Func(n) => (n, 0),
            Self::MapValue { fd, off } => (fd, off.cast_signed()),
            Self::MapIdxValue { idx, off } => (idx, off.cast_signed()),
            Self::BtfId { id, btf_fd } => (id.cast_signed(), btf_fd),
        }
    }
}

impl Pseudo {
    /// The inverse of [`Imm64::halves`].
    pub(crate) const fn join(self, low: i32, high: i32) -> Imm64 {
        match self {
            Self::Value => {
                Imm64::Value(low.cast_unsigned() as u64 | (high.cast_unsigned() as u64) << 32)
            }
            Self::MapFd => Imm64::MapFd(low),
            Self::MapValue => Imm64::MapValue { fd: low, off: high.cast_unsigned() },
            Self::BtfId => Imm64::BtfId { id: low.cast_unsigned(), btf_fd: high },
            Self::Func => Imm64::Func(low),
            Self::MapIdx => Imm64::MapIdx(low),
            Self::MapIdxValue => Imm64::MapIdxValue { idx: low, off: high.cast_unsigned() },
        }
    }
}

impl CallTarget {
    /// What the `src` field says of the target.
    #[must_use]
    pub const fn callee(&self) -> Callee {
        match self {
            Self::Helper(_) => Callee::Helper,
            Self::Subprog(_) => Callee::Subprog,
            Self::Kfunc { .. } => Callee::Kfunc,
        }
    }
}
