//! The kernel's own types, as programs meet them: what a program is attached to, what its
//! arguments are, and what loads from kernel objects give.
//!
//! Everything here is read from the target BTF; what BTF does not say is a table ([`facts`]).

pub mod facts;
pub mod function;
pub mod hooks;
pub mod target;
pub mod walk;
pub mod writable;

pub use target::{CtxArg, Prototype};
pub use walk::{Found, Tag};

use ubpf_abi::btf::{Btf, BtfId, Def};

/// The tag in front of a pointed-to type, where the kernel knows it.
#[must_use]
pub fn tag_of(btf: &Btf, id: BtfId) -> Option<Tag> {
    let ty = btf.ty(id)?;
    let Def::TypeTag { attribute: false, .. } = ty.def else { return None };
    match btf.name(ty.name) {
        "user" => Some(Tag::User),
        "percpu" => Some(Tag::Percpu),
        "rcu" => Some(Tag::Rcu),
        _ => None,
    }
}
