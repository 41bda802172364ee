//! Objects of the program's own: made, counted, given back, put into lists and trees.

use super::super::Step;
use super::super::call::Turn;
use super::Passed;
use crate::kfunc::Kfunc;
use crate::reason::{OwnReason, R, Reason};
use crate::state::{Hold, LockKind, LockPlace, MapRef, Pointer, PtrTo, RefId, Reg, Resource};
use ubpf_abi::btf::{BtfId, Def};
use ubpf_abi::fields::{FieldKind, Root};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_isa::{CallTarget, Insn, Reg as Name};

/// Bytes of an object that exists once on each CPU, at most.
const MAX_PERCPU_BYTES: u32 = 512;
/// What the kernel takes for the place of a lock that a value does not have.
const NO_LOCK: i64 = -22;

impl Step<'_> {
    /// The object that is made: of the struct whose number is passed.
    pub(super) fn made_object(&self, passed: &Passed, percpu: bool) -> Result<Pointer, Reason> {
        let number = passed.constant.unwrap_or_default();
        let id = u32::try_from(number).map_err(|_| OwnReason::TypeRange)?;
        let id = BtfId(id);
        let own = self.cx.program.btf.as_deref().ok_or(OwnReason::NoTypes)?;
        let Some(Def::Struct(composite)) = own.ty(id).map(|ty| ty.def) else {
            return Err(OwnReason::NotStruct.into());
        };
        if !percpu {
            return Ok(Pointer::new(PtrTo::Own { id, hold: Hold::Owned }));
        }
        let bytes = composite.bytes;
        if bytes > MAX_PERCPU_BYTES {
            return Err(OwnReason::PercpuSize { bytes, most: MAX_PERCPU_BYTES }.into());
        }
        if !super::kind::is_bytes(own, id, 0) {
            return Err(OwnReason::PercpuScalars.into());
        }
        if self.cx.fields.of_struct(id).is_some() {
            return Err(OwnReason::PercpuFields.into());
        }
        Ok(Pointer::new(PtrTo::Own { id, hold: Hold::PercpuOwned }))
    }

    /// An object that is given back.
    pub(super) fn allocated_argument(
        &self,
        kfunc: &Kfunc<'_>,
        index: usize,
        value: &Reg,
    ) -> Result<(), Reason> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::Own { hold, .. }, nullable: false, .. }) = value
        else {
            return Err(OwnReason::NotAllocated(index).into());
        };
        let (percpu, by) = match hold {
            Hold::Owned => (false, "bpf_obj_drop_impl"),
            Hold::PercpuOwned => (true, "bpf_percpu_obj_drop_impl"),
            _ => return Err(OwnReason::NotAllocated(index).into()),
        };
        if kfunc.decl.special != Some(KfuncSpecial::ObjDrop { percpu }) {
            return Err(OwnReason::ExpectedFor { index, by }.into());
        }
        check_referenced(p)
    }

    /// An object that counts its references.
    pub(super) fn counted_argument(
        &self,
        index: usize,
        value: &Reg,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let Some(PtrTo::Own { id, hold }) = value.pointer().map(|p| p.to) else {
            return Err(OwnReason::NeitherOwning(index).into());
        };
        if !hold.is_allocated() {
            return Err(OwnReason::NeitherOwning(index).into());
        }
        let record = self.cx.fields.of_struct(id).ok_or(OwnReason::NoRecord)?;
        if record.only(FieldKind::Refcount).is_none() {
            return Err(OwnReason::NotCounted(index).into());
        }
        passed.counted = Some((id, !hold.is_shared()));
        Ok(())
    }

    /// A list's head or a tree's root, whose lock is held.
    pub(super) fn root_argument(
        &self,
        index: usize,
        reg: Name,
        value: &Reg,
        list: bool,
    ) -> Result<Root, Reason> {
        let what = if list { "bpf_list_head" } else { "bpf_rb_root" };
        let (p, place) = match value {
            Reg::Pointer(p @ Pointer { to: PtrTo::MapValue(map), nullable: false, .. }) => {
                (p, LockPlace::Map(MapRef { uid: 0, ..*map }))
            }
            Reg::Pointer(
                p @ Pointer { to: PtrTo::Own { hold: Hold::Owned, .. }, nullable: false, .. },
            ) => {
                check_referenced(p)?;
                (p, LockPlace::Object)
            }
            _ => return Err(OwnReason::NoRootOwner(index).into()),
        };
        let off = p.const_off().ok_or(OwnReason::VariablePlace { reg: R(reg), what })?;
        let record = self.cx.record_of(p);
        let field = record.and_then(|record| record.at(u32::try_from(off).ok()?));
        let root = match field.map(|field| field.kind) {
            Some(FieldKind::ListHead(root)) if list => root,
            Some(FieldKind::RbRoot(root)) if !list => root,
            _ => return Err(OwnReason::NotFound { what, off }.into()),
        };
        let id = RefId(p.id.map_or(0, |id| id.0));
        let guards =
            |what: Resource| matches!(what, Resource::Lock { place: at, .. } if at == place);
        if !self.state.locks().any(|held| held.id == id && guards(held.what)) {
            let lock = record.and_then(|record| record.only(FieldKind::SpinLock));
            let at = lock.map_or(NO_LOCK, |field| field.off.into());
            return Err(OwnReason::LockNotHeld { at, what }.into());
        }
        Ok(root)
    }

    /// An object's place in a list or a tree.
    pub(super) fn node_argument(
        &self,
        kfunc: &Kfunc<'_>,
        index: usize,
        reg: Name,
        value: &Reg,
        list: bool,
        root: Option<Root>,
    ) -> Result<(), Reason> {
        let inserts = list || kfunc.decl.special == Some(KfuncSpecial::RbtreeAdd);
        let p = value.pointer();
        if inserts {
            let Some(p) =
                p.filter(|p| !p.nullable && matches!(p.to, PtrTo::Own { hold: Hold::Owned, .. }))
            else {
                return Err(OwnReason::NotAllocated(index).into());
            };
            check_referenced(p)?;
        } else {
            let shared = |p: &&Pointer| matches!(p.to, PtrTo::Own { hold, .. } if hold.is_shared());
            if !p.is_some_and(|p| shared(&p) || p.ref_id.is_some()) {
                return Err(OwnReason::NotShared(kfunc.name()).into());
            }
            if self.in_less_callback() {
                return Err(OwnReason::InCallback(kfunc.name()).into());
            }
        }
        let (what, head, kind) = if list {
            ("bpf_list_node", "bpf_list_head", FieldKind::ListNode)
        } else {
            ("bpf_rb_node", "bpf_rb_root", FieldKind::RbNode)
        };
        let (Some(p), Some(root)) = (p, root) else {
            return Err(Reason::Unsupported("nodes without a root"));
        };
        let off = p.const_off().ok_or(OwnReason::VariablePlace { reg: R(reg), what })?;
        let record = self.cx.record_of(p);
        let field = record.and_then(|record| record.at(u32::try_from(off).ok()?));
        if !field.is_some_and(|field| field.kind == kind) {
            return Err(OwnReason::NotFound { what, off }.into());
        }
        let PtrTo::Own { id, .. } = p.to else {
            return Err(OwnReason::NotFound { what, off }.into());
        };
        let types = self.own_types()?;
        let expected = types.name_of(root.value).to_owned();
        if id != root.value {
            let (at, given) = (root.node_off, types.name_of(id).to_owned());
            return Err(OwnReason::OtherElement { head, what, at, expected, off, given }.into());
        }
        if off != i64::from(root.node_off) {
            let at = root.node_off;
            return Err(OwnReason::OtherNode { off, what, at, expected }.into());
        }
        Ok(())
    }

    /// A resilient lock that is taken or given back.
    pub(super) fn resilient_lock(
        &mut self,
        kfunc: &Kfunc<'_>,
        index: usize,
        reg: Name,
        value: &Reg,
    ) -> Result<(), Reason> {
        let holds_locks =
            |to| matches!(to, PtrTo::MapValue(_) | PtrTo::Own { hold: Hold::Owned, .. });
        if !value.pointer().is_some_and(|p| !p.nullable && holds_locks(p.to)) {
            return Err(OwnReason::NoLockOwner(index).into());
        }
        let (turn, irq) = match kfunc.decl.special {
            Some(KfuncSpecial::ResSpinLock { irq }) => (Turn::Lock, irq),
            Some(KfuncSpecial::ResSpinUnlock { irq }) => (Turn::Unlock, irq),
            _ => return Err(Reason::Unsupported("locks in other kernel functions")),
        };
        let kind = if irq { LockKind::ResSpinIrq } else { LockKind::ResSpin };
        self.lock_argument(reg, kind, turn)
    }

    /// An object that is put into a list or a tree belongs to it from here on; as long as the lock
    /// is held, the program may still use it.
    pub(super) fn share(&mut self, kfunc: &Kfunc<'_>) -> Result<(), Reason> {
        let node = self.frame().regs[Name::R2.index()];
        let id = node.pointer().and_then(|p| p.ref_id);
        let Some(id) = id.filter(|&id| self.state.forget_reference(id)) else {
            return Err(Reason::Unsupported(kfunc.name()));
        };
        let fields = self.cx.fields;
        self.state.for_each_reg(
            |reg| reg.pointer().is_some_and(|p| p.ref_id == Some(id)),
            |reg| {
                let Reg::Pointer(p) = reg else { return };
                p.ref_id = None;
                if let PtrTo::Own { id, hold } = &mut p.to {
                    let counts =
                        |r: &ubpf_abi::fields::Record| r.only(FieldKind::Refcount).is_some();
                    *hold = Hold::shared(fields.of_struct(*id).is_some_and(counts));
                }
            },
        );
        Ok(())
    }

    /// An element of a list or a tree: taken out of it, or only looked at.
    pub(super) fn element(&self, passed: &Passed, taken: bool) -> Result<Pointer, Reason> {
        let root = passed.root.ok_or(Reason::Unsupported("elements without a root"))?;
        let record = self.cx.fields.of_struct(root.value);
        let counted = record.is_some_and(|record| record.only(FieldKind::Refcount).is_some());
        let hold = if taken { Hold::Owned } else { Hold::shared(counted) };
        let off = i32::try_from(root.node_off).unwrap_or(i32::MAX);
        Ok(Pointer { off, ..Pointer::new(PtrTo::Own { id: root.value, hold }) })
    }

    /// Whether the running function is one that compares the elements of a tree.
    pub(in super::super) fn in_less_callback(&self) -> bool {
        let frame = self.frame();
        let call = frame.callback.and(frame.return_to).and_then(|pc| self.cx.text.insn(pc));
        let Some(Insn::Call(CallTarget::Kfunc { btf_id, .. })) = call else { return false };
        let kfunc = self.cx.kfunc(btf_id);
        kfunc.is_ok_and(|kfunc| kfunc.decl.special == Some(KfuncSpecial::RbtreeAdd))
    }
}

fn check_referenced(p: &Pointer) -> Result<(), Reason> {
    if p.ref_id.is_some() { Ok(()) } else { Err(OwnReason::NotReferenced.into()) }
}
