//! Where a type has fields: a search through nested structs and arrays, as the kernel does it.

use super::{Field, FieldError, FieldKind, Kptr, KptrKind, KptrTo, Record, Root};
use crate::btf::{Btf, BtfId, Def, Kind, MAX_DEPTH, Type};
use alloc::vec::Vec;

/// Fields of a value at most.
const MAX_FIELDS: usize = 11;

/// Kernel structs that values can own, with the function that releases them: the kernel has
/// exactly these registered.
const OWNABLE: [(&str, &str); 6] = [
    ("task_struct", "bpf_task_release_dtor"),
    ("cgroup", "bpf_cgroup_release_dtor"),
    ("bpf_cpumask", "bpf_cpumask_release_dtor"),
    ("bpf_crypto_ctx", "bpf_crypto_ctx_release_dtor"),
    ("prog_test_ref_kfunc", "bpf_kfunc_call_test_release_dtor"),
    ("prog_test_member", "bpf_kfunc_call_memb_release_dtor"),
];

/// Structs that are fields by their name.
const NAMED: [(&str, Named); 10] = [
    ("bpf_spin_lock", Named::Plain(FieldKind::SpinLock)),
    ("bpf_res_spin_lock", Named::Plain(FieldKind::ResSpinLock)),
    ("bpf_timer", Named::Plain(FieldKind::Timer)),
    ("bpf_wq", Named::Plain(FieldKind::Workqueue)),
    ("bpf_task_work", Named::Plain(FieldKind::TaskWork)),
    ("bpf_list_head", Named::List),
    ("bpf_list_node", Named::Plain(FieldKind::ListNode)),
    ("bpf_rb_root", Named::Tree),
    ("bpf_rb_node", Named::Plain(FieldKind::RbNode)),
    ("bpf_refcount", Named::Plain(FieldKind::Refcount)),
];

/// What a struct of a field's name is.
#[derive(Clone, Copy)]
enum Named {
    Plain(FieldKind),
    List,
    Tree,
}

impl Named {
    /// The kind, for questions that do not depend on what a list or a tree contains.
    const fn kind(self) -> FieldKind {
        const ANY: Root = Root { value: BtfId(0), node_off: 0 };
        match self {
            Self::Plain(kind) => kind,
            Self::List => FieldKind::ListHead(ANY),
            Self::Tree => FieldKind::RbRoot(ANY),
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What map values may hold.
    MapValue,
    /// What structs of an object may hold.
    Struct,
}

impl Wanted {
    const fn takes(self, kind: &FieldKind) -> bool {
        match kind {
            FieldKind::SpinLock
            | FieldKind::ResSpinLock
            | FieldKind::ListHead(_)
            | FieldKind::RbRoot(_)
            | FieldKind::Refcount => true,
            FieldKind::Kptr(kptr) => match kptr.kind {
                KptrKind::Untrusted | KptrKind::Ref | KptrKind::Percpu => true,
                KptrKind::User => matches!(self, Self::MapValue),
            },
            FieldKind::Timer | FieldKind::Workqueue | FieldKind::TaskWork => {
                matches!(self, Self::MapValue)
            }
            FieldKind::ListNode | FieldKind::RbNode => matches!(self, Self::Struct),
        }
    }
}

/// The fields of a struct or data section of `bytes` bytes; `None` where it has none.
///
/// # Errors
/// Fields that the kernel does not take.
pub(super) fn record(
    own: &Btf,
    kernel: Option<&Btf>,
    id: BtfId,
    wanted: Wanted,
    bytes: u32,
) -> Result<Option<Record>, FieldError> {
    let search = Search { own, kernel, wanted };
    let found = match own.ty(id).map(|ty| ty.def) {
        Some(Def::Struct(_)) => search.members(id, 0, MAX_FIELDS)?,
        Some(Def::Datasec(_)) => search.variables(id)?,
        _ => Vec::new(),
    };
    if found.is_empty() {
        return Ok(None);
    }
    let mut free = 0;
    let mut fields = Vec::with_capacity(found.len());
    for field in found {
        let end = field.off.checked_add(field.kind.bytes()).filter(|end| *end <= bytes);
        let end = end.ok_or(FieldError::Misplaced)?;
        if field.off < free {
            return Err(FieldError::Overlap);
        }
        free = end;
        fields.push(search.completed(field)?);
    }
    let record = Record { fields };
    let has = |kind| record.only(kind).is_some();
    if has(FieldKind::SpinLock) && has(FieldKind::ResSpinLock) {
        return Err(FieldError::TwoLocks);
    }
    if record.has(|kind| kind.root().is_some()) && record.lock().is_none() {
        return Err(FieldError::NoLock);
    }
    if has(FieldKind::ListNode) && has(FieldKind::RbNode) && !has(FieldKind::Refcount) {
        return Err(FieldError::NoRefcount);
    }
    Ok(Some(record))
}

/// Whether a type is a pointer that may be a field of a struct.
pub(super) fn is_kptr(own: &Btf, ty: &Type) -> bool {
    let search = Search { own, kernel: None, wanted: Wanted::Struct };
    matches!(search.kptr(ty), Ok(Some(_)))
}

/// The structs that make the kernel look at those around them as soon as it has an object's types,
/// one of each name. Of a resilient lock alone it takes no notice.
pub(super) fn named(own: &Btf) -> impl Iterator<Item = BtfId> {
    let wanted = |kind: FieldKind| kind != FieldKind::ResSpinLock && Wanted::Struct.takes(&kind);
    let names = NAMED.iter().filter(move |(_, named)| wanted(named.kind()));
    names.filter_map(|(name, _)| own.find(Kind::Struct, name))
}

struct Search<'a> {
    own: &'a Btf,
    kernel: Option<&'a Btf>,
    wanted: Wanted,
}

/// A field before it is known whether what it refers to will do.
#[derive(Clone, Copy)]
struct Found<'a> {
    off: u32,
    kind: FieldKind,
    /// The member that a list or tree names in what it contains.
    node: &'a str,
}

