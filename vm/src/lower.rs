//! Lowering: from a linked program to [`Code`], in the world that it will run in.
//!
//! The one place where references become addresses and calls become targets, and where the
//! checks are decided: an unverified program becomes checked code, and only a
//! [`Verified`] one code without checks and without what no path reaches.
//!
//! ```text
//!  slots ──decode──▶ insns ──boundaries──▶ subprograms ──resolve──▶ ops
//! ```

mod shape;
mod stack;

use crate::code::{
    Code, HelperIndex, HelperTarget, KnownCall, MAX_FUNCS, MemMode, Op, OpIndex, Proved, Subprog,
    func_addr,
};
use crate::map::Map;
use crate::mem::GuestAddr;
use crate::registry::Registry;
use crate::world::World;
use shape::{Placed, Shape};
use std::borrow::Cow;
use std::sync::Arc;
use ubpf_abi::TrapKind;
use ubpf_abi::helper::HelperId;
use ubpf_abi::kernel::Version;
use ubpf_abi::limits::MAX_PROCESSED_INSNS;
use ubpf_abi::map::{MapId, MapOp};
use ubpf_abi::object::{Extern, ExternId, ExternKind};
use ubpf_abi::program::Program;
use ubpf_abi::verified::{CallFacts, Facts, Verified};
use ubpf_isa::{CallTarget, DecodeError, Imm64, Insn, Pc, Reg, RegSet};

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
    lower_as(program, target, MemMode::Checked, None)
}

/// Lowers a verified program: what no path reaches is left out, and accesses are trusted as far
/// as `mode` says. With claims to be held against executions nothing is left out.
///
/// # Errors
/// [`LowerError`] when it refers to what does not exist in this world.
pub fn lower_verified(
    verified: &Verified,
    target: Target<'_>,
    mode: MemMode,
) -> Result<Code, LowerError> {
    lower_as(verified.program(), target, mode, Some(verified.facts()))
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

fn lower_as(
    program: &Arc<Program>,
    target: Target<'_>,
    mode: MemMode,
    facts: Option<&Facts>,
) -> Result<Code, LowerError> {
    let mut shape = Shape::of(program)?;
    // What is to be held against executions must be there to be executed.
    let trusted = facts.filter(|facts| facts.claims.is_none());
    if let Some(facts) = trusted {
        shape.drop_dead(facts);
    }
    let (helpers, facts) = (Vec::new(), facts.map_or(Cow::default(), Cow::Borrowed));
    let mut lowering = Lowering { program, target, shape: &shape, trusted, helpers };
    let mut ops = Vec::with_capacity(shape.insns.len());
    for placed in &shape.insns {
        ops.push(lowering.op(placed).map_err(at(placed.pc))?);
    }
    let helpers = lowering.helpers;
    let subprogs = subprogs(&shape, &ops, &facts);
    let pcs: Vec<Pc> = shape.insns.iter().map(|placed| placed.pc).collect();
    let proved = proved(&facts, &pcs, target);
    let host_base = target.world.cage().host_base().as_ptr().addr();
    let program = Arc::clone(program);
    Ok(Code { program, mode, ops, pcs, subprogs, helpers, proved, host_base })
}

fn subprogs(shape: &Shape, ops: &[Op], facts: &Facts) -> Vec<Subprog> {
    let ends = shape.starts().skip(1).map(|(_, start)| start);
    let ends = ends.chain([OpIndex(ops.len() as u32)]);
    let subprog = |((pc, start), end): ((Pc, OpIndex), OpIndex)| {
        let body = ops.get(start.index()..end.index()).unwrap_or_default();
        let known = facts.subprog(pc);
        // Not 0 where it is used at all: it then has a place.
        let used = u32::from(known.stack_bytes).max(8);
        let stack_bytes = stack::stack_bytes(body).min(used);
        Subprog { start, stack_bytes, clear: known.reads_uninit }
    };
    shape.starts().zip(ends).map(subprog).collect()
}

/// What the facts say of the ops that the instructions at `pcs` became.
fn proved(facts: &Facts, pcs: &[Pc], target: Target<'_>) -> Proved {
    if facts.insns.is_empty() {
        return Proved::default();
    }
    let known = |call: &CallFacts| {
        let op = OpIndex(pcs.binary_search(&call.pc).ok()? as u32);
        let addr = target.maps.get(call.map.index()).copied().flatten()?;
        let layout = target.world.map_ref(addr.into()).and_then(Map::layout);
        Some(KnownCall { op, map: call.map, addr, key: call.key, layout })
    };
    Proved {
        facts: pcs.iter().map(|&pc| facts.insn(pc)).collect(),
        calls: facts.calls.iter().filter_map(known).collect(),
        max_insns: facts.max_insns,
        claims: facts.claims.clone(),
    }
}

/// Resolution of single instructions.
struct Lowering<'a> {
    program: &'a Program,
    target: Target<'a>,
    shape: &'a Shape,
    /// What may be relied on.
    trusted: Option<&'a Facts>,
    helpers: Vec<HelperTarget>,
}

