//! Whether what is passed to a kernel function fits.

use super::super::Step;
use super::kind::{ArgKind, is_named, is_number, named};
use super::{Passed, is_null};
use crate::kfunc::Kfunc;
use crate::reason::{FieldReason, Given, KfuncReason, OwnReason, R, Reason};
use crate::state::{Hold, IrqClass, MapRef, Pointer, PtrTo, RefId, Reg, Trust};
use ubpf_abi::btf::{Btf, BtfId, Def, Kind, Param};
use ubpf_abi::fields::FieldKind;
use ubpf_abi::helper::{DynptrKind, MemAccess, SockKind};
use ubpf_abi::kfunc::{DynptrSource, KfuncFlag, KfuncSpecial};
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::Reg as Name;

pub(super) use super::super::call::ARGS;

impl Step<'_> {
    /// Judges all arguments.
    pub(super) fn kfunc_arguments(
        &mut self,
        kfunc: &Kfunc<'_>,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let params = kfunc.params();
        let mut index = 0;
        while let Some(param) = params.get(index) {
            let reg = *ARGS.get(index).ok_or(Reason::Unsupported("arguments beyond the fifth"))?;
            index += 1 + self.kfunc_argument(kfunc, index, param, reg, passed)?;
        }
        if kfunc.has(KfuncFlag::Release) && passed.released.is_none() {
            return Err(KfuncReason::NothingToRelease(kfunc.name()).into());
        }
        Ok(())
    }

    /// Judges one; how many arguments behind it were judged with it.
    fn kfunc_argument(
        &mut self,
        kfunc: &Kfunc<'_>,
        index: usize,
        param: &Param,
        reg: Name,
        passed: &mut Passed,
    ) -> Result<usize, Reason> {
        let btf = kfunc.btf;
        if is_named(btf, param, "__ign") || is_named(btf, param, "__prog") {
            return Ok(0);
        }
        self.trace.shown.insert(reg);
        let value = self.frame().regs[reg.index()];
        if is_number(btf, param.ty) {
            return self.number_argument(kfunc, param, reg, &value, passed).map(|()| 0);
        }
        let (_, ty) =
            btf.resolve(param.ty).map_err(|_| Reason::Unsupported("broken kernel types"))?;
        let Def::Ptr(to) = ty.def else {
            return Err(KfuncReason::ParamKind { index, kind: ty.kind() }.into());
        };
        let may_be_null = is_null(&value) || value.pointer().is_some_and(|p| p.nullable);
        if kfunc.demands_trust() && may_be_null && !is_named(btf, param, "__nullable") {
            return Err(KfuncReason::PossiblyNull(index).into());
        }
        if let Some(id) = value.pointer().and_then(|p| p.ref_id) {
            passed.reference = Some(id);
            if kfunc.has(KfuncFlag::Release) {
                passed.released = Some(reg);
            }
        }
        let (to, _) = btf.resolve(to).map_err(|_| Reason::Unsupported("broken kernel types"))?;
        let kind = self.argument_kind(kfunc, index, to)?;
        match kind {
            ArgKind::Null => return Ok(0),
            ArgKind::Map => {
                let map = self.map_argument(&value, reg)?;
                if let Some(of_field) = passed.map.filter(|of_field| *of_field != map) {
                    let (first, second) = (of_field.uid, map.uid);
                    let (what, at) = match kfunc.decl.special {
                        Some(KfuncSpecial::TaskWorkSchedule) => ("bpf_task_work", 2),
                        _ => ("workqueue", 1),
                    };
                    return Err(FieldReason::OtherMap { what, at, first, second }.into());
                }
                passed.map = Some(map);
                check_trust(kfunc, &value, reg)?;
            }
            ArgKind::Allocated | ArgKind::Object { .. } => check_trust(kfunc, &value, reg)?,
            _ => {}
        }
        self.check_kfunc_offset(kfunc, &value, reg)?;
        match kind {
            ArgKind::Null => {}
            ArgKind::Map => {}
            ArgKind::Ctx => self.ctx_argument(kfunc, index, &value, reg, passed)?,
            ArgKind::Object { id } => self.kernel_object(kfunc, index, &value, reg, id)?,
            ArgKind::Iter => self.iter_argument(kfunc, index, &value, reg, passed)?,
            ArgKind::Callback => match value {
                Reg::Pointer(Pointer { to: PtrTo::Func(subprog), .. }) => {
                    passed.callback = Some(subprog);
                }
                _ => return Err(KfuncReason::NotFunction(index).into()),
            },
            ArgKind::ConstStr => {
                if !matches!(
                    value,
                    Reg::Pointer(Pointer { to: PtrTo::MapValue(_), nullable: false, .. })
                ) {
                    return Err(KfuncReason::NotString(index).into());
                }
                self.string_argument(reg, &value)?;
            }
            ArgKind::Mem { id } => {
                let Ok(size) = btf.size_of(id) else {
                    return Err(KfuncReason::NoSize { index, to: named(btf, id) }.into());
                };
                self.global_memory(reg, &value, size)?;
            }
            ArgKind::MemSize { constant, optional } => {
                self.memory_pair(index, reg, constant, optional, passed)?;
                return Ok(1);
            }
            ArgKind::Allocated => self.allocated_argument(kfunc, index, &value)?,
            ArgKind::Refcounted => self.counted_argument(index, &value, passed)?,
            ArgKind::Dynptr if is_named(btf, param, "__uninit") => {
                let (kind, of) = made_dynptr(kfunc, passed)?;
                self.dynptr_made(reg, index, kind, of)?;
            }
            ArgKind::Dynptr => passed.dynptr = Some(self.dynptr_argument(reg, index)?),
            ArgKind::List { head: true } => {
                passed.root = Some(self.root_argument(index, reg, &value, true)?);
            }
            ArgKind::Rbtree { root: true } => {
                passed.root = Some(self.root_argument(index, reg, &value, false)?);
            }
            ArgKind::List { head: false } => {
                self.node_argument(kfunc, index, reg, &value, true, passed.root)?;
            }
            ArgKind::Rbtree { root: false } => {
                self.node_argument(kfunc, index, reg, &value, false, passed.root)?;
            }
            ArgKind::Workqueue | ArgKind::TaskWork => {
                if !matches!(
                    value,
                    Reg::Pointer(Pointer { to: PtrTo::MapValue(_), nullable: false, .. })
                ) {
                    return Err(OwnReason::NoMapValue(index).into());
                }
                let field = match kind {
                    ArgKind::TaskWork => FieldKind::TaskWork,
                    _ => FieldKind::Workqueue,
                };
                passed.map = Some(self.map_field_argument(reg, field)?);
            }
            ArgKind::IrqFlag => {
                let (class, save) = match kfunc.decl.special {
                    Some(KfuncSpecial::IrqSave) => (IrqClass::Native, true),
                    Some(KfuncSpecial::IrqRestore) => (IrqClass::Native, false),
                    Some(KfuncSpecial::ResSpinLock { .. }) => (IrqClass::Lock, true),
                    Some(KfuncSpecial::ResSpinUnlock { .. }) => (IrqClass::Lock, false),
                    _ => return Err(Reason::Unsupported("interrupt flags of other functions")),
                };
                self.irq_argument(index, reg, &value, class, save)?;
            }
            ArgKind::ResSpinLock => self.resilient_lock(kfunc, index, reg, &value)?,
        }
        Ok(0)
    }

    fn number_argument(
        &mut self,
        kfunc: &Kfunc<'_>,
        param: &Param,
        reg: Name,
        value: &Reg,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        if value.number().is_none() {
            return Err(KfuncReason::NotScalar(R(reg)).into());
        }
        if is_named(kfunc.btf, param, "__k") {
            passed.constant = Some(value.as_const().ok_or(KfuncReason::NotConstant(R(reg)))?);
            self.demand(reg);
        }
        Ok(())
    }

    fn map_argument(&self, value: &Reg, reg: Name) -> Result<MapRef, Reason> {
        match value.pointer().map(|p| p.to) {
            Some(PtrTo::Map(map) | PtrTo::MapValue(map) | PtrTo::MapKey(map)) => Ok(map),
            _ => Err(KfuncReason::NotMap(R(reg)).into()),
        }
    }

    fn ctx_argument(
        &self,
        kfunc: &Kfunc<'_>,
        index: usize,
        value: &Reg,
        reg: Name,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        if !matches!(value, Reg::Pointer(Pointer { to: PtrTo::Ctx, nullable: false, .. })) {
            return Err(KfuncReason::NotCtx { index, given: self.given(reg) }.into());
        }
        if kfunc.decl.special == Some(KfuncSpecial::CastToKernCtx) {
            passed.kernel_ctx = Some(kernel_ctx(kfunc.btf, self.cx.decl.prog_type)?);
        }
        Ok(())
    }

    /// Pointers into memory may have any offset, kernel objects a constant one, all others none;
    /// what is released none at all.
    fn check_kfunc_offset(&self, kfunc: &Kfunc<'_>, value: &Reg, reg: Name) -> Result<(), Reason> {
        let p = match value {
            Reg::Uninit => return Err(KfuncReason::Uninit.into()),
            Reg::Number(_) => return Ok(()),
            Reg::Pointer(p) => p,
        };
        let released = kfunc.has(KfuncFlag::Release) && p.ref_id.is_some();
        self.check_argument_offset(p, reg, released)
    }

    /// Memory and its size.
    fn memory_pair(
        &mut self,
        index: usize,
        base: Name,
        constant: bool,
        optional: bool,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let reg = *ARGS.get(index + 1).ok_or(Reason::Unsupported("arguments beyond the fifth"))?;
        let value = self.frame().regs[base.index()];
        if !(optional && is_null(&value)) {
            self.check_pair(base, reg, &value).map_err(|reason| match reason {
                Reason::Unsupported(_) => reason,
                _ => KfuncReason::MemoryPair { index, errno: reason.errno() }.into(),
            })?;
        }
        if constant {
            let size = self.frame().regs[reg.index()].as_const();
            passed.constant = Some(size.ok_or(KfuncReason::NotConstant(R(reg)))?);
        }
        Ok(())
    }

    fn check_pair(&mut self, base: Name, size: Name, value: &Reg) -> Result<(), Reason> {
        let mut scratch = super::super::call::Passed::default();
        let known = *value;
        if let Reg::Pointer(p) = known {
            // Null is the function's own affair.
            let there = Reg::Pointer(Pointer { nullable: false, ..p });
            self.state.frame_mut().regs[base.index()] = there;
        }
        let fits =
            self.size_argument(base, size, MemAccess::Read, true, &mut scratch).and_then(|()| {
                self.size_argument(base, size, MemAccess::ReadWrite, true, &mut scratch)
            });
        self.state.frame_mut().regs[base.index()] = known;
        fits
    }
}

