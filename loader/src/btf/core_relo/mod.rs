//! CO-RE: adapting instructions to the layout that types have on the target.
//!
//! The compiler leaves a note at each instruction that depends on a type's layout: *this
//! immediate is the byte offset of `task_struct.mm`, by my headers*. Relocation looks for the same
//! thing in the target's BTF and patches the instruction. The rules are libbpf's (1.7), so that
//! the instructions come out as they would on the way into a kernel:
//!
//! ```text
//!   relo ─ subject ─▶ what is meant, in local types
//!            │ candidates: target types of compatible kind and the same name, flavors ignored
//!            ▼
//!         matching ─▶ the same thing in each candidate's terms ─ value ─▶ number, access width
//!            │                                 all candidates must agree
//!            ▼
//!          patch ─▶ immediate, offset or access size; or an insn that no verifier accepts
//! ```
//!
//! A missing field is not an error here: programs test for existence first and never reach the
//! instruction that would use it. It is made unexecutable, and [`Applied::Poisoned`] says why.

mod compat;
mod error;
mod matching;
mod patch;
mod subject;
#[cfg(test)]
mod tests;
mod value;

pub use error::{CoreReloError, CoreReloErrorKind};
pub use patch::POISON;

use super::ext::{CoreRelo, CoreReloKind};
use compat::Compat;
use matching::Matcher;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use subject::Subject;
use ubpf_abi::btf::{Btf, BtfId, essential_name};
use ubpf_isa::Slot;
use value::Value;

/// Applies relocations of one object against one target.
///
/// It remembers the candidates of each local type and, as libbpf does, drops those that did not
/// match an earlier relocation; relocations must come in the file's order.
#[derive(Debug)]
pub struct Relocator<'a> {
    local: &'a Btf,
    target: &'a Btf,
    candidates: HashMap<BtfId, Vec<BtfId>>,
    budget: Budget,
}

/// Steps that all searches of one object together may take, each a candidate, a member, an
/// enumerator or a comparison of two types.
///
/// Large programs take some 100,000. Without a bound a hostile object, which can be its own target,
/// could have thousands of types of one name, and unions nested in unions without names make
/// a search take time exponential in their depth.
#[derive(Debug)]
struct Budget(u32);

impl Budget {
    const WHOLE: Self = Self(1 << 22);

    fn spend(&mut self, steps: usize) -> Result<(), CoreReloErrorKind> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(CoreReloErrorKind::TooComplex)?;
        Ok(())
    }
}

/// What became of the instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It holds the target's value now.
    Patched {
        /// The value by the object's own types.
        old: u64,
        /// The value by the target's types.
        new: u64,
    },
    /// The target has no such thing: the instruction was replaced by [`POISON`], which fails
    /// if the verifier reaches it.
    Poisoned {
        /// What was looked for, and why it was not found.
        reason: String,
    },
}

/// What a relocation comes to.
enum Outcome {
    /// Values by local and target types.
    Values {
        local: Value,
        target: Value,
    },
    Missing {
        reason: String,
    },
}

impl<'a> Relocator<'a> {
    /// Relocates programs built with the types of `local` for a machine with those of `target`.
    #[must_use]
    pub fn new(local: &'a Btf, target: &'a Btf) -> Self {
        Self { local, target, candidates: HashMap::new(), budget: Budget::WHOLE }
    }

    /// Patches the instruction at the start of `insn`, which must include the second slot of a
    /// wide load.
    ///
    /// # Errors
    /// [`CoreReloError`] when the relocation makes no sense, the target is ambiguous, or the
    /// instruction is not one that such a relocation can patch. libbpf refuses the whole object
    /// then.
    pub fn apply(&mut self, relo: &CoreRelo, insn: &mut [Slot]) -> Result<Applied, CoreReloError> {
        let outcome = self.outcome(relo);
        let what = || subject::describe(self.local, relo);
        match outcome.and_then(|outcome| patch::patch(insn, outcome)) {
            Ok(Applied::Poisoned { reason }) => {
                Ok(Applied::Poisoned { reason: format!("{}: {reason}", what()) })
            }
            Ok(patched) => Ok(patched),
            Err(kind) => Err(CoreReloError { what: what(), insn_off: relo.insn_off, kind }),
        }
    }

