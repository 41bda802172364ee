//! One helper call, in the kernel's order: may this program call it, do the arguments fit one by
//! one, what does the call do beyond its prototype, what does it leave behind.

use super::super::{Next, Step};
use super::callback::Entered;
use super::clobber;
use super::dynptr::GivenDynptr;
use crate::facts;
use crate::reason::{CallReason, Given, HelperName, R, Reason, Region, ValueReason};
use crate::state::stack::{Byte, Span};
use crate::state::{MapRef, MemKind, Pointer, PtrTo, RefId, Reg};
use ubpf_abi::fields::Kptr;
use ubpf_abi::helper::{ArgKind, CallbackKind, DynptrKind, HelperDecl, HelperId};
use ubpf_abi::map::{MapFlags, MapOp, MapType};
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_abi::program::SubprogId;
use ubpf_abi::verified;
use ubpf_isa::{Pc, Reg as Name};

/// The registers of arguments.
pub(in super::super) const ARGS: [Name; 5] = [Name::R1, Name::R2, Name::R3, Name::R4, Name::R5];

/// What the arguments of one call have in common.
#[derive(Default)]
pub(in super::super) struct Passed {
    /// The map that keys and values belong to.
    pub map: Option<MapRef>,
    /// A key that is known: the element it names, of an array.
    pub key: Option<u64>,
    /// Bytes of the memory that the call returns.
    pub alloc_size: Option<u32>,
    /// Largest value of the size of a memory argument.
    pub size_max: Option<u64>,
    /// The reference that an argument carries.
    pub reference: Option<RefId>,
    /// The argument whose reference the call takes.
    pub released: Option<Name>,
    /// The subprogram that is called back.
    pub callback: Option<(CallbackKind, SubprogId)>,
    /// The kptr that is exchanged.
    pub kptr: Option<Kptr>,
    /// The dynptr.
    pub dynptr: Option<GivenDynptr>,
    /// What lies once on each CPU.
    pub percpu: Option<PtrTo>,
    /// Stack memory that the call fills.
    pub filled: Option<(u8, Span)>,
}

const fn changes_sockets(op: MapOp) -> bool {
    matches!(op, MapOp::Update | MapOp::Delete)
}

