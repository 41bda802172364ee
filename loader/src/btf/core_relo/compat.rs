//! When a local and a target type count as the same.
//!
//! Three relations, from loose to strict: for the value of a *field*, for the *existence* of a
//! type, and for a type that *matches* in its parts.

use super::error::CoreReloErrorKind as ErrorKind;
use super::{Budget, same_essential_name};
use ubpf_abi::btf::{
    Btf, BtfId, Composite, Def, Enumeration, FwdKind, IntEncoding, Kind, MAX_DEPTH, Type, TypeError,
};

/// Same kind, where both widths of enumerations count as one.
pub(super) fn kinds_are_compatible(a: Kind, b: Kind) -> bool {
    let is_enum = |kind| matches!(kind, Kind::Enum | Kind::Enum64);
    a == b || (is_enum(a) && is_enum(b))
}

/// Whether a field's value can be used as if it had the local type.
pub(super) fn fields_are_compatible(
    local: &Btf,
    local_id: BtfId,
    target: &Btf,
    target_id: BtfId,
) -> Result<bool, TypeError> {
    let (mut local_id, mut target_id) = (local_id, target_id);
    for _ in 0..=MAX_DEPTH {
        let ((_, l), (_, t)) = (local.resolve(local_id)?, target.resolve(target_id)?);
        return Ok(match (l.def, t.def) {
            (Def::Struct(_) | Def::Union(_), Def::Struct(_) | Def::Union(_)) => true,
            (Def::Ptr(_), Def::Ptr(_)) | (Def::Float { .. }, Def::Float { .. }) => true,
            // Integers that describe bitfields themselves are a thing of the past.
            (Def::Int(l), Def::Int(t)) => l.bit_off == 0 && t.bit_off == 0,
            (Def::Fwd(_), Def::Fwd(_))
            | (Def::Enum(_) | Def::Enum64(_), Def::Enum(_) | Def::Enum64(_)) => {
                let (l, t) = (local.name(l.name), target.name(t.name));
                l.is_empty() || t.is_empty() || same_essential_name(l, t)
            }
            (Def::Array(l), Def::Array(t)) => {
                (local_id, target_id) = (l.elem, t.elem);
                continue;
            }
            _ => false,
        });
    }
    Err(TypeError::TooDeep(local_id))
}

/// Compares types part by part.
pub(super) struct Compat<'a> {
    local: &'a Btf,
    target: &'a Btf,
    budget: &'a mut Budget,
}

impl<'a> Compat<'a> {
    pub(super) const fn new(local: &'a Btf, target: &'a Btf, budget: &'a mut Budget) -> Self {
        Self { local, target, budget }
    }

    /// Whether a type exists: same kind all the way down; names and members do not matter.
    pub(super) fn types_are_compatible(&mut self, l: BtfId, t: BtfId) -> Result<bool, ErrorKind> {
        let kind = |btf: &Btf, id| btf.ty(id).map(Type::kind);
        match (kind(self.local, l), kind(self.target, t)) {
            (Some(local), Some(target)) if kinds_are_compatible(local, target) => {
                self.compatible(l, t, MAX_DEPTH)
            }
            _ => Ok(false),
        }
    }

    /// Whether a type exists with all its parts: members and enumerators by name, integers by
    /// size and sign. Behind a pointer only kind and name matter.
    pub(super) fn types_match(&mut self, local: BtfId, target: BtfId) -> Result<bool, ErrorKind> {
        self.matches(local, target, false, MAX_DEPTH)
    }

    fn compatible(&mut self, l: BtfId, t: BtfId, levels: u32) -> Result<bool, ErrorKind> {
        let levels = self.descend(l, levels)?;
        let (local, target) = (self.local, self.target);
        let ((lid, l), (tid, t)) = (local.resolve(l)?, target.resolve(t)?);
        match (l.def, t.def) {
            (Def::Int(l), Def::Int(t)) => Ok(l.bit_off == 0 && t.bit_off == 0),
            (Def::Ptr(l), Def::Ptr(t)) => self.compatible(l, t, levels),
            (Def::Array(l), Def::Array(t)) => self.compatible(l.elem, t.elem, levels),
            (Def::FuncProto(l), Def::FuncProto(t)) => {
                let (ls, ts) = (local.params(lid), target.params(tid));
                if ls.len() != ts.len() {
                    return Ok(false);
                }
                for (l, t) in ls.iter().zip(ts) {
                    if !self.compatible(l.ty, t.ty, levels)? {
                        return Ok(false);
                    }
                }
                self.compatible(l.ret, t.ret, levels)
            }
            (
                Def::Void
                | Def::Struct(_)
                | Def::Union(_)
                | Def::Enum(_)
                | Def::Enum64(_)
                | Def::Fwd(_),
                _,
            ) => Ok(kinds_are_compatible(l.kind(), t.kind())),
            _ => Ok(false),
        }
    }

