//! Lowering: from a linked program to [`Code`], in the world that it will run in.
//!
//! The one place where references become addresses and calls become targets, and where the
//! checks are decided: an unverified program becomes checked code, and only a
//! [`Verified`] one code without checks.
//!
//! ```text
//!  slots ──decode──▶ insns ──boundaries──▶ subprograms ──resolve──▶ ops
//! ```

use crate::code::{
    Code, HelperIndex, HelperTarget, MAX_FUNCS, MemMode, Op, OpIndex, Proved, Subprog, func_addr,
};
use crate::mem::GuestAddr;
use crate::registry::Registry;
use crate::world::World;
use std::collections::BTreeSet;
use std::sync::Arc;
use ubpf_abi::TrapKind;
use ubpf_abi::helper::HelperId;
use ubpf_abi::kernel::Version;
use ubpf_abi::limits::{MAX_PROCESSED_INSNS, STACK_BYTES};
use ubpf_abi::map::{MapId, MapOp};
use ubpf_abi::object::ExternId;
use ubpf_abi::program::{Program, SubprogId};
use ubpf_abi::verified::Verified;
use ubpf_isa::{CallTarget, DecodeError, Flow, Imm64, Insn, Operand, Pc, Reg, RegSet, decode};

/// Where a program will run: what its references mean.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Helpers.
    pub registry: &'a Registry,
    /// Maps and memory.
    pub world: &'a World,
    /// The map that each of the program's [`MapId`]s stands for, as
    /// [`World::add_map`] gave it; `None` for maps that were not created.
    pub maps: &'a [Option<GuestAddr>],
}

/// Lowers a program that nobody has verified: every access is checked.
///
/// # Errors
/// [`LowerError`] when it is no executable program or refers to what does not exist.
pub fn lower(program: &Arc<Program>, target: Target<'_>) -> Result<Code, LowerError> {
    lower_as(program, target, MemMode::Checked)
}

/// Lowers a verified program: accesses are trusted, and confined to the cage when `caged`.
///
/// # Errors
/// [`LowerError`] when it refers to what does not exist in this world.
pub fn lower_verified(
    verified: &Verified,
    target: Target<'_>,
    caged: bool,
) -> Result<Code, LowerError> {
    let mode = if caged { MemMode::Caged } else { MemMode::Proved };
    lower_as(verified.program(), target, mode)
}

/// Why a program cannot be lowered, and at which instruction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("insn {pc}: {kind}")]
pub struct LowerError {
    /// The instruction, in the program's slots.
    pub pc: Pc,
    /// What is wrong with it.
    pub kind: LowerErrorKind,
}

