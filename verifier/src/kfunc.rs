//! Kernel functions that a program calls: their prototypes from the kernel's BTF, with what the
//! host says of them.

use crate::cx::Cx;
use crate::reason::{CallReason, HelperName, KfuncReason, Reason, Rejection};
use std::collections::BTreeSet;
use ubpf_abi::btf::{Btf, BtfId, Param};
use ubpf_abi::kfunc::{KfuncDecl, KfuncFlag, KfuncSpecial};
use ubpf_abi::object::ExternKind;
use ubpf_abi::platform::Platform;
use ubpf_abi::program::Program;
use ubpf_isa::Pc;

/// Different kernel functions that a program may call.
const MAX_KFUNCS: usize = 256;
/// Where a weak kernel function is missing, libbpf has its call go to a helper of this number,
/// with the function's index added.
const MISSING_KFUNC: u32 = 2_002_000_000;
/// The tag of functions that programs may call.
const TAG: &str = "bpf_kfunc";

/// A kernel function.
#[derive(Clone, Copy)]
pub struct Kfunc<'a> {
    /// The kernel's types.
    pub btf: &'a Btf,
    /// Its `FUNC` there.
    pub id: BtfId,
    /// What the host says of it.
    pub decl: &'a KfuncDecl,
}

impl<'a> Kfunc<'a> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.decl.name
    }

    /// Whether it is registered with the flag.
    #[must_use]
    pub fn has(&self, flag: KfuncFlag) -> bool {
        self.decl.has(flag)
    }

    /// Whether objects it is passed must be trusted, or at least protected by RCU.
    #[must_use]
    pub fn demands_trust(&self) -> bool {
        [KfuncFlag::TrustedArgs, KfuncFlag::Rcu, KfuncFlag::Release]
            .into_iter()
            .any(|flag| self.has(flag))
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> &'a [Param] {
        self.btf.params(self.id)
    }

    /// Whether it begins, continues or ends an iteration.
    #[must_use]
    pub fn is_iter(&self) -> bool {
        [KfuncFlag::IterNew, KfuncFlag::IterNext, KfuncFlag::IterDestroy]
            .into_iter()
            .any(|flag| self.has(flag))
    }

    /// Whether it may move the packet.
    #[must_use]
    pub fn changes_packet(&self) -> bool {
        self.decl.special == Some(KfuncSpecial::ChangesPacket)
    }
}

impl<'a> Cx<'a> {
    /// The kernel function that a call names, if this program may call it.
    ///
    /// # Errors
    /// It may not, or there is none.
    pub fn kfunc(&self, target: i32) -> Result<Kfunc<'a>, Reason> {
        let index = target.cast_unsigned();
        let symbol = self.program.externs.get(index as usize);
        let symbol = symbol.ok_or(Reason::Unsupported("kernel functions by number"))?;
        let ExternKind::Kfunc { target, .. } = symbol.kind else {
            return Err(Reason::Unsupported("calls of kernel variables"));
        };
        let btf = self.program.target_btf.as_deref();
        let btf = btf.ok_or(Reason::Unsupported("kernel functions without the kernel's types"))?;
        let Some(id) = target else {
            let missing = HelperName { name: None, id: MISSING_KFUNC.wrapping_add(index) };
            return Err(if symbol.weak {
                CallReason::UnknownHelper(missing).into()
            } else {
                KfuncReason::Missing(symbol.name.clone()).into()
            });
        };
        let refused = || KfuncReason::NotAllowed(symbol.name.clone()).into();
        let Some(decl) = self.platform.kfunc(&symbol.name) else {
            let callable = btf.decl_tags(id, None).any(|tag| tag == TAG);
            return Err(if callable {
                Reason::Unsupported("this kernel function")
            } else {
                refused()
            });
        };
        let attach_type = self.program.section.attach_type;
        if !self.options.kernel.has(decl.since) || !decl.admits(self.program.prog_type, attach_type)
        {
            return Err(refused());
        }
        Ok(Kfunc { btf, id, decl })
    }
}

/// Checks what must hold of calls of kernel functions whether they are reached or not.
///
/// # Errors
/// The first that does not.
pub fn check(program: &Program, platform: &dyn Platform) -> Result<(), Rejection> {
    // The kernel looks at the slots before it asks whether they are instructions.
    const CALL: u8 = 0x85;
    const KFUNC: u8 = 2;
    let mut called = BTreeSet::new();
    let calls = (0..).zip(&program.slots).filter(|(_, s)| s.opcode == CALL && s.src == KFUNC);
    for (pc, slot) in calls {
        let (btf_id, btf_off) = (slot.imm, slot.off);
        let refused = |reason| Err(Rejection::at(Pc(pc), reason));
        let symbol = program.externs.get(btf_id.cast_unsigned() as usize);
        let Some(symbol) = symbol.filter(|s| has_target(s.kind)) else { continue };
        if !program.is_gpl_compatible() {
            return refused(KfuncReason::Gpl);
        }
        if btf_off != 0 {
            return refused(KfuncReason::NoModule { negative: btf_off < 0 });
        }
        let decl = platform.kfunc(&symbol.name);
        if decl.is_some_and(|d| d.special == Some(KfuncSpecial::DeviceBound)) {
            return refused(KfuncReason::DeviceBound);
        }
        if called.len() == MAX_KFUNCS && !called.contains(&btf_id) {
            return refused(KfuncReason::TooMany);
        }
        called.insert(btf_id);
    }
    Ok(())
}

const fn has_target(kind: ExternKind) -> bool {
    matches!(kind, ExternKind::Kfunc { target: Some(_), .. })
}