/// What the dynptr that a function makes points into, and the reference that it stands for.
fn made_dynptr(kfunc: &Kfunc<'_>, passed: &Passed) -> Result<(DynptrKind, Option<RefId>), Reason> {
    match (kfunc.decl.special, passed.dynptr) {
        (Some(KfuncSpecial::DynptrFromPacket(source)), _) => Ok((
            match source {
                DynptrSource::Skb => DynptrKind::Skb,
                DynptrSource::Xdp => DynptrKind::Xdp,
                DynptrSource::SkbMeta => DynptrKind::SkbMeta,
            },
            None,
        )),
        (Some(KfuncSpecial::DynptrClone), Some(cloned)) => Ok((cloned.kind, cloned.ref_id)),
        _ => Err(Reason::Unsupported("dynptrs that this kernel function makes")),
    }
}

/// The kernel's own struct behind the context of programs of a type: the kernel lists them all
/// as members of one struct.
fn kernel_ctx(btf: &Btf, prog_type: ProgType) -> Result<BtfId, Reason> {
    let unknown = || Reason::Unsupported("contexts of which the kernel's types say nothing");
    let member = format!("BPF_PROG_TYPE_{}_kern", prog_type.name().to_uppercase());
    let list = btf.find(Kind::Struct, "bpf_ctx_convert").ok_or_else(unknown)?;
    let members = btf.members(list);
    let member = members.iter().find(|m| btf.name(m.name) == member).ok_or_else(unknown)?;
    let (id, ty) = btf.resolve(member.ty).map_err(|_| unknown())?;
    match ty.def {
        Def::Struct(_) | Def::Union(_) => Ok(id),
        _ => Err(KfuncReason::CtxKind(member.ty.0).into()),
    }
}

