//! One call of a kernel function, in the kernel's order: may this program call it, do the
//! arguments fit, may it be called here, what does it leave behind.
//!
//! - `kind`: what each argument is, by the prototype and by what is passed
//! - `args`: whether it fits; `object`: kernel objects; `iter`, `irq`: iterators and saved
//!   interrupt flags on the stack
//! - `own`: objects of the program's own, lists and trees of them
//! - `section`: parts of the program in which not everything may be done
//! - `result`: what `r0` holds afterwards

mod args;
mod irq;
mod iter;
mod kind;
mod object;
mod own;
mod result;
mod section;

use super::call::{Entered, GivenDynptr};
use super::{Next, Step};
use crate::domain::{Bounds, Scalar};
use crate::kfunc::Kfunc;
use crate::reason::{KfuncReason, Reason};
use crate::state::{MapRef, Number, RefId, Reg, State};
use ubpf_abi::btf::BtfId;
use ubpf_abi::fields::Root;
use ubpf_abi::kfunc::{KfuncFlag, KfuncSpecial};
use ubpf_abi::program::SubprogId;
use ubpf_isa::{Pc, Reg as Name};

/// Error numbers are not below its negative.
const MAX_ERRNO: i64 = 4095;

/// What the arguments of one call have in common.
#[derive(Default)]
pub(super) struct Passed {
    /// The constant that one argument must be.
    pub constant: Option<u64>,
    /// The reference that an argument carries.
    pub reference: Option<RefId>,
    /// The argument whose reference the call takes.
    pub released: Option<Name>,
    /// The map that is passed.
    pub map: Option<MapRef>,
    /// The subprogram that is called back.
    pub callback: Option<SubprogId>,
    /// The kernel's own struct behind the context.
    pub kernel_ctx: Option<BtfId>,
    /// The list or tree that is used: what it holds.
    pub root: Option<Root>,
    /// The object whose references are counted, and whether the program owns one.
    pub counted: Option<(BtfId, bool)>,
    /// The dynptr that is used.
    pub dynptr: Option<GivenDynptr>,
    /// The iterator: its frame's depth, and its offset there.
    pub iter: Option<(u8, i32)>,
}

impl<'a> Step<'a> {
    pub(super) fn kfunc(&mut self, target: i32, next: Pc) -> Result<Next, Reason> {
        let kfunc = self.cx.kfunc(target)?;
        if kfunc.decl.special == Some(KfuncSpecial::Trap) {
            return Err(KfuncReason::Trap.into());
        }
        if kfunc.has(KfuncFlag::Sleepable) && !self.may_sleep() {
            return Err(KfuncReason::MightSleep(kfunc.name()).into());
        }
        let mut passed = Passed::default();
        let failed = match kfunc.decl.special {
            Some(KfuncSpecial::ResSpinLock { .. }) => Some(self.not_locked()),
            _ => None,
        };
        self.kfunc_arguments(&kfunc, &mut passed)?;
        let entered = self.kfunc_callback(&kfunc, &passed)?;
        self.cross_sections(&kfunc)?;
        self.release_to(&kfunc, &passed)?;
        if let Some(KfuncSpecial::ListPush | KfuncSpecial::RbtreeAdd) = kfunc.decl.special {
            self.share(&kfunc)?;
        }
        if kfunc.decl.special == Some(KfuncSpecial::Throw) {
            return self.throw();
        }
        super::call::clobber(self.state.frame_mut());
        let result = self.kfunc_result(&kfunc, &passed)?;
        self.state.frame_mut().regs[Name::R0.index()] = result;
        self.trace.shown.insert(Name::R0);
        if kfunc.changes_packet() {
            self.forget_packet();
        }
        if kfunc.has(KfuncFlag::IterNext) {
            return self.iterate(&passed, next);
        }
        if let Some(other) = failed {
            return Ok(Next::Fork { here: next, there: next, other });
        }
        Ok(Self::beside(next, entered))
    }

    /// The function that the call will have called, now or later.
    fn kfunc_callback(
        &mut self,
        kfunc: &Kfunc<'_>,
        passed: &Passed,
    ) -> Result<Option<Entered>, Reason> {
        let (Some(subprog), Some(special)) = (passed.callback, kfunc.decl.special) else {
            return Ok(None);
        };
        let map = || passed.map.ok_or(Reason::Unsupported("work items without a map"));
        match special {
            KfuncSpecial::RbtreeAdd => {
                let element = Reg::Pointer(self.element(passed, false)?);
                let args = [element, element, Reg::Uninit, Reg::Uninit];
                self.enter_callback(subprog, args).map(|entered| Some(Entered::Now(entered)))
            }
            KfuncSpecial::WqSetCallback => Ok(Some(self.call_later(subprog, map()?, (0, 0), true))),
            KfuncSpecial::TaskWorkSchedule => {
                Ok(Some(self.call_later(subprog, map()?, (i32::MIN, i32::MAX), true)))
            }
            _ => Ok(None),
        }
    }

    /// The path on which a lock is not taken: an error number says so.
    fn not_locked(&self) -> Box<State> {
        let mut other = Box::new(self.state.clone());
        super::call::clobber(other.frame_mut());
        let (full, low) = (Bounds::signed(-MAX_ERRNO, -1), Bounds::signed(-MAX_ERRNO, -1));
        let value = Scalar { full, low, ..Scalar::UNKNOWN }.sync();
        other.frame_mut().regs[Name::R0.index()] = Reg::Number(Number::new(value));
        other
    }

    /// Gives up the reference that the call takes.
    fn release_to(&mut self, kfunc: &Kfunc<'_>, passed: &Passed) -> Result<(), Reason> {
        let Some(reg) = passed.released else { return Ok(()) };
        let reference = self.frame().regs[reg.index()].pointer().and_then(|p| p.ref_id);
        if reference.is_some_and(|id| self.release(id)) {
            return Ok(());
        }
        Err(KfuncReason::NotAcquired { name: kfunc.name(), id: kfunc.id.0 }.into())
    }
}

/// Whether a register is surely null.
fn is_null(value: &Reg) -> bool {
    value.is_zero()
}