impl Lowering<'_> {
    fn op(&mut self, placed: &Placed) -> Result<Op, LowerErrorKind> {
        let Placed { pc, insn, dead } = *placed;
        if dead {
            return Ok(Op::Trap { kind: TrapKind::Disproved });
        }
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
                let never = || (!self.shape.leads_on(pc, off.into())).then_some(false);
                match self.trusted.and_then(|facts| facts.insn(pc).taken.or_else(never)) {
                    None => Op::Branch { op, width, dst, src, target: target(off.into())? },
                    // It counts as an instruction still. Where not even the only way leads on, no
                    // path comes here either.
                    Some(taken) => {
                        let off = if taken { off.into() } else { 0 };
                        if self.shape.leads_on(pc, off) {
                            Op::Jump { target: target(off)? }
                        } else {
                            Op::Trap { kind: TrapKind::Disproved }
                        }
                    }
                }
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
                // Programs ask for the address of a kernel function to know whether it exists.
                Some(symbol) if self.kfunc_body(symbol).is_some() => Ok(KFUNCS),
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
        Ok(self.call(HelperTarget { id, name, body, native: def.native }))
    }

    /// A call of a helper or kernel function; each stands in the code's list once.
    fn call(&mut self, target: HelperTarget) -> Op {
        let same = |known: &HelperTarget| (known.id, known.name) == (target.id, target.name);
        let index = self.helpers.iter().position(same).unwrap_or_else(|| {
            self.helpers.push(target);
            self.helpers.len() - 1
        });
        Op::CallHelper { helper: HelperIndex(index as u32) }
    }

    /// The kernel function that a symbol names, where it can be run.
    fn kfunc_body(&self, symbol: &Extern) -> Option<HelperTarget> {
        let ExternKind::Kfunc { .. } = symbol.kind else { return None };
        let def = self.target.registry.kfunc_def(essential(&symbol.name))?;
        let (name, body) = (def.decl.name, def.body?);
        Some(HelperTarget { id: HelperId::KFUNC, name, body, native: None })
    }

    /// Programs guard calls of weak kernel functions by asking first, too.
    fn kfunc(&mut self, id: i32) -> Result<Op, LowerErrorKind> {
        let id = ExternId(id.cast_unsigned());
        let symbol = self.program.externs.get(id.0 as usize);
        match (symbol, symbol.and_then(|symbol| self.kfunc_body(symbol))) {
            (_, Some(target)) => Ok(self.call(target)),
            (Some(symbol), None) if symbol.weak => Ok(Op::Trap { kind: TrapKind::Unsupported }),
            (symbol, None) => Err(extern_error(symbol.map(|s| s.name.clone()), id.0)),
        }
    }
}

/// What the address of a kernel function reads as. Nobody can access it.
const KFUNCS: u64 = 0xffff_ffff_8100_0000;

/// A kernel function's name without the flavour that a program gives it behind three underscores.
fn essential(name: &str) -> &str {
    name.split("___").next().unwrap_or(name)
}

fn extern_error(name: Option<String>, id: u32) -> LowerErrorKind {
    LowerErrorKind::Extern { name: name.unwrap_or_else(|| format!("#{id}")) }
}

#[cfg(test)]
mod tests;
