//! Returns: from a subprogram, from a callback, from the program.

use super::super::{Next, Step};
use crate::Privilege;
use crate::reason::{CallReason, Ending, R, Reason, Region, Returned, Section, ValueReason};
use crate::state::{Number, Pointer, PtrTo, Reg};
use ubpf_abi::prog_type::RetRange;
use ubpf_abi::program::SubprogId;
use ubpf_isa::Reg as Name;

impl Step<'_> {
    /// The end of a subprogram, a callback or the program.
    pub(in super::super) fn exit(&mut self) -> Result<Next, Reason> {
        let (callback, back) = (self.state.frame().callback, self.state.frame().return_to);
        // What a callback leaves behind is found where the program ends after it.
        if self.state.depth() == 1 {
            self.check_held(Region::Exit)?;
        }
        let Some(back) = back else {
            return self.end().map(|()| Next::End);
        };
        self.trace.shown.insert(Name::R0);
        let result = self.frame().regs[Name::R0.index()];
        if let Reg::Pointer(Pointer { to: PtrTo::Stack(_), .. }) = result {
            return Err(CallReason::ReturnsStack.into());
        }
        if let Some(callback) = callback {
            let Reg::Number(n) = result else { return Err(CallReason::CallbackResult.into()) };
            self.demand(Name::R0);
            check_range(&n, callback.returns, Ending::Callback)?;
            self.state.pop();
            return Ok(Next::Again(back));
        }
        self.state.pop();
        self.state.frame_mut().regs[Name::R0.index()] = result;
        Ok(Next::Go(back))
    }

    /// Nothing may be held where nobody could give it back any more.
    pub(in super::super) fn check_held(&self, region: Region) -> Result<(), Reason> {
        let inside = |section| Err(CallReason::InSection { region, section }.into());
        if self.state.is_locked() {
            return inside(Section::SpinLock);
        }
        if let Some(held) = self.state.references().next() {
            return Err(CallReason::Leak { id: held.id.0, at: held.at, region }.into());
        }
        if self.state.irqs().next().is_some() {
            return inside(Section::Irq);
        }
        if self.state.rcu_sections > 0 {
            return inside(Section::Rcu);
        }
        if self.state.preempt_disabled > 0 {
            return inside(Section::Preempt);
        }
        Ok(())
    }

    /// The end of the program, of a global subprogram or of a callback that runs on its own.
    fn end(&mut self) -> Result<(), Reason> {
        let operation =
            self.state.frame().callback.is_none() && self.state.frame().subprog == SubprogId(0);
        if operation && self.cx.target.is_some_and(|proto| proto.returns_nothing) {
            return Ok(());
        }
        let result = self.read(Name::R0)?;
        if result.pointer().is_some() && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(ValueReason::LeakAtExit(R(Name::R0)).into());
        }
        let (range, ending) = match self.state.frame() {
            frame if frame.callback.is_some() => {
                (frame.callback.map(|c| c.returns), Ending::AsyncCallback)
            }
            frame if frame.subprog != SubprogId(0) => {
                return match result {
                    Reg::Number(_) => Ok(()),
                    _ => Err(CallReason::SubprogResult(self.given(Name::R0)).into()),
                };
            }
            _ => (self.program_range(), Ending::Program),
        };
        let Some(range) = range else { return Ok(()) };
        let Reg::Number(n) = result else {
            let given = self.given(Name::R0);
            return Err(CallReason::ReturnsPointer { ending, given }.into());
        };
        self.demand(Name::R0);
        check_range(&n, range, ending)
    }

    /// What the program may return; `None` for anything.
    fn program_range(&self) -> Option<(i32, i32)> {
        match self.cx.decl.ret_of(self.cx.program.section.attach_type) {
            RetRange::Within { min, max } => Some((min, max)),
            _ => None,
        }
    }
}

fn check_range(n: &Number, (min, max): (i32, i32), ending: Ending) -> Result<(), Reason> {
    let (low, high) = (n.value.full.smin, n.value.full.smax);
    if low >= min.into() && high <= max.into() {
        return Ok(());
    }
    let returned =
        Returned { min: (low != i64::MIN).then_some(low), max: (high != i64::MAX).then_some(high) };
    Err(CallReason::ReturnRange { ending, returned, min, max }.into())
}
