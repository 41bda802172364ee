//! Calls of helpers and subprograms, wide loads, and returns.

use super::mem::Place;
use super::{Next, Step};
use crate::Privilege;
use crate::reason::{CallReason, Given, HelperName, MemoryReason, R, Reason, Returned};
use crate::state::stack::{Byte, FillError};
use crate::state::{Acquired, Frame, MapRef, MemKind, Pointer, PtrTo, Reg};
use ubpf_abi::Access;
use ubpf_abi::helper::{Arg, ArgKind, HelperDecl, HelperId, MemAccess, MemSize, RetKind};
use ubpf_abi::limits::MAX_CALL_FRAMES;
use ubpf_abi::map::{MapId, MapOp};
use ubpf_abi::prog_type::RetRange;
use ubpf_isa::{CallTarget, Imm64, Pc, Reg as Name, RegSet};

/// Sizes at which a helper's memory argument is without useful bound.
const UNBOUNDED_SIZE: u64 = 1 << 29;

/// What the arguments of one call have in common.
#[derive(Default)]
struct Passed {
    map: Option<MapRef>,
    alloc_size: Option<u32>,
    released: Option<(Name, Pointer)>,
}

impl Step<'_> {
    /// `dst = imm ll`.
    pub(super) fn wide(&mut self, dst: Name, imm: Imm64) -> Result<(), Reason> {
        let map = |fd: i32| {
            let id = u32::try_from(fd).ok().map(MapId);
            let id = id.filter(|id| id.index() < self.cx.program.maps.len());
            id.map(|map| MapRef { map, inner: false, uid: 0 }).ok_or(CallReason::NoMap(fd))
        };
        let value = match imm {
            Imm64::Value(v) => Reg::constant(v),
            Imm64::MapFd(fd) => Reg::Pointer(Pointer::new(PtrTo::Map(map(fd)?))),
            Imm64::MapValue { fd, off } => {
                let map = map(fd)?;
                let def = self.cx.map_def(map)?;
                let value_size = def.value_size;
                let direct = def.map_type.ok().and_then(|t| self.cx.platform.map_type(t));
                if !direct.is_some_and(|d| d.direct_value) {
                    return Err(CallReason::NoDirectValue.into());
                }
                if off >= value_size {
                    return Err(CallReason::DirectValueRange { value_size, off }.into());
                }
                let off = i32::try_from(off).unwrap_or(i32::MAX);
                Reg::Pointer(Pointer { off, ..Pointer::new(PtrTo::MapValue(map)) })
            }
            Imm64::Func(_) => return Err(Reason::Unsupported("callbacks")),
            Imm64::BtfId { .. } => return Err(Reason::Unsupported("kernel variables")),
            Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                return Err(Reason::Unsupported("maps by index"));
            }
        };
        self.set(dst, value)
    }

    pub(super) fn call(&mut self, target: CallTarget, next: Pc) -> Result<Next, Reason> {
        match target {
            CallTarget::Helper(id) => {
                self.helper(HelperId(id))?;
                Ok(Next::Go(next))
            }
            CallTarget::Subprog(off) => self.subprog(off, next),
            CallTarget::Kfunc { .. } => Err(Reason::Unsupported("kernel functions")),
        }
    }

    fn subprog(&mut self, off: i32, next: Pc) -> Result<Next, Reason> {
        let target =
            self.pc.target(off).and_then(|pc| Some((pc, self.cx.text.subprog_starting(pc)?)));
        let (pc, id) = target.ok_or(crate::reason::ShapeReason::CallTarget)?;
        if self.cx.program.subprogs.iter().any(|s| s.start == pc && s.global) {
            return Err(Reason::Unsupported("global subprograms"));
        }
        let depth = self.state.depth();
        if depth >= MAX_CALL_FRAMES {
            return Err(CallReason::CallDepth(depth + 1).into());
        }
        let mut callee = Frame::new(id, depth as u8, Some(next));
        let caller = self.state.frame_mut();
        for reg in Name::all().filter(|&r| RegSet::ARGS.contains(r)) {
            callee.regs[reg.index()] = caller.regs[reg.index()];
        }
        clobber(caller);
        self.state.push(callee);
        Ok(Next::Go(pc))
    }

    /// The end of a subprogram, or of the program.
    pub(super) fn exit(&mut self) -> Result<Next, Reason> {
        let result = self.read(Name::R0);
        let Some(back) = self.state.frame().return_to else {
            return self.end(result?).map(|()| Next::End);
        };
        let result = self.frame().regs[Name::R0.index()];
        if let Reg::Pointer(Pointer { to: PtrTo::Stack(_), .. }) = result {
            return Err(CallReason::ReturnsStack.into());
        }
        self.state.pop();
        self.state.frame_mut().regs[Name::R0.index()] = result;
        Ok(Next::Go(back))
    }

    fn end(&mut self, result: Reg) -> Result<(), Reason> {
        if let Some(held) = self.state.refs.first() {
            return Err(CallReason::Leak { id: held.id.0, at: held.at }.into());
        }
        if result.pointer().is_some() && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(crate::reason::ValueReason::LeakAtExit(R(Name::R0)).into());
        }
        let RetRange::Within { min, max } = self.cx.decl.ret else { return Ok(()) };
        let n = match result {
            Reg::Number(n) => n,
            Reg::Pointer(p) => return Err(CallReason::ReturnsPointer(p.type_name()).into()),
            Reg::Uninit => return Ok(()),
        };
        self.demand(Name::R0);
        let (low, high) = (n.value.full.smin, n.value.full.smax);
        if low >= min.into() && high <= max.into() {
            return Ok(());
        }
        let returned = Returned {
            min: (low != i64::MIN).then_some(low),
            max: (high != i64::MAX).then_some(high),
        };
        Err(CallReason::ReturnRange { returned, min, max }.into())
    }

    fn helper(&mut self, id: HelperId) -> Result<(), Reason> {
        let decl = self.cx.platform.helper(id);
        let name = HelperName { name: decl.map(|d| d.name), id: id.0 };
        let Some(decl) = decl else {
            return Err(CallReason::UnknownHelper(name).into());
        };
        let admitted = decl.groups.iter().any(|g| self.cx.decl.helpers.contains(g));
        if !admitted || !self.cx.options.kernel.has(decl.since) {
            return Err(CallReason::NotForType(name).into());
        }
        if decl.gpl_only && !self.cx.program.is_gpl_compatible() {
            return Err(CallReason::GplOnly.into());
        }
        if decl.might_sleep && !self.cx.program.section.sleepable {
            return Err(CallReason::MightSleep.into());
        }
        let mut passed = Passed::default();
        let regs = [Name::R1, Name::R2, Name::R3, Name::R4, Name::R5];
        for (i, (arg, reg)) in decl.args.iter().zip(regs).enumerate() {
            let size_in = regs.get(i + 1).copied();
            self.argument(decl, name, arg, reg, size_in, &mut passed)?;
        }
        if decl.map_op == Some(MapOp::TailCall) && !self.state.refs.is_empty() {
            return Err(CallReason::TailCallLeak.into());
        }
        if let Some((reg, p)) = passed.released {
            self.release(reg, &p)?;
        }
        clobber(self.state.frame_mut());
        let result = self.result(decl, &passed)?;
        self.state.frame_mut().regs[Name::R0.index()] = result;
        if decl.changes_packet {
            self.state.for_each_reg(
                |r| {
                    matches!(
                        r.pointer().map(|p| p.to),
                        Some(PtrTo::Packet(_) | PtrTo::PacketMeta(_) | PtrTo::PacketEnd)
                    )
                },
                |r| *r = Reg::UNKNOWN,
            );
        }
        Ok(())
    }

    fn argument(
        &mut self,
        decl: &HelperDecl,
        helper: HelperName,
        arg: &Arg,
        reg: Name,
        size_in: Option<Name>,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let value = self.read(reg)?;
        if arg.nullable && value.is_zero() {
            self.demand(reg);
            return Ok(());
        }
        let wrong = |expected| {
            let given = value.pointer().map_or(Given::Scalar, |p| Given::Pointer(p.type_name()));
            Reason::from(CallReason::Argument { reg: R(reg), given, expected })
        };
        let place = |size| Place { base: reg, off: 0, size };
        match (arg.kind, value) {
            (ArgKind::Anything, _) => Ok(()),
            (ArgKind::Ctx, Reg::Pointer(p @ Pointer { to: PtrTo::Ctx, nullable: false, .. })) => {
                self.check_unmodified(&p, reg)
            }
            (ArgKind::Ctx, _) => Err(wrong("ctx")),
            (
                ArgKind::MapPtr,
                Reg::Pointer(Pointer { to: PtrTo::Map(map), nullable: false, .. }),
            ) => {
                passed.map = Some(map);
                self.check_map_op(decl, helper, map)
            }
            (ArgKind::MapPtr, _) => Err(wrong("map_ptr")),
            (ArgKind::MapKey, _) => {
                let size = self
                    .cx
                    .map_def(passed.map.ok_or(Reason::Unsupported("keys without a map"))?)?
                    .key_size;
                self.memory_argument(decl, reg, value, place(size), MemAccess::Read, wrong)
            }
            (ArgKind::MapValue(access), _) => {
                let size = self
                    .cx
                    .map_def(passed.map.ok_or(Reason::Unsupported("values without a map"))?)?
                    .value_size;
                self.memory_argument(decl, reg, value, place(size), access, wrong)
            }
            (ArgKind::Mem { access, size: MemSize::Fixed(size), .. }, _) => {
                self.memory_argument(decl, reg, value, place(size), access, wrong)
            }
            (ArgKind::Mem { access, size: MemSize::NextArg, .. }, _) => {
                // Judged together with its size, the next argument.
                let Some(size_reg) = size_in else {
                    return Err(Reason::Unsupported("memory without a size"));
                };
                self.sized_memory(decl, reg, value, size_reg, access, wrong)
            }
            (ArgKind::Size { .. }, _) => Ok(()),
            (ArgKind::ConstAllocSize { .. }, Reg::Number(n)) => {
                let size = n.value.as_const().and_then(|v| u32::try_from(v).ok());
                passed.alloc_size = Some(size.ok_or(CallReason::NotConstant(R(reg)))?);
                self.demand(reg);
                Ok(())
            }
            (
                ArgKind::AllocMem,
                Reg::Pointer(
                    p @ Pointer {
                        to: PtrTo::Mem { kind: MemKind::Ringbuf, .. },
                        nullable: false,
                        ..
                    },
                ),
            ) => {
                self.check_unmodified(&p, reg)?;
                if arg.release {
                    passed.released = Some((reg, p));
                }
                Ok(())
            }
            (ArgKind::AllocMem, _) => Err(wrong("ringbuf_mem")),
            _ => Err(Reason::Unsupported("this kind of helper argument")),
        }
    }

    fn check_map_op(
        &self,
        decl: &HelperDecl,
        helper: HelperName,
        map: MapRef,
    ) -> Result<(), Reason> {
        let (Some(op), Ok(map_type)) = (decl.map_op, self.cx.map_def(map)?.map_type) else {
            return Ok(());
        };
        let Some(map_decl) = self.cx.platform.map_type(map_type) else {
            return Err(Reason::Unsupported("this map type"));
        };
        if map_decl.ops.contains(&op) {
            Ok(())
        } else {
            Err(CallReason::MapOp { map_type, helper }.into())
        }
    }

    fn sized_memory(
        &mut self,
        decl: &HelperDecl,
        reg: Name,
        value: Reg,
        size_reg: Name,
        access: MemAccess,
        wrong: impl Fn(&'static str) -> Reason,
    ) -> Result<(), Reason> {
        let zero_ok = decl.args.iter().any(|a| a.kind == ArgKind::Size { zero_ok: true });
        let Reg::Number(size) = self.read(size_reg)? else {
            let given = self.frame().regs[size_reg.index()].pointer().map(|p| p.type_name());
            let given = given.map_or(Given::Scalar, Given::Pointer);
            return Err(CallReason::Argument { reg: R(size_reg), given, expected: "scalar" }.into());
        };
        self.demand(size_reg);
        let range = size.value.full;
        if range.smin < 0 {
            return Err(CallReason::NegativeSize(R(size_reg)).into());
        }
        if range.umin == 0 && !zero_ok {
            let (min, max) = (range.umin, range.umax);
            return Err(CallReason::ZeroSize { reg: R(size_reg), min, max }.into());
        }
        if range.umax >= UNBOUNDED_SIZE {
            return Err(CallReason::UnboundedSize(R(size_reg)).into());
        }
        let access = match access {
            // Only what is surely written counts as written.
            MemAccess::WriteUninit if range.umin != range.umax => MemAccess::ReadWrite,
            other => other,
        };
        let place = Place { base: reg, off: 0, size: range.umax as u32 };
        self.memory_argument(decl, reg, value, place, access, wrong)
    }

    fn memory_argument(
        &mut self,
        decl: &HelperDecl,
        reg: Name,
        value: Reg,
        at: Place,
        access: MemAccess,
        wrong: impl Fn(&'static str) -> Reason,
    ) -> Result<(), Reason> {
        const EXPECTED: &str =
            "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";
        let Reg::Pointer(p) = value else { return Err(wrong(EXPECTED)) };
        if p.nullable {
            return Err(wrong(EXPECTED));
        }
        match p.to {
            PtrTo::Stack(depth) => self.stack_argument(&p, depth, at, access),
            PtrTo::Packet(_) | PtrTo::PacketMeta(_) if !decl.packet_access => {
                Err(CallReason::PacketArgument.into())
            }
            PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) => self.check_packet(&p, at, extent),
            PtrTo::MapValue(map) => {
                let size = self.cx.map_def(map)?.value_size;
                self.check_region(&p, at, size)
            }
            PtrTo::MapKey(map) => {
                if access != MemAccess::Read {
                    return Err(MemoryReason::KeyWrite(R(reg)).into());
                }
                let size = self.cx.map_def(map)?.key_size;
                self.check_region(&p, at, size)
            }
            PtrTo::Mem { kind: MemKind::ReadOnly, .. } if access != MemAccess::Read => {
                Err(MemoryReason::ReadOnly { reg: R(reg), to: p.type_name() }.into())
            }
            PtrTo::Mem { size, .. } => self.check_region(&p, at, size),
            PtrTo::Buf { .. } | PtrTo::Btf { .. } => {
                Err(Reason::Unsupported("this kind of memory argument"))
            }
            PtrTo::Ctx
            | PtrTo::Map(_)
            | PtrTo::PacketEnd
            | PtrTo::FlowKeys
            | PtrTo::Sock(_)
            | PtrTo::Func(_) => Err(wrong(EXPECTED)),
        }
    }

    fn stack_argument(
        &mut self,
        p: &Pointer,
        depth: u8,
        at: Place,
        access: MemAccess,
    ) -> Result<(), Reason> {
        if at.size == 0 {
            return Ok(());
        }
        let direction = if access == MemAccess::WriteUninit { Access::Write } else { Access::Read };
        let (low, high) = self.stack_bounds(p, at, direction)?;
        let whole =
            crate::state::stack::Span { off: low.off, len: (high.off - low.off) as u32 + at.size };
        self.touch_stack(depth, whole);
        if low != high {
            self.demand(at.base);
        }
        if access != MemAccess::WriteUninit {
            let uninit_ok = self.cx.options.privilege == Privilege::Privileged;
            let readable = self.frame_at(depth).stack.readable(whole, uninit_ok);
            if let Err(FillError::Invalid { n }) = readable {
                let off = low.off.into();
                return Err(CallReason::UninitStackArgument {
                    reg: R(at.base),
                    off,
                    n,
                    size: at.size,
                }
                .into());
            }
        }
        if access != MemAccess::Read {
            self.frame_at_mut(depth).stack.write(whole, Byte::Misc);
        }
        Ok(())
    }

    fn release(&mut self, reg: Name, p: &Pointer) -> Result<(), Reason> {
        let held = p.ref_id.filter(|id| self.state.refs.iter().any(|r| r.id == *id));
        let Some(id) = held else {
            return Err(CallReason::NotReferenced(R(reg)).into());
        };
        self.state.refs.retain(|r| r.id != id);
        self.state.for_each_reg(
            |r| r.pointer().is_some_and(|p| p.ref_id == Some(id)),
            |r| *r = Reg::UNKNOWN,
        );
        Ok(())
    }

    fn result(&mut self, decl: &HelperDecl, passed: &Passed) -> Result<Reg, Reason> {
        let to = match decl.ret.kind {
            RetKind::Void => return Ok(Reg::Uninit),
            RetKind::Scalar => return Ok(Reg::UNKNOWN),
            RetKind::MapValue => {
                let map = passed.map.ok_or(Reason::Unsupported("values without a map"))?;
                let outer = self.cx.map_def(map)?;
                if outer.map_type.is_ok_and(ubpf_abi::map::MapType::is_map_in_map) {
                    let uid = self.ids.pointer().0;
                    PtrTo::Map(MapRef { map: map.map, inner: true, uid })
                } else {
                    PtrTo::MapValue(map)
                }
            }
            RetKind::AllocMem => {
                let size = passed.alloc_size.ok_or(Reason::Unsupported("memory without a size"))?;
                PtrTo::Mem { size, kind: MemKind::Ringbuf }
            }
            RetKind::Sock(kind) => PtrTo::Sock(kind),
            _ => return Err(Reason::Unsupported("this kind of helper result")),
        };
        let mut p = Pointer::new(to);
        if decl.ret.nullable {
            p = p.or_null(self.ids.pointer());
        }
        if decl.ret.acquire {
            let id = self.ids.reference();
            self.state.refs.push(Acquired { id, at: self.pc });
            p.ref_id = Some(id);
        }
        Ok(Reg::Pointer(p))
    }
}

/// Calls leave nothing in `r0` to `r5`.
fn clobber(frame: &mut Frame) {
    for reg in Name::all().filter(|&r| RegSet::CALLER_SAVED.contains(r)) {
        frame.regs[reg.index()] = Reg::Uninit;
    }
}
