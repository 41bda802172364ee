//! Open-coded iterators: an object on the stack that is begun, asked for the next item until it
//! has none, and ended.

use super::super::mem::Place;
use super::super::{Next, Step};
use super::Passed;
use super::kind::pointee;
use crate::kfunc::Kfunc;
use crate::reason::{KfuncReason, Reason};
use crate::state::stack::{SLOT_BYTES, Span};
use crate::state::{Iter, IterState, IterTrust, Object, Pointer, PtrTo, Reg};
use ubpf_abi::Access;
use ubpf_abi::btf::{BtfId, Kind};
use ubpf_abi::kfunc::{KfuncFlag, KfuncSpecial};
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_isa::{Pc, Reg as Name};

/// How the structs of iterators are named.
const PREFIX: &str = "bpf_";

impl Step<'_> {
    /// An iterator on the stack, to be begun, asked or ended.
    pub(super) fn iter_argument(
        &mut self,
        kfunc: &Kfunc<'_>,
        index: usize,
        value: &Reg,
        reg: Name,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        if kfunc.decl.special == Some(KfuncSpecial::TasksOfCss) && !self.may_walk_tasks_of_css() {
            return Err(KfuncReason::TasksOfCss.into());
        }
        let Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) = value else {
            return Err(KfuncReason::IterNotStack(index).into());
        };
        let (id, slots) = iter_struct(kfunc, index)?;
        let name = || {
            let name = kfunc.btf.name_of(id);
            name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
        };
        if kfunc.has(KfuncFlag::IterNew) {
            let span = match self.object_span("iter", p, slots) {
                Ok(span) if self.is_free(*depth, span) => span,
                // Not on the stack at all: then the stores that make it fail.
                Err(error) if fits_slots(p, slots) => {
                    let at = Place { base: reg, off: 0, size: SLOT_BYTES };
                    self.stack_bounds(p, at, Access::Write)?;
                    return Err(error);
                }
                _ => return Err(KfuncReason::IterInit { name: name(), index }.into()),
            };
            return self.begin(kfunc, *depth, span, (id, slots));
        }
        let found = self.object_span("iter", p, slots).ok().and_then(|span| {
            match self.frame_at(*depth).stack.object(span.off) {
                Some(Object::Iter(iter)) if iter.btf_id == id => Some((span, *iter)),
                _ => None,
            }
        });
        let Some((span, iter)) = found else {
            return Err(KfuncReason::IterUninit { name: name(), index }.into());
        };
        if iter.trust == IterTrust::Untrusted {
            return Err(KfuncReason::IterNeedsRcu(kfunc.name()).into());
        }
        self.touch_stack(*depth, span);
        self.reads_stack(*depth, span);
        passed.iter = Some((*depth, span.off));
        passed.reference = Some(iter.ref_id);
        if kfunc.has(KfuncFlag::IterDestroy) {
            self.release(iter.ref_id);
            self.overwrites_stack(*depth, span);
            self.frame_at_mut(*depth).stack.remove(span.off);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        kfunc: &Kfunc<'_>,
        depth: u8,
        span: Span,
        (btf_id, slots): (BtfId, u8),
    ) -> Result<(), Reason> {
        self.overwrite_dynptrs(depth, span)?;
        self.touch_stack(depth, span);
        self.overwrites_stack(depth, span);
        let trust = match (kfunc.has(KfuncFlag::RcuProtected), self.in_rcu_section()) {
            (false, _) => IterTrust::Plain,
            (true, true) => IterTrust::Rcu,
            (true, false) => IterTrust::Untrusted,
        };
        let ref_id = self.acquire();
        let iter = Iter { btf_id, slots, state: IterState::Active, depth: 0, ref_id, trust };
        self.frame_at_mut(depth).stack.place(span.off, Object::Iter(iter));
        Ok(())
    }

    /// Where an object of so many slots lies on the stack.
    ///
    /// The kernel takes the frame pointer itself for the slot below it, and would let an iterator
    /// there be used through it, past the end of the stack. Here that is no place for one.
    pub(super) fn object_span(
        &self,
        what: &'static str,
        p: &Pointer,
        slots: u8,
    ) -> Result<Span, Reason> {
        let off = p.const_off().ok_or(KfuncReason::ObjectVariable(what))?;
        let span = Span::checked(off, u32::from(slots) * SLOT_BYTES).filter(|s| s.starts_slot());
        span.ok_or_else(|| KfuncReason::ObjectOffset { what, off }.into())
    }

    /// No iterator lies in the way.
    fn is_free(&self, depth: u8, span: Span) -> bool {
        let mut in_way = self.frame_at(depth).stack.objects_in(span);
        in_way.all(|(_, object)| !matches!(object, Object::Iter(_)))
    }

    /// After a call for the next item: here there is none, and beside this waits a path on which
    /// there is one.
    pub(super) fn iterate(&mut self, passed: &Passed, next: Pc) -> Result<Next, Reason> {
        let Some((depth, off)) = passed.iter else { return Ok(Next::Go(next)) };
        let Some(Object::Iter(iter)) = self.frame_at_mut(depth).stack.object_mut(off) else {
            return Ok(Next::Go(next));
        };
        let active = iter.state == IterState::Active;
        let other = active.then(|| Box::new(self.state.clone()));
        if let Some(Object::Iter(iter)) = self.frame_at_mut(depth).stack.object_mut(off) {
            iter.state = IterState::Drained;
        }
        self.state.frame_mut().regs[Name::R0.index()] = Reg::constant(0);
        let Some(mut other) = other else { return Ok(Next::Go(next)) };
        if let Some(Object::Iter(iter)) = other.frame_at_mut(depth).stack.object_mut(off) {
            iter.depth += 1;
        }
        if let Reg::Pointer(p) = &mut other.frame_mut().regs[Name::R0.index()] {
            p.nullable = false;
        }
        Ok(Next::Round { here: next, there: next, other })
    }

    fn may_walk_tasks_of_css(&self) -> bool {
        match self.cx.decl.prog_type {
            ProgType::Lsm => true,
            ProgType::Tracing if self.cx.program.section.attach_type == AttachType::TRACE_ITER => {
                true
            }
            _ => self.may_sleep(),
        }
    }
}

/// Whether an object of so many slots would begin and end with slots, were the stack deep enough.
pub(super) fn fits_slots(p: &Pointer, slots: u8) -> bool {
    p.const_off().is_some_and(|off| {
        let slot = (-off - 1) / i64::from(SLOT_BYTES);
        off % i64::from(SLOT_BYTES) == 0 && slot + 1 >= slots.into()
    })
}

/// The struct of the iterator that a parameter points to, and its slots.
fn iter_struct(kfunc: &Kfunc<'_>, index: usize) -> Result<(BtfId, u8), Reason> {
    let btf = kfunc.btf;
    let param = kfunc.params().get(index);
    let id = param.and_then(|param| pointee(btf, param));
    let id = id.filter(|&id| btf.ty(id).is_some_and(|ty| ty.kind() == Kind::Struct));
    let size = id.and_then(|id| Some((id, btf.size_of(id).ok()?)));
    match size.and_then(|(id, size)| Some((id, u8::try_from(size / SLOT_BYTES).ok()?))) {
        Some((id, slots)) if slots > 0 => Ok((id, slots)),
        _ => Err(Reason::Unsupported("iterators of no size")),
    }
}
