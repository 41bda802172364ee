//! Subprograms that a helper calls.
//!
//! How often a helper calls back is not known. The call goes on as if it had not, and beside it
//! waits a path into the callback; that path ends where it began, at the call, and so on until a
//! state is like an earlier one.

use super::super::{Next, Step};
use super::helper::Passed;
use crate::reason::{CallReason, Reason};
use crate::state::{Callback, Frame, MapRef, Pointer, PtrTo, Reg, Space, State, Trust};
use ubpf_abi::helper::{CallbackKind, DynptrKind};
use ubpf_abi::program::SubprogId;
use ubpf_isa::{Pc, Reg as Name};

/// A path into a callback.
pub(in super::super) enum Entered {
    /// It is called before the call returns.
    Now((Pc, Box<State>)),
    /// It is called later, on its own.
    Later((Pc, Box<State>)),
}

impl Step<'_> {
    /// The address of a subprogram.
    pub(super) fn function(&self, off: i32) -> Result<Reg, Reason> {
        let (_, id) = self.callee(off)?;
        if !self.cx.has_func_info() {
            return Err(CallReason::NoFuncInfo.into());
        }
        if self.cx.global(id).is_some() {
            return Err(CallReason::GlobalCallback.into());
        }
        Ok(Reg::Pointer(Pointer::new(PtrTo::Func(id))))
    }

    /// The path into the callback, if the helper may call it once more.
    pub(super) fn call_back(
        &mut self,
        kind: CallbackKind,
        subprog: SubprogId,
        passed: &Passed,
    ) -> Result<Option<(Pc, Box<State>)>, Reason> {
        let regs = self.frame().regs;
        let arg = |name: Name| regs[name.index()];
        let args: [Reg; 4] = match kind {
            CallbackKind::Loop => {
                // Calls without flags of one function are inlined, which relies on the flags.
                if arg(Name::R4).is_zero() && self.found.may_inline(self.pc, subprog) {
                    self.demand(Name::R4);
                }
                if !arg(Name::R4).is_zero() {
                    self.found.forbid_inline(self.pc);
                }
                self.demand(Name::R1);
                let most = arg(Name::R1).number().map_or(u64::MAX, |n| n.value.full.umax);
                if u64::from(self.frame().loops) >= most {
                    self.state.frame_mut().loops = 0;
                    return Ok(None);
                }
                [Reg::UNKNOWN, arg(Name::R3), Reg::Uninit, Reg::Uninit]
            }
            CallbackKind::ForEachMapElem => {
                let map = passed.map.ok_or(Reason::Unsupported("elements without a map"))?;
                [
                    arg(Name::R1),
                    Reg::Pointer(Pointer::new(PtrTo::MapKey(map))),
                    Reg::Pointer(Pointer::new(PtrTo::MapValue(map))),
                    arg(Name::R3),
                ]
            }
            CallbackKind::FindVma => {
                let id = self.kernel_struct("vm_area_struct")?;
                let area = PtrTo::Btf { id, trust: Trust::Plain, space: Space::Kernel };
                [arg(Name::R1), Reg::Pointer(Pointer::new(area)), arg(Name::R4), Reg::Uninit]
            }
            CallbackKind::UserRingbuf => {
                let id = Some(self.ids.pointer());
                let dynptr = Pointer { id, ..Pointer::new(PtrTo::Dynptr(DynptrKind::Local)) };
                [Reg::Pointer(dynptr), arg(Name::R3), Reg::Uninit, Reg::Uninit]
            }
            _ => return Err(Reason::Unsupported("this kind of callback")),
        };
        self.found.call_back(subprog);
        self.enter_callback(subprog, args).map(Some)
    }

    /// The path into a callback that returns 0 or 1.
    pub(in super::super) fn enter_callback(
        &mut self,
        subprog: SubprogId,
        args: [Reg; 4],
    ) -> Result<(Pc, Box<State>), Reason> {
        let mut callee = self.frame_for(subprog, Some(self.pc))?;
        callee.callback = Some(Callback { returns: (0, 1) });
        for (reg, value) in [Name::R1, Name::R2, Name::R3, Name::R4].into_iter().zip(args) {
            callee.regs[reg.index()] = value;
        }
        let mut other = Box::new(self.state.clone());
        other.unrolled += 1;
        other.frame_mut().loops += 1;
        other.push(callee);
        self.state.frame_mut().loops = 0;
        let (start, _) = self.cx.text.extent(subprog);
        Ok((start, other))
    }

    /// What a timer calls when it expires: `(map, key, value)`.
    pub(super) fn timer_callback(
        &mut self,
        subprog: SubprogId,
        passed: &Passed,
    ) -> Result<Entered, Reason> {
        let map = passed.map.ok_or(Reason::Unsupported("timers without a map"))?;
        Ok(self.call_later(subprog, map, (0, 0), false))
    }

    /// A subprogram that is called later, on its own, for an element of a map.
    pub(in super::super) fn call_later(
        &mut self,
        subprog: SubprogId,
        map: MapRef,
        returns: (i32, i32),
        sleepable: bool,
    ) -> Entered {
        let args = [PtrTo::Map(map), PtrTo::MapKey(map), PtrTo::MapValue(map)];
        self.found.call_later(subprog);
        let mut frame = Frame::new(subprog, 0, None);
        frame.callback = Some(Callback { returns });
        frame.entries = self.frame().entries + 1;
        for (reg, value) in [Name::R1, Name::R2, Name::R3].into_iter().zip(args) {
            frame.regs[reg.index()] = Reg::Pointer(Pointer::new(value));
        }
        let (start, _) = self.cx.text.extent(subprog);
        Entered::Later((start, Box::new(State::new(frame, sleepable))))
    }

    /// The call and the callback beside it.
    pub(in super::super) fn beside(next: Pc, entered: Option<Entered>) -> Next {
        match entered {
            Some(Entered::Now((there, other))) => Next::Fork { here: next, there, other },
            Some(Entered::Later((there, other))) => Next::Later { here: next, there, other },
            None => Next::Go(next),
        }
    }
}
