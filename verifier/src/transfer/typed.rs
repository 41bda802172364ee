//! Typed contexts and kernel objects: what a load from them gives, and which pointers can be
//! trusted afterwards.

use super::Step;
use super::mem::Place;
use crate::Privilege;
use crate::domain::Scalar;
use crate::reason::{MemoryReason, R, Reason, TypedReason};
use crate::state::{MemKind, Number, Pointer, PtrTo, Reg, Space, Trust};
use crate::typed::{CtxArg, Found, Prototype, Tag, facts, walk, writable};
use ubpf_abi::Access;
use ubpf_abi::btf::{Btf, BtfId, Def, Kind};
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::Reg as Name;

/// A kernel object, as a pointer names it.
#[derive(Clone, Copy)]
pub(super) struct Object {
    pub id: BtfId,
    pub trust: Trust,
    pub space: Space,
}

/// What decides whether an object's members can be reached at all.
#[derive(Clone, Copy)]
pub(super) struct ObjectAccess<'n> {
    /// Its struct's name.
    pub name: &'n str,
    /// It is the kernel's, not the program's own.
    pub kernel: bool,
    /// Where it lies.
    pub space: Space,
}

impl Object {
    /// What decides whether its members can be reached.
    fn access(self, btf: &Btf) -> ObjectAccess<'_> {
        ObjectAccess { name: btf.name_of(self.id), kernel: true, space: self.space }
    }

    /// A pointer to it.
    fn pointer(self) -> Pointer {
        let Self { id, trust, space } = self;
        Pointer::new(PtrTo::Btf { id, trust, space })
    }
}

