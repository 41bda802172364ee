//! Fields with rules of their own in map values and in objects: what plain loads and stores, and
//! memory for helpers, may touch of them.

use super::Step;
use super::mem::Place;
use crate::reason::{FieldReason, R, Reason};
use crate::state::{Hold, MemKind, Pointer, PtrTo, Reg, Space, Trust};
use crate::typed::walk;
use ubpf_abi::Errno;
use ubpf_abi::btf::{Btf, BtfId};
use ubpf_abi::fields::{Field, FieldKind, Kptr, KptrKind, KptrTo};
use ubpf_isa::{Insn, Operand, Reg as Name};

/// How memory is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// By the instruction itself.
    Insn,
    /// By a helper that is handed its address.
    Helper,
}

/// Kernel structs whose memory outlives the RCU read section in which they are released.
const RCU_PROTECTED: [&str; 5] =
    ["prog_test_ref_kfunc", "cgroup", "bpf_cpumask", "task_struct", "bpf_crypto_ctx"];

impl<'a> Step<'a> {
    /// An access to a map's value, which is inside of it, touches no field that it must not.
    pub(super) fn check_fields(&self, p: &Pointer, at: Place, via: Via) -> Result<(), Reason> {
        let Some(record) = self.cx.record_of(p) else { return Ok(()) };
        let off = i64::from(p.off) + i64::from(at.off);
        let lowest = p.var.full.smin.saturating_add(off);
        let end = (p.var.full.umax as i64).saturating_add(off).saturating_add(at.size.into());
        for &Field { off: start, kind } in record.fields() {
            if lowest >= i64::from(start + kind.bytes()) || end <= i64::from(start) {
                continue;
            }
            if kind.kptr().is_none() {
                return Err(FieldReason::Direct(kind).into());
            }
            if via == Via::Helper {
                return Err(FieldReason::Indirect(kind).into());
            }
            let Some(off) = p.var.as_const().map(|var| off.wrapping_add(var as i64)) else {
                return Err(FieldReason::VariablePointer(kind).into());
            };
            if off != i64::from(start) {
                return Err(FieldReason::MisalignedPointer { kind, expected: start, off }.into());
            }
            if at.size != 8 {
                return Err(FieldReason::PointerSize(kind).into());
            }
        }
        Ok(())
    }

    /// The kptr that an access to a map's value means, which [`Step::check_fields`] has let pass.
    pub(super) fn kptr_at(&self, p: &Pointer, at: Place) -> Result<Option<(u32, Kptr)>, Reason> {
        let (PtrTo::MapValue(_), Some(record)) = (p.to, self.cx.record_of(p)) else {
            return Ok(None);
        };
        let off = p.const_off().and_then(|off| u32::try_from(off + i64::from(at.off)).ok());
        let kptr = off.and_then(|off| Some((off, *record.at(off)?.kind.kptr()?)));
        let plain = matches!(
            self.cx.text.insn(self.pc),
            Some(Insn::Load { signed: false, .. } | Insn::Store { .. })
        );
        if kptr.is_some() && !plain {
            return Err(FieldReason::PointerMode.into());
        }
        Ok(kptr)
    }

    /// What a load of a kptr gives: it may be released at any time, unless RCU keeps the memory.
    pub(super) fn load_kptr(&mut self, kptr: &Kptr) -> Result<Reg, Reason> {
        let kept = self.in_rcu_section()
            && match kptr.kind {
                KptrKind::Percpu => true,
                KptrKind::Ref => match kptr.to {
                    KptrTo::Own(_) => true,
                    KptrTo::Kernel(_) => {
                        RCU_PROTECTED.contains(&self.kptr_types(kptr)?.name_of(kptr.to.id()))
                    }
                },
                KptrKind::Untrusted | KptrKind::User => false,
            };
        let percpu = kptr.kind == KptrKind::Percpu;
        let to = match kptr.to {
            KptrTo::Own(id) if kptr.kind == KptrKind::User => {
                let size = self.kptr_types(kptr)?.size_of(id);
                let size = size.map_err(|_| Reason::Unsupported("structs without a size"))?;
                PtrTo::Mem { size, kind: MemKind::Plain }
            }
            KptrTo::Own(id) => {
                let hold = match (kept, percpu) {
                    (true, true) => Hold::PercpuRcu,
                    (true, false) if self.is_element(id) => Hold::SharedRcu,
                    (true, false) => Hold::Rcu,
                    (false, _) => Hold::Untrusted,
                };
                PtrTo::Own { id, hold }
            }
            KptrTo::Kernel(id) => {
                let trust = if kept { Trust::Rcu } else { Trust::Untrusted };
                let space = if kept && percpu { Space::Percpu } else { Space::Kernel };
                PtrTo::Btf { id, trust, space }
            }
        };
        Ok(Reg::Pointer(Pointer::new(to).or_null(self.ids.pointer())))
    }

