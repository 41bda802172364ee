//! Dynptrs as arguments: made, used, given back.

use super::super::Step;
use crate::reason::{CallReason, Direction, MemoryReason, ObjectReason, R, Reason};
use crate::state::stack::{SLOT_BYTES, Span};
use crate::state::{
    Acquired, Dynptr, MemKind, Object, Pointer, PtrId, PtrTo, RefId, Reg, Resource,
};
use ubpf_abi::Access;
use ubpf_abi::helper::DynptrKind;
use ubpf_abi::limits::STACK_BYTES;
use ubpf_isa::Reg as Name;

/// Bytes of a dynptr.
const BYTES: i32 = 16;

/// A dynptr that is passed, wherever it lies.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct GivenDynptr {
    /// What it points into.
    pub kind: DynptrKind,
    /// Which one it is.
    pub id: PtrId,
    /// The reference that it stands for.
    pub ref_id: Option<RefId>,
}

impl Step<'_> {
    /// A dynptr that exists, at `index` among the arguments.
    pub(in super::super) fn dynptr_argument(
        &self,
        reg: Name,
        index: usize,
    ) -> Result<GivenDynptr, Reason> {
        let missing = || Reason::from(ObjectReason::NoDynptr(index));
        match self.frame().regs[reg.index()] {
            Reg::Pointer(p @ Pointer { to: PtrTo::Dynptr(kind), .. }) => {
                Ok(GivenDynptr { kind, id: p.id.unwrap_or(PtrId(0)), ref_id: None })
            }
            Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) => {
                let off = p.const_off().and_then(|off| i32::try_from(off).ok());
                let object = off.and_then(|off| self.frame_at(depth).stack.object(off));
                let dynptr = object.and_then(Object::dynptr).ok_or_else(missing)?;
                Ok(GivenDynptr { kind: dynptr.kind, id: dynptr.id, ref_id: dynptr.ref_id })
            }
            _ => Err(ObjectReason::NoDynptrPointer(index).into()),
        }
    }

    /// Room on the stack that becomes a dynptr; of the reference `of`, if it is a clone.
    pub(in super::super) fn dynptr_made(
        &mut self,
        reg: Name,
        index: usize,
        kind: DynptrKind,
        of: Option<RefId>,
    ) -> Result<(), Reason> {
        let (p, depth) = match self.frame().regs[reg.index()] {
            Reg::Pointer(Pointer { to: PtrTo::Dynptr(_), .. }) => {
                return Err(ObjectReason::NotUninit.into());
            }
            Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) => (p, depth),
            _ => return Err(ObjectReason::NoDynptrPointer(index).into()),
        };
        let off = p.const_off().and_then(|off| i32::try_from(off).ok());
        let off = off.filter(|off| off % SLOT_BYTES as i32 == 0 && *off <= -BYTES);
        let off = off.ok_or(ObjectReason::NotUninit)?;
        if off < -(STACK_BYTES as i32) {
            let direction = Direction(Access::Write);
            let (reg, off, size) = (R(reg), off.into(), SLOT_BYTES);
            return Err(MemoryReason::OutsideStack { direction, reg, off, size }.into());
        }
        let span = Span { off, len: BYTES as u32 };
        self.touch_stack(depth, span);
        self.overwrite_dynptrs(depth, span)?;
        let id = self.ids.pointer();
        let ref_id = match kind {
            DynptrKind::Ringbuf => Some(of.unwrap_or_else(|| {
                let id = self.ids.reference();
                self.state.refs.push(Acquired { id, at: self.pc, what: Resource::Reference });
                id
            })),
            _ => None,
        };
        let dynptr = Object::Dynptr(Dynptr { kind, id, ref_id });
        self.frame_at_mut(depth).stack.place(off, dynptr);
        Ok(())
    }

    /// What is to be given back through a dynptr is there to be given back.
    pub(super) fn check_released_dynptr(&self, reg: Name) -> Result<(), Reason> {
        let acquired = match self.frame().regs[reg.index()] {
            Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) => {
                let off = p.const_off().filter(|off| off % i64::from(SLOT_BYTES) == 0);
                let span = off.and_then(|off| Span::checked(off, SLOT_BYTES));
                let stack = &self.frame_at(depth).stack;
                span.filter(|span| span.off <= -BYTES).is_some_and(|span| {
                    let spilled = stack.slot(span).and_then(|slot| slot.reg.pointer());
                    stack.objects_in(span).any(|(_, object)| object.ref_id().is_some())
                        || spilled.is_some_and(|p| p.ref_id.is_some())
                })
            }
            _ => return Err(ObjectReason::ReleasesConst.into()),
        };
        if acquired { Ok(()) } else { Err(ObjectReason::Unacquired(reg.number()).into()) }
    }

    /// Gives back what a dynptr stands for: its clones end with it, and what it showed.
    pub(super) fn release_dynptr(&mut self, reg: Name) -> bool {
        let Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) =
            self.frame().regs[reg.index()]
        else {
            return false;
        };
        let off = p.const_off().and_then(|off| i32::try_from(off).ok());
        let found = off.and_then(|off| self.frame_at(depth).stack.object(off)?.ref_id());
        let Some(id) = found.filter(|&id| self.release(id)) else { return false };
        let stack = &mut self.frame_at_mut(depth).stack;
        let clones = stack.objects().filter(|(_, object)| object.ref_id() == Some(id));
        let clones: Vec<i32> = clones.map(|(off, _)| off).collect();
        for off in clones {
            stack.remove(off);
        }
        true
    }

    /// Memory that a dynptr shows, of `size` bytes; it goes with the dynptr.
    pub(super) fn dynptr_memory(dynptr: GivenDynptr, size: u32) -> Pointer {
        let kind = MemKind::DynptrData { dynptr: dynptr.id.0 };
        Pointer { ref_id: dynptr.ref_id, ..Pointer::new(PtrTo::Mem { size, kind }) }
    }

    /// Dynptrs can be made of map values only.
    pub(super) fn check_dynptr_memory(&self) -> Result<(), Reason> {
        match self.frame().regs[Name::R1.index()] {
            Reg::Pointer(Pointer { to: PtrTo::MapValue(_), nullable: false, .. }) => Ok(()),
            _ => Err(CallReason::DynptrMemory(self.given(Name::R1)).into()),
        }
    }
}