/// What keeps an instruction from being executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LowerErrorKind {
    /// The program has no instructions.
    #[error("the program is empty")]
    Empty,
    /// The program has too many.
    #[error("program of {slots} slots is longer than the {MAX_PROCESSED_INSNS} that are possible")]
    TooLong {
        /// Its length.
        slots: usize,
    },
    /// It has more functions than have addresses.
    #[error("program has more than {MAX_FUNCS} subprograms")]
    TooManySubprogs,
    /// The slots are no instruction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A jump or call leads nowhere.
    #[error("target {off:+} slots away is outside the program")]
    TargetOutside {
        /// Slots from the next instruction.
        off: i32,
    },
    /// A jump leads into another function.
    #[error("jump to insn {target}, which belongs to another subprogram")]
    TargetInOtherSubprog {
        /// Where it leads.
        target: Pc,
    },
    /// A jump or call leads to the second slot of a wide load.
    #[error("target {target} is the second half of a wide load")]
    TargetInWideLoad {
        /// Where it leads.
        target: Pc,
    },
    /// Control can run past the end of a function.
    #[error("the subprogram ends without an exit or jump")]
    FallsOff,
    /// `r10` would be changed.
    #[error("the frame pointer r10 is read-only")]
    WritesFramePointer,
    /// No such helper here.
    #[error("helper {id}{} does not exist here{}", Named(.name), Since(.since))]
    UnknownHelper {
        /// Its number.
        id: HelperId,
        /// Its name, when Linux has one.
        name: Option<&'static str>,
        /// The kernel that brought it.
        since: Option<Version>,
    },
    /// The helper is known and not emulated.
    #[error("helper {name} (#{id}) is not emulated, so programs that call it cannot run")]
    HelperWithoutBody {
        /// Its number.
        id: HelperId,
        /// Its name.
        name: &'static str,
    },
    /// The map was not created.
    #[error("map {} does not exist in this world", .0.0)]
    NoMap(MapId),
    /// The map has no value whose address a program may take.
    #[error("map '{name}' has no value of a fixed address")]
    NoDirectValue {
        /// Its name.
        name: String,
    },
    /// The address lies outside the map's value.
    #[error("offset {off} is outside the {value_bytes} bytes of map '{name}'")]
    OutsideValue {
        /// The map's name.
        name: String,
        /// Offset into its value.
        off: u32,
        /// Bytes of its value.
        value_bytes: u32,
    },
    /// The host does not provide the symbol.
    #[error("kernel symbol '{name}' is not emulated")]
    Extern {
        /// Its name.
        name: String,
    },
    /// The instruction belongs to a feature that is not there.
    #[error("{what} cannot be executed here")]
    NotExecutable {
        /// What the instruction is.
        what: &'static str,
    },
}

struct Named<'a>(&'a Option<&'static str>);

impl core::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

struct Since<'a>(&'a Option<Version>);

impl core::fmt::Display for Since<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |version| write!(f, "; Linux has it since {version}"))
    }
}

fn at(pc: Pc) -> impl Fn(LowerErrorKind) -> LowerError {
    move |kind| LowerError { pc, kind }
}

fn lower_as(program: &Arc<Program>, target: Target<'_>, mode: MemMode) -> Result<Code, LowerError> {
    let shape = Shape::of(program)?;
    let mut lowering = Lowering { program, target, shape: &shape, helpers: Vec::new() };
    let mut ops = Vec::with_capacity(shape.insns.len());
    for &(pc, insn) in &shape.insns {
        ops.push(lowering.op(pc, insn).map_err(at(pc))?);
    }
    let helpers = lowering.helpers;
    let subprogs = shape.subprogs(&ops);
    let pcs = shape.insns.iter().map(|&(pc, _)| pc).collect();
    let (program, proved) = (Arc::clone(program), Proved::default());
    Ok(Code { program, mode, ops, pcs, subprogs, helpers, proved })
}

/// The instructions of a program and where its functions begin.
struct Shape {
    insns: Vec<(Pc, Insn)>,
    /// For each slot, the instruction that begins there.
    begins: Vec<Option<OpIndex>>,
    /// First slots of the functions, ascending.
    starts: Vec<Pc>,
}

impl Shape {
    fn of(program: &Program) -> Result<Self, LowerError> {
        let slots = &program.slots;
        if slots.is_empty() {
            return Err(at(Pc(0))(LowerErrorKind::Empty));
        }
        if slots.len() > MAX_PROCESSED_INSNS as usize {
            let kind = LowerErrorKind::TooLong { slots: slots.len() };
            return Err(at(Pc(0))(kind));
        }
        let mut shape = Self {
            insns: Vec::with_capacity(slots.len()),
            begins: vec![None; slots.len()],
            starts: Vec::new(),
        };
        shape.decode(program)?;
        shape.find_starts(program)?;
        shape.check_flow()?;
        Ok(shape)
    }

    fn decode(&mut self, program: &Program) -> Result<(), LowerError> {
        let mut slot = 0;
        while let Some(rest) = program.slots.get(slot..).filter(|rest| !rest.is_empty()) {
            let pc = Pc(slot as u32);
            let insn = decode(rest).map_err(|e| at(pc)(e.into()))?;
            self.begins[slot] = Some(OpIndex(self.insns.len() as u32));
            self.insns.push((pc, insn));
            slot += insn.slots() as usize;
        }
        Ok(())
    }