impl<'a> Step<'a> {
    pub(super) fn kernel_types(&self) -> Result<&'a Btf, Reason> {
        let types = self.cx.program.target_btf.as_deref();
        types.ok_or(Reason::Unsupported("kernel objects without the kernel's types"))
    }

    /// A load from a context that consists of a function's arguments, eight bytes each.
    pub(super) fn load_argument(
        &mut self,
        p: &Pointer,
        at: Place,
        proto: &Prototype,
    ) -> Result<Reg, Reason> {
        self.check_unmodified(p, at.base)?;
        let invalid = || Reason::from(MemoryReason::Ctx { off: at.off.into(), size: at.size });
        let off = usize::try_from(at.off).map_err(|_| invalid())?;
        if !off.is_multiple_of(8) {
            return Err(invalid());
        }
        let arg = *proto.args.get(off / 8).ok_or_else(invalid)?;
        if !matches!(arg, CtxArg::Scalar | CtxArg::Within { .. }) && at.size != 8 {
            return Err(invalid());
        }
        Ok(match arg {
            CtxArg::Closed => return Err(invalid()),
            CtxArg::Scalar | CtxArg::Address => Reg::UNKNOWN,
            CtxArg::Within { min, max } => Reg::Number(Number::new(Scalar::signed_half(min, max))),
            CtxArg::BufOrNull { read_only } => {
                let p = Pointer::new(PtrTo::Buf { read_only });
                Reg::Pointer(p.or_null(self.ids.pointer()))
            }
            CtxArg::Object { id, trust, space, nullable } => {
                let p = Object { id, trust, space }.pointer();
                Reg::Pointer(if nullable { p.or_null(self.ids.pointer()) } else { p })
            }
        })
    }

    /// A trusted pointer to the kernel struct of this name, from a context field.
    pub(super) fn named_object(&self, name: &str) -> Result<Reg, Reason> {
        let object =
            Object { id: self.kernel_struct(name)?, trust: Trust::Trusted, space: Space::Kernel };
        Ok(Reg::Pointer(object.pointer()))
    }

    /// The kernel struct of this name.
    pub(super) fn kernel_struct(&self, name: &str) -> Result<BtfId, Reason> {
        let found = self.kernel_types()?.find(Kind::Struct, name);
        found.ok_or(Reason::Unsupported("structs that the kernel does not have"))
    }

    /// A helper's argument that is a pointer to one of these structs, or to a struct that begins
    /// with one of them at the pointer's offset.
    pub(super) fn object_argument(
        &self,
        value: &Reg,
        reg: Name,
        structs: &[&'static str],
    ) -> Result<(), Reason> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::Btf { id, .. }, .. }) = value else {
            return Ok(());
        };
        let [wanted] = structs else {
            return Err(Reason::Unsupported("arguments whose type a field names"));
        };
        let btf = self.kernel_types()?;
        let off = u32::try_from(p.off).unwrap_or(u32::MAX);
        if walk::is_or_begins_with(btf, *id, off, self.kernel_struct(wanted)?) {
            return Ok(());
        }
        let name = btf.name_of(*id).to_owned();
        Err(TypedReason::WrongStruct { reg: R(reg), name, wanted }.into())
    }

    /// A load from a kernel object.
    pub(super) fn load_object(
        &mut self,
        p: &Pointer,
        object: Object,
        at: Place,
    ) -> Result<Reg, Reason> {
        let btf = self.kernel_types()?;
        self.object_offset(p, object.access(btf), at)?;
        self.field_of(p, object, at)
    }

    /// What a load from a kernel object gives, at a place that may be read.
    pub(super) fn field_of(
        &mut self,
        p: &Pointer,
        object: Object,
        at: Place,
    ) -> Result<Reg, Reason> {
        let btf = self.kernel_types()?;
        let off = u32::try_from(i64::from(p.off) + i64::from(at.off)).unwrap_or(u32::MAX);
        Ok(match walk::at(btf, object.id, off, at.size)? {
            Found::Scalar => Reg::UNKNOWN,
            Found::Opaque => {
                let to = PtrTo::Mem { size: 0, kind: MemKind::Untrusted };
                Reg::Pointer(Pointer::new(to))
            }
            found @ Found::Object { id, .. } => {
                let trusted = p.ref_id.is_some() || object.trust == Trust::Trusted;
                let parent = if trusted { Trust::Trusted } else { object.trust };
                let (trust, space, nullable) = self.walked(btf, object.id, parent, found);
                let p = Object { id, trust, space }.pointer();
                Reg::Pointer(if nullable { p.or_null(self.ids.pointer()) } else { p })
            }
        })
    }

    /// A store to a kernel object, which few types of programs may do, to few fields.
    pub(super) fn store_object(
        &mut self,
        p: &Pointer,
        object: Object,
        at: Place,
    ) -> Result<(), Reason> {
        let btf = self.kernel_types()?;
        let off = self.object_offset(p, object.access(btf), at)?;
        match self.cx.decl.prog_type {
            ProgType::SchedCls | ProgType::SchedAct | ProgType::Xdp => {
                check_connection(btf, object.id, off, at.size)
            }
            ProgType::StructOps => {
                let ops = self.cx.program.section.struct_ops.as_ref();
                let ops = ops.and_then(|member| facts::ops(btf.name_of(member.target?)));
                let ops = ops.ok_or(Reason::Unsupported("operations of this struct"))?;
                writable::check(btf, ops, object.id, off, at.size)
            }
            _ => Err(TypedReason::ReadOnly.into()),
        }
    }

    /// Where an access to a kernel object begins, once it is clear that there may be one.
    pub(super) fn object_offset(
        &self,
        p: &Pointer,
        object: ObjectAccess<'_>,
        at: Place,
    ) -> Result<u32, Reason> {
        let name = || object.name.to_owned();
        let reg = R(at.base);
        let off = i64::from(p.off) + i64::from(at.off);
        if self.cx.options.privilege == Privilege::Unprivileged {
            return Err(TypedReason::ObjectPrivilege(name()).into());
        }
        if object.kernel && !self.cx.program.is_gpl_compatible() {
            return Err(TypedReason::ObjectGpl(name()).into());
        }
        if p.var.as_const() != Some(0) {
            let var = p.var.bits;
            return Err(if off < 0 {
                TypedReason::Negative { reg, name: name(), off }.into()
            } else {
                TypedReason::Variable { reg, name: name(), off, var }.into()
            });
        }
        let start =
            u32::try_from(off).map_err(|_| TypedReason::Negative { reg, name: name(), off })?;
        let space = match object.space {
            Space::Kernel => return Ok(start),
            Space::User => "user",
            Space::Percpu => "percpu",
        };
        Err(TypedReason::ElsewhereSpace { reg, name: name(), space, off }.into())
    }

    /// How far a pointer can be trusted that was loaded from a field of `parent`, which place it
    /// leads to, and whether it may be null.
    fn walked(
        &self,
        btf: &Btf,
        parent: BtfId,
        trust: Trust,
        found: Found<'_>,
    ) -> (Trust, Space, bool) {
        let Found::Object { id, field, tag, through_union } = found else {
            return (Trust::Untrusted, Space::Kernel, false);
        };
        let space = match tag {
            Some(Tag::User) => Space::User,
            Some(Tag::Percpu) => Space::Percpu,
            Some(Tag::Rcu) | None => Space::Kernel,
        };
        // What a union holds may be something else, whatever is known of the field.
        let unless_union = |trust| if through_union { Trust::Untrusted } else { trust };
        let listed = |suffix| is_listed(btf, parent, field, id, suffix);
        match trust {
            Trust::Untrusted => (Trust::Untrusted, Space::Kernel, false),
            Trust::Plain => (unless_union(Trust::Plain), space, false),
            Trust::Trusted | Trust::Rcu if listed("__safe_trusted") => {
                (unless_union(Trust::Trusted), space, false)
            }
            Trust::Trusted | Trust::Rcu if listed("__safe_trusted_or_null") => {
                (unless_union(Trust::Trusted), space, true)
            }
            Trust::Trusted | Trust::Rcu if !self.in_rcu_section() => {
                (Trust::Untrusted, Space::Kernel, false)
            }
            Trust::Trusted | Trust::Rcu if listed("__safe_rcu") => {
                (unless_union(Trust::Rcu), space, false)
            }
            Trust::Trusted | Trust::Rcu if listed("__safe_rcu_or_null") => {
                (Trust::Rcu, space, true)
            }
            Trust::Trusted | Trust::Rcu if tag == Some(Tag::Rcu) => {
                (unless_union(Trust::Rcu), space, true)
            }
            Trust::Trusted | Trust::Rcu => (unless_union(Trust::Plain), space, false),
        }
    }

    /// A load from, or a store to, memory whose size is checked where the program is attached.
    pub(super) fn check_buffer(
        &self,
        p: &Pointer,
        at: Place,
        access: Access,
        read_only: bool,
    ) -> Result<(), Reason> {
        let reg = R(at.base);
        if access == Access::Write && read_only {
            return Err(MemoryReason::ReadOnly { reg, to: p.type_name() }.into());
        }
        self.check_sized_later(p, at, if read_only { "rdonly" } else { "rdwr" })
    }

    /// The same of memory that may be read and written.
    pub(super) fn check_sized_later(
        &self,
        p: &Pointer,
        at: Place,
        kind: &'static str,
    ) -> Result<(), Reason> {
        let reg = R(at.base);
        let (off, size) = (i64::from(p.off) + i64::from(at.off), at.size);
        if off < 0 {
            return Err(TypedReason::NegativeBuffer { reg, kind, off, size }.into());
        }
        if p.var.as_const() != Some(0) {
            let var = p.var.bits;
            return Err(TypedReason::VariableBuffer { reg, off, var }.into());
        }
        Ok(())
    }
}

