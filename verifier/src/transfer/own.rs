//! Objects of the program's own: what it may load and store in them.

use super::Step;
use super::mem::Place;
use super::typed::ObjectAccess;
use crate::reason::{FieldReason, OwnReason, Reason, TypedReason};
use crate::state::{Hold, MemKind, Pointer, PtrTo, Reg, Space};
use crate::typed::{Found, walk};
use ubpf_abi::Access;
use ubpf_abi::btf::BtfId;

impl Step<'_> {
    /// A load from, or a store to, an object of the program's own.
    pub(super) fn access_own(
        &mut self,
        p: &Pointer,
        (id, hold): (BtfId, Hold),
        at: Place,
        access: Access,
    ) -> Result<Reg, Reason> {
        let types = self.own_types()?;
        let space = if hold.is_percpu() { Space::Percpu } else { Space::Kernel };
        let object = ObjectAccess { name: types.name_of(id), kernel: false, space };
        let off = self.object_offset(p, object, at)?;
        let stale = matches!(hold, Hold::Stale | Hold::SharedStale);
        if access == Access::Write && (stale || !hold.is_allocated()) {
            return Err(TypedReason::ReadOnly.into());
        }
        if hold == Hold::Stale {
            return Err(OwnReason::Stale.into());
        }
        if let Some(record) = self.cx.record_of(p)
            && let Some(field) = record.overlapping(off.into(), at.size.into())
        {
            return Err(FieldReason::DirectObject(field.kind).into());
        }
        Ok(match walk::at(types, id, off, at.size)? {
            // What the program stored there itself says nothing.
            Found::Object { .. } | Found::Opaque if hold.is_allocated() => Reg::UNKNOWN,
            Found::Scalar => Reg::UNKNOWN,
            Found::Opaque => {
                let to = PtrTo::Mem { size: 0, kind: MemKind::Untrusted };
                Reg::Pointer(Pointer::new(to))
            }
            Found::Object { id, .. } => {
                Reg::Pointer(Pointer::new(PtrTo::Own { id, hold: Hold::Untrusted }))
            }
        })
    }
}
