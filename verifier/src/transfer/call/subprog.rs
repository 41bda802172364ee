//! Calls of the program's own functions.
//!
//! Static ones are walked in place, with what the caller knows. Global ones are verified once, by
//! their prototype: a call only shows that the arguments fit it, and gives an unknown number.

use super::super::mem::Place;
use super::super::{Next, Step};
use super::clobber;
use super::helper::Passed;
use crate::prototype::{self, ArgType};
use crate::reason::{CallReason, MemoryReason, ProtoReason, R, Reason, ShapeReason};
use crate::state::{Frame, Pointer, PtrTo, Reg, Space, Trust};
use crate::typed::walk;
use ubpf_abi::Errno;
use ubpf_abi::btf::BtfId;
use ubpf_abi::helper::MemAccess;
use ubpf_abi::limits::MAX_CALL_FRAMES;
use ubpf_abi::program::SubprogId;
use ubpf_isa::{Pc, Reg as Name, RegSet};

impl Step<'_> {
    pub(super) fn subprog(&mut self, off: i32, next: Pc) -> Result<Next, Reason> {
        let (pc, id) = self.callee(off)?;
        if let Some(function) = self.cx.global(id) {
            return self.global(id, function).map(|()| Next::Go(next));
        }
        let mut callee = self.frame_for(id, Some(next))?;
        let caller = self.state.frame_mut();
        for reg in Name::all().filter(|&r| RegSet::ARGS.contains(r)) {
            callee.regs[reg.index()] = caller.regs[reg.index()];
        }
        clobber(caller);
        self.state.push(callee);
        Ok(Next::Go(pc))
    }

    /// The subprogram that begins `off` slots behind this instruction.
    pub(super) fn callee(&self, off: i32) -> Result<(Pc, SubprogId), Reason> {
        let found =
            self.pc.target(off).and_then(|pc| Some((pc, self.cx.text.subprog_starting(pc)?)));
        found.ok_or(ShapeReason::CallTarget.into())
    }

    /// A frame above the running one.
    pub(super) fn frame_for(&self, id: SubprogId, back: Option<Pc>) -> Result<Frame, Reason> {
        let depth = self.state.depth();
        if depth >= MAX_CALL_FRAMES {
            return Err(CallReason::CallDepth(depth + 1).into());
        }
        Ok(Frame::new(id, depth as u8, back))
    }

    fn global(&mut self, id: SubprogId, name: &str) -> Result<(), Reason> {
        if self.state.is_locked() {
            return Err(CallReason::GlobalLocked.into());
        }
        if (self.awake().is_some() || !self.may_sleep()) && self.cx.might_sleep(id) {
            return Err(CallReason::GlobalSleeps.into());
        }
        if let Err(reason) = self.fits_prototype(id) {
            // Whatever is wrong with memory is an invalid argument, a moved pointer is not.
            let errno = match &reason {
                Reason::Memory(
                    MemoryReason::NegativeOffset { .. }
                    | MemoryReason::Modified { .. }
                    | MemoryReason::Variable { .. },
                ) => reason.errno(),
                Reason::Proto(_) => reason.errno(),
                _ => Errno::EINVAL,
            };
            return Err(match reason {
                Reason::Unsupported(_) => reason,
                // Prototypes that cannot be used at all fail by themselves.
                Reason::Proto(p) if p.is_fatal() => p.into(),
                _ => CallReason::GlobalArgs { subprog: id.0, name: name.into(), errno }.into(),
            });
        }
        self.found.call(id);
        if self.cx.changes_packet(id) {
            self.forget_packet();
        }
        clobber(self.state.frame_mut());
        self.state.frame_mut().regs[Name::R0.index()] = Reg::UNKNOWN;
        Ok(())
    }

    /// Whether the arguments are what the prototype says.
    fn fits_prototype(&mut self, id: SubprogId) -> Result<(), Reason> {
        let args = prototype::of(self.cx, id)?;
        for (i, arg) in args.iter().enumerate() {
            let Some(&reg) = super::helper::ARGS.get(i) else { break };
            let value = self.frame().regs[reg.index()];
            match *arg {
                ArgType::Scalar if value.number().is_some() => {}
                ArgType::Scalar => return Err(ProtoReason::NotScalar(R(reg)).into()),
                ArgType::Ctx => {
                    if let Reg::Pointer(p) = &value {
                        self.check_global_offset(p, reg)?;
                    }
                    if !matches!(value, Reg::Pointer(Pointer { to: PtrTo::Ctx, .. })) {
                        return Err(ProtoReason::NotCtx(i).into());
                    }
                }
                ArgType::Mem { size, nullable } => {
                    if let Reg::Pointer(p) = &value {
                        self.check_global_offset(p, reg)?;
                    }
                    self.global_memory(reg, &value, size)?;
                    let may_be_null = value.pointer().is_none_or(|p| p.nullable);
                    if !nullable && may_be_null {
                        return Err(ProtoReason::MayBeNull(i).into());
                    }
                }
                // Whatever it is, the function only reads it, and no load can fault.
                ArgType::Object { trusted: false, .. } | ArgType::UntrustedMem => {}
                ArgType::Object { id, nullable, .. } => {
                    self.object_for_global(i, reg, &value, id, nullable)?;
                }
                ArgType::Dynptr => {
                    if let Reg::Pointer(p) = &value {
                        self.check_global_offset(p, reg)?;
                    }
                    self.dynptr_argument(reg, i)?;
                }
                ArgType::Arena if value.number().is_some() => {}
                ArgType::Arena
                    if matches!(value, Reg::Pointer(Pointer { to: PtrTo::Arena, .. })) => {}
                ArgType::Arena => return Err(ProtoReason::NotArena(R(reg)).into()),
            }
        }
        Ok(())
    }

    fn object_for_global(
        &self,
        index: usize,
        reg: Name,
        value: &Reg,
        wanted: BtfId,
        nullable: bool,
    ) -> Result<(), Reason> {
        if nullable && value.is_zero() {
            return Ok(());
        }
        let Reg::Pointer(
            p @ Pointer {
                to:
                    PtrTo::Btf {
                        id,
                        trust: Trust::Trusted | Trust::Rcu | Trust::Plain,
                        space: Space::Kernel,
                    },
                ..
            },
        ) = value
        else {
            return Err(ProtoReason::NotObject(index).into());
        };
        let off = u32::try_from(p.off).unwrap_or(u32::MAX);
        let fits = walk::is_or_begins_with(self.kernel_types()?, *id, off, wanted);
        if p.nullable && !nullable || !fits {
            return Err(ProtoReason::NotObject(index).into());
        }
        self.check_argument_offset(p, reg, false)
    }

    fn check_global_offset(&self, p: &Pointer, reg: Name) -> Result<(), Reason> {
        match p.to {
            PtrTo::Stack(_)
            | PtrTo::Packet(_)
            | PtrTo::PacketMeta(_)
            | PtrTo::MapKey(_)
            | PtrTo::MapValue(_)
            | PtrTo::Mem { .. }
            | PtrTo::Buf { .. } => Ok(()),
            _ => self.check_unmodified(p, reg),
        }
    }

    /// The function may read and write the memory; null is left to it.
    pub(in super::super) fn global_memory(
        &mut self,
        reg: Name,
        value: &Reg,
        size: u32,
    ) -> Result<(), Reason> {
        if value.is_zero() {
            return Ok(());
        }
        let Reg::Pointer(p) = *value else {
            return Err(self.wrong_type(reg, "fp"));
        };
        let place = Place { base: reg, off: 0, size };
        // Null is allowed here, so it must not decide about the memory behind the pointer.
        self.state.frame_mut().regs[reg.index()] = Reg::Pointer(Pointer { nullable: false, ..p });
        let mut passed = Passed::default();
        let fits = self
            .memory_argument(place, MemAccess::Read, &mut passed)
            .and_then(|()| self.memory_argument(place, MemAccess::ReadWrite, &mut passed));
        self.state.frame_mut().regs[reg.index()] = Reg::Pointer(p);
        fits
    }
}
