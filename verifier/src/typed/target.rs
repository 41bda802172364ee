//! What a program is attached to: its place in the kernel, found by the section's name, and the
//! arguments it is called with.

use super::facts::{self, IterArg, NULLABLE_TRACEPOINT_ARGS};
use super::{Tag, function, tag_of};
use crate::Options;
use crate::reason::{Reason, TypedReason};
use crate::state::{Space, Trust};
use ubpf_abi::btf::{Btf, BtfId, Def, Kind, Param};
use ubpf_abi::helper::HelperGroup;
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::{AttachType, ProgType, RetRange};
use ubpf_abi::program::Program;

/// Words of eight bytes that a context of arguments has at most (`MAX_BPF_FUNC_ARGS`).
const MAX_ARGS: usize = 12;

/// One argument, in eight bytes of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtxArg {
    /// A number, or a pointer of which nothing is known: any access from its start.
    Scalar,
    /// A number, of which the low half lies between two.
    Within {
        /// Smallest.
        min: i32,
        /// Largest.
        max: i32,
    },
    /// As [`CtxArg::Scalar`], whole accesses only.
    Address,
    /// Memory of unknown size, or null.
    BufOrNull {
        /// It may only be read.
        read_only: bool,
    },
    /// A kernel object.
    Object {
        /// Its struct or union.
        id: BtfId,
        /// How far it can be trusted.
        trust: Trust,
        /// Where it lies.
        space: Space,
        /// It may be null.
        nullable: bool,
    },
    /// Nothing that a program may look at.
    Closed,
}

/// The typed context of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prototype {
    /// Arguments; behind them nothing can be read.
    pub args: Vec<CtxArg>,
    /// The function returns nothing, and the program need not either.
    pub returns_nothing: bool,
    /// The program may not call helpers, whatever its type admits.
    pub no_helpers: bool,
    /// What the program may return, where the place it is attached to says so.
    pub ret: Option<RetRange>,
    /// The low half of the result counts alone.
    pub low_half: bool,
    /// Helpers that it admits beside those of its program type.
    pub helpers: Option<HelperGroup>,
}

/// The typed context of a program, where its type has one.
///
/// # Errors
/// The program cannot be attached to what it names, or names nothing.
pub fn resolve(
    program: &Program,
    platform: &dyn Platform,
    options: &Options,
) -> Result<Option<Prototype>, Reason> {
    check_sleepable(program)?;
    let known = program.target_btf.as_deref();
    let btf = || known.ok_or(Reason::Unsupported("typed programs without the kernel's types"));
    match program.prog_type {
        ProgType::StructOps => operation(program, btf()?).map(Some),
        ProgType::Tracing => tracing(program, btf()?, platform, options).map(Some),
        ProgType::Lsm => function::hook(program, btf()?).map(Some),
        // Extensions take the place of functions in other programs, which must be loaded.
        ProgType::Ext => Err(TypedReason::NoTarget.into()),
        _ => Ok(None),
    }
}

/// Checks that programs of the type can be attached so. The kernel asks this first, before it
/// looks at the code.
///
/// # Errors
/// They cannot.
pub fn check_attach_type(program: &Program) -> Result<(), Reason> {
    let (prog_type, attach_type) = (program.prog_type, program.section.attach_type);
    if facts::attach_types(prog_type).is_some_and(|types| !types.contains(&attach_type.0)) {
        return Err(TypedReason::AttachType { prog_type, attach_type }.into());
    }
    Ok(())
}

fn check_sleepable(program: &Program) -> Result<(), Reason> {
    let sleepable = program.section.sleepable;
    let may = match (program.prog_type, program.section.attach_type) {
        (ProgType::Syscall, _) if !sleepable => return Err(TypedReason::MustSleep.into()),
        (ProgType::Syscall | ProgType::Kprobe | ProgType::StructOps, _) => true,
        (ProgType::Tracing, at) => [
            AttachType::TRACE_FENTRY,
            AttachType::TRACE_FEXIT,
            AttachType::MODIFY_RETURN,
            AttachType::TRACE_ITER,
        ]
        .contains(&at),
        (ProgType::Lsm, at) => at != AttachType::LSM_CGROUP,
        _ => false,
    };
    if sleepable && !may { Err(TypedReason::MayNotSleep.into()) } else { Ok(()) }
}

fn tracing(
    program: &Program,
    btf: &Btf,
    platform: &dyn Platform,
    options: &Options,
) -> Result<Prototype, Reason> {
    let place = program.attach_target().ok_or(TypedReason::NoTarget)?;
    let name = program.section.target.as_deref().unwrap_or_default();
    let params = btf.params(place.proto);
    match program.section.attach_type {
        AttachType::TRACE_RAW_TP => {
            // The first parameter is the kernel's.
            let mut args = arguments(btf, params.get(1..).unwrap_or_default());
            let nullable = NULLABLE_TRACEPOINT_ARGS.iter().find(|(event, _)| *event == name);
            let nullable = nullable.map_or(&[][..], |(_, args)| args);
            nullable.iter().filter_map(|&n| args.get_mut(n).map(CtxArg::may_be_null)).count();
            Ok(Prototype { args, ..Prototype::default() })
        }
        AttachType::TRACE_ITER => {
            let (_, known) = facts::ITERATORS
                .iter()
                .find(|(iter, _)| *iter == name)
                .ok_or_else(|| TypedReason::NotAttachable(format!("bpf_iter_{name}")))?;
            let mut args = arguments(btf, params);
            for &(n, kind) in *known {
                if let Some(arg) = args.get_mut(n) {
                    arg.become_iter_arg(kind);
                }
            }
            Ok(Prototype { args, ..Prototype::default() })
        }
        _ => function::traced(program, btf, platform, options),
    }
}

