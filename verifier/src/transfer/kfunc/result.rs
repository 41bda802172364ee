//! What `r0` holds after a call of a kernel function.

use super::super::Step;
use super::Passed;
use super::kind::named;
use crate::kfunc::Kfunc;
use crate::reason::{KfuncReason, Reason};
use crate::state::{
    Acquired, Hold, Iter, IterTrust, MemKind, Object, Pointer, PtrId, PtrTo, RefId, Reg, Resource,
    Space, Trust,
};
use ubpf_abi::btf::{BtfId, Def, Kind};
use ubpf_abi::kfunc::{KfuncFlag, KfuncSpecial};
use ubpf_abi::prog_type::PacketAccess;

/// Bytes that the two runs of a session share.
const SESSION_BYTES: u32 = 8;

impl Step<'_> {
    pub(super) fn kfunc_result(
        &mut self,
        kfunc: &Kfunc<'_>,
        passed: &Passed,
    ) -> Result<Reg, Reason> {
        let btf = kfunc.btf;
        let broken = || Reason::Unsupported("broken kernel types");
        let (_, proto) = btf.func_proto(kfunc.id).ok_or_else(broken)?;
        let (_, ret) = btf.resolve(proto.ret).map_err(|_| broken())?;
        let to = match ret.def {
            Def::Void => return Ok(Reg::Uninit),
            Def::Int(_) if matches!(kfunc.decl.special, Some(KfuncSpecial::ResSpinLock { .. })) => {
                return Ok(Reg::constant(0));
            }
            Def::Int(_) | Def::Enum(_) | Def::Enum64(_) => return Ok(Reg::UNKNOWN),
            Def::Ptr(to) => btf.resolve(to).map_err(|_| broken())?.0,
            _ => return Err(Reason::Unsupported("this kind of kernel function result")),
        };
        let mut p = match kfunc.decl.special {
            Some(KfuncSpecial::CastToKernCtx) => {
                let id = passed.kernel_ctx.ok_or_else(broken)?;
                Pointer::new(PtrTo::Btf { id, trust: Trust::Trusted, space: Space::Kernel })
            }
            Some(KfuncSpecial::ObjNew { percpu }) => self.made_object(passed, percpu)?,
            Some(KfuncSpecial::RefcountAcquire) => {
                let (id, _) = passed.counted.ok_or_else(broken)?;
                Pointer::new(PtrTo::Own { id, hold: Hold::Owned })
            }
            Some(KfuncSpecial::ListPop | KfuncSpecial::RbtreeRemove) => {
                self.element(passed, true)?
            }
            Some(KfuncSpecial::ListPeek | KfuncSpecial::RbtreePeek) => {
                self.element(passed, false)?
            }
            Some(KfuncSpecial::DynptrSlice { writable }) => self.slice(passed, writable)?,
            Some(KfuncSpecial::RdonlyCast) => self.cast(kfunc, passed)?,
            Some(KfuncSpecial::SessionCookie) => {
                Pointer::new(PtrTo::Mem { size: SESSION_BYTES, kind: MemKind::Plain })
            }
            _ => match self.returned_pointer(kfunc, passed, to)? {
                Some(p) => p,
                None => return Ok(Reg::UNKNOWN),
            },
        };
        // One more reference beside one that is owned cannot fail.
        let surely = passed.counted.is_some_and(|(_, owned)| owned);
        if kfunc.has(KfuncFlag::RetNull) && !surely {
            p = p.or_null(self.ids.pointer());
        }
        if kfunc.has(KfuncFlag::Acquire) {
            let id = self.acquire();
            p.ref_id = Some(id);
            if p.nullable {
                // What tells the reference's own pointer from others that carry it.
                p.id = Some(PtrId(id.0));
            }
        }
        if p.id.is_none() && self.cx.has_lock(&p) {
            p.id = Some(self.ids.pointer());
        }
        Ok(Reg::Pointer(p))
    }

    /// A reference that the program owns from here on.
    pub(super) fn acquire(&mut self) -> RefId {
        let id = self.ids.reference();
        self.state.refs.push(Acquired { id, at: self.pc, what: Resource::Reference });
        id
    }

    /// A pointer to what the prototype says; `None` where it says nothing of it.
    fn returned_pointer(
        &self,
        kfunc: &Kfunc<'_>,
        passed: &Passed,
        to: BtfId,
    ) -> Result<Option<Pointer>, Reason> {
        let btf = kfunc.btf;
        match btf.ty(to).map(|ty| ty.kind()) {
            Some(Kind::Void) => Ok(None),
            Some(Kind::Struct) => {
                let trust = match (kfunc.decl.special, self.iterator(passed)) {
                    (Some(KfuncSpecial::Untrusted), _) => Trust::Untrusted,
                    (_, Some(iter)) if iter.trust == IterTrust::Rcu => Trust::Rcu,
                    (_, Some(_)) if kfunc.has(KfuncFlag::IterNext) => Trust::Trusted,
                    // What a reference is held to is trusted for that.
                    _ => Trust::Plain,
                };
                Ok(Some(Pointer::new(PtrTo::Btf { id: to, trust, space: Space::Kernel })))
            }
            _ => {
                let size = btf.size_of(to).ok().filter(|&size| size > 0);
                let size = size.ok_or_else(|| KfuncReason::Returns {
                    name: kfunc.name(),
                    to: named(btf, to),
                })?;
                let mut p = Pointer::new(PtrTo::Mem { size, kind: MemKind::ReadOnly });
                // The memory is gone with what it belongs to.
                p.ref_id = passed.reference;
                Ok(Some(p))
            }
        }
    }

    /// Memory of a dynptr, in place or copied.
    fn slice(&self, passed: &Passed, writable: bool) -> Result<Pointer, Reason> {
        let (Some(dynptr), Some(size)) = (passed.dynptr, passed.constant) else {
            return Err(Reason::Unsupported("slices without a dynptr"));
        };
        if writable && self.cx.decl.packet != PacketAccess::ReadWrite {
            return Err(KfuncReason::PacketWrite.into());
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let kind = MemKind::DynptrSlice { of: dynptr.kind, writable };
        Ok(Pointer::new(PtrTo::Mem { size, kind }))
    }

    /// The iterator that is passed.
    fn iterator(&self, passed: &Passed) -> Option<&Iter> {
        let (depth, off) = passed.iter?;
        match self.frame_at(depth).stack.object(off)? {
            Object::Iter(iter) => Some(iter),
            _ => None,
        }
    }

    /// The argument as something of the kernel's that is only read.
    fn cast(&self, kfunc: &Kfunc<'_>, passed: &Passed) -> Result<Pointer, Reason> {
        let number = passed.constant.unwrap_or_default();
        let id = u32::try_from(number).ok().map(BtfId);
        let ty = id.and_then(|id| Some((id, kfunc.btf.ty(id)?)));
        let (id, ty) = ty.ok_or(KfuncReason::CastUnknown(number))?;
        match ty.def {
            Def::Void => Ok(Pointer::new(PtrTo::Mem { size: 0, kind: MemKind::Untrusted })),
            Def::Struct(_) | Def::Union(_) => {
                Ok(Pointer::new(PtrTo::Btf { id, trust: Trust::Untrusted, space: Space::Kernel }))
            }
            _ => Err(KfuncReason::CastKind.into()),
        }
    }
}