    fn matches(
        &mut self,
        l: BtfId,
        t: BtfId,
        behind_ptr: bool,
        levels: u32,
    ) -> Result<bool, ErrorKind> {
        let levels = self.descend(l, levels)?;
        let (local, target) = (self.local, self.target);
        let ((lid, l), (tid, t)) = (local.resolve(l)?, target.resolve(t)?);
        if !same_essential_name(local.name(l.name), target.name(t.name)) {
            return Ok(false);
        }
        let is = |kind: FwdKind, def: &Def| match def {
            Def::Struct(_) => kind == FwdKind::Struct,
            Def::Union(_) => kind == FwdKind::Union,
            _ => false,
        };
        match (l.def, t.def) {
            (Def::Void, Def::Void) => Ok(true),
            (Def::Fwd(l), Def::Fwd(t)) => Ok(l == t),
            (Def::Fwd(l), t) => Ok(behind_ptr && is(l, &t)),
            (l, Def::Fwd(t)) => Ok(behind_ptr && is(t, &l)),
            (Def::Enum(l) | Def::Enum64(l), Def::Enum(t) | Def::Enum64(t)) => {
                self.enums_match((lid, &l), (tid, &t))
            }
            (Def::Struct(l), Def::Struct(t)) | (Def::Union(l), Def::Union(t)) => {
                if behind_ptr {
                    return Ok(true);
                }
                self.members_match((lid, &l), (tid, &t), levels)
            }
            (Def::Int(l), Def::Int(t)) => {
                let signed = |encoding| encoding == IntEncoding::Signed;
                Ok(l.bytes == t.bytes && signed(l.encoding) == signed(t.encoding))
            }
            (Def::Ptr(l), Def::Ptr(t)) => self.matches(l, t, true, levels),
            (Def::Array(l), Def::Array(t)) => {
                Ok(l.len == t.len && self.matches(l.elem, t.elem, behind_ptr, levels)?)
            }
            (Def::FuncProto(l), Def::FuncProto(t)) => {
                let (ls, ts) = (local.params(lid), target.params(tid));
                if ls.len() != ts.len() {
                    return Ok(false);
                }
                for (l, t) in ls.iter().zip(ts) {
                    if !self.matches(l.ty, t.ty, behind_ptr, levels)? {
                        return Ok(false);
                    }
                }
                self.matches(l.ret, t.ret, behind_ptr, levels)
            }
            _ => Ok(false),
        }
    }

    /// Each local enumerator has one of its name in the target, whatever its value.
    fn enums_match(
        &mut self,
        l: (BtfId, &Enumeration),
        t: (BtfId, &Enumeration),
    ) -> Result<bool, ErrorKind> {
        if l.1.bytes != t.1.bytes || l.1.enumerators.len() > t.1.enumerators.len() {
            return Ok(false);
        }
        let targets = self.target.enumerators(t.0);
        for l in self.local.enumerators(l.0) {
            self.budget.spend(targets.len())?;
            let name = self.local.name(l.name);
            if !targets.iter().any(|t| same_essential_name(self.target.name(t.name), name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Each local member has one of its name in the target that matches.
    fn members_match(
        &mut self,
        l: (BtfId, &Composite),
        t: (BtfId, &Composite),
        levels: u32,
    ) -> Result<bool, ErrorKind> {
        let (local, target) = (self.local, self.target);
        if l.1.members.len() > t.1.members.len() {
            return Ok(false);
        }
        'members: for l in local.members(l.0) {
            self.budget.spend(t.1.members.len())?;
            for t in target.members(t.0) {
                let same_name = same_essential_name(local.name(l.name), target.name(t.name));
                if same_name && self.matches(l.ty, t.ty, false, levels)? {
                    continue 'members;
                }
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// Goes one level down.
    fn descend(&mut self, id: BtfId, levels: u32) -> Result<u32, ErrorKind> {
        self.budget.spend(1)?;
        Ok(levels.checked_sub(1).ok_or(TypeError::TooDeep(id))?)
    }
}
