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
        // What a callback leaves behind is found where the program ends after it.
        if self.state.depth() == 1 {
            self.check_held(Region::Exit)?;
        }
        if self.state.frame().return_to.is_none() {
            return self.end(Name::R0).map(|()| Next::End);
        }
        self.leave()
    }

    /// Goes back to the caller of a subprogram, or to the helper that called it.
    pub(super) fn leave(&mut self) -> Result<Next, Reason> {
        let (callback, back) = (self.state.frame().callback, self.state.frame().return_to);
        let Some(back) = back else { return Ok(Next::End) };
        self.trace.shown.insert(Name::R0);
        let result = self.frame().regs[Name::R0.index()];
        if let Reg::Pointer(Pointer { to: PtrTo::Stack(_), .. }) = result {
            return Err(CallReason::ReturnsStack.into());
        }
        if let Some(callback) = callback {
            let Reg::Number(n) = result else { return Err(CallReason::CallbackResult.into()) };
            self.demand(Name::R0);
            check_range(&n, R(Name::R0), callback.returns, Ending::Callback)?;
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

    /// The end of the program, of a global subprogram or of a callback that runs on its own, with
    /// its result in a register.
    fn end(&mut self, reg: Name) -> Result<(), Reason> {
        let frame = self.state.frame();
        let (callback, subprog) = (frame.callback, frame.subprog);
        let whole = subprog == SubprogId(0) || self.cx.exception == Some(subprog);
        let nothing = self.cx.target.is_some_and(|proto| proto.returns_nothing);
        if callback.is_none() && whole && nothing {
            return Ok(());
        }
        let result = self.read(reg)?;
        if result.pointer().is_some() && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(ValueReason::LeakAtExit(R(reg)).into());
        }
        // What is called back on the way is a subprogram like others here.
        let alone = self.state.frame().return_to.is_none();
        let (range, ending) = match callback {
            Some(callback) if alone => (Some(callback.returns), Ending::AsyncCallback),
            None if whole => (self.program_range(), Ending::Program),
            _ => {
                return match result {
                    Reg::Number(_) => Ok(()),
                    _ => Err(CallReason::SubprogResult(self.given(reg)).into()),
                };
            }
        };
        let Some(range) = range else { return Ok(()) };
        let Reg::Number(n) = result else {
            let given = self.given(reg);
            return Err(CallReason::ReturnsPointer { ending, given }.into());
        };
        self.demand(reg);
        let half = ending == Ending::Program && self.cx.target.is_some_and(|t| t.low_half);
        let (low, high) = (n.value.low.smin, n.value.low.smax);
        if half && low >= i64::from(range.0) && high <= i64::from(range.1) {
            return Ok(());
        }
        check_range(&n, R(reg), range, ending)
    }

    /// The program ends here, whoever called: with what is thrown, unless a function of its own
    /// says with what.
    pub(in super::super) fn throw(&mut self) -> Result<Next, Reason> {
        if self.cx.exception.is_none() {
            self.end(Name::R1)?;
        }
        self.check_held(Region::Throw)?;
        Ok(Next::End)
    }

    /// What the program may return; `None` for anything.
    fn program_range(&self) -> Option<(i32, i32)> {
        let of_target = self.cx.target.and_then(|target| target.ret);
        let of_type = || self.cx.decl.ret_of(self.cx.program.section.attach_type);
        match of_target.unwrap_or_else(of_type) {
            RetRange::Within { min, max } => Some((min, max)),
            _ => None,
        }
    }
}

fn check_range(n: &Number, reg: R, (min, max): (i32, i32), ending: Ending) -> Result<(), Reason> {
    let (low, high) = (n.value.full.smin, n.value.full.smax);
    if low >= min.into() && high <= max.into() {
        return Ok(());
    }
    let returned =
        Returned { min: (low != i64::MIN).then_some(low), max: (high != i64::MAX).then_some(high) };
    Err(CallReason::ReturnRange { reg, ending, returned, min, max }.into())
}
