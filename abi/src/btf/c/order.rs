//! What must stand before what.
//!
//! C wants a type complete where a value of it is laid out, and at least declared where it is
//! pointed to. Depth first: everything that must be complete comes before, and structures that
//! are only pointed to get a forward declaration.

use super::{CError, Nesting, Printer, Text};
use crate::btf::{Btf, BtfId, Def, FwdKind, Kind, TypeError};
use alloc::vec;
use alloc::vec::Vec;

/// Types deep that the search goes: each level takes stack. Kernels stay below 40.
const MAX_SEARCH_DEPTH: u32 = 512;

/// What is needed of a type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Its name may be mentioned.
    Declared,
    /// A value of it can be laid out.
    Complete,
}

/// How far a type has come. Types without names are complete once all they need is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Unseen,
    Declared,
    /// Being completed: needing it complete now would be a circle.
    Underway,
    Complete,
}

/// Writes types in an order that C accepts.
pub(super) struct Order<'a, 'b> {
    printer: &'a Printer<'a>,
    out: &'b mut Text,
    progress: Vec<Progress>,
    /// Types that others refer to, so that they appear there.
    is_referred_to: Vec<bool>,
}

impl<'a, 'b> Order<'a, 'b> {
    pub(super) fn new(printer: &'a Printer<'a>, out: &'b mut Text) -> Self {
        let count = printer.btf.end_id().0 as usize;
        Self {
            printer,
            out,
            progress: vec![Progress::Unseen; count],
            is_referred_to: referred_to(printer.btf, count),
        }
    }

    /// Writes a type, after all that it needs, if it is one that C has at top level.
    pub(super) fn top_level(&mut self, id: BtfId) -> Result<(), CError> {
        let Some(ty) = self.printer.btf.ty(id) else { return Ok(()) };
        let is_named = !ty.name.is_empty();
        let is_wanted = match ty.kind() {
            Kind::Struct | Kind::Union | Kind::Typedef | Kind::Fwd => is_named,
            // Nothing else leads to the names of an anonymous enumeration's values.
            Kind::Enum | Kind::Enum64 => {
                is_named || self.is_referred_to.get(id.0 as usize) == Some(&false)
            }
            _ => false,
        };
        if is_wanted { self.need(id, Need::Complete, 0) } else { Ok(()) }
    }

    fn need(&mut self, id: BtfId, need: Need, depth: u32) -> Result<(), CError> {
        let btf = self.printer.btf;
        if depth > MAX_SEARCH_DEPTH {
            return Err(TypeError::TooDeep(id).into());
        }
        let ty = btf.ty(id).ok_or(TypeError::Unknown(id))?;
        let depth = depth + 1;
        match ty.def {
            Def::Struct(_) | Def::Union(_) if !ty.name.is_empty() && need == Need::Declared => {
                if self.progress(id) == Progress::Unseen {
                    self.forward_declaration(id)?;
                    self.set(id, Progress::Declared);
                }
                return Ok(());
            }
            _ => {}
        }
        let goal = match need {
            // The name can be mentioned, what is behind it may have to be completed later.
            Need::Declared if ty.def.modified().is_some() => Progress::Declared,
            _ => Progress::Complete,
        };
        match self.progress(id) {
            Progress::Underway => return Err(CError::Circular(id)),
            progress if progress >= goal => return Ok(()),
            _ => {}
        }
        let before = self.progress(id);
        self.set(id, Progress::Underway);
        match ty.def {
            Def::Struct(_) | Def::Union(_) => {
                for member in btf.members(id) {
                    self.need(member.ty, Need::Complete, depth)?;
                }
                if !ty.name.is_empty() {
                    self.definition(id)?;
                }
            }
            Def::Enum(_) | Def::Enum64(_) => {
                let is_inline =
                    ty.name.is_empty() && self.is_referred_to.get(id.0 as usize) == Some(&true);
                if !is_inline {
                    self.definition(id)?;
                }
            }
            Def::Fwd(_) => self.forward_declaration(id)?,
            Def::Typedef(to)
            | Def::Const(to)
            | Def::Volatile(to)
            | Def::Restrict(to)
            | Def::TypeTag { target: to, .. } => {
                if before == Progress::Unseen {
                    self.need(to, Need::Declared, depth)?;
                    if ty.kind() == Kind::Typedef {
                        self.definition(id)?;
                    }
                }
                // From here on the name may be mentioned, by what is completed now.
                self.set(id, Progress::Declared);
                if need == Need::Complete {
                    self.need(to, Need::Complete, depth)?;
                }
            }
            Def::Ptr(to) => self.need(to, Need::Declared, depth)?,
            // Elements must be complete even where the array is only pointed to.
            Def::Array(array) => self.need(array.elem, Need::Complete, depth)?,
            Def::FuncProto(proto) => {
                self.need(proto.ret, Need::Declared, depth)?;
                for param in btf.params(id) {
                    self.need(param.ty, Need::Declared, depth)?;
                }
            }
            Def::Void
            | Def::Int(_)
            | Def::Float { .. }
            | Def::Func(_)
            | Def::Var(_)
            | Def::Datasec(_)
            | Def::DeclTag(_) => {}
        }
        self.set(id, goal);
        Ok(())
    }

    fn definition(&mut self, id: BtfId) -> Result<(), CError> {
        self.printer.definition(self.out, id)?;
        self.out.line(";\n")
    }

    fn forward_declaration(&mut self, id: BtfId) -> Result<(), CError> {
        self.printer.declaration(self.out, id, "", Nesting::TOP)?;
        self.out.line(";\n")
    }

    fn progress(&self, id: BtfId) -> Progress {
        // `void` and ids beyond the end need nothing.
        self.progress.get(id.0 as usize).copied().unwrap_or(Progress::Complete)
    }

    fn set(&mut self, id: BtfId, to: Progress) {
        if let Some(progress) = self.progress.get_mut(id.0 as usize) {
            *progress = to;
        }
    }
}

/// Which types others refer to.
fn referred_to(btf: &Btf, count: usize) -> Vec<bool> {
    let mut is_referred_to = vec![false; count];
    let mut mark = |id: BtfId| {
        if let Some(slot) = is_referred_to.get_mut(id.0 as usize) {
            *slot = true;
        }
    };
    for (id, ty) in btf.types() {
        match ty.def {
            Def::Ptr(to)
            | Def::Typedef(to)
            | Def::Const(to)
            | Def::Volatile(to)
            | Def::Restrict(to)
            | Def::TypeTag { target: to, .. } => mark(to),
            Def::Array(array) => mark(array.elem),
            Def::Struct(_) | Def::Union(_) => btf.members(id).iter().for_each(|m| mark(m.ty)),
            Def::FuncProto(proto) => {
                mark(proto.ret);
                btf.params(id).iter().for_each(|p| mark(p.ty));
            }
            _ => {}
        }
    }
    is_referred_to
}

/// `struct` or `union`.
pub(super) const fn fwd_keyword(kind: FwdKind) -> &'static str {
    match kind {
        FwdKind::Struct => "struct",
        FwdKind::Union => "union",
    }
}