/// Objects must be as trusted as the function demands.
fn check_trust(kfunc: &Kfunc<'_>, value: &Reg, reg: Name) -> Result<(), Reason> {
    if !kfunc.demands_trust() || is_trusted(value) {
        return Ok(());
    }
    if !kfunc.has(KfuncFlag::Rcu) {
        return Err(KfuncReason::NotTrusted(R(reg)).into());
    }
    let rcu = matches!(
        value.pointer().map(|p| p.to),
        Some(
            PtrTo::Btf { trust: Trust::Rcu, .. }
                | PtrTo::Own { hold: Hold::Rcu | Hold::PercpuRcu | Hold::SharedRcu, .. }
        )
    );
    if rcu { Ok(()) } else { Err(KfuncReason::NotRcu(R(reg)).into()) }
}

/// Whether what is passed is valid as long as the program runs, or a reference is held to it.
fn is_trusted(value: &Reg) -> bool {
    let Reg::Pointer(p) = value else { return false };
    if p.ref_id.is_some() {
        return true;
    }
    !p.nullable
        && match p.to {
            PtrTo::Map(_) | PtrTo::Sock(SockKind::Common | SockKind::Full | SockKind::Tcp) => true,
            PtrTo::Btf { trust, space, .. } => {
                trust == Trust::Trusted && space == crate::state::Space::Kernel
            }
            PtrTo::Own { hold, .. } => matches!(hold, Hold::Owned | Hold::Shared),
            _ => false,
        }
}

/// The type of a value without what cannot be trusted about it.
pub(super) fn stripped(value: &Reg) -> Given {
    let Reg::Pointer(p) = value else { return Given::Scalar };
    let to = match p.to {
        PtrTo::Btf { id, trust, .. } => PtrTo::Btf {
            id,
            trust: if trust == Trust::Trusted { trust } else { Trust::Plain },
            space: crate::state::Space::Kernel,
        },
        other => other,
    };
    Given::Pointer(Pointer { to, nullable: false, ..*p }.type_name())
}
