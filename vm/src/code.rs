//! `Code`: a program in the form that engines execute, whatever the engine.
//!
//! Everything symbolic has been resolved by [`lower`](crate::lower): jumps name ops, calls name
//! subprograms and helpers, wide loads are plain constants. Ops correspond one to one to the
//! instructions of the program (a wide load is one), so an op's index counts instructions, and
//! "executed insns" mean the same in every engine.
//!
//! Code of a verified program leaves out what no path reaches, and carries what the verifier proved
//! of each op: [`Code::facts`]. How an access is made is decided by [`Code::access`].
//!
//! # What engines agree on
//!
//! - **Frames.** A subprogram's `r10` is the end of a stack frame of 512 bytes of its own. Entering
//!   a subprogram whose [`Subprog::stack_bytes`] is not 0 clears that many bytes below `r10`, unless
//!   [`Subprog::clear`] says that nobody could tell. At most [`MAX_CALL_FRAMES`](ubpf_abi::limits::MAX_CALL_FRAMES) frames exist, callbacks included.
//! - **Registers.** `r6` to `r9` survive calls; a call leaves `r1` to `r5` unspecified. On entry
//!   registers that hold no argument are 0.
//! - **Budget.** Every op counts 1 when it is executed. The budget is looked at wherever control
//!   goes backwards or into a subprogram, a callback or another program; the run traps there
//!   ([`BudgetExhausted`](ubpf_abi::TrapKind::BudgetExhausted), at the jump or call) when the ops
//!   executed so far, that one included, exceed it. Straight code may so overshoot by at most the
//!   program's length.
//! - **`may_goto`** jumps when its frame has executed [`MAX_LOOPS`](ubpf_abi::limits::MAX_LOOPS)
//!   of them. Kernels since 6.15 look at the time instead (a tight loop gets some 600 million
//!   iterations in its 250 ms), which would make runs impossible to repeat.
//! - **Tail calls** that fail (no such slot, 33 made already in this run) go on behind the call
//!   with `r0` unchanged. One that succeeds replaces the current frame only.

use crate::call::{HelperFn, NativeFn};
use crate::map::MapLayout;
use crate::mem::GuestAddr;
use std::sync::Arc;
use ubpf_abi::TrapKind;
use ubpf_abi::helper::HelperId;
use ubpf_abi::map::MapId;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::{Claims, InsnFacts, Region};
use ubpf_isa::{
    AluOp, AtomicOp, AtomicSize, CmpOp, Operand, Pc, Reg, SignExtend, Size, SwapOp, SwapWidth,
    Width,
};

/// Index of an op in its [`Code`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpIndex(pub u32);

impl OpIndex {
    /// As an index into a slice of ops.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Index of a helper in its [`Code`]'s table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HelperIndex(pub u32);

/// How far memory accesses are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemMode {
    /// Not at all: each is looked up in the region table. For programs that nobody verified.
    Checked,
    /// Verified, and still confined to the cage: addresses are cut to 32 bits.
    Caged,
    /// Verified: nothing is added.
    Proved,
}

/// How one op accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemAccess {
    /// Through the region table, which also knows of stores that mean more than writing bytes.
    Checked,
    /// Through the region table; where nothing may be loaded, the load gives 0.
    Probed,
    /// It was proved to be inside memory that may be so accessed: as the code's [`MemMode`] says.
    Trusted,
}