fn operation(program: &Program, btf: &Btf) -> Result<Prototype, Reason> {
    if !program.is_gpl_compatible() {
        return Err(TypedReason::OpsGpl.into());
    }
    let member = program.section.struct_ops.as_ref();
    let member = member.ok_or(Reason::Unsupported("struct_ops programs that no map names"))?;
    let id = member.target.ok_or(Reason::Unsupported("structs that the kernel does not have"))?;
    let name = btf.name_of(id);
    let ops = facts::ops(name).ok_or(TypedReason::OpsStruct(id))?;
    // The attach type is the member's number.
    let index = program.section.attach_type.0;
    let field = btf.members(id).get(index as usize).ok_or_else(|| {
        let name = name.to_owned();
        TypedReason::OpsIndex { index, name }
    })?;
    let function = btf.resolve(field.ty).ok().and_then(|(_, ty)| match ty.def {
        Def::Ptr(to) => btf.resolve(to).ok(),
        _ => None,
    });
    let Some((proto, Def::FuncProto(signature))) = function.map(|(id, ty)| (id, ty.def)) else {
        return Err(Reason::Unsupported("members that are no operations"));
    };
    let operation = btf.name(field.name);
    let (member, struct_name) = (operation.to_owned(), name.to_owned());
    if ops.unsupported.contains(&operation) {
        return Err(TypedReason::OpsMember { member, name: struct_name }.into());
    }
    let may_sleep = ops.sleepable.is_none_or(|names| names.contains(&operation));
    if program.section.sleepable && !may_sleep {
        return Err(TypedReason::OpsSleep { member, name: struct_name }.into());
    }
    let params = btf.params(proto);
    let mut args = arguments(btf, params);
    // The parameters' names in the kernel's stub say which may be null.
    let stub = btf.find(Kind::Func, &format!("{name}__{operation}"));
    let stub = stub.map_or(&[][..], |id| btf.params(id));
    for (arg, param) in args.iter_mut().zip(stub) {
        match btf.name(param.name) {
            name if name.ends_with("__nullable") => arg.may_be_null(),
            name if name.ends_with("__ref") => {
                return Err(Reason::Unsupported("arguments that come with a reference"));
            }
            _ => {}
        }
    }
    if let Some((from, to)) = ops.promoted {
        let to = btf.find(Kind::Struct, to);
        for arg in &mut args {
            if let (CtxArg::Object { id, .. }, Some(to)) = (arg, to)
                && btf.name_of(*id) == from
            {
                *id = to;
            }
        }
    }
    match btf.resolve(signature.ret).map(|(_, ty)| ty.def) {
        Ok(Def::Ptr(_)) => Err(Reason::Unsupported("operations that return pointers")),
        Ok(def) => {
            let (returns_nothing, no_helpers) = (def == Def::Void, ops.helpers.is_none());
            let helpers = ops.helpers;
            Ok(Prototype { args, returns_nothing, no_helpers, helpers, ..Prototype::default() })
        }
        Err(_) => Err(Reason::Unsupported("broken kernel types")),
    }
}

/// What parameters are in the context, eight bytes each; structs may take more of them.
pub(super) fn arguments(btf: &Btf, params: &[Param]) -> Vec<CtxArg> {
    let places = params.iter().flat_map(|param| {
        let mut arg = argument(btf, param.ty, Trust::Trusted);
        if btf.name(param.name).ends_with("__nullable") {
            arg.may_be_null();
        }
        let words = btf.size_of(param.ty).map_or(1, |bytes| bytes.div_ceil(8).max(1));
        std::iter::repeat_n(arg, words as usize)
    });
    places.take(MAX_ARGS).collect()
}

/// What a parameter of this type is in the context.
pub(super) fn argument(btf: &Btf, ty: BtfId, trust: Trust) -> CtxArg {
    let to = match btf.resolve(ty).map(|(_, ty)| ty.def) {
        Ok(Def::Int(int)) if int.bytes <= 8 => return CtxArg::Scalar,
        Ok(Def::Enum(_) | Def::Enum64(_) | Def::Struct(_) | Def::Union(_)) => {
            return CtxArg::Scalar;
        }
        Ok(Def::Ptr(to)) => to,
        _ => return CtxArg::Closed,
    };
    let space = match tag_of(btf, to) {
        Some(Tag::User) => Space::User,
        Some(Tag::Percpu) => Space::Percpu,
        Some(Tag::Rcu) | None => Space::Kernel,
    };
    match btf.resolve(to).map(|(id, ty)| (id, ty.def)) {
        Ok((_, Def::Void | Def::Int(_))) => CtxArg::Address,
        Ok((id, Def::Struct(_) | Def::Union(_))) => {
            CtxArg::Object { id, trust, space, nullable: false }
        }
        _ => CtxArg::Closed,
    }
}

impl CtxArg {
    const fn may_be_null(&mut self) {
        if let Self::Object { nullable, .. } = self {
            *nullable = true;
        }
    }

    fn become_iter_arg(&mut self, kind: IterArg) {
        match kind {
            IterArg::ReadOnlyBufOrNull => *self = Self::BufOrNull { read_only: true },
            IterArg::BufOrNull => *self = Self::BufOrNull { read_only: false },
            IterArg::TrustedOrNull => self.may_be_null(),
            IterArg::PlainOrNull => {
                if let Self::Object { trust, .. } = self {
                    *trust = Trust::Plain;
                }
                self.may_be_null();
            }
        }
    }
}
