//! What can be said of the maps that a program refers to, before any path is walked.

use crate::cx::Cx;
use crate::reason::{Reason, Rejection};
use ubpf_abi::btf::{Btf, BtfId, Def, MAX_DEPTH, Type};
use ubpf_abi::map::{MapDef, MapId};
use ubpf_isa::{Imm64, Insn};

/// Structs in map values that programs touch through helpers and kernel functions only.
const SPECIAL: [&str; 10] = [
    "bpf_spin_lock",
    "bpf_res_spin_lock",
    "bpf_timer",
    "bpf_wq",
    "bpf_task_work",
    "bpf_list_head",
    "bpf_list_node",
    "bpf_rb_root",
    "bpf_rb_node",
    "bpf_refcount",
];

/// Tags of pointers in map values that hold kernel or user objects.
const SPECIAL_TAGS: [&str; 4] = ["kptr", "kptr_untrusted", "percpu_kptr", "uptr"];

/// Checks the maps.
///
/// # Errors
/// A map whose values hold parts with rules of their own, which are not modelled: such a part
/// must not be read or written like other bytes.
pub fn check(cx: &Cx<'_>) -> Result<(), Rejection> {
    for (pc, insn) in cx.text.insns() {
        let Insn::LdImm64 { imm: Imm64::MapFd(fd) | Imm64::MapValue { fd, .. }, .. } = insn else {
            continue;
        };
        let Ok(id) = u32::try_from(fd).map(MapId) else { continue };
        let def = cx.program.maps.get(id.index());
        let inner = def.and_then(|d| d.inner.as_deref());
        if [def, inner].into_iter().flatten().any(|def| is_special(cx, def)) {
            let reason = Reason::Unsupported("maps whose values hold locks, timers or kptrs");
            return Err(Rejection::at(pc, reason));
        }
    }
    Ok(())
}

fn is_special(cx: &Cx<'_>, def: &MapDef) -> bool {
    match (cx.program.btf.as_deref(), def.value_type) {
        (Some(btf), Some(ty)) => holds_special(btf, ty, 0),
        _ => false,
    }
}

/// Whether a type is, or has a part that is, special. What lies deeper than types may nest is
/// taken to be.
fn holds_special(btf: &Btf, id: BtfId, depth: u32) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    let Ok((id, Type { def, .. })) = btf.resolve(id) else { return false };
    match *def {
        Def::Struct(_) if SPECIAL.contains(&btf.name_of(id)) => true,
        Def::Struct(_) | Def::Union(_) => {
            btf.members(id).iter().any(|m| holds_special(btf, m.ty, depth + 1))
        }
        Def::Datasec(_) => btf.vars(id).iter().any(|v| holds_special(btf, v.ty, depth + 1)),
        Def::Var(var) => holds_special(btf, var.ty, depth + 1),
        Def::Array(array) => holds_special(btf, array.elem, depth + 1),
        Def::Ptr(to) => matches!(
            btf.ty(to),
            Some(Type { def: Def::TypeTag { .. }, name }) if SPECIAL_TAGS.contains(&btf.name(*name))
        ),
        _ => false,
    }
}