/// Whether the kernel vouches for a field: it keeps a struct of the parent's name and a suffix,
/// with the fields in question.
fn is_listed(btf: &Btf, parent: BtfId, field: &str, id: BtfId, suffix: &str) -> bool {
    let list = format!("{}{suffix}", btf.name_of(parent));
    let Some(list) = btf.find(Kind::Struct, &list) else { return false };
    btf.members(list).iter().filter(|member| btf.name(member.name) == field).any(|member| {
        let Some(Def::Ptr(to)) = btf.ty(member.ty).map(|ty| ty.def) else { return false };
        btf.resolve(to).is_ok_and(|(to, _)| to == id)
    })
}

/// Programs of the network may write the mark of tracked connections, and nothing else.
fn check_connection(btf: &Btf, id: BtfId, off: u32, size: u32) -> Result<(), Reason> {
    if !["nf_conn", "nf_conn___init"].contains(&btf.name_of(id)) {
        return Err(TypedReason::ReadOnly.into());
    }
    let connection = btf.find(Kind::Struct, "nf_conn");
    let members = connection.map_or(&[][..], |id| btf.members(id));
    let mark = members.iter().find(|member| btf.name(member.name) == "mark");
    let Some(mark) = mark.filter(|mark| mark.bit_off / 8 == off) else {
        return Err(TypedReason::NoWrite { name: "nf_conn", off }.into());
    };
    let end = off.saturating_add(btf.size_of(mark.ty).unwrap_or(0));
    if off.checked_add(size).is_none_or(|last| last > end) {
        return Err(TypedReason::WriteBeyond { name: "nf_conn", off, size, end }.into());
    }
    Ok(())
}