    fn outcome(&mut self, relo: &CoreRelo) -> Result<Outcome, CoreReloErrorKind> {
        let (local, target) = (self.local, self.target);
        let subject = Subject::parse(local, relo)?;
        if relo.kind == CoreReloKind::TypeIdLocal {
            // The id in the instruction may be stale after linking, so it is not compared.
            let value = Value::unchecked(u64::from(relo.ty.0));
            return Ok(Outcome::Values { local: value, target: value });
        }
        if local.name_of(relo.ty).is_empty() {
            return Err(CoreReloErrorKind::Anonymous);
        }
        let candidates = match self.candidates.entry(relo.ty) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let found = find_candidates(local, target, relo.ty);
                self.budget.spend(found.len())?;
                new.insert(found)
            }
        };
        let mut matches: Vec<(BtfId, Subject, Option<Value>)> = Vec::new();
        for &candidate in candidates.iter() {
            self.budget.spend(1)?;
            let mut matcher = Matcher::new(local, target, &mut self.budget);
            let Some(found) = matcher.find(relo.kind, &subject, candidate)? else {
                continue;
            };
            let value = Value::of(relo.kind, target, Some(&found))?;
            if let Some((first, first_found, first_value)) = matches.first() {
                let agree = first_found.bit_off() == found.bit_off()
                    && first_value.map(|v| v.number) == value.map(|v| v.number);
                if !agree {
                    return Err(CoreReloErrorKind::Ambiguous { first: *first, second: candidate });
                }
            }
            matches.push((candidate, found, value));
        }
        let tried = candidates.len();
        if !matches.is_empty() {
            *candidates = matches.iter().map(|(id, ..)| *id).collect();
        }
        let target_value = match matches.into_iter().next() {
            Some((_, _, value)) => value,
            None => Value::of(relo.kind, target, None)?,
        };
        let local_value = Value::of(relo.kind, local, Some(&subject))?;
        Ok(match (local_value, target_value) {
            (Some(local), Some(target)) => Outcome::Values { local, target },
            _ => Outcome::Missing { reason: missing(tried) },
        })
    }
}

/// Whether `local_id`, a type of `local`, and `target_id`, a type of `target`, are the same kind all
/// the way down: what decides whether a kernel function or variable is the one that is meant.
#[must_use]
pub fn types_are_compatible(local: &Btf, local_id: BtfId, target: &Btf, target_id: BtfId) -> bool {
    let mut budget = Budget::WHOLE;
    let mut compat = Compat::new(local, target, &mut budget);
    compat.types_are_compatible(local_id, target_id).unwrap_or(false)
}

/// Why nothing was found.
fn missing(tried: usize) -> String {
    match tried {
        0 => "the target has no type of this kind and name".to_owned(),
        1 => "the target's type of this name has no match".to_owned(),
        n => format!("none of the target's {n} types of this name has a match"),
    }
}

/// Target types of compatible kind and the same name as `local_id`, by ascending id.
fn find_candidates(local: &Btf, target: &Btf, local_id: BtfId) -> Vec<BtfId> {
    let Some(wanted) = local.ty(local_id) else {
        return Vec::new();
    };
    target
        .find_flavors(local.name(wanted.name))
        .filter(|&id| {
            target.ty(id).is_some_and(|ty| compat::kinds_are_compatible(wanted.kind(), ty.kind()))
        })
        .collect()
}

/// Whether two names are the same but for their flavors.
fn same_essential_name(a: &str, b: &str) -> bool {
    essential_name(a.as_bytes()) == essential_name(b.as_bytes())
}
