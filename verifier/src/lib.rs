//! Linux's verifier rules: abstract interpretation of every path of a program.
//!
//! In goes a linked [`Program`] and a [`Platform`]; out comes the proof that it is safe, or a
//! [`Rejection`] that explains itself. The crate sees descriptions only, never a runtime.
//!
//! ```text
//!  slots ─ structure ─▶ Text ─ cfg, liveness ─▶ explore ──▶ Verified | Rejection
//!                                                │  ▲
//!                                       transfer ┘  └ prune, precision
//!                                (one insn, one state) (one state for another)
//! ```
//!
//! [`domain`] holds what is known of numbers, [`state`] what is known at a point of a path.
#![deny(unsafe_code)]

pub mod cfg;
mod converge;
mod cx;
pub mod domain;
mod exception;
mod explore;
mod facts;
mod kfunc;
mod liveness;
mod log;
mod map_use;
mod maps;
mod options;
mod pointers;
mod precision;
mod prototype;
mod prune;
pub mod reason;
mod removal;
pub mod state;
pub mod structure;
mod subprogs;
mod symbols;
pub mod text;
mod trail;
mod transfer;
pub mod typed;

pub use explore::Stats;
pub use options::{Options, Privilege};
pub use reason::{Class, Reason, Rejection};

use log::Log;
use std::sync::Arc;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::Program;
use ubpf_abi::verified::Verified;

/// The outcome of a verification.
#[derive(Debug)]
pub struct Report {
    /// The proof, or why there is none.
    pub verdict: Result<Verified, Rejection>,
    /// What it took.
    pub stats: Stats,
    /// The walk in the form of the kernel's log, where [`Options::log`] asked for it.
    pub log: Option<String>,
}

/// Verifies a program for a host.
#[must_use]
pub fn verify(program: &Arc<Program>, platform: &dyn Platform, options: &Options) -> Report {
    let mut stats = Stats::default();
    let mut log = options.log.then(Log::default);
    let verdict = judge(program, platform, options, &mut stats, log.as_mut());
    if let Some(log) = &mut log {
        if let Err(rejection) = &verdict {
            log.reason(&rejection.reason);
        }
        log.stats(&stats);
    }
    Report { verdict, stats, log: log.map(Log::into_text) }
}

fn judge(
    program: &Arc<Program>,
    platform: &dyn Platform,
    options: &Options,
    stats: &mut Stats,
    log: Option<&mut Log>,
) -> Result<Verified, Rejection> {
    typed::target::check_attach_type(program).map_err(Rejection::whole)?;
    let text = structure::check(program, platform, options)?;
    let (fields, untyped) = match maps::Fields::of(program) {
        Ok(fields) => (fields, None),
        Err(_) => (maps::Fields::default(), Some(without_types(program))),
    };
    let whole = program;
    let program = untyped.as_ref().unwrap_or(program);
    maps::check(program, &text, &fields)?;
    let exception = exception::callback(program).map_err(Rejection::whole)?;
    let exception = exception.and_then(|start| text.subprog_starting(start));
    let cfg = cfg::Cfg::build(program, &text, exception, options.loops_allowed(), platform)?;
    let Some(decl) = platform.prog_type(program.prog_type) else {
        return Err(Rejection::whole(Reason::Unsupported("this program type")));
    };
    let target = typed::target::resolve(program, platform, options).map_err(Rejection::whole)?;
    let live = liveness::LiveRegs::compute(program, &text, &cfg, platform);
    let target = target.as_ref();
    let cx = cx::Cx {
        program,
        text: &text,
        cfg: &cfg,
        live: &live,
        platform,
        decl,
        options,
        target,
        fields: &fields,
        exception,
    };
    subprogs::check_results(&cx)?;
    let walked = explore::explore(&cx, stats, log)?;
    removal::check(&cx, &walked.reached)?;
    let facts = facts::gather(&cx, &walked, stats);
    // SAFETY: exploration walked every path from the entry and checked each instruction's
    // obligations in every state that reaches it, and returned no rejection. The facts hold on
    // every execution, for the reasons that `facts` gives.
    #[allow(unsafe_code)]
    let verified = unsafe { Verified::assume(Arc::clone(whole), facts) };
    Ok(verified)
}

/// The program as loaders hand it over when the kernel does not take its types.
fn without_types(program: &Program) -> Program {
    let mut bare = program.clone();
    bare.btf = None;
    bare.subprogs.iter_mut().for_each(|subprog| subprog.btf_func = None);
    bare
}