impl Step<'_> {
    pub(super) fn helper(&mut self, id: HelperId, next: Pc) -> Result<Next, Reason> {
        let decl = self.cx.platform.helper(id);
        let name = HelperName { name: decl.map(|d| d.name).or(id.name()), id: id.0 };
        let decl = &self.admitted(id, decl, name)?;
        let mut passed = Passed::default();
        for index in 0..decl.args.len().min(ARGS.len()) {
            self.argument(decl, name, index, &mut passed)?;
        }
        if let Some(map) = passed.map {
            self.found.seen.map_call(self.pc, map, self.key_region(decl));
        }
        self.check_map_use(decl, &passed)?;
        if let Some((depth, span)) = passed.filled {
            self.frame_at_mut(depth).stack.write(span, Byte::Misc);
        }
        self.release_passed(name, &passed)?;
        if decl.map_op == Some(MapOp::TailCall) {
            self.check_held(Region::TailCall)?;
        }
        if decl.map_op == Some(MapOp::LocalStorage)
            && !self.frame().regs[Name::R2.index()].is_zero()
        {
            return Err(CallReason::StorageFlags.into());
        }
        if decl.name == "dynptr_from_mem" {
            self.check_dynptr_memory()?;
        }
        if decl.name == "loop"
            && matches!(
                self.frame().regs[Name::R1.index()],
                Reg::Pointer(Pointer { to: PtrTo::Ctx, .. })
            )
        {
            return Err(ValueReason::Backtracking.into());
        }
        if decl.name == "snprintf" {
            self.check_format(Name::R3, Name::R5)?;
        }
        let entered = match passed.callback {
            Some((CallbackKind::Timer, subprog)) => Some(self.timer_callback(subprog, &passed)?),
            Some((kind, subprog)) => self.call_back(kind, subprog, &passed)?.map(Entered::Now),
            None => None,
        };
        clobber(self.state.frame_mut());
        let result = self.result(decl, &passed)?;
        self.state.frame_mut().regs[Name::R0.index()] = result;
        self.trace.shown.insert(Name::R0);
        self.check_map_op(decl, name, &passed)?;
        if decl.map_op == Some(MapOp::TailCall) && self.state.depth() > 1 {
            return self.tail_call(next);
        }
        // What is written through a dynptr may take a copy of the packet.
        let written = passed.dynptr.filter(|_| decl.name == "dynptr_write");
        if decl.changes_packet
            || written.is_some_and(|p| matches!(p.kind, DynptrKind::Skb | DynptrKind::SkbMeta))
        {
            self.forget_packet();
        }
        Ok(Self::beside(next, entered))
    }

    /// The helper with the arguments that it takes here, if this program may call it.
    fn admitted(
        &self,
        id: HelperId,
        decl: Option<&HelperDecl>,
        name: HelperName,
    ) -> Result<HelperDecl, Reason> {
        let Some(decl) = decl else {
            // A number that the kernel reserves, and gives a name.
            if id.0 == 0 {
                let name = HelperName { name: Some("unspec"), ..name };
                return Err(CallReason::NotForType(name).into());
            }
            return Err(match id.since().filter(|&v| self.cx.options.kernel.has(v)) {
                Some(_) => Reason::Unsupported("this helper"),
                None => CallReason::UnknownHelper(name).into(),
            });
        };
        if !self.cx.options.kernel.has(decl.since) {
            return Err(CallReason::UnknownHelper(name).into());
        }
        let none = self.cx.target.is_some_and(|target| target.no_helpers);
        let more = self.cx.target.and_then(|target| target.helpers);
        let attach_type = self.cx.program.section.attach_type;
        let args = self.cx.decl.args_of(decl, attach_type, more).filter(|_| !none);
        let args = args.ok_or(CallReason::NotForType(name))?;
        if decl.gpl_only && !self.cx.program.is_gpl_compatible() {
            return Err(CallReason::GplOnly.into());
        }
        self.check_place(decl, name)?;
        if decl.might_sleep && !self.may_sleep() {
            return Err(CallReason::MightSleep.into());
        }
        if decl.might_sleep
            && let Some(section) = self.awake()
        {
            return Err(CallReason::SleepsIn { helper: name, section }.into());
        }
        Ok(HelperDecl { args, ..*decl })
    }

    /// Helpers that are safe, or mean something, only in some of the places where their program
    /// types run.
    fn check_place(&self, decl: &HelperDecl, name: HelperName) -> Result<(), Reason> {
        const NOT_ALLOWED: CallReason = CallReason::NotInProbe;
        let (prog_type, section) = (self.cx.program.prog_type, &self.cx.program.section);
        let at = section.attach_type;
        let traced = [AttachType::TRACE_FENTRY, AttachType::TRACE_FEXIT, AttachType::MODIFY_RETURN];
        match decl.name {
            "d_path" if at != AttachType::TRACE_ITER => Err(NOT_ALLOWED.into()),
            "sk_storage_get" | "sk_storage_delete" if prog_type == ProgType::Syscall => {
                Err(NOT_ALLOWED.into())
            }
            // Of the iterators, only those over such sockets hold their locks.
            "setsockopt" | "getsockopt"
                if at == AttachType::TRACE_ITER
                    && !matches!(section.target.as_deref(), Some("tcp" | "unix")) =>
            {
                Err(CallReason::NotForType(name).into())
            }
            "get_func_ip" if prog_type == ProgType::Tracing && !traced.contains(&at) => {
                Err(CallReason::OnlyTraced(name).into())
            }
            "get_func_ip" if !matches!(prog_type, ProgType::Tracing | ProgType::Kprobe) => {
                Err(CallReason::NotAtFunction { helper: name, prog_type }.into())
            }
            _ => Ok(()),
        }
    }

    /// Maps that programs may only read cannot be changed; tail calls go through prog arrays.
    fn check_map_use(&self, decl: &HelperDecl, passed: &Passed) -> Result<(), Reason> {
        let (Some(op), Some(map)) = (decl.map_op, passed.map) else { return Ok(()) };
        let def = self.cx.map_def(map)?;
        let changes = matches!(op, MapOp::Delete | MapOp::Update | MapOp::Push | MapOp::Pop);
        // What programs get from maps of devices is the kernel's own.
        let devices = matches!(def.map_type, Ok(MapType::Devmap | MapType::DevmapHash));
        if changes && (devices || def.flags.has(MapFlags::RDONLY_PROG)) {
            return Err(CallReason::MapReadOnly.into());
        }
        let takes = |op| {
            let map_type = def.map_type.ok().and_then(|t| self.cx.platform.map_type(t));
            map_type.is_none_or(|t| t.ops.contains(&op))
        };
        match op {
            MapOp::TailCall if !takes(op) => Err(CallReason::TailCallMap.into()),
            MapOp::ForEach if !takes(op) => Err(CallReason::NoForEach.into()),
            _ => Ok(()),
        }
    }

    /// The kernel asks last whether the helper takes maps of this type at all.
    fn check_map_op(
        &self,
        decl: &HelperDecl,
        helper: HelperName,
        passed: &Passed,
    ) -> Result<(), Reason> {
        let (Some(op), Some(map)) = (decl.map_op, passed.map) else { return Ok(()) };
        let Ok(map_type) = self.cx.map_def(map)?.map_type else { return Ok(()) };
        let Some(map_decl) = self.cx.platform.map_type(map_type) else {
            return Err(Reason::Unsupported("this map type"));
        };
        let sockets = matches!(map_type, MapType::Sockmap | MapType::Sockhash);
        let unlocked = !sockets || !changes_sockets(op) || self.may_change_sockets(op);
        if map_decl.ops.contains(&op) && unlocked {
            Ok(())
        } else {
            Err(CallReason::MapOp { map_type, helper }.into())
        }
    }

    /// The memory that the key lies in.
    fn key_region(&self, decl: &HelperDecl) -> verified::Region {
        let key = ARGS.iter().zip(decl.args).find(|(_, arg)| arg.kind == ArgKind::MapKey);
        let pointer = key.and_then(|(reg, _)| self.frame().regs[reg.index()].pointer());
        pointer.map(|p| facts::region(p, 0, self.state.depth())).unwrap_or_default()
    }

    /// Whether programs of this kind run where no socket is locked, so that they may put sockets
    /// into maps and take them out.
    fn may_change_sockets(&self, op: MapOp) -> bool {
        match self.cx.program.prog_type {
            ProgType::Tracing => self.cx.program.section.attach_type == AttachType::TRACE_ITER,
            // There are helpers of their own for the update.
            ProgType::SockOps => op == MapOp::Delete,
            ProgType::SocketFilter
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::Xdp
            | ProgType::SkReuseport
            | ProgType::FlowDissector
            | ProgType::SkLookup => true,
            _ => false,
        }
    }

    fn release_passed(&mut self, helper: HelperName, passed: &Passed) -> Result<(), Reason> {
        let Some(reg) = passed.released else { return Ok(()) };
        let dynptr =
            matches!(self.frame().regs[reg.index()].pointer().map(|p| p.to), Some(PtrTo::Stack(_)));
        match passed.reference {
            _ if dynptr && self.release_dynptr(reg) => Ok(()),
            Some(id) if passed.kptr.is_some() && self.give_to_kptr(id) => Ok(()),
            Some(id) if passed.kptr.is_none() && self.release(id) => Ok(()),
            None if self.frame().regs[reg.index()].is_zero() => Ok(()),
            _ => Err(CallReason::NotAcquired(helper).into()),
        }
    }

    /// Gives a reference up, and with it every copy of its pointer; whether there was one.
    pub(in super::super) fn release(&mut self, id: RefId) -> bool {
        if !self.state.forget_reference(id) {
            return false;
        }
        let left = self.forgotten();
        self.state
            .for_each_reg(|r| r.pointer().is_some_and(|p| p.ref_id == Some(id)), |r| *r = left);
        true
    }

    /// A tail call in a subprogram returns from it where it succeeds, with whatever the other
    /// program did to the packet; beside that waits the way on where it fails.
    fn tail_call(&mut self, next: Pc) -> Result<Next, Reason> {
        let other = Box::new(self.state.clone());
        self.forget_packet();
        self.state.frame_mut().regs[Name::R0.index()] = Reg::UNKNOWN;
        let next_of = |here| Next::Fork { here, there: next, other };
        match self.leave()? {
            Next::Go(here) => Ok(next_of(here)),
            _ => Err(Reason::Unsupported("tail calls in callbacks")),
        }
    }

    /// The packet may have moved: nothing known points into it any more.
    pub(in super::super) fn forget_packet(&mut self) {
        let packet = |r: &Reg| {
            matches!(
                r.pointer().map(|p| p.to),
                Some(
                    PtrTo::Packet(_)
                        | PtrTo::PacketMeta(_)
                        | PtrTo::PacketEnd
                        | PtrTo::Mem {
                            kind: MemKind::DynptrSlice {
                                of: DynptrKind::Skb | DynptrKind::SkbMeta | DynptrKind::Xdp,
                                ..
                            },
                            ..
                        }
                )
            )
        };
        self.state.for_each_reg(packet, |r| *r = Reg::UNKNOWN);
    }

    /// The type of what a register holds, as messages have it.
    pub(in super::super) fn given(&self, reg: Name) -> Given {
        let value = &self.frame().regs[reg.index()];
        value.pointer().map_or(Given::Scalar, |p| Given::Pointer(p.type_name()))
    }

    pub(super) fn wrong_type(&self, reg: Name, expected: &'static str) -> Reason {
        CallReason::Argument { reg: R(reg), given: self.given(reg), expected }.into()
    }
}
