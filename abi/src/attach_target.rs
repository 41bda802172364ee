//! What a program is attached to, in the kernel's BTF: the section's name says it by name, the
//! kernel takes it by number.

use crate::btf::{Btf, BtfId, Def, Kind};
use crate::prog_type::{AttachType, ProgType};
use crate::program::Program;
use alloc::format;

/// A place in the kernel that programs are attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachTarget {
    /// What `BPF_PROG_LOAD` takes as `attach_btf_id`.
    pub id: BtfId,
    /// Prototype of the function there.
    pub proto: BtfId,
}

impl Program {
    /// The typed tracepoint, function, iterator or security hook that the program is for; `None`
    /// for programs of other types, and where the target BTF has nothing of the name.
    #[must_use]
    pub fn attach_target(&self) -> Option<AttachTarget> {
        if !matches!(self.prog_type, ProgType::Tracing | ProgType::Lsm) {
            return None;
        }
        let btf = self.target_btf.as_deref()?;
        let name = self.section.target.as_deref()?;
        match self.section.attach_type {
            AttachType::TRACE_RAW_TP => tracepoint(btf, name),
            AttachType::TRACE_ITER => function(btf, &format!("bpf_iter_{name}")),
            AttachType::LSM_MAC | AttachType::LSM_CGROUP => {
                function(btf, &format!("bpf_lsm_{name}"))
            }
            _ => function(btf, name),
        }
    }

    /// The type that the kernel takes as `attach_btf_id`: the attach target's, or the struct whose
    /// operation the program is.
    #[must_use]
    pub fn attach_btf_id(&self) -> Option<BtfId> {
        match self.prog_type {
            ProgType::StructOps => self.section.struct_ops.as_ref()?.target,
            _ => self.attach_target().map(|target| target.id),
        }
    }
}

fn function(btf: &Btf, name: &str) -> Option<AttachTarget> {
    let id = btf.find(Kind::Func, name)?;
    Some(AttachTarget { id, proto: btf.func_proto(id)?.0 })
}

/// A tracepoint's prototype is that of a pointer to its handler.
fn tracepoint(btf: &Btf, name: &str) -> Option<AttachTarget> {
    let id = btf.find(Kind::Typedef, &format!("btf_trace_{name}"))?;
    let Def::Typedef(pointer) = btf.ty(id)?.def else { return None };
    let Def::Ptr(proto) = btf.ty(pointer)?.def else { return None };
    matches!(btf.ty(proto)?.def, Def::FuncProto(_)).then_some(AttachTarget { id, proto })
}
