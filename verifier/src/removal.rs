//! Code that no path reaches. The kernel takes it out, and what it then compiles must still have
//! every function that the code names.
//!
//! A call is walked into, so its target stays. The address of a function may be taken without
//! anybody calling it. Such an address stays where the function was, which is where the code
//! behind it begins now, if there is any.

use crate::cx::Cx;
use crate::reason::{CallReason, Rejection};
use crate::text::At;
use core::ops::Range;
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::program::SubprogId;
use ubpf_isa::{CallTarget, Insn, Pc};

/// Checks that every address of a function that some path takes is still one when the slots that
/// are not in `reached` are gone.
///
/// # Errors
/// The first that is none.
pub fn check(cx: &Cx<'_>, reached: &[bool]) -> Result<(), Rejection> {
    let is_reached = |pc: Pc| reached.get(pc.index()) == Some(&true);
    let removed = Removed::of(cx, is_reached);
    let starts = (0..cx.text.subprogs() as u32).map(|id| cx.text.extent(SubprogId(id)).0);
    let starts: Vec<Pc> = starts.filter(|&pc| is_reached(pc)).map(|pc| removed.moved(pc)).collect();
    // Code that is all one function is compiled without a look at what it names. Without a function
    // for exceptions, the kernel adds one.
    if starts.len() == 1 && (cx.exception.is_some() || !throws(cx, is_reached)) {
        return Ok(());
    }
    let addresses = cx
        .text
        .insns()
        .filter(|(pc, insn)| matches!(insn, Insn::LdImm64 { .. }) && is_reached(*pc));
    for (pc, insn) in addresses {
        let Some(target) = insn.subprog().and_then(|off| pc.target(off)) else { continue };
        let target = removed.moved(target);
        if starts.binary_search(&target).is_err() {
            return Err(Rejection::at(pc, CallReason::CallbackRemoved(target)));
        }
    }
    Ok(())
}

/// Some path ends the program by an exception.
fn throws(cx: &Cx<'_>, is_reached: impl Fn(Pc) -> bool) -> bool {
    cx.text.insns().any(|(pc, insn)| match insn {
        Insn::Call(CallTarget::Kfunc { btf_id, .. }) if is_reached(pc) => {
            cx.kfunc(btf_id).is_ok_and(|kfunc| kfunc.decl.special == Some(KfuncSpecial::Throw))
        }
        _ => false,
    })
}

/// Stretches of code that are taken out, in the order of the code.
struct Removed(Vec<Range<u32>>);

impl Removed {
    fn of(cx: &Cx<'_>, is_reached: impl Fn(Pc) -> bool) -> Self {
        let mut stretches: Vec<Range<u32>> = Vec::new();
        let mut gone = false;
        for pc in 0..cx.text.len() as u32 {
            // The second half of a wide load goes with the first.
            if cx.text.at(Pc(pc)) != Some(At::WideTail) {
                gone = !is_reached(Pc(pc));
            }
            match stretches.last_mut().filter(|last| last.end == pc) {
                _ if !gone => {}
                Some(last) => last.end += 1,
                None => stretches.push(pc..pc + 1),
            }
        }
        Self(stretches)
    }

    /// Where a reference to `target` leads afterwards. The kernel takes out one stretch after the
    /// other, and each moves what lies behind it.
    fn moved(&self, target: Pc) -> Pc {
        let (mut target, mut gone) = (target.0, 0);
        for stretch in &self.0 {
            let len = stretch.end - stretch.start;
            if target >= stretch.end - gone {
                target -= len;
            }
            gone += len;
        }
        Pc(target)
    }
}
