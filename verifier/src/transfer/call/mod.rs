//! Calls of helpers and subprograms, wide loads, and returns.
//!
//! - `helper`: may the program call it, do its arguments fit, what is left behind
//! - `args`, `memory`: what each kind of argument takes; `result`: what `r0` holds afterwards
//! - `field`: arguments that are fields with rules of their own
//! - `dynptr`: dynptrs as arguments
//! - `subprog`: the program's own functions; `callback`: those that a helper calls
//! - `exit`: the end of a subprogram, a callback, the program

mod args;
mod callback;
mod dynptr;
mod exit;
mod field;
mod helper;
mod memory;
mod result;
mod subprog;

pub(super) use callback::Entered;
pub(super) use dynptr::GivenDynptr;
pub(super) use field::Turn;
pub(super) use helper::{ARGS, Passed};

use super::{Next, Step};
use crate::reason::{CallReason, FieldReason, Reason};
use crate::state::{Frame, MapRef, Pointer, PtrTo, Reg};
use crate::symbols;
use ubpf_abi::helper::HelperId;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::map::MapId;
use ubpf_isa::{CallTarget, Imm64, Pc, Reg as Name, RegSet};

impl Step<'_> {
    /// `dst = imm ll`.
    pub(super) fn wide(&mut self, dst: Name, imm: Imm64) -> Result<(), Reason> {
        let map = |fd: i32| {
            let id = u32::try_from(fd).ok().map(MapId);
            let id = id.filter(|id| id.index() < self.cx.program.maps.len());
            id.map(|map| MapRef { map, inner: false, uid: 0 }).ok_or(CallReason::NoMap(fd))
        };
        let value = match imm {
            Imm64::Value(v) => Reg::constant(v),
            Imm64::MapFd(fd) => Reg::Pointer(Pointer::new(PtrTo::Map(map(fd)?))),
            // An address as user space has it.
            Imm64::MapValue { fd, .. } if self.is_arena(fd) => Reg::UNKNOWN,
            Imm64::MapValue { fd, off } => {
                let off = i32::try_from(off).unwrap_or(i32::MAX);
                Reg::Pointer(Pointer { off, ..Pointer::new(PtrTo::MapValue(map(fd)?)) })
            }
            Imm64::Func(off) => self.function(off)?,
            Imm64::BtfId { id, .. } => symbols::address(self.cx.program, self.cx.options, id)?,
            Imm64::MapIdx(_) | Imm64::MapIdxValue { .. } => {
                return Err(Reason::Unsupported("maps by index"));
            }
        };
        self.set(dst, value)
    }

    pub(super) fn call(&mut self, target: CallTarget, next: Pc) -> Result<Next, Reason> {
        self.check_unlocked(target)?;
        match target {
            CallTarget::Helper(id) => self.helper(HelperId(id), next),
            CallTarget::Subprog(off) => self.subprog(off, next),
            CallTarget::Kfunc { btf_id, .. } => self.kfunc(btf_id, next),
        }
    }

    /// Few functions may be called while a lock is held.
    fn check_unlocked(&self, target: CallTarget) -> Result<(), Reason> {
        if !self.state.is_locked() {
            return Ok(());
        }
        match target {
            CallTarget::Helper(id) => {
                let helper = self.cx.platform.helper(HelperId(id));
                if helper.is_some_and(|helper| WHILE_LOCKED.contains(&helper.name)) {
                    return Ok(());
                }
                Err(FieldReason::CallWhileLocked.into())
            }
            CallTarget::Subprog(_) => Ok(()),
            CallTarget::Kfunc { btf_id, .. } => {
                let Ok(kfunc) = self.cx.kfunc(btf_id) else { return Ok(()) };
                let allowed = matches!(
                    kfunc.decl.special,
                    Some(
                        KfuncSpecial::ListPush
                            | KfuncSpecial::ListPop
                            | KfuncSpecial::ListPeek
                            | KfuncSpecial::RbtreeAdd
                            | KfuncSpecial::RbtreeRemove
                            | KfuncSpecial::RbtreePeek
                            | KfuncSpecial::RefcountAcquire
                            | KfuncSpecial::ResSpinLock { .. }
                            | KfuncSpecial::ResSpinUnlock { .. }
                    )
                );
                if allowed || KFUNCS_WHILE_LOCKED.contains(&kfunc.name()) {
                    return Ok(());
                }
                Err(FieldReason::CallWhileLocked.into())
            }
        }
    }
}

/// Helpers that may be called while a lock is held.
const WHILE_LOCKED: [&str; 1] = ["spin_unlock"];

/// Kernel functions that may be called while a lock is held, beside those on locks, lists and
/// trees.
const KFUNCS_WHILE_LOCKED: [&str; 3] =
    ["bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"];

/// Calls leave nothing in `r0` to `r5`.
pub(super) fn clobber(frame: &mut Frame) {
    for reg in Name::all().filter(|&r| RegSet::CALLER_SAVED.contains(r)) {
        frame.regs[reg.index()] = Reg::Uninit;
    }
}
