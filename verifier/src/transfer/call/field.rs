//! Arguments that are fields with rules of their own: locks, timers, pointers to be exchanged.

use super::super::Step;
use super::helper::Passed;
use crate::reason::{FieldReason, R, Reason};
use crate::state::{
    Acquired, Hold, LockKind, LockPlace, MapRef, Pointer, PtrTo, RefId, Reg, Resource, Space, Trust,
};
use ubpf_abi::Errno;
use ubpf_abi::fields::{FieldKind, Kptr, KptrKind};
use ubpf_isa::Reg as Name;

/// Types of objects that can be exchanged, as the kernel names them.
const OBJECTS: &str = "ptr_, trusted_ptr_, rcu_ptr_";

/// What is done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Turn {
    /// It is taken.
    Lock,
    /// It is given back.
    Unlock,
}

impl Step<'_> {
    /// A lock that is taken or given back.
    pub(in super::super) fn lock_argument(
        &mut self,
        reg: Name,
        kind: LockKind,
        turn: Turn,
    ) -> Result<(), Reason> {
        let Reg::Pointer(p) = self.frame().regs[reg.index()] else {
            return Err(Reason::Unsupported("locks at a number"));
        };
        let field =
            if kind == LockKind::Spin { FieldKind::SpinLock } else { FieldKind::ResSpinLock };
        let off = p.const_off().ok_or(FieldReason::VariableField { reg: R(reg), what: field })?;
        let record = self.cx.record_of(&p);
        self.check_types(&p, field)?;
        let Some(lock) = record.and_then(|record| record.only(field)) else {
            return Err(FieldReason::NoField { owner: self.owner_of(&p), what: field }.into());
        };
        if i64::from(lock.off) != off {
            return Err(FieldReason::NotThere { off, what: field, at: lock.off }.into());
        }
        let place = match p.to {
            PtrTo::MapValue(map) => LockPlace::Map(MapRef { uid: 0, ..map }),
            _ => LockPlace::Object,
        };
        let what = Resource::Lock { kind, place };
        let id = RefId(p.id.map_or(0, |id| id.0));
        if kind == LockKind::Spin && self.in_less_callback() {
            return Err(FieldReason::LockInCallback.into());
        }
        match turn {
            Turn::Lock => self.lock(id, what, kind),
            Turn::Unlock => self.unlock(id, what, field),
        }
    }

    fn lock(&mut self, id: RefId, what: Resource, kind: LockKind) -> Result<(), Reason> {
        let spin = |what| matches!(what, Resource::Lock { kind: LockKind::Spin, .. });
        let same_place = |held: Resource| match (held, what) {
            (Resource::Lock { place: a, .. }, Resource::Lock { place: b, .. }) => a == b,
            _ => false,
        };
        if kind == LockKind::Spin {
            if self.state.locks().any(|held| spin(held.what)) {
                return Err(FieldReason::TwoLocks.into());
            }
        } else if self
            .state
            .locks()
            .any(|held| held.id == id && !spin(held.what) && same_place(held.what))
        {
            return Err(FieldReason::SameLock.into());
        }
        self.state.refs.push(Acquired { id, at: self.pc, what });
        Ok(())
    }

    fn unlock(&mut self, id: RefId, what: Resource, field: FieldKind) -> Result<(), Reason> {
        let is_it = |held: &Acquired| held.id == id && held.what == what;
        if !self.state.is_locked() {
            return Err(FieldReason::NotLocked(field).into());
        }
        if !self.state.locks().any(is_it) {
            return Err(FieldReason::OtherLock(field).into());
        }
        if !self.state.locks().next_back().is_some_and(is_it) {
            return Err(FieldReason::OutOfOrder(field).into());
        }
        if let Some(at) = self.state.refs.iter().rposition(is_it) {
            self.state.refs.remove(at);
        }
        self.end_non_owning();
        Ok(())
    }

    /// What a list or a tree owns may be gone when its lock is given back.
    fn end_non_owning(&mut self) {
        let left = self.forgotten();
        let shared = |r: &Reg| matches!(r.pointer().map(|p| p.to), Some(PtrTo::Own { hold, .. }) if hold.is_shared());
        self.state.for_each_reg(shared, |r| *r = left);
    }

    /// A timer, or another field of which a map's value has one; its map is that of the call.
    pub(in super::super) fn map_field_argument(
        &self,
        reg: Name,
        field: FieldKind,
    ) -> Result<MapRef, Reason> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::MapValue(map), .. }) =
            self.frame().regs[reg.index()]
        else {
            return Err(Reason::Unsupported("fields outside of maps"));
        };
        let off = p.const_off().ok_or(FieldReason::VariableField { reg: R(reg), what: field })?;
        self.check_types(&p, field)?;
        let found = self.cx.record_of(&p).and_then(|record| record.only(field));
        let Some(found) = found else {
            return Err(FieldReason::NoField { owner: self.owner_of(&p), what: field }.into());
        };
        if i64::from(found.off) != off {
            return Err(FieldReason::NotThere { off, what: field, at: found.off }.into());
        }
        Ok(map)
    }

    /// A pointer in a map's value or in an object that is exchanged for another.
    pub(super) fn kptr_argument(&self, reg: Name, passed: &mut Passed) -> Result<(), Reason> {
        let Reg::Pointer(p) = self.frame().regs[reg.index()] else {
            return Err(Reason::Unsupported("kptrs at a number"));
        };
        let off = p.const_off().ok_or(FieldReason::VariableKptr(R(reg)))?;
        self.check_types(&p, "bpf_kptr_xchg")?;
        let record = self.cx.record_of(&p);
        let record = record.filter(|record| {
            record.has(|kind| kind.kptr().is_some_and(|kptr| kptr.kind != KptrKind::User))
        });
        let record = record.ok_or(FieldReason::NoKptr(R(reg)))?;
        let field = u32::try_from(off).ok().and_then(|off| record.at(off));
        let kptr: Kptr = *field
            .and_then(|field| field.kind.kptr())
            .filter(|kptr| kptr.kind != KptrKind::User)
            .ok_or(FieldReason::NoKptrThere(off))?;
        if kptr.kind == KptrKind::Untrusted {
            return Err(FieldReason::NotOwning(off).into());
        }
        passed.kptr = Some(kptr);
        Ok(())
    }

    /// The object that is put in a kptr's place; null is judged by the caller.
    pub(super) fn exchanged_argument(&self, kptr: &Kptr, reg: Name) -> Result<(), Reason> {
        let Reg::Pointer(p) = self.frame().regs[reg.index()] else {
            return Err(self.wrong_type(reg, OBJECTS));
        };
        let is_object = match p.to {
            PtrTo::Btf { trust, space: Space::Kernel, .. } => trust != Trust::Untrusted,
            PtrTo::Own { hold, .. } => {
                matches!(hold, Hold::Owned | Hold::PercpuOwned | Hold::Rcu)
            }
            _ => false,
        };
        if !is_object {
            return Err(self.wrong_type(reg, OBJECTS));
        }
        match p.to {
            // The kernel takes these for a bug of its own.
            PtrTo::Own { hold, .. } if p.nullable || hold == Hold::Rcu => {
                return Err(FieldReason::Unmatched.into());
            }
            _ if p.nullable => return Err(FieldReason::MaybeNull(reg.number()).into()),
            _ => {}
        }
        self.fits_kptr(kptr, reg, Errno::EACCES)
    }

    /// An exchanged object belongs to the value now. One on each CPU can still be looked at, as
    /// long as RCU keeps it.
    pub(super) fn give_to_kptr(&mut self, id: RefId) -> bool {
        if !self.state.forget_reference(id) {
            return false;
        }
        let (kept, left) = (self.in_rcu_section(), self.forgotten());
        self.state.for_each_reg(
            |r| r.pointer().is_some_and(|p| p.ref_id == Some(id)),
            |r| match *r {
                Reg::Pointer(
                    p @ Pointer { to: PtrTo::Own { id, hold: Hold::PercpuOwned }, .. },
                ) if kept => {
                    let to = PtrTo::Own { id, hold: Hold::PercpuRcu };
                    *r = Reg::Pointer(Pointer { to, ref_id: None, ..p });
                }
                _ => *r = left,
            },
        );
        true
    }

    /// A map without types has no fields; `what` needs them.
    fn check_types(&self, p: &Pointer, what: impl ToString) -> Result<(), Reason> {
        let PtrTo::MapValue(map) = p.to else { return Ok(()) };
        if self.cx.fields.has_types(map) {
            return Ok(());
        }
        let map = self.cx.map_def(map)?.name.clone();
        Err(FieldReason::NoTypes { map, what: what.to_string() }.into())
    }

    /// What a pointer to a value or an object is called where a field is missing in it.
    fn owner_of(&self, p: &Pointer) -> String {
        match p.to {
            PtrTo::MapValue(map) => {
                let name = self.cx.map_def(map).map_or("", |def| def.name.as_str());
                format!("map '{name}'")
            }
            _ => "local 'kptr'".to_owned(),
        }
    }
}