/// Where a type is declared, for the tag that says what it contains.
#[derive(Clone, Copy)]
struct Declared {
    on: BtfId,
    member: Option<u32>,
}

impl<'a> Search<'a> {
    /// The fields of a struct, offsets from its start; at most `room` of them.
    fn members(&self, id: BtfId, level: u32, room: usize) -> Result<Vec<Found<'a>>, FieldError> {
        let mut found = Vec::new();
        let mut seen = Vec::new();
        for (i, member) in (0..).zip(self.own.members(id)) {
            if member.bit_off % 8 != 0 {
                return Err(FieldError::Bitfield);
            }
            let declared = Declared { on: id, member: Some(i) };
            let (off, left) = (member.bit_off / 8, room - found.len());
            found.extend(self.one(declared, member.ty, off, None, &mut seen, level, left)?);
        }
        Ok(found)
    }

    /// The fields of a data section.
    fn variables(&self, id: BtfId) -> Result<Vec<Found<'a>>, FieldError> {
        let mut found = Vec::new();
        let mut seen = Vec::new();
        for var in self.own.vars(id) {
            let Some(Def::Var(def)) = self.own.ty(var.ty).map(|ty| ty.def) else { continue };
            let declared = Declared { on: var.ty, member: None };
            let (size, left) = (Some(var.bytes), MAX_FIELDS - found.len());
            found.extend(self.one(declared, def.ty, var.off, size, &mut seen, 0, left)?);
        }
        Ok(found)
    }

    /// What one member or variable holds, arrays unrolled.
    #[expect(clippy::too_many_arguments, reason = "a search has this many sides")]
    fn one(
        &self,
        declared: Declared,
        ty: BtfId,
        off: u32,
        size: Option<u32>,
        seen: &mut Vec<FieldKind>,
        level: u32,
        room: usize,
    ) -> Result<Vec<Found<'a>>, FieldError> {
        let (mut id, mut count) = (ty, 1_u32);
        let mut depth = 0;
        while let Some(Def::Array(array)) = self.own.ty(id).map(|ty| ty.def) {
            if depth == MAX_DEPTH {
                return Err(FieldError::TooDeep);
            }
            depth += 1;
            count = count.wrapping_mul(array.len);
            id = array.elem;
        }
        let Some(ty) = self.own.ty(id).filter(|_| count > 0) else { return Ok(Vec::new()) };
        let as_declared = |bytes: u32| size.is_none_or(|size| size == bytes.wrapping_mul(count));
        let mut node = "";
        let (kind, bytes) = match ty.def {
            Def::Struct(composite) => match self.named(ty)? {
                None if !as_declared(composite.bytes) => return Ok(Vec::new()),
                None => {
                    if level + 1 >= MAX_DEPTH {
                        return Err(FieldError::TooDeep);
                    }
                    let mut found = self.members(id, level + 1, room)?;
                    for field in &mut found {
                        field.off = field.off.wrapping_add(off);
                    }
                    return repeated(found, count, composite.bytes, room);
                }
                Some(named) => {
                    let kind = named.kind();
                    if !matches!(named, Named::List | Named::Tree) && is_single(&kind) {
                        if seen.contains(&kind) {
                            return Err(FieldError::Twice);
                        }
                        seen.push(kind);
                    }
                    if !as_declared(kind.bytes())
                        || !off.is_multiple_of(kind.align())
                        || composite.bytes != kind.bytes()
                    {
                        return Ok(Vec::new());
                    }
                    let kind = match kind {
                        FieldKind::ListHead(root) | FieldKind::RbRoot(root) => {
                            let value;
                            (value, node) = self.contains(declared)?;
                            let root = Root { value, ..root };
                            match named {
                                Named::List => FieldKind::ListHead(root),
                                _ => FieldKind::RbRoot(root),
                            }
                        }
                        kind => kind,
                    };
                    (kind, kind.bytes())
                }
            },
            _ => {
                if !as_declared(8) || !off.is_multiple_of(8) {
                    return Ok(Vec::new());
                }
                match self.kptr(ty)? {
                    Some(kptr) => (FieldKind::Kptr(kptr), 8),
                    None => return Ok(Vec::new()),
                }
            }
        };
        repeated(Vec::from([Found { off, kind, node }]), count, bytes, room)
    }

    fn named(&self, ty: &Type) -> Result<Option<Named>, FieldError> {
        let name = self.own.name(ty.name);
        let known = NAMED.iter().find(|(known, _)| *known == name).map(|(_, named)| *named);
        Ok(known.filter(|named| self.wanted.takes(&named.kind())))
    }

    /// A pointer with a tag that makes it a field, its struct in the object's BTF.
    fn kptr(&self, ty: &Type) -> Result<Option<Kptr>, FieldError> {
        let pointer = match ty.def {
            Def::Volatile(to) => self.own.ty(to),
            _ => Some(ty),
        };
        let Some(Def::Ptr(to)) = pointer.map(|ty| ty.def) else { return Ok(None) };
        let Some(Type { name, def: Def::TypeTag { target, attribute: false } }) = self.own.ty(to)
        else {
            return Ok(None);
        };
        if let Some(Def::TypeTag { .. }) = self.own.ty(*target).map(|ty| ty.def) {
            return Err(FieldError::Pointer);
        }
        let kind = match self.own.name(*name) {
            "kptr_untrusted" => KptrKind::Untrusted,
            "kptr" => KptrKind::Ref,
            "percpu_kptr" => KptrKind::Percpu,
            "uptr" => KptrKind::User,
            _ => return Err(FieldError::Pointer),
        };
        let kptr = |to| Kptr { kind, to };
        if !self.wanted.takes(&FieldKind::Kptr(kptr(KptrTo::Own(*target)))) {
            return Ok(None);
        }
        match self.own.resolve(*target) {
            Ok((id, Type { def: Def::Struct(_), .. })) => Ok(Some(kptr(KptrTo::Own(id)))),
            _ => Err(FieldError::Pointer),
        }
    }

    /// What a list or a tree says that it contains: a struct, and the name of a member.
    fn contains(&self, declared: Declared) -> Result<(BtfId, &'a str), FieldError> {
        let tags = self.own.decl_tags(declared.on, declared.member);
        let mut tags = tags.filter_map(|tag| tag.strip_prefix("contains:"));
        let (Some(tag), None) = (tags.next(), tags.next()) else {
            return Err(FieldError::Contains);
        };
        let (name, node) = tag.split_once(':').ok_or(FieldError::Contains)?;
        let value = self.own.find(Kind::Struct, name).ok_or(FieldError::NoElement)?;
        if node.is_empty() { Err(FieldError::Contains) } else { Ok((value, node)) }
    }

    /// A field with what it refers to.
    fn completed(&self, found: Found<'_>) -> Result<Field, FieldError> {
        let kind = match found.kind {
            FieldKind::Kptr(kptr) => FieldKind::Kptr(self.owned(kptr)?),
            FieldKind::ListHead(root) => {
                FieldKind::ListHead(self.element(root, found.node, FieldKind::ListNode)?)
            }
            FieldKind::RbRoot(root) => {
                FieldKind::RbRoot(self.element(root, found.node, FieldKind::RbNode)?)
            }
            kind => kind,
        };
        Ok(Field { off: found.off, kind })
    }

    /// What a list or a tree contains, with the place of its node, which is of this kind.
    fn element(&self, root: Root, node: &str, kind: FieldKind) -> Result<Root, FieldError> {
        let members = self.own.members(root.value).iter();
        let mut nodes = members.filter(|member| self.own.name(member.name) == node);
        let member = nodes.next().ok_or(FieldError::NoElement)?;
        let is_struct = self.own.ty(member.ty).is_some_and(|ty| matches!(ty.def, Def::Struct(_)));
        let named = NAMED.iter().find(|(name, _)| *name == self.own.name_of(member.ty));
        let fits = matches!(named, Some((_, Named::Plain(found))) if *found == kind);
        if nodes.next().is_some()
            || !is_struct
            || !fits
            || !member.bit_off.is_multiple_of(8 * kind.align())
        {
            return Err(FieldError::Contains);
        }
        Ok(Root { node_off: member.bit_off / 8, ..root })
    }

    /// The kernel's struct of the same name, if there is one: then that is meant.
    fn owned(&self, kptr: Kptr) -> Result<Kptr, FieldError> {
        let (KptrTo::Own(id), Some(kernel)) = (kptr.to, self.kernel) else { return Ok(kptr) };
        let name = self.own.name_of(id);
        if name.is_empty() {
            return Ok(kptr);
        }
        let Some(target) = kernel.find(Kind::Struct, name) else { return Ok(kptr) };
        if kptr.kind == KptrKind::Ref {
            let released = OWNABLE.iter().find(|(ownable, _)| *ownable == name);
            let released = released.and_then(|(_, by)| kernel.find(Kind::Func, by));
            released.ok_or(FieldError::NotOwnable)?;
        }
        Ok(Kptr { to: KptrTo::Kernel(target), ..kptr })
    }
}

/// Kinds that a struct has one field of at most.
const fn is_single(kind: &FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::SpinLock
            | FieldKind::ResSpinLock
            | FieldKind::Timer
            | FieldKind::Workqueue
            | FieldKind::TaskWork
    )
}

/// What an array of `count` elements with these fields holds.
fn repeated(
    fields: Vec<Found<'_>>,
    count: u32,
    stride: u32,
    room: usize,
) -> Result<Vec<Found<'_>>, FieldError> {
    if fields.is_empty() {
        return Ok(fields);
    }
    if count > 1 && fields.iter().any(|f| f.kind.kptr().is_none() && f.kind.root().is_none()) {
        return Err(FieldError::Array);
    }
    let total = fields.len().checked_mul(count as usize).filter(|total| *total <= room);
    total.ok_or(FieldError::TooMany)?;
    let elements = (0..count).flat_map(|n| {
        let shift = n.wrapping_mul(stride);
        fields.iter().map(move |f| Found { off: f.off.wrapping_add(shift), ..*f })
    });
    Ok(elements.collect())
}
