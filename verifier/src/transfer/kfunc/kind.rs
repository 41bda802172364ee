//! What an argument of a kernel function is.
//!
//! The parameter's type and the end of its name say it, the program's type (whose context is it?)
//! and, for pointers to structs, what is passed: a kernel object must be of the struct, other
//! memory must have its bytes.

use super::super::Step;
use super::is_null;
use crate::kfunc::Kfunc;
use crate::reason::{KfuncReason, Named, Reason};
use crate::state::{PtrTo, Reg};
use ubpf_abi::btf::{Btf, BtfId, Def, Kind, Param};
use ubpf_abi::helper::SockKind;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::prog_type::ProgType;

/// Structs may nest this deep in one that is passed as bytes.
const MAX_NESTING: u32 = 3;

/// What a pointer argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArgKind {
    /// The context.
    Ctx,
    /// Null, where that means that nothing is passed.
    Null,
    /// An object that the program allocated.
    Allocated,
    /// An object that counts its references.
    Refcounted,
    /// A dynptr on the stack.
    Dynptr,
    /// An iterator on the stack.
    Iter,
    /// A list's head, or an object's place in a list.
    List {
        /// The head.
        head: bool,
    },
    /// A tree's root, or an object's place in a tree.
    Rbtree {
        /// The root.
        root: bool,
    },
    /// A string in a map that is only read.
    ConstStr,
    /// A map.
    Map,
    /// A work item in a map's value.
    Workqueue,
    /// A task's work item in a map's value.
    TaskWork,
    /// Saved interrupt flags on the stack.
    IrqFlag,
    /// A resilient lock.
    ResSpinLock,
    /// A kernel object.
    Object {
        /// Its struct.
        id: BtfId,
    },
    /// A subprogram.
    Callback,
    /// Memory of the size of what the parameter points to.
    Mem {
        /// What that is.
        id: BtfId,
    },
    /// Memory whose size is the next argument.
    MemSize {
        /// The size must be a constant.
        constant: bool,
        /// Null is allowed.
        optional: bool,
    },
}

/// How the names of parameters end that say what the type does not.
pub(super) fn is_named(btf: &Btf, param: &Param, suffix: &str) -> bool {
    btf.name(param.name).ends_with(suffix)
}

/// What a pointer parameter points to.
pub(super) fn pointee(btf: &Btf, param: &Param) -> Option<BtfId> {
    match btf.resolve(param.ty).ok()?.1.def {
        Def::Ptr(to) => btf.resolve(to).ok().map(|(id, _)| id),
        _ => None,
    }
}

/// A type as messages write it.
pub(super) fn named(btf: &Btf, id: BtfId) -> Named {
    let kind = btf.ty(id).map_or(Kind::Void, |ty| ty.kind());
    Named { kind, name: btf.name_of(id).to_owned() }
}

