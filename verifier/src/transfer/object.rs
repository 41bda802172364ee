//! Objects on the stack: what stores do to them.

use super::Step;
use crate::Privilege;
use crate::reason::{ObjectReason, Reason};
use crate::state::stack::Span;
use crate::state::{MemKind, Object, PtrId, PtrTo, Reg};

impl Step<'_> {
    /// A store is about to write slots of the span: dynptrs in them end, which those that stand
    /// for a reference must not. Other objects end where the store breaks them.
    pub(super) fn overwrite_dynptrs(&mut self, depth: u8, span: Span) -> Result<(), Reason> {
        let in_way = self.frame_at(depth).stack.objects_in(span);
        let in_way: Vec<_> =
            in_way.filter_map(|(off, object)| Some((off, *object.dynptr()?))).collect();
        for (off, dynptr) in in_way {
            let whole = Span { off, len: Object::Dynptr(dynptr).bytes() };
            if dynptr.ref_id.is_some() {
                return Err(ObjectReason::OverwritesReferenced.into());
            }
            self.overwrites_stack(depth, whole);
            self.frame_at_mut(depth).stack.remove(off);
            self.end_slices(dynptr.id);
        }
        Ok(())
    }

    /// A dynptr is gone: so are its slices.
    pub(super) fn end_slices(&mut self, id: PtrId) {
        let left = self.forgotten();
        let of_it = |r: &Reg| {
            matches!(
                r.pointer().map(|p| p.to),
                Some(PtrTo::Mem { kind: MemKind::DynptrData { dynptr }, .. }) if dynptr == id.0
            )
        };
        self.state.for_each_reg(of_it, |r| *r = left);
    }

    /// What is left of a pointer that means nothing any more.
    pub(super) const fn forgotten(&self) -> Reg {
        match self.cx.options.privilege {
            Privilege::Privileged => Reg::UNKNOWN,
            Privilege::Unprivileged => Reg::Uninit,
        }
    }
}
