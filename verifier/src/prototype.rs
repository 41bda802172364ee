//! What a global function takes, by its prototype in the object's BTF and the tags on its
//! arguments.
//!
//! The function is verified for all such arguments at once, and every call must bring them.

use crate::cx::Cx;
use crate::reason::{ProtoReason, Reason};
use ubpf_abi::btf::{Btf, BtfId, Def, Kind};
use ubpf_abi::limits::MAX_ARGS;
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_abi::program::SubprogId;

/// What one argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgType {
    /// A number.
    Scalar,
    /// The program's context.
    Ctx,
    /// Memory of the program's own.
    Mem {
        /// Bytes.
        size: u32,
        /// May be null.
        nullable: bool,
    },
    /// A kernel object.
    Object {
        /// Its struct in the kernel's types.
        id: BtfId,
        /// Valid as long as the function runs; else it may be anything, and is only read.
        trusted: bool,
        /// May be null.
        nullable: bool,
    },
    /// Memory that may not exist, and is only read.
    UntrustedMem,
    /// A dynptr, which it may use and not change.
    Dynptr,
    /// An address in an arena.
    Arena,
}

/// The tags on one argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tags {
    ctx: bool,
    trusted: bool,
    untrusted: bool,
    nonnull: bool,
    nullable: bool,
    arena: bool,
}

/// The arguments of the global function `id`, in order.
///
/// # Errors
/// A prototype that cannot be verified on its own.
pub fn of(cx: &Cx<'_>, id: SubprogId) -> Result<Vec<ArgType>, Reason> {
    let function = cx.function(id).and_then(|f| f.btf_func);
    let btf = cx.program.btf.as_deref();
    let (Some(func), Some(btf)) = (function, btf) else { return Err(ProtoReason::NoBtf.into()) };
    let name = btf.name_of(func);
    let params = btf.params(func);
    let Some((_, proto)) = btf.func_proto(func) else {
        return Err(ProtoReason::NoBtf.into());
    };
    if params.len() > MAX_ARGS {
        let args = params.len();
        return Err(ProtoReason::TooManyArgs { function: name.into(), args }.into());
    }
    if !is_number(btf, proto.ret) {
        return Err(ProtoReason::Returns(name.into()).into());
    }
    (0..).zip(params).map(|(i, param)| argument(cx, btf, func, i, param.ty)).collect()
}

fn argument(cx: &Cx<'_>, btf: &Btf, func: BtfId, index: u32, ty: BtfId) -> Result<ArgType, Reason> {
    let tags = tags(btf, func, index)?;
    let combined =
        |allowed: Tags| if tags == allowed { Ok(()) } else { Err(ProtoReason::Tags(index)) };
    let (_, resolved) = btf.resolve(ty).map_err(|_| ProtoReason::NoBtf)?;
    let Def::Ptr(target) = resolved.def else {
        if tags != Tags::default() {
            return Err(ProtoReason::TagOnNumber(index).into());
        }
        if is_number(btf, ty) {
            return Ok(ArgType::Scalar);
        }
        let (kind, function) = (resolved.kind(), btf.name_of(func).into());
        return Err(ProtoReason::ArgKind { index, kind, function }.into());
    };
    let pointee = target;
    let (at, target) = btf.resolve(target).map_err(|_| ProtoReason::NoBtf)?;
    let is_struct = target.kind() == Kind::Struct;
    let ctx = is_struct && btf.name_of(at) == cx.decl.ctx.name;
    if tags.ctx && !ctx {
        check_ctx(cx, btf, index, pointee)?;
    }
    if tags.ctx || ctx {
        combined(Tags { ctx: tags.ctx, ..Tags::default() })?;
        return Ok(ArgType::Ctx);
    }
    if is_struct && btf.name_of(at) == "bpf_dynptr" {
        combined(Tags::default())?;
        return Ok(ArgType::Dynptr);
    }
    if tags.trusted {
        if tags.nonnull {
            return Err(ProtoReason::Tags(index).into());
        }
        let id = kernel_type(cx, btf, index, at)?;
        return Ok(ArgType::Object { id, trusted: true, nullable: tags.nullable });
    }
    if tags.untrusted {
        if tags != (Tags { untrusted: true, ..Tags::default() }) {
            return Err(ProtoReason::UntrustedTags(index).into());
        }
        if target.def == Def::Void || is_number(btf, at) {
            return Ok(ArgType::UntrustedMem);
        }
        let id = kernel_type(cx, btf, index, at)?;
        if !matches!(target.def, Def::Struct(_) | Def::Union(_) | Def::Fwd(_)) {
            let (kind, name) = (target.kind(), btf.name_of(at).into());
            return Err(ProtoReason::UntrustedKind { index, kind, name }.into());
        }
        return Ok(ArgType::Object { id, trusted: false, nullable: false });
    }
    if tags.arena {
        if tags != (Tags { arena: true, ..Tags::default() }) {
            return Err(ProtoReason::ArenaTags(index).into());
        }
        return Ok(ArgType::Arena);
    }
    if tags.nullable {
        return Err(ProtoReason::Tags(index).into());
    }
    match btf.size_of(at) {
        Ok(size) => Ok(ArgType::Mem { size, nullable: !tags.nonnull }),
        Err(_) => {
            let (kind, name) = (target.kind(), btf.name_of(at).into());
            Err(ProtoReason::NoSize { index, kind, name }.into())
        }
    }
}