impl Step<'_> {
    /// What the pointer argument at `index` is.
    pub(super) fn argument_kind(
        &self,
        kfunc: &Kfunc<'_>,
        index: usize,
        to: BtfId,
    ) -> Result<ArgKind, Reason> {
        let (btf, params) = (kfunc.btf, kfunc.params());
        let (Some(param), Some(&reg)) = (params.get(index), super::args::ARGS.get(index)) else {
            return Err(Reason::Unsupported("arguments beyond the fifth"));
        };
        if let Some(
            KfuncSpecial::CastToKernCtx
            | KfuncSpecial::SessionCookie
            | KfuncSpecial::SessionIsReturn,
        ) = kfunc.decl.special
        {
            return Ok(ArgKind::Ctx);
        }
        let value = self.frame().regs[reg.index()];
        let size = self.size_behind(kfunc, index);
        let suffix = |suffix| is_named(btf, param, suffix);
        if self.is_ctx(btf, param) {
            return Ok(ArgKind::Ctx);
        }
        if suffix("__nullable") && is_null(&value) && size.is_none() {
            return Ok(ArgKind::Null);
        }
        if suffix("__alloc") {
            return Ok(ArgKind::Allocated);
        }
        if suffix("__refcounted_kptr") {
            return Ok(ArgKind::Refcounted);
        }
        let struct_name = match btf.ty(to).map(|ty| ty.kind()) {
            Some(Kind::Struct) => btf.name_of(to),
            _ => "",
        };
        if struct_name == "bpf_dynptr" {
            return Ok(ArgKind::Dynptr);
        }
        if if kfunc.is_iter() { index == 0 } else { suffix("__iter") } {
            return Ok(ArgKind::Iter);
        }
        match struct_name {
            "bpf_list_head" => return Ok(ArgKind::List { head: true }),
            "bpf_list_node" => return Ok(ArgKind::List { head: false }),
            "bpf_rb_root" => return Ok(ArgKind::Rbtree { root: true }),
            "bpf_rb_node" => return Ok(ArgKind::Rbtree { root: false }),
            _ => {}
        }
        if suffix("__str") {
            return Ok(ArgKind::ConstStr);
        }
        if suffix("__map") {
            return Ok(ArgKind::Map);
        }
        match struct_name {
            "bpf_wq" => return Ok(ArgKind::Workqueue),
            "bpf_task_work" => return Ok(ArgKind::TaskWork),
            _ if suffix("__irq_flag") => return Ok(ArgKind::IrqFlag),
            "bpf_res_spin_lock" => return Ok(ArgKind::ResSpinLock),
            _ => {}
        }
        if is_object(&value) {
            let kind = btf.ty(to).map(|ty| ty.kind());
            if !matches!(kind, Some(Kind::Struct | Kind::Union)) {
                let (name, to) = (kfunc.name(), named(btf, to));
                return Err(KfuncReason::PointerType { name, index, to }.into());
            }
            return Ok(ArgKind::Object { id: to });
        }
        match btf.ty(to).map(|ty| ty.def) {
            Some(Def::FuncProto(_)) => Ok(ArgKind::Callback),
            Some(Def::Void) if size.is_some() => Ok(size.unwrap_or(ArgKind::Mem { id: to })),
            _ if is_bytes(btf, to, 0) => Ok(size.unwrap_or(ArgKind::Mem { id: to })),
            _ => {
                let void = if size.is_some() { "void, " } else { "" };
                Err(KfuncReason::NotBytes { index, to: named(btf, to), void }.into())
            }
        }
    }

    /// The size in the argument behind the one at `index`, if it is one.
    fn size_behind(&self, kfunc: &Kfunc<'_>, index: usize) -> Option<ArgKind> {
        let (param, next) = (kfunc.params().get(index)?, kfunc.params().get(index + 1)?);
        let reg = super::args::ARGS.get(index + 1)?;
        if !is_number(kfunc.btf, next.ty) || self.frame().regs[reg.index()].number().is_none() {
            return None;
        }
        let constant = is_named(kfunc.btf, next, "__szk");
        let optional = is_named(kfunc.btf, param, "__opt");
        (constant || is_named(kfunc.btf, next, "__sz"))
            .then_some(ArgKind::MemSize { constant, optional })
    }

    /// Whether a parameter is the context of programs of this type.
    fn is_ctx(&self, btf: &Btf, param: &Param) -> bool {
        let name = pointee(btf, param)
            .filter(|&to| btf.ty(to).is_some_and(|ty| ty.def.composite().is_some()))
            .map(|to| btf.name_of(to));
        let has_struct = !matches!(
            self.cx.decl.prog_type,
            ProgType::Tracing
                | ProgType::StructOps
                | ProgType::Lsm
                | ProgType::Ext
                | ProgType::Syscall
                | ProgType::Tracepoint
        );
        let ctx = self.cx.decl.ctx.name;
        has_struct && name.is_some_and(|name| name == ctx || is_projection(ctx, name))
    }
}

/// Whether programs see the kernel's struct `of` as the struct `name`.
pub(super) fn is_projection(name: &str, of: &str) -> bool {
    matches!((name, of), ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff"))
}

/// Whether what is passed is an object of the kernel's, by its type.
fn is_object(value: &Reg) -> bool {
    matches!(
        value.pointer().map(|p| p.to),
        Some(
            PtrTo::Btf { .. }
                | PtrTo::Own { .. }
                | PtrTo::Map(_)
                | PtrTo::Sock(SockKind::Common | SockKind::Full | SockKind::Tcp)
        )
    )
}

/// Whether a type is a number.
pub(super) fn is_number(btf: &Btf, ty: BtfId) -> bool {
    matches!(btf.resolve(ty), Ok((_, t)) if matches!(t.def, Def::Int(_) | Def::Enum(_) | Def::Enum64(_)))
}

/// Whether a type is a number, or a struct of numbers all through.
pub(super) fn is_bytes(btf: &Btf, ty: BtfId, nesting: u32) -> bool {
    let Ok((id, resolved)) = btf.resolve(ty) else { return false };
    match resolved.def {
        Def::Int(_) | Def::Enum(_) | Def::Enum64(_) => true,
        Def::Struct(_) | Def::Union(_) if nesting <= MAX_NESTING => {
            btf.members(id).iter().all(|member| match btf.array(member.ty) {
                Some(array) => array.len > 0 && is_number(btf, array.elem),
                None => is_bytes(btf, member.ty, nesting + 1),
            })
        }
        _ => false,
    }
}
