//! Look-ups that need an order over the types: by name, and tags by what they tag.
//!
//! Built at the first question, since many BTFs are never asked. Names are hashed without their
//! `___flavor`, so that one table serves both exact look-ups and CO-RE's search for candidates.
//!
//! ```text
//!   heads[hash & mask] ─▶ id ─▶ next[id] ─▶ … ─▶ NONE      ids ascend along a chain
//! ```

use super::types::{BtfId, Def, StrOff, Type};
use super::{Btf, essential_name};
use alloc::vec;
use alloc::vec::Vec;

/// End of a chain.
const NONE: u32 = u32::MAX;

/// Look-up tables over the types of one [`Btf`], without its base.
#[derive(Clone, Debug)]
pub(super) struct Index {
    heads: Vec<u32>,
    next: Vec<u32>,
    /// Decl tags as (target, tag), ascending.
    tags: Vec<(BtfId, BtfId)>,
}

impl Index {
    pub(super) fn new(btf: &Btf) -> Self {
        let types = &btf.types;
        let mut heads = vec![NONE; types.len().next_power_of_two()];
        let mut next = vec![NONE; types.len()];
        let mut tags = Vec::new();
        for (at, ty) in types.iter().enumerate().rev() {
            let Ok(at32) = u32::try_from(at) else {
                continue;
            };
            if let Def::DeclTag(tag) = ty.def {
                tags.push((tag.target, BtfId(btf.first_id.saturating_add(at32))));
            }
            let Some(name) = own_name(btf, ty) else {
                continue;
            };
            let bucket = bucket(hash(essential_name(name)), heads.len());
            if let (Some(head), Some(link)) = (heads.get_mut(bucket), next.get_mut(at)) {
                *link = core::mem::replace(head, at32);
            }
        }
        tags.sort_unstable();
        Self { heads, next, tags }
    }

    /// Positions of the types whose essential name may be `essential`, ascending.
    pub(super) fn candidates(&self, essential: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let bucket = bucket(hash(essential), self.heads.len());
        let mut at = self.heads.get(bucket).copied().unwrap_or(NONE);
        core::iter::from_fn(move || {
            let here = at as usize;
            at = *self.next.get(here)?;
            Some(here)
        })
    }

    /// Decl tags of `target`, by ascending id.
    pub(super) fn tags(&self, target: BtfId) -> impl Iterator<Item = BtfId> + '_ {
        let from = self.tags.partition_point(|&(t, _)| t < target);
        let rest = self.tags.get(from..).unwrap_or(&[]);
        rest.iter().take_while(move |&&(t, _)| t == target).map(|&(_, tag)| tag)
    }
}

/// The name of a type that can be found by name.
fn own_name<'a>(btf: &'a Btf, ty: &Type) -> Option<&'a [u8]> {
    match ty.def {
        Def::DeclTag(_) | Def::TypeTag { .. } => None,
        _ if ty.name == StrOff::EMPTY => None,
        _ => btf.string_bytes(ty.name),
    }
}

fn bucket(hash: u32, buckets: usize) -> usize {
    hash as usize & buckets.wrapping_sub(1)
}

/// FNV-1a, 32 bits: names are short, and an attacker who picks them only slows his own object.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}