    /// Functions begin where the linker says and, as in the kernel, wherever one is called or
    /// has its address taken.
    fn find_starts(&mut self, program: &Program) -> Result<(), LowerError> {
        let mut starts: BTreeSet<Pc> = program.subprogs.iter().map(|s| s.start).collect();
        starts.insert(Pc(0));
        starts.retain(|start| start.index() < program.slots.len());
        for &(pc, insn) in &self.insns {
            if let Some(off) = insn.subprog() {
                starts.insert(self.target(pc, off).map_err(at(pc))?);
            }
        }
        if let Some(&wide) = starts.iter().find(|s| self.begins[s.index()].is_none()) {
            return Err(at(wide)(LowerErrorKind::TargetInWideLoad { target: wide }));
        }
        if starts.len() > MAX_FUNCS as usize {
            return Err(at(Pc(0))(LowerErrorKind::TooManySubprogs));
        }
        self.starts = starts.into_iter().collect();
        Ok(())
    }

    /// No path leaves a function but by a call or an exit.
    fn check_flow(&self) -> Result<(), LowerError> {
        for (index, &(pc, insn)) in self.insns.iter().enumerate() {
            let home = self.subprog_at(pc);
            let flow = insn.flow();
            if let Flow::Jump(off) | Flow::Branch(off) = flow {
                let target = self.target(pc, off).map_err(at(pc))?;
                if self.subprog_at(target) != home {
                    return Err(at(pc)(LowerErrorKind::TargetInOtherSubprog { target }));
                }
            }
            let next = self.insns.get(index + 1).map(|&(next, _)| self.subprog_at(next));
            if flow.falls_through() && next != Some(home) {
                return Err(at(pc)(LowerErrorKind::FallsOff));
            }
        }
        Ok(())
    }

    fn target(&self, pc: Pc, off: i32) -> Result<Pc, LowerErrorKind> {
        let target = pc.target(off).filter(|target| target.index() < self.begins.len());
        let target = target.ok_or(LowerErrorKind::TargetOutside { off })?;
        match self.begins[target.index()] {
            Some(_) => Ok(target),
            None => Err(LowerErrorKind::TargetInWideLoad { target }),
        }
    }

    fn target_op(&self, pc: Pc, off: i32) -> Result<OpIndex, LowerErrorKind> {
        let target = self.target(pc, off)?;
        self.begins[target.index()].ok_or(LowerErrorKind::TargetInWideLoad { target })
    }

    /// The function that a slot belongs to.
    fn subprog_at(&self, pc: Pc) -> SubprogId {
        let after = self.starts.partition_point(|start| *start <= pc);
        SubprogId(after.saturating_sub(1) as u32)
    }

    fn subprogs(&self, ops: &[Op]) -> Vec<Subprog> {
        let starts: Vec<OpIndex> =
            self.starts.iter().filter_map(|start| self.begins[start.index()]).collect();
        let ends = starts.iter().skip(1).copied().chain([OpIndex(ops.len() as u32)]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| {
                let body = ops.get(start.index()..end.index()).unwrap_or_default();
                Subprog { start, stack_bytes: stack_bytes(body), clear: true }
            })
            .collect()
    }
}

/// Bytes below `r10` that these ops can reach: exact while `r10` is only the base of accesses,
/// all of the frame once its value goes elsewhere, and 0 only where `r10` is never used.
fn stack_bytes(ops: &[Op]) -> u32 {
    let mut deepest = 0;
    for op in ops {
        let off = match *op {
            Op::Load { base: Reg::FP, off, .. }
            | Op::LoadAcquire { base: Reg::FP, off, .. }
            | Op::Store { base: Reg::FP, off, src: Operand::Imm(_), .. } => off,
            Op::Store { base: Reg::FP, off, src: Operand::Reg(src), .. }
            | Op::Atomic { base: Reg::FP, off, src, .. }
            | Op::StoreRelease { base: Reg::FP, off, src, .. }
                if src != Reg::FP =>
            {
                off
            }
            _ if uses_fp(op) => return STACK_BYTES,
            _ => continue,
        };
        deepest = deepest.max(off.min(-1).unsigned_abs().into());
    }
    u32::next_multiple_of(deepest, 8).min(STACK_BYTES)
}

