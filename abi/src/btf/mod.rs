//! BTF: the types of a program or of the kernel, by id and by name.
//!
//! [`Btf`] is a read-only model: `ubpf-loader` parses one from bytes, [`Builder`] makes one
//! piece by piece. It promises nothing about the sense of what it holds: ids may dangle, types may
//! contain themselves. Every query copes with that and says so, rather than hanging or
//! panicking, so a hostile object's BTF can be asked anything.
//!
//! ```text
//!   id ──▶ types[id - first_id] ──▶ Def ──▶ List ──▶ members / params / enumerators / vars
//!            │ name
//!            └──▶ strings[off - first_off ..]   up to the next zero byte
//! ```
//!
//! A *split* BTF (a kernel module's) continues its base: its ids begin where the base's end, and
//! so do its string offsets.
//!
//! - `types`: what a type is; `builder`: making types
//! - `layout`: sizes, alignments, what lies behind modifiers; `place`: where variables lie

mod builder;
pub mod c;
mod error;
mod index;
mod layout;
mod place;
#[cfg(test)]
mod tests;
mod types;
pub mod value;

pub use builder::Builder;
pub use error::TypeError;
pub use layout::MAX_DEPTH;
pub use types::{
    Array, BtfId, Composite, Datasec, DeclTag, Def, Enumeration, Enumerator, Func, FuncProto,
    FwdKind, Int, IntEncoding, Kind, Linkage, List, Member, Param, SecVar, StrOff, Type, Var,
};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use index::Index;
use once_cell::race::OnceBox;

/// Longest string that is looked at. The kernel's limit for names is 512 bytes; without one, many
/// names that all lie on one endless string would take quadratic time.
pub const MAX_STRING_BYTES: usize = 4096;

/// A set of types that refer to each other by [`BtfId`].
#[derive(Clone, Default)]
pub struct Btf {
    base: Option<Arc<Btf>>,
    /// Id of the first of `types`: 0 without a base, where that is `void`.
    first_id: u32,
    /// Offset of the first of `strings`.
    first_off: u32,
    types: Vec<Type>,
    members: Vec<Member>,
    params: Vec<Param>,
    enumerators: Vec<Enumerator>,
    vars: Vec<SecVar>,
    strings: Vec<u8>,
    index: OnceBox<Index>,
}

impl Btf {
    /// The BTF that this one continues.
    #[must_use]
    pub const fn base(&self) -> Option<&Arc<Self>> {
        self.base.as_ref()
    }

    /// One past the highest id, base included; what bpftool calls the number of types counts
    /// the same, less `void`.
    #[must_use]
    pub fn end_id(&self) -> BtfId {
        let own = u32::try_from(self.types.len()).unwrap_or(u32::MAX);
        BtfId(self.first_id.saturating_add(own).max(1))
    }

    /// One past the highest string offset, base included.
    #[must_use]
    pub fn end_off(&self) -> StrOff {
        let own = u32::try_from(self.strings.len()).unwrap_or(u32::MAX);
        StrOff(self.first_off.saturating_add(own))
    }

    /// All types but `void`, base first, by ascending id.
    pub fn types(&self) -> impl Iterator<Item = (BtfId, &Type)> {
        (1..self.end_id().0).filter_map(|id| Some((BtfId(id), self.ty(BtfId(id))?)))
    }

    /// The types that the base, if there is one, does not have; without `void`.
    pub fn own_types(&self) -> impl Iterator<Item = (BtfId, &Type)> {
        (self.first_id..).map(BtfId).zip(&self.types).filter(|(id, _)| !id.is_void())
    }

    /// The type with this id; 0 is `void` in every BTF.
    #[must_use]
    pub fn ty(&self, id: BtfId) -> Option<&Type> {
        if id.is_void() {
            return Some(&Type::VOID);
        }
        let owner = self.owner(id)?;
        owner.types.get(id.0.checked_sub(owner.first_id)? as usize)
    }

    /// The string at `off`, up to its zero byte; `None` past the end or when it is not UTF-8.
    #[must_use]
    pub fn string(&self, off: StrOff) -> Option<&str> {
        core::str::from_utf8(self.string_bytes(off)?).ok()
    }

    /// The bytes of the string at `off`, without its zero byte; `None` past the end or when it is
    /// longer than [`MAX_STRING_BYTES`].
    ///
    /// Names are identifiers, but source lines can be in any encoding.
    #[must_use]
    pub fn string_bytes(&self, off: StrOff) -> Option<&[u8]> {
        if off.is_empty() {
            return Some(&[]);
        }
        let mut owner = self;
        while off.0 < owner.first_off {
            owner = owner.base.as_deref()?;
        }
        let at = off.0.checked_sub(owner.first_off)? as usize;
        let rest = owner.strings.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().take(MAX_STRING_BYTES + 1).position(|&b| b == 0)?;
        rest.get(..end)
    }

    /// This BTF's own part of the string section, without its base's: strings that each end with
    /// a zero byte.
    #[must_use]
    pub fn own_strings(&self) -> &[u8] {
        &self.strings
    }

    /// The name of a type; empty when it has none.
    #[must_use]
    pub fn name_of(&self, id: BtfId) -> &str {
        self.ty(id).and_then(|ty| self.string(ty.name)).unwrap_or("")
    }

