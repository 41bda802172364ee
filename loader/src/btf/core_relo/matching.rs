//! Finding in a target type what a relocation means in a local one.

use super::super::ext::CoreReloKind;
use super::compat::{Compat, fields_are_compatible};
use super::error::CoreReloErrorKind as ErrorKind;
use super::subject::{Field, Step, Subject};
use super::{Budget, same_essential_name};
use ubpf_abi::btf::{Btf, BtfId, Def, Member};

/// One search.
pub(super) struct Matcher<'a> {
    local: &'a Btf,
    target: &'a Btf,
    budget: &'a mut Budget,
}

impl<'a> Matcher<'a> {
    pub(super) const fn new(local: &'a Btf, target: &'a Btf, budget: &'a mut Budget) -> Self {
        Self { local, target, budget }
    }

    /// What `subject` is in terms of target type `candidate`; `None` when it is not there.
    pub(super) fn find(
        &mut self,
        kind: CoreReloKind,
        subject: &Subject,
        candidate: BtfId,
    ) -> Result<Option<Subject>, ErrorKind> {
        match subject {
            Subject::Type(local) => {
                let mut compat = Compat::new(self.local, self.target, self.budget);
                let fits = match kind {
                    CoreReloKind::TypeMatches => compat.types_match(*local, candidate)?,
                    _ => compat.types_are_compatible(*local, candidate)?,
                };
                Ok(fits.then_some(Subject::Type(candidate)))
            }
            Subject::Enumerator { of, idx } => {
                let Some(wanted) = self.local.enumerators(*of).get(*idx) else {
                    return Ok(None);
                };
                let wanted = self.local.name(wanted.name);
                let (of, _) = self.target.resolve(candidate)?;
                self.budget.spend(self.target.enumerators(of).len())?;
                let idx = self
                    .target
                    .enumerators(of)
                    .iter()
                    .position(|e| same_essential_name(self.target.name(e.name), wanted));
                Ok(idx.map(|idx| Subject::Enumerator { of, idx }))
            }
            Subject::Field(field) => Ok(self.field(field, candidate)?.map(Subject::Field)),
        }
    }

    fn field(&mut self, local: &Field, candidate: BtfId) -> Result<Option<Field>, ErrorKind> {
        let mut found = Field::default();
        let (mut at, _) = self.target.resolve(candidate)?;
        for (nth, step) in local.steps.iter().enumerate() {
            let next = match *step {
                Step::Member { of, idx } => {
                    let Some(wanted) = self.local.members(of).get(idx) else {
                        return Ok(None);
                    };
                    self.member(wanted, at, &mut found)?
                }
                // The first index goes along the pointer; the type is the root itself.
                Step::Element { idx, .. } if nth == 0 => {
                    found.element(self.target, at, idx)?;
                    Some(at)
                }
                Step::Element { idx, .. } => self.element(idx, at, &mut found)?,
            };
            let Some(next) = next else { return Ok(None) };
            (at, _) = self.target.resolve(next)?;
        }
        Ok(Some(found))
    }

    fn element(
        &mut self,
        idx: u32,
        at: BtfId,
        found: &mut Field,
    ) -> Result<Option<BtfId>, ErrorKind> {
        let Some(array) = self.target.array(at) else {
            return Ok(None);
        };
        if !found.allows_index(self.target, array, idx) {
            return Ok(None);
        }
        let (elem, _) = self.target.resolve(array.elem)?;
        found.element(self.target, elem, idx)?;
        Ok(Some(elem))
    }

    /// Looks for the member that `wanted` is called after, through anonymous structures and
    /// unions, and extends `found` by it. Gives the member's type.
    fn member(
        &mut self,
        wanted: &Member,
        at: BtfId,
        found: &mut Field,
    ) -> Result<Option<BtfId>, ErrorKind> {
        let target = self.target;
        let (here, ty) = target.resolve(at)?;
        if !matches!(ty.def, Def::Struct(_) | Def::Union(_)) {
            return Ok(None);
        }
        let wanted_name = self.local.name(wanted.name);
        let (levels, bit_off) = (found.levels, found.bit_off);
        for (idx, member) in target.members(here).iter().enumerate() {
            self.budget.spend(1)?;
            found.level()?;
            found.advance(member.bit_off)?;
            if member.name.is_empty() {
                if let Some(ty) = self.member(wanted, member.ty, found)? {
                    return Ok(Some(ty));
                }
            } else if target.name(member.name) == wanted_name {
                found.steps.push(Step::Member { of: here, idx });
                if fields_are_compatible(self.local, wanted.ty, target, member.ty)? {
                    return Ok(Some(member.ty));
                }
                found.steps.pop();
                (found.levels, found.bit_off) = (levels, bit_off);
                return Ok(None);
            }
            (found.levels, found.bit_off) = (levels, bit_off);
        }
        Ok(None)
    }
}