    /// Whether objects of a struct can be in lists or trees.
    fn is_element(&self, id: BtfId) -> bool {
        self.cx.fields.of_struct(id).is_some_and(|record| record.has(FieldKind::is_node))
    }

    /// A store to a kptr.
    pub(super) fn store_kptr(
        &self,
        off: u32,
        kptr: &Kptr,
        src: Option<Operand>,
    ) -> Result<(), Reason> {
        match kptr.kind {
            KptrKind::Ref | KptrKind::Percpu => return Err(FieldReason::StoreOwner.into()),
            KptrKind::User => return Err(FieldReason::StoreUser.into()),
            KptrKind::Untrusted => {}
        }
        match src {
            Some(Operand::Imm(0)) | None => Ok(()),
            Some(Operand::Imm(_)) => Err(FieldReason::StoreNumber(off).into()),
            Some(Operand::Reg(reg)) => {
                if self.frame().regs[reg.index()].is_zero() {
                    return Ok(());
                }
                self.fits_kptr(kptr, reg, Errno::EACCES)
            }
        }
    }

    /// Whether the object that a register points to may be kept in a kptr.
    pub(super) fn fits_kptr(&self, kptr: &Kptr, reg: Name, errno: Errno) -> Result<(), Reason> {
        let value = self.frame().regs[reg.index()];
        let untrusted_too = kptr.kind == KptrKind::Untrusted;
        let wanted = self.kptr_types(kptr)?.name_of(kptr.to.id());
        let wrong = |given: String| {
            let wanted = wanted.to_owned();
            Reason::from(FieldReason::WrongObject {
                reg: R(reg),
                given,
                wanted,
                untrusted_too,
                errno,
            })
        };
        let Reg::Pointer(p) = value else { return Err(wrong("scalar".to_owned())) };
        let held_well = match p.to {
            PtrTo::Btf { trust, space: Space::Kernel, .. } => {
                trust != Trust::Untrusted || untrusted_too
            }
            PtrTo::Own { hold: Hold::Owned, .. } => true,
            PtrTo::Own { hold: Hold::PercpuOwned, .. } => kptr.kind == KptrKind::Percpu,
            _ => false,
        };
        if !held_well {
            return Err(wrong(p.type_name().to_string()));
        }
        self.check_unmodified(&Pointer { off: p.off.min(0), ..p }, reg)?;
        let fits = match (p.to, kptr.to) {
            (PtrTo::Btf { id, .. }, KptrTo::Kernel(to)) if untrusted_too => {
                let off = u32::try_from(p.off).unwrap_or(u32::MAX);
                walk::is_or_begins_with(self.kernel_types()?, id, off, to)
            }
            (PtrTo::Own { id, .. }, KptrTo::Own(to)) if untrusted_too => {
                let off = u32::try_from(p.off).unwrap_or(u32::MAX);
                walk::is_or_begins_with(self.own_types()?, id, off, to)
            }
            (PtrTo::Btf { id, .. }, KptrTo::Kernel(to))
            | (PtrTo::Own { id, .. }, KptrTo::Own(to)) => p.off == 0 && id == to,
            _ => false,
        };
        if fits { Ok(()) } else { Err(wrong(format!("{}{}", p.type_name(), self.object_name(&p)))) }
    }

    /// The name of the struct that a pointer to an object points to; nothing for others.
    pub(super) fn object_name(&self, p: &Pointer) -> &'a str {
        match p.to {
            PtrTo::Btf { id, .. } => self.kernel_types().map_or("", |types| types.name_of(id)),
            PtrTo::Own { id, .. } => self.own_types().map_or("", |types| types.name_of(id)),
            _ => "",
        }
    }

    /// The program's own types.
    pub(super) fn own_types(&self) -> Result<&'a Btf, Reason> {
        let types = self.cx.program.btf.as_deref();
        types.ok_or(Reason::Unsupported("the program's own objects without its types"))
    }

    fn kptr_types(&self, kptr: &Kptr) -> Result<&'a Btf, Reason> {
        match kptr.to {
            KptrTo::Own(_) => self.own_types(),
            KptrTo::Kernel(_) => self.kernel_types(),
        }
    }
}