fn uses_fp(op: &Op) -> bool {
    let is_fp = |operand: &Operand| *operand == Operand::Reg(Reg::FP);
    match op {
        Op::Alu { dst, src, .. } | Op::Branch { dst, src, .. } => *dst == Reg::FP || is_fp(src),
        Op::Mov { src, .. } => is_fp(src),
        Op::MovSx { src, .. } => *src == Reg::FP,
        Op::Store { base, src, .. } => *base == Reg::FP || is_fp(src),
        Op::Load { base, .. } | Op::LoadAcquire { base, .. } => *base == Reg::FP,
        Op::Atomic { base, src, .. } | Op::StoreRelease { base, src, .. } => {
            *base == Reg::FP || *src == Reg::FP
        }
        Op::LoadPacket { index, .. } => *index == Some(Reg::FP),
        Op::CallReg { target } => *target == Reg::FP,
        Op::Neg { .. }
        | Op::Swap { .. }
        | Op::Const { .. }
        | Op::Jump { .. }
        | Op::MayGoto { .. }
        | Op::CallHelper { .. }
        | Op::CallSubprog { .. }
        | Op::TailCall
        | Op::Exit
        | Op::Trap { .. } => false,
    }
}

/// Resolution of single instructions.
struct Lowering<'a> {
    program: &'a Program,
    target: Target<'a>,
    shape: &'a Shape,
    helpers: Vec<HelperTarget>,
}

