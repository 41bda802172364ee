//! What is known of a call before any path is walked: does it call back, is it an iterator's.

use ubpf_abi::helper::{ArgKind, CallbackKind, HelperDecl, HelperId};
use ubpf_abi::kfunc::{KfuncDecl, KfuncFlag, KfuncSpecial};
use ubpf_abi::object::ExternKind;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::Program;
use ubpf_isa::CallTarget;

/// When a call calls a subprogram back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsBack {
    /// Before it returns, any number of times.
    Now,
    /// On its own, some time.
    Later,
}

/// When the call calls back, if it does.
pub fn calls_back(
    program: &Program,
    platform: &dyn Platform,
    target: CallTarget,
) -> Option<CallsBack> {
    match target {
        CallTarget::Helper(id) => match callback(platform.helper(HelperId(id))?)? {
            CallbackKind::Timer => Some(CallsBack::Later),
            _ => Some(CallsBack::Now),
        },
        CallTarget::Kfunc { btf_id, .. } => match kfunc(program, platform, btf_id)?.special? {
            KfuncSpecial::RbtreeAdd => Some(CallsBack::Now),
            KfuncSpecial::WqSetCallback | KfuncSpecial::TaskWorkSchedule => Some(CallsBack::Later),
            _ => None,
        },
        CallTarget::Subprog(_) => None,
    }
}

/// How the helper calls back, if it does.
fn callback(helper: &HelperDecl) -> Option<CallbackKind> {
    helper.args.iter().find_map(|arg| match arg.kind {
        ArgKind::Callback(kind) => Some(kind),
        _ => None,
    })
}

/// Whether the call gives an iterator's next item.
pub fn is_iter_next(program: &Program, platform: &dyn Platform, target: CallTarget) -> bool {
    match target {
        CallTarget::Kfunc { btf_id, .. } => {
            kfunc(program, platform, btf_id).is_some_and(|k| k.has(KfuncFlag::IterNext))
        }
        CallTarget::Helper(_) | CallTarget::Subprog(_) => false,
    }
}

/// Arguments that the call takes; `None` where that is not known.
pub fn arguments(program: &Program, platform: &dyn Platform, target: CallTarget) -> Option<usize> {
    match target {
        CallTarget::Helper(id) => platform.helper(HelperId(id)).map(|h| h.args.len()),
        CallTarget::Kfunc { btf_id, .. } => {
            let symbol = program.externs.get(usize::try_from(btf_id).ok()?)?;
            let (types, func) = match symbol.kind {
                ExternKind::Kfunc { target: Some(id), .. } => (program.target_btf.as_deref()?, id),
                ExternKind::Kfunc { local, target: None } => (program.btf.as_deref()?, local),
                _ => return None,
            };
            let (proto, _) = types.func_proto(func)?;
            Some(types.params(proto).len())
        }
        CallTarget::Subprog(_) => None,
    }
}

fn kfunc<'p>(program: &Program, platform: &'p dyn Platform, btf_id: i32) -> Option<&'p KfuncDecl> {
    let symbol = program.externs.get(usize::try_from(btf_id).ok()?)?;
    platform.kfunc(&symbol.name)
}