/// One executable operation. Fields mean what they mean in [`ubpf_isa::Insn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of the instruction")]
pub enum Op {
    /// `dst = dst op src`.
    Alu { op: AluOp, width: Width, dst: Reg, src: Operand },
    /// `dst = -dst`.
    Neg { width: Width, dst: Reg },
    /// `dst = src`.
    Mov { width: Width, dst: Reg, src: Operand },
    /// `dst = src`, sign-extended.
    MovSx { width: Width, dst: Reg, src: Reg, from: SignExtend },
    /// Byte-order conversion.
    Swap { op: SwapOp, width: SwapWidth, dst: Reg },
    /// A wide load, resolved: a number, or the address of a map, of a byte of a map's value, or
    /// of a subprogram.
    Const { dst: Reg, value: u64 },
    /// `dst = *(base + off)`.
    Load { size: Size, signed: bool, dst: Reg, base: Reg, off: i16 },
    /// `*(base + off) = src`.
    Store { size: Size, base: Reg, off: i16, src: Operand },
    /// Atomic read-modify-write.
    Atomic { op: AtomicOp, size: AtomicSize, base: Reg, off: i16, src: Reg },
    /// Load-acquire.
    LoadAcquire { size: Size, dst: Reg, base: Reg, off: i16 },
    /// Store-release.
    StoreRelease { size: Size, base: Reg, off: i16, src: Reg },
    /// Legacy packet load at `index + imm` through
    /// [`RunState::load_packet`](crate::run::RunState::load_packet); where there is no such byte,
    /// the frame returns 0.
    LoadPacket { size: Size, index: Option<Reg>, imm: i32 },
    /// Jump.
    Jump { target: OpIndex },
    /// Conditional jump.
    Branch { op: CmpOp, width: Width, dst: Reg, src: Operand, target: OpIndex },
    /// Jump once the frame's iterations are used up.
    MayGoto { target: OpIndex },
    /// Call of a helper.
    CallHelper { helper: HelperIndex },
    /// Call of a subprogram.
    CallSubprog { subprog: SubprogId },
    /// Call of the subprogram whose address a register holds.
    CallReg { target: Reg },
    /// `bpf_tail_call`: `r2` is the map, `r3` the index.
    TailCall,
    /// Return from the frame.
    Exit,
    /// An instruction that may be there but not be reached.
    Trap { kind: TrapKind },
}

/// A helper that the code calls.
#[derive(Clone, Copy, Debug)]
pub struct HelperTarget {
    /// Its number.
    pub id: HelperId,
    /// Its name without `bpf_`.
    pub name: &'static str,
    /// What to call.
    pub body: HelperFn,
    /// The same for generated code.
    pub native: Option<NativeFn>,
}

/// A function of the code; its ops end where the next one's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subprog {
    /// First op.
    pub start: OpIndex,
    /// Bytes of its frame that it can reach, a multiple of 8 up to 512; 0 where it does not use
    /// `r10` at all.
    pub stack_bytes: u32,
    /// Those bytes must be zero on entry. Without it nobody reads one before it is written.
    pub clear: bool,
}

/// What was proved of a helper call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCall {
    /// The call.
    pub op: OpIndex,
    /// The map it works on, one of the program's.
    pub map: MapId,
    /// The same in the world that the code was lowered in: what `r1` holds.
    pub addr: GuestAddr,
    /// The key, of up to 8 bytes, where it is always the same: as a little-endian number.
    pub key: Option<u64>,
    /// Where the map's values are, where that is simple.
    pub layout: Option<MapLayout>,
}

/// A program, ready for an engine.
#[derive(Clone, Debug)]
pub struct Code {
    pub(crate) program: Arc<Program>,
    pub(crate) mode: MemMode,
    pub(crate) ops: Vec<Op>,
    pub(crate) pcs: Vec<Pc>,
    pub(crate) subprogs: Vec<Subprog>,
    pub(crate) helpers: Vec<HelperTarget>,
    pub(crate) proved: Proved,
    /// Host address of guest address 0.
    pub(crate) host_base: usize,
}

/// What was proved of the code; of unverified programs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proved {
    /// One entry an op, or none at all.
    pub(crate) facts: Vec<InsnFacts>,
    /// By ascending op.
    pub(crate) calls: Vec<KnownCall>,
    pub(crate) max_insns: Option<u64>,
    pub(crate) claims: Option<Arc<Claims>>,
}

impl Code {
    /// Code of one function without ops.
    pub(crate) fn bare(program: Arc<Program>) -> Self {
        let subprogs = vec![Subprog { start: OpIndex(0), stack_bytes: 0, clear: false }];
        let (ops, pcs, helpers) = (Vec::new(), Vec::new(), Vec::new());
        let (mode, proved) = (MemMode::Checked, Proved::default());
        Self { program, mode, ops, pcs, subprogs, helpers, proved, host_base: 0 }
    }

    /// What it was lowered from.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// How far its accesses are trusted.
    #[must_use]
    pub const fn mode(&self) -> MemMode {
        self.mode
    }

    /// Host address of guest address 0 in the world that it was lowered in. Nothing may be
    /// accessed there on the strength of it.
    #[must_use]
    pub const fn host_base(&self) -> usize {
        self.host_base
    }

