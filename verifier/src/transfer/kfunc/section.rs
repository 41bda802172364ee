//! Parts of the program in which not everything may be done: RCU read sections, sections that
//! are not preempted.

use super::super::Step;
use crate::kfunc::Kfunc;
use crate::reason::{Awake, KfuncReason, Reason};
use crate::state::{Hold, IterTrust, Object, PtrTo, Reg, Trust};
use ubpf_abi::kfunc::{KfuncFlag, KfuncSpecial};

impl Step<'_> {
    /// The program, or the part of it that runs here, may sleep, locks and sections aside.
    pub(in super::super) fn may_sleep(&self) -> bool {
        self.state.sleepable
    }

    /// What RCU protects stays: in its read sections, while a lock is held, and in programs that
    /// do not sleep.
    pub(in super::super) fn in_rcu_section(&self) -> bool {
        self.state.rcu_sections > 0 || self.state.is_locked() || !self.may_sleep()
    }

    /// The section, if there is one, in which nothing may sleep.
    pub(in super::super) fn awake(&self) -> Option<Awake> {
        if self.state.rcu_sections > 0 {
            Some(Awake::Rcu)
        } else if self.state.preempt_disabled > 0 {
            Some(Awake::Preempt)
        } else if self.state.irqs().next().is_some() {
            Some(Awake::Irq)
        } else {
            None
        }
    }

    /// Enters or leaves a section where the function does that; else asks whether it may be
    /// called where the program is.
    pub(super) fn cross_sections(&mut self, kfunc: &Kfunc<'_>) -> Result<(), Reason> {
        let name = kfunc.name();
        let sleepable = kfunc.has(KfuncFlag::Sleepable);
        let special = kfunc.decl.special;
        match (special, self.state.rcu_sections > 0) {
            (Some(KfuncSpecial::RcuReadLock), true) => {
                return Err(KfuncReason::RcuNested(name).into());
            }
            (Some(KfuncSpecial::RcuReadLock), false) => self.state.rcu_sections = 1,
            (Some(KfuncSpecial::RcuReadUnlock), true) => self.leave_rcu_section(),
            (Some(KfuncSpecial::RcuReadUnlock), false) => {
                return Err(KfuncReason::RcuUnmatched(name).into());
            }
            _ => {}
        }
        match (special, self.state.preempt_disabled) {
            (Some(KfuncSpecial::PreemptDisable), n) => self.state.preempt_disabled = n + 1,
            (Some(KfuncSpecial::PreemptEnable), 0) => {
                return Err(KfuncReason::PreemptUnmatched(name).into());
            }
            (Some(KfuncSpecial::PreemptEnable), n) => self.state.preempt_disabled = n - 1,
            _ => {}
        }
        if sleepable && let Some(section) = self.awake() {
            return Err(KfuncReason::SleepsIn { name, section }.into());
        }
        if kfunc.has(KfuncFlag::RcuProtected) && !self.in_rcu_section() {
            return Err(KfuncReason::NeedsRcu(name).into());
        }
        Ok(())
    }

    /// What was valid in the section may be gone: nobody can trust it any more.
    fn leave_rcu_section(&mut self) {
        self.state.rcu_sections = 0;
        let protected = |reg: &Reg| {
            matches!(
                reg.pointer().map(|p| p.to),
                Some(
                    PtrTo::Btf { trust: Trust::Rcu, .. }
                        | PtrTo::Own { hold: Hold::Rcu | Hold::PercpuRcu | Hold::SharedRcu, .. }
                )
            )
        };
        self.state.for_each_reg(protected, |reg| {
            let Reg::Pointer(p) = reg else { return };
            p.nullable = false;
            match &mut p.to {
                PtrTo::Btf { trust, .. } => *trust = Trust::Untrusted,
                PtrTo::Own { hold, .. } => {
                    *hold = match *hold {
                        Hold::Rcu => Hold::Stale,
                        Hold::SharedRcu => Hold::SharedStale,
                        _ => Hold::Untrusted,
                    }
                }
                _ => {}
            }
        });
        let iters: Vec<(u8, i32)> = self
            .state
            .objects()
            .filter(|(_, _, object)| {
                matches!(object, Object::Iter(iter) if iter.trust == IterTrust::Rcu)
            })
            .map(|(depth, off, _)| (depth, off))
            .collect();
        for (depth, off) in iters {
            if let Some(Object::Iter(iter)) = self.frame_at_mut(depth).stack.object_mut(off) {
                iter.trust = IterTrust::Untrusted;
            }
        }
    }
}