impl Lowering<'_> {
    fn op(&mut self, pc: Pc, insn: Insn) -> Result<Op, LowerErrorKind> {
        if (insn.defs() & RegSet::of(Reg::FP)) != RegSet::EMPTY {
            return Err(LowerErrorKind::WritesFramePointer);
        }
        let target = |off: i32| self.shape.target_op(pc, off);
        Ok(match insn {
            Insn::Alu { op, width, dst, src } => Op::Alu { op, width, dst, src },
            Insn::Neg { width, dst } => Op::Neg { width, dst },
            Insn::Mov { width, dst, src } => Op::Mov { width, dst, src },
            Insn::MovSx { width, dst, src, from } => Op::MovSx { width, dst, src, from },
            Insn::Swap { op, width, dst } => Op::Swap { op, width, dst },
            Insn::Load { size, signed, dst, base, off } => {
                Op::Load { size, signed, dst, base, off }
            }
            Insn::Store { size, base, off, src } => Op::Store { size, base, off, src },
            Insn::Atomic { op, size, base, off, src } => Op::Atomic { op, size, base, off, src },
            Insn::LoadAcquire { size, dst, base, off } => Op::LoadAcquire { size, dst, base, off },
            Insn::StoreRelease { size, base, off, src } => {
                Op::StoreRelease { size, base, off, src }
            }
            Insn::LdImm64 { dst, imm } => Op::Const { dst, value: self.constant(pc, imm)? },
            Insn::LdAbs { size, imm } => Op::LoadPacket { size, index: None, imm },
            Insn::LdInd { size, src, imm } => Op::LoadPacket { size, index: Some(src), imm },
            Insn::Jump { off, .. } => Op::Jump { target: target(off)? },
            Insn::Branch { op, width, dst, src, off } => {
                Op::Branch { op, width, dst, src, target: target(off.into())? }
            }
            Insn::MayGoto { off } => Op::MayGoto { target: target(off.into())? },
            Insn::AddrSpaceCast { .. } => {
                return Err(LowerErrorKind::NotExecutable { what: "an arena pointer conversion" });
            }
            Insn::Call(CallTarget::Helper(id)) => self.helper(pc, HelperId(id))?,
            Insn::Call(CallTarget::Subprog(off)) => {
                Op::CallSubprog { subprog: self.shape.subprog_at(self.shape.target(pc, off)?) }
            }
            Insn::Call(CallTarget::Kfunc { btf_id, .. }) => self.kfunc(btf_id)?,
            Insn::CallX { target } => Op::CallReg { target },
            Insn::Exit => Op::Exit,
        })
    }

    fn constant(&self, pc: Pc, imm: Imm64) -> Result<u64, LowerErrorKind> {
        match imm {
            Imm64::Value(value) => Ok(value),
            Imm64::MapFd(id) | Imm64::MapIdx(id) => self.map(id).map(u64::from),
            Imm64::MapValue { fd: id, off } | Imm64::MapIdxValue { idx: id, off } => {
                self.map_value(id, off)
            }
            Imm64::Func(off) => {
                let id = self.shape.subprog_at(self.shape.target(pc, off)?);
                func_addr(id).ok_or(LowerErrorKind::TooManySubprogs)
            }
            Imm64::BtfId { id, .. } => match self.program.externs.get(id as usize) {
                Some(symbol) if symbol.weak => Ok(0),
                symbol => Err(extern_error(symbol.map(|s| s.name.clone()), id)),
            },
        }
    }

    fn map(&self, id: i32) -> Result<GuestAddr, LowerErrorKind> {
        let id = MapId(id.cast_unsigned());
        self.target.maps.get(id.index()).copied().flatten().ok_or(LowerErrorKind::NoMap(id))
    }

    fn map_value(&self, id: i32, off: u32) -> Result<u64, LowerErrorKind> {
        let addr = self.map(id)?;
        let Some(map) = self.target.world.map_ref(addr.into()) else {
            return Err(LowerErrorKind::NoMap(MapId(id.cast_unsigned())));
        };
        let name = || map.def().name.clone();
        let value =
            map.direct_value().ok_or_else(|| LowerErrorKind::NoDirectValue { name: name() })?;
        let value_bytes = map.def().value_size;
        if off >= value_bytes {
            return Err(LowerErrorKind::OutsideValue { name: name(), off, value_bytes });
        }
        Ok(u64::from(value) + u64::from(off))
    }

    fn helper(&mut self, pc: Pc, id: HelperId) -> Result<Op, LowerErrorKind> {
        // Where a relocation failed stands a call of a helper that cannot exist. It is harmless
        // unless reached, and programs guard it by asking first.
        if self.program.failed_relos.iter().any(|relo| relo.slot == pc.0) {
            return Ok(Op::Trap { kind: TrapKind::Unsupported });
        }
        let Some(def) = self.target.registry.helper_def(id) else {
            return Err(LowerErrorKind::UnknownHelper { id, name: id.name(), since: id.since() });
        };
        if def.decl.map_op == Some(MapOp::TailCall) {
            return Ok(Op::TailCall);
        }
        let name = def.decl.name;
        let body = def.body.ok_or(LowerErrorKind::HelperWithoutBody { id, name })?;
        let known = self.helpers.iter().position(|helper| helper.id == id);
        let index = known.unwrap_or_else(|| {
            self.helpers.push(HelperTarget { id, name, body });
            self.helpers.len() - 1
        });
        Ok(Op::CallHelper { helper: HelperIndex(index as u32) })
    }

    /// Programs guard calls of weak kernel functions by asking first, too.
    fn kfunc(&self, id: i32) -> Result<Op, LowerErrorKind> {
        let id = ExternId(id.cast_unsigned());
        match self.program.externs.get(id.0 as usize) {
            Some(symbol) if symbol.weak => Ok(Op::Trap { kind: TrapKind::Unsupported }),
            symbol => Err(extern_error(symbol.map(|s| s.name.clone()), id.0)),
        }
    }
}

fn extern_error(name: Option<String>, id: u32) -> LowerErrorKind {
    LowerErrorKind::Extern { name: name.unwrap_or_else(|| format!("#{id}")) }
}

#[cfg(test)]
mod tests;