/// The type of the kernel's that a type of the program's stands for, by its name.
fn kernel_type(cx: &Cx<'_>, btf: &Btf, index: u32, ty: BtfId) -> Result<BtfId, Reason> {
    let types = cx.program.target_btf.as_deref();
    let types = types.ok_or(Reason::Unsupported("kernel objects without the kernel's types"))?;
    let (name, kind) = (btf.name_of(ty), btf.ty(ty).map_or(Kind::Void, |ty| ty.kind()));
    // What is only declared may be either.
    let wanted = match kind {
        Kind::Fwd => &[Kind::Struct, Kind::Union][..],
        _ => std::slice::from_ref(&kind),
    };
    let alike = |id: &BtfId| types.ty(*id).is_some_and(|ty| wanted.contains(&ty.kind()));
    let mut found = types.find_flavors(name).filter(alike);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (first, _) => {
            let (name, ambiguous) = (name.into(), first.is_some());
            Err(ProtoReason::NoMatch { index, kind, name, ambiguous }.into())
        }
    }
}

/// Whether an argument that is tagged as the context may have a type of another name.
fn check_ctx(cx: &Cx<'_>, btf: &Btf, index: u32, pointee: BtfId) -> Result<(), Reason> {
    let (at, target) = btf.resolve(pointee).map_err(|_| ProtoReason::NoBtf)?;
    let name = btf.name_of(at);
    if target.def == Def::Void {
        return Ok(());
    }
    if name.is_empty() {
        return Err(ProtoReason::CtxNameless(index).into());
    }
    let (is_struct, word) = (target.kind() == Kind::Struct, is_word(&target.def));
    let attach_type = cx.program.section.attach_type;
    let fits = match cx.program.prog_type {
        ProgType::Kprobe | ProgType::PerfEvent => is_struct && name == "pt_regs",
        ProgType::RawTracepoint | ProgType::RawTracepointWritable => word,
        ProgType::Tracing if attach_type == AttachType::TRACE_RAW_TP => {
            word || is_struct && name == "bpf_raw_tracepoint_args"
        }
        ProgType::Tracing if attach_type == AttachType::TRACE_ITER => {
            is_struct && name.starts_with("bpf_iter__")
        }
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps => word,
        ProgType::Tracepoint | ProgType::Syscall | ProgType::Ext => true,
        _ => false,
    };
    match cx.program.prog_type {
        _ if fits => Ok(()),
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps => {
            Err(ProtoReason::CtxVoid(index).into())
        }
        _ => Err(ProtoReason::CtxStruct { index, wanted: cx.decl.ctx.name }.into()),
    }
}

fn is_word(def: &Def) -> bool {
    matches!(def, Def::Int(int) if int.bytes == 8)
}

fn tags(btf: &Btf, func: BtfId, index: u32) -> Result<Tags, ProtoReason> {
    let mut tags = Tags::default();
    for tag in btf.decl_tags(func, Some(index)).filter_map(|tag| tag.strip_prefix("arg:")) {
        let flag = match tag {
            "ctx" => &mut tags.ctx,
            "trusted" => &mut tags.trusted,
            "untrusted" => &mut tags.untrusted,
            "nonnull" => &mut tags.nonnull,
            "nullable" => &mut tags.nullable,
            "arena" => &mut tags.arena,
            _ => return Err(ProtoReason::UnknownTag(index)),
        };
        *flag = true;
    }
    Ok(tags)
}

/// Whether the function returns a number of the registers' width or less.
#[must_use]
pub fn returns_number(btf: &Btf, func: BtfId) -> bool {
    btf.func_proto(func).is_some_and(|(_, proto)| is_number(btf, proto.ret))
}

fn is_number(btf: &Btf, ty: BtfId) -> bool {
    matches!(btf.resolve(ty), Ok((_, t)) if matches!(t.def, Def::Int(_) | Def::Enum(_) | Def::Enum64(_)))
}
