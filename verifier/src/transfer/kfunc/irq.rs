//! Saved interrupt flags: an object on the stack, made where interrupts are disabled and ended
//! where they are enabled again, the last one first.

use super::super::Step;
use super::super::mem::Place;
use super::iter::fits_slots;
use crate::reason::{KfuncReason, Reason};
use crate::state::stack::{SLOT_BYTES, Span};
use crate::state::{Acquired, IrqClass, IrqFlag, Object, Pointer, PtrTo, Reg, Resource};
use ubpf_abi::Access;
use ubpf_isa::Reg as Name;

impl Step<'_> {
    /// A place for flags that are saved, or flags to be restored.
    pub(super) fn irq_argument(
        &mut self,
        index: usize,
        reg: Name,
        value: &Reg,
        class: IrqClass,
        save: bool,
    ) -> Result<(), Reason> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) = value else {
            return Err(KfuncReason::IrqNotStack(index).into());
        };
        let span = self.object_span("irq_flag", p, 1).ok();
        if save {
            if span.is_none() && fits_slots(p, 1) {
                // Not on the stack at all: then the store that makes it fails.
                let at = Place { base: reg, off: 0, size: SLOT_BYTES };
                self.stack_bounds(p, at, Access::Write)?;
            }
            let free = |span: &Span| {
                let mut in_way = self.frame_at(*depth).stack.objects_in(*span);
                in_way.all(|(_, object)| !matches!(object, Object::IrqFlag(_)))
            };
            let span = span.filter(free).ok_or(KfuncReason::IrqInit(index))?;
            self.save_irq(*depth, span, class)
        } else {
            let object = span.and_then(|span| self.frame_at(*depth).stack.object(span.off));
            let (Some(Object::IrqFlag(flag)), Some(span)) = (object.copied(), span) else {
                return Err(KfuncReason::IrqUninit(index).into());
            };
            self.restore_irq(*depth, span, flag, class)
        }
    }

    fn save_irq(&mut self, depth: u8, span: Span, class: IrqClass) -> Result<(), Reason> {
        self.overwrite_dynptrs(depth, span)?;
        self.touch_stack(depth, span);
        let ref_id = self.ids.reference();
        self.state.refs.push(Acquired { id: ref_id, at: self.pc, what: Resource::Irq });
        let flag = Object::IrqFlag(IrqFlag { ref_id, class });
        self.frame_at_mut(depth).stack.place(span.off, flag);
        Ok(())
    }

    fn restore_irq(
        &mut self,
        depth: u8,
        span: Span,
        flag: IrqFlag,
        class: IrqClass,
    ) -> Result<(), Reason> {
        if flag.class != class {
            return Err(KfuncReason::IrqClass { saved: flag.class, restored: class }.into());
        }
        match self.state.refs.iter().rposition(|held| held.what == Resource::Irq) {
            Some(last) if self.state.refs[last].id == flag.ref_id => {
                self.state.refs.remove(last);
            }
            Some(last) => {
                let Acquired { id, at, .. } = self.state.refs[last];
                return Err(KfuncReason::IrqOrder { id: id.0, at }.into());
            }
            None => return Err(Reason::Unsupported("flags of interrupts that are enabled")),
        }
        self.touch_stack(depth, span);
        self.frame_at_mut(depth).stack.remove(span.off);
        Ok(())
    }
}
