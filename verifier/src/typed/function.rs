//! Programs around functions of the kernel: at their entry, at their return, in place of what they
//! return, and at security hooks.

use super::hooks;
use super::target::{CtxArg, Prototype, argument, arguments};
use crate::Options;
use crate::reason::{Reason, TypedReason};
use crate::state::{Space, Trust};
use ubpf_abi::btf::{Btf, BtfId, Def};
use ubpf_abi::kfunc::{KfuncDecl, KfuncFlag, KfuncSet};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::{AttachType, RetRange};
use ubpf_abi::program::Program;

/// Arguments that a function may have.
const MAX_ARGS: usize = 12;
/// Bytes that an argument may have.
const MAX_ARG_BYTES: u32 = 16;
/// Error numbers are not above it.
const MAX_ERRNO: i32 = 4095;

/// Functions that programs would call on the way to themselves.
const DENIED: &[&str] =
    &["__rcu_read_lock", "__rcu_read_unlock", "migrate_disable", "migrate_enable"];

/// Functions that never return.
const NO_RETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "kthread_exit",
    "make_task_dead",
];

/// Functions, beside system calls, into which errors can be injected.
const INJECTABLE: &[&str] =
    &["__filemap_add_folio", "should_fail_alloc_page", "should_fail_bio", "should_failslab"];

/// Those of them that are called where nothing may sleep.
const INJECTABLE_AWAKE: &[&str] =
    &["__filemap_add_folio", "should_fail_alloc_page", "should_failslab"];

/// The context of a program at a function's entry, its return, or in place of its result.
///
/// # Errors
/// The function is none that such programs can be attached to.
pub fn traced(
    program: &Program,
    btf: &Btf,
    platform: &dyn Platform,
    options: &Options,
) -> Result<Prototype, Reason> {
    let place = program.attach_target().ok_or(TypedReason::NoTarget)?;
    let name = program.section.target.as_deref().unwrap_or_default();
    let at = program.section.attach_type;
    let (args, ret) = signature(btf, place.id, name, Trust::Plain)?;
    let kfunc = platform.kfunc(name).filter(|decl| decl.sets.contains(&KfuncSet::FmodRet));
    if program.section.sleepable {
        let sleeps = |decl: &KfuncDecl| decl.has(KfuncFlag::Sleepable);
        let injected = is_injectable(name, options) && !INJECTABLE_AWAKE.contains(&name);
        if !injected && !kfunc.is_some_and(sleeps) {
            return Err(TypedReason::NotSleepable(name.to_owned()).into());
        }
    } else if at == AttachType::MODIFY_RETURN
        && kfunc.is_none()
        && !name.starts_with("security_")
        && !is_injectable(name, options)
    {
        return Err(TypedReason::NotModifiable(name.to_owned()).into());
    }
    if DENIED.contains(&name) {
        return Err(TypedReason::Denied(name.to_owned()).into());
    }
    let at_return = [AttachType::TRACE_FEXIT, AttachType::MODIFY_RETURN].contains(&at);
    if at_return && NO_RETURN.contains(&name) {
        return Err(TypedReason::NoReturn(name.to_owned()).into());
    }
    let mut proto = Prototype { args, ..Prototype::default() };
    match at {
        AttachType::TRACE_FENTRY => {}
        AttachType::TRACE_FEXIT => proto.args.push(argument(btf, ret, Trust::Plain)),
        _ => proto.args.push(match argument(btf, ret, Trust::Plain) {
            CtxArg::Scalar => CtxArg::Scalar,
            _ => CtxArg::Closed,
        }),
    }
    Ok(proto)
}

/// The context of a program at a security hook.
///
/// # Errors
/// The hook is none that such programs can be attached to.
pub fn hook(program: &Program, btf: &Btf) -> Result<Prototype, Reason> {
    let place = program.attach_target().ok_or(TypedReason::NoTarget)?;
    let name = program.section.target.as_deref().unwrap_or_default();
    let trust = if hooks::UNTRUSTED.contains(&name) { Trust::Plain } else { Trust::Trusted };
    let (mut args, ret) = signature(btf, place.id, &format!("bpf_lsm_{name}"), trust)?;
    if program.section.sleepable && !hooks::SLEEPABLE.contains(&name) {
        return Err(TypedReason::NotSleepable(format!("bpf_lsm_{name}")).into());
    }
    if !program.is_gpl_compatible() {
        return Err(TypedReason::HookGpl.into());
    }
    let full_name = || format!("bpf_lsm_{name}");
    if hooks::DISABLED.contains(&name) {
        return Err(TypedReason::HookDisabled { id: place.id, name: full_name() }.into());
    }
    if hooks::NO_HOOKS.contains(&name) {
        return Err(TypedReason::NoHook { id: place.id, name: full_name() }.into());
    }
    let nothing = matches!(btf.resolve(ret), Ok((_, ty)) if ty.def == Def::Void);
    let cgroup = program.section.attach_type == AttachType::LSM_CGROUP;
    let (min, max) = if hooks::BOOL.contains(&name) { (0, 1) } else { (-MAX_ERRNO, 0) };
    args.push(match argument(btf, ret, Trust::Plain) {
        CtxArg::Scalar if !cgroup => CtxArg::Within { min, max },
        other => other,
    });
    let ret = match (cgroup, nothing) {
        // Nothing that could be changed is returned.
        (true, true) => RetRange::Within { min: 1, max: 1 },
        (true, false) => RetRange::Within { min: 0, max: 1 },
        (false, _) => RetRange::Within { min, max },
    };
    Ok(Prototype {
        args,
        returns_nothing: nothing && !cgroup,
        ret: Some(ret),
        low_half: !cgroup,
        ..Prototype::default()
    })
}

/// The arguments of a function and the type of its result, where trampolines can pass them on.
fn signature(
    btf: &Btf,
    func: BtfId,
    name: &str,
    trust: Trust,
) -> Result<(Vec<CtxArg>, BtfId), Reason> {
    let (_, proto) = btf.func_proto(func).ok_or(TypedReason::NoTarget)?;
    let params = btf.params(func);
    let name = || name.to_owned();
    if params.len() > MAX_ARGS {
        return Err(TypedReason::ManyArgs { name: name(), args: params.len() }.into());
    }
    let kind = |ty| btf.resolve(ty).map(|(_, ty)| ty.def);
    if matches!(kind(proto.ret), Ok(Def::Struct(_) | Def::Union(_))) {
        return Err(TypedReason::ReturnsStruct(name()).into());
    }
    for (n, param) in params.iter().enumerate() {
        if param.ty.is_void() {
            return Err(TypedReason::VariableArgs(name()).into());
        }
        if btf.size_of(param.ty).is_ok_and(|bytes| bytes > MAX_ARG_BYTES) {
            return Err(TypedReason::LargeArg { name: name(), index: n }.into());
        }
    }
    let mut args = arguments(btf, params);
    for arg in &mut args {
        if let CtxArg::Object { trust: own, space: Space::Kernel, .. } = arg {
            *own = trust;
        }
    }
    Ok((args, proto.ret))
}

fn is_injectable(name: &str, options: &Options) -> bool {
    let call = name.starts_with("__x64_sys_") || name.starts_with("__ia32_sys_");
    options.error_injection && (call || INJECTABLE.contains(&name))
}