    /// Its ops. No path runs past the last one, or from one subprogram's ops into another's.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The instruction that an op was made from, in the program's slots.
    #[must_use]
    pub fn pc(&self, op: OpIndex) -> Pc {
        self.pcs.get(op.index()).copied().unwrap_or_default()
    }

    /// What holds every time an op is executed; of unverified code nothing is known. Where
    /// [`Code::mode`] is [`MemMode::Checked`], nothing must rely on it for safety.
    #[must_use]
    pub fn facts(&self, op: OpIndex) -> InsnFacts {
        self.proved.facts.get(op.index()).copied().unwrap_or(InsnFacts::NOTHING)
    }

    /// How an op accesses memory.
    #[must_use]
    pub fn access(&self, op: OpIndex) -> MemAccess {
        let loads = || matches!(self.ops.get(op.index()), Some(Op::Load { .. }));
        match self.facts(op).region {
            Region::Unknown => MemAccess::Checked,
            Region::Object if loads() => MemAccess::Probed,
            Region::Object => MemAccess::Checked,
            _ if self.mode == MemMode::Checked => MemAccess::Checked,
            Region::Ctx if !loads() => MemAccess::Checked,
            Region::Ctx
            | Region::Stack { .. }
            | Region::CallerStack
            | Region::Packet
            | Region::MapValue(_)
            | Region::Memory => MemAccess::Trusted,
        }
    }

    /// What was proved of the helper call at an op.
    #[must_use]
    pub fn known_call(&self, op: OpIndex) -> Option<&KnownCall> {
        let calls = &self.proved.calls;
        calls.binary_search_by_key(&op, |call| call.op).ok().and_then(|at| calls.get(at))
    }

    /// Ops that a run executes at most, where that was proved. A run with at least this budget
    /// never exhausts it.
    #[must_use]
    pub const fn max_insns(&self) -> Option<u64> {
        self.proved.max_insns
    }

    /// What the verifier believes of registers, where it is to be held against executions.
    #[must_use]
    pub const fn claims(&self) -> Option<&Arc<Claims>> {
        self.proved.claims.as_ref()
    }

    /// The op that the instruction at `pc` became.
    #[must_use]
    pub fn op_at(&self, pc: Pc) -> Option<OpIndex> {
        self.pcs.binary_search(&pc).ok().map(|index| OpIndex(index as u32))
    }

    /// Its functions by ascending start; the first is the entry, at 0.
    #[must_use]
    pub fn subprogs(&self) -> &[Subprog] {
        &self.subprogs
    }

    /// One function.
    #[must_use]
    pub fn subprog(&self, id: SubprogId) -> Option<&Subprog> {
        self.subprogs.get(id.0 as usize)
    }

    /// The helpers it calls.
    #[must_use]
    pub fn helpers(&self) -> &[HelperTarget] {
        &self.helpers
    }

    /// One helper.
    #[must_use]
    pub fn helper(&self, index: HelperIndex) -> Option<&HelperTarget> {
        self.helpers.get(index.0 as usize)
    }

    /// The function that a guest address stands for.
    #[must_use]
    pub fn subprog_at(&self, addr: u64) -> Option<SubprogId> {
        func_id(addr).filter(|id| self.subprog(*id).is_some())
    }
}

/// Guest addresses of functions lie this far apart.
const FUNC_BYTES: u32 = 16;
/// Subprograms in one program whose addresses can be told apart.
pub const MAX_FUNCS: u32 = (u32::MAX - crate::mem::FUNCTIONS) / FUNC_BYTES;

/// The guest address that stands for a function of the running program. Never accessible.
#[must_use]
pub fn func_addr(id: SubprogId) -> Option<u64> {
    (id.0 < MAX_FUNCS).then(|| u64::from(crate::mem::FUNCTIONS + id.0 * FUNC_BYTES))
}

/// The inverse of [`func_addr`].
#[must_use]
pub fn func_id(addr: u64) -> Option<SubprogId> {
    let off = u32::try_from(addr).ok()?.checked_sub(crate::mem::FUNCTIONS)?;
    off.is_multiple_of(FUNC_BYTES).then_some(SubprogId(off / FUNC_BYTES))
}