    /// The string at `off`, or the empty string where there is none: for messages.
    #[must_use]
    pub fn name(&self, off: StrOff) -> &str {
        self.string(off).unwrap_or("")
    }

    /// Members of the structure or union `id` itself, not of what it may be a typedef of; empty
    /// for all other kinds.
    #[must_use]
    pub fn members(&self, id: BtfId) -> &[Member] {
        match self.owned(id) {
            Some((owner, Def::Struct(c) | Def::Union(c))) => c.members.of(&owner.members),
            _ => &[],
        }
    }

    /// Parameters of the prototype `id`, or of the function `id`'s prototype.
    #[must_use]
    pub fn params(&self, id: BtfId) -> &[Param] {
        self.func_proto(id)
            .and_then(|(id, _)| match self.owned(id) {
                Some((owner, Def::FuncProto(p))) => Some(p.params.of(&owner.params)),
                _ => None,
            })
            .unwrap_or(&[])
    }

    /// The prototype `id`, or the function `id`'s prototype.
    #[must_use]
    pub fn func_proto(&self, id: BtfId) -> Option<(BtfId, &FuncProto)> {
        match &self.ty(id)?.def {
            Def::FuncProto(proto) => Some((id, proto)),
            Def::Func(func) => match &self.ty(func.proto)?.def {
                Def::FuncProto(proto) => Some((func.proto, proto)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Named values of the enumeration `id`; empty for all other kinds.
    #[must_use]
    pub fn enumerators(&self, id: BtfId) -> &[Enumerator] {
        match self.owned(id) {
            Some((owner, Def::Enum(e) | Def::Enum64(e))) => e.enumerators.of(&owner.enumerators),
            _ => &[],
        }
    }

    /// Variables of the section `id`; empty for all other kinds.
    #[must_use]
    pub fn vars(&self, id: BtfId) -> &[SecVar] {
        match self.owned(id) {
            Some((owner, Def::Datasec(d))) => d.vars.of(&owner.vars),
            _ => &[],
        }
    }

    /// The first type of this kind and exact name, by id.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<BtfId> {
        self.find_all(name).find(|&id| self.ty(id).is_some_and(|ty| ty.kind() == kind))
    }

    /// All types with this exact name, by ascending id. Tags are not found by name.
    pub fn find_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = BtfId> + 'a {
        self.find_flavors(name).filter(move |&id| self.name_of(id) == name)
    }

    /// All types whose name without its `___flavor` equals that of `name`, by ascending id.
    pub fn find_flavors<'a>(&'a self, name: &'a str) -> impl Iterator<Item = BtfId> + 'a {
        let wanted = essential_name(name.as_bytes());
        self.levels().flat_map(move |btf| {
            btf.index().candidates(wanted).filter_map(move |at| {
                let ty = btf.types.get(at)?;
                let name = btf.string_bytes(ty.name)?;
                let id = btf.first_id.checked_add(u32::try_from(at).ok()?)?;
                (essential_name(name) == wanted).then_some(BtfId(id))
            })
        })
    }

    /// Decl tags of `target`, by ascending id: those of the whole with `component` `None`, else
    /// of one member or parameter.
    pub fn decl_tags(&self, target: BtfId, component: Option<u32>) -> impl Iterator<Item = &str> {
        self.levels().flat_map(move |btf| btf.index().tags(target)).filter_map(move |id| match self
            .ty(id)?
        {
            Type { name, def: Def::DeclTag(tag) } if tag.component == component => {
                self.string(*name)
            }
            _ => None,
        })
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Box::new(Index::new(self)))
    }

    /// The chain of bases from its root to this BTF.
    fn levels(&self) -> impl Iterator<Item = &Self> {
        let upwards = core::iter::successors(Some(self), |btf| btf.base.as_deref());
        upwards.collect::<Vec<_>>().into_iter().rev()
    }

    /// The BTF of the chain of bases whose range of ids holds `id`.
    fn owner(&self, id: BtfId) -> Option<&Self> {
        let mut owner = self;
        while id.0 < owner.first_id {
            owner = owner.base.as_deref()?;
        }
        Some(owner)
    }

    /// A definition with the BTF whose arenas its lists lie in.
    fn owned(&self, id: BtfId) -> Option<(&Self, &Def)> {
        let owner = self.owner(id)?;
        Some((owner, &owner.ty(id)?.def))
    }
}

/// Same types, ids and strings.
impl PartialEq for Btf {
    fn eq(&self, other: &Self) -> bool {
        self.base == other.base
            && self.types == other.types
            && self.members == other.members
            && self.params == other.params
            && self.enumerators == other.enumerators
            && self.vars == other.vars
            && self.strings == other.strings
    }
}

impl Eq for Btf {}

/// A summary: the types of a kernel would fill megabytes.
impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("end_id", &self.end_id())
            .field("string_bytes", &self.strings.len())
            .field("split", &self.base.is_some())
            .finish()
    }
}

/// A name without its `___flavor`, which CO-RE ignores.
///
/// The flavor begins at the last `___` that has a character other than `_` on both sides.
#[must_use]
pub fn essential_name(name: &[u8]) -> &[u8] {
    let flavor = name
        .windows(5)
        .rposition(|w| matches!(w, [a, b'_', b'_', b'_', b] if *a != b'_' && *b != b'_'));
    match flavor {
        Some(at) => name.get(..=at).unwrap_or(name),
        None => name,
    }
}
