//! Kernel objects as arguments: is what is passed of the struct that the prototype names.

use super::super::Step;
use super::args::stripped;
use super::kind::{is_projection, named};
use crate::kfunc::Kfunc;
use crate::reason::{KfuncReason, R, Reason};
use crate::state::{Hold, PtrTo, Reg, Space, Trust};
use crate::typed::walk;
use ubpf_abi::btf::{Btf, BtfId, Kind};
use ubpf_abi::helper::SockKind;
use ubpf_abi::kfunc::KfuncFlag;
use ubpf_isa::Reg as Name;

/// What sets a struct apart from another that is laid out like it, so that none stands for the
/// other.
const NO_ALIAS: &str = "___init";

impl Step<'_> {
    /// A kernel object, or what stands for one, where the prototype names the struct `wanted`.
    pub(super) fn kernel_object(
        &self,
        kfunc: &Kfunc<'_>,
        index: usize,
        value: &Reg,
        reg: Name,
        wanted: BtfId,
    ) -> Result<(), Reason> {
        let btf = kfunc.btf;
        let Reg::Pointer(p) = value else {
            return Err(Reason::Unsupported("numbers as kernel objects"));
        };
        let given = match p.to {
            PtrTo::Btf { id, trust, space } => {
                let safe = trust == Trust::Rcu
                    || !p.nullable
                        && matches!(trust, Trust::Trusted | Trust::Plain)
                        && space == Space::Kernel;
                if !safe {
                    let (given, expected) = (self.given(reg), stripped(value));
                    return Err(KfuncReason::NotObject { index, given, expected }.into());
                }
                id
            }
            PtrTo::Own { id, hold } => {
                if p.nullable || !matches!(hold, Hold::Owned | Hold::Shared | Hold::Rcu) {
                    let (given, expected) = (self.given(reg), stripped(value));
                    return Err(KfuncReason::NotObject { index, given, expected }.into());
                }
                let (wanted, given) = (named(btf, wanted), named(self.own_types()?, id));
                let (name, reg) = (kfunc.name(), R(reg));
                return Err(KfuncReason::WrongStruct { name, index, wanted, reg, given }.into());
            }
            PtrTo::Map(_) => self.kernel_struct("bpf_map")?,
            PtrTo::Sock(SockKind::Common) => self.kernel_struct("sock_common")?,
            PtrTo::Sock(SockKind::Full) => self.kernel_struct("sock")?,
            PtrTo::Sock(SockKind::Tcp) => self.kernel_struct("tcp_sock")?,
            _ => return Err(Reason::Unsupported("this kind of kernel object")),
        };
        let (wanted_name, given_name) = (btf.name_of(wanted), btf.name_of(given));
        let strict = kfunc.has(KfuncFlag::Release) && p.ref_id.is_some()
            || are_apart(wanted_name, given_name);
        let off = u32::try_from(p.off).unwrap_or(u32::MAX);
        let same = if strict {
            off == 0 && is_same(btf, given, wanted)
        } else {
            walk::is_or_begins_with(btf, given, off, wanted)
        };
        if same || is_projection(wanted_name, given_name) {
            return Ok(());
        }
        let (wanted, given) = (named(btf, wanted), named(btf, given));
        Err(KfuncReason::WrongStruct { name: kfunc.name(), index, wanted, reg: R(reg), given }
            .into())
    }
}

fn is_same(btf: &Btf, a: BtfId, b: BtfId) -> bool {
    a == b
        || btf.name_of(a) == btf.name_of(b)
            && btf.ty(a).map(|ty| ty.kind()) == btf.ty(b).map(|ty| ty.kind())
            && btf.ty(a).is_some_and(|ty| ty.kind() == Kind::Struct)
}

/// Whether two structs differ in nothing but that their objects must not be mixed up.
fn are_apart(a: &str, b: &str) -> bool {
    match (a.strip_suffix(NO_ALIAS), b.strip_suffix(NO_ALIAS)) {
        (Some(a), None) => a == b,
        (None, Some(b)) => a == b,
        _ => false,
    }
}
