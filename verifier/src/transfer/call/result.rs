//! What `r0` holds after a helper call.

use super::super::Step;
use super::helper::Passed;
use crate::domain::Scalar;
use crate::reason::Reason;
use crate::state::{
    Acquired, Hold, MapRef, MemKind, Number, Pointer, PtrId, PtrTo, Reg, Resource, Space, Trust,
};
use ubpf_abi::btf::BtfId;
use ubpf_abi::fields::{KptrKind, KptrTo};
use ubpf_abi::helper::{HelperDecl, RetKind};
use ubpf_abi::map::{MapOp, MapType};

/// Helpers whose result is at most the size that they were given, and an error number at least.
const BOUNDED_BY_SIZE: [&str; 5] = [
    "get_stack",
    "get_task_stack",
    "probe_read_str",
    "probe_read_kernel_str",
    "probe_read_user_str",
];

/// Helpers whose result is their argument, seen as a socket of another kind: one reference.
const CASTS: [&str; 8] = [
    "sk_fullsock",
    "tcp_sock",
    "skc_to_tcp6_sock",
    "skc_to_tcp_sock",
    "skc_to_tcp_timewait_sock",
    "skc_to_tcp_request_sock",
    "skc_to_udp6_sock",
    "skc_to_mptcp_sock",
];

/// Helpers whose kernel object can be trusted; others are from before trust was told apart.
const TRUSTED: &[&str] = &["get_current_task_btf"];

/// Error numbers are not below its negative.
const MAX_ERRNO: i32 = 4095;

impl Step<'_> {
    pub(super) fn result(&mut self, decl: &HelperDecl, passed: &Passed) -> Result<Reg, Reason> {
        let to = match decl.ret.kind {
            RetKind::Void => return Ok(Reg::Uninit),
            RetKind::Scalar => return Ok(self.returned_number(decl, passed)),
            RetKind::MapValue => {
                let map = passed.map.ok_or(Reason::Unsupported("values without a map"))?;
                let outer = self.cx.map_def(map)?;
                match outer.map_type {
                    Ok(t) if t.is_map_in_map() => {
                        PtrTo::Map(MapRef { map: map.map, inner: true, uid: 0 })
                    }
                    _ => PtrTo::MapValue(map),
                }
            }
            RetKind::AllocMem => {
                let size = passed.alloc_size.ok_or(Reason::Unsupported("memory without a size"))?;
                PtrTo::Mem { size, kind: MemKind::Ringbuf }
            }
            RetKind::Sock(kind) => PtrTo::Sock(kind),
            RetKind::BtfPtr(name) if TRUSTED.contains(&decl.name) => {
                return self.named_object(name);
            }
            RetKind::BtfPtr(name) => {
                let (trust, space) = (Trust::Plain, Space::Kernel);
                PtrTo::Btf { id: self.kernel_struct(name)?, trust, space }
            }
            RetKind::DynptrSlice => {
                let (Some(dynptr), Some(size)) = (passed.dynptr, passed.alloc_size) else {
                    return Err(Reason::Unsupported("slices without a dynptr"));
                };
                let p = Self::dynptr_memory(dynptr, size);
                return Ok(Reg::Pointer(p.or_null(self.ids.pointer())));
            }
            RetKind::Kptr => {
                let kptr = passed.kptr.ok_or(Reason::Unsupported("kptrs without a field"))?;
                match (kptr.to, kptr.kind) {
                    (KptrTo::Kernel(id), _) => {
                        PtrTo::Btf { id, trust: Trust::Plain, space: Space::Kernel }
                    }
                    (KptrTo::Own(id), KptrKind::Percpu) => {
                        PtrTo::Own { id, hold: Hold::PercpuOwned }
                    }
                    (KptrTo::Own(id), _) => PtrTo::Own { id, hold: Hold::Owned },
                }
            }
            RetKind::MemOrBtfPtr => match passed.percpu {
                // What a kptr owns on each CPU exists on all of them.
                Some(PtrTo::Own { id, hold: Hold::PercpuRcu }) => {
                    let p = Pointer::new(PtrTo::Own { id, hold: Hold::Rcu });
                    return Ok(Reg::Pointer(p));
                }
                Some(PtrTo::Btf { id, trust, .. }) => self.on_one_cpu(id, trust)?,
                _ => return Err(Reason::Unsupported("memory of each CPU of this kind")),
            },
            _ => return Err(Reason::Unsupported("this kind of helper result")),
        };
        let mut p = Pointer::new(to);
        let acquires = decl.ret.acquire || self.takes_socket_from_map(decl, passed);
        let acquired = acquires.then(|| self.ids.reference());
        if decl.ret.nullable && !self.surely_there(decl, passed) {
            p = p.or_null(self.ids.pointer());
        } else {
            p.to = self.cx.present(p.to);
            if self.cx.has_lock(&p) {
                p.id = Some(self.ids.pointer());
            }
        }
        // The look-up tells the inner maps apart.
        if let (PtrTo::Map(map), Some(id)) = (&mut p.to, p.id) {
            map.uid = id.0;
        }
        if CASTS.contains(&decl.name) {
            p.ref_id = passed.reference;
        } else if let Some(id) = acquired {
            self.state.refs.push(Acquired { id, at: self.pc, what: Resource::Reference });
            p.ref_id = Some(id);
            // What tells the reference's own pointer from others that carry it: null ends it.
            p.id = Some(PtrId(id.0));
        }
        Ok(Reg::Pointer(p))
    }

    fn returned_number(&self, decl: &HelperDecl, passed: &Passed) -> Reg {
        let value = if BOUNDED_BY_SIZE.contains(&decl.name) {
            let max = passed.size_max.and_then(|v| i32::try_from(v).ok()).unwrap_or(i32::MAX);
            Scalar::signed_half(-MAX_ERRNO, max)
        } else if decl.name == "get_smp_processor_id" {
            Scalar::unsigned(0, u64::from(self.cx.options.cpus.get() - 1))
        } else {
            Scalar::UNKNOWN
        };
        Reg::Number(Number::new(value))
    }

    /// One CPU's part of a kernel variable, or of an object that a kptr owns.
    fn on_one_cpu(&self, id: BtfId, trust: Trust) -> Result<PtrTo, Reason> {
        let types = self.kernel_types()?;
        if types.ty(id).is_some_and(|ty| ty.def.composite().is_some()) {
            return Ok(PtrTo::Btf { id, trust, space: Space::Kernel });
        }
        let size = types.size_of(id).map_err(|_| Reason::Unsupported("broken kernel types"))?;
        Ok(PtrTo::Mem { size, kind: MemKind::ReadOnly })
    }

    /// Sockets in maps may be closed at any time, so looking one up takes a reference.
    fn takes_socket_from_map(&self, decl: &HelperDecl, passed: &Passed) -> bool {
        let map_type = passed.map.and_then(|map| self.cx.map_def(map).ok()).map(|def| def.map_type);
        decl.ret.kind == RetKind::MapValue
            && matches!(map_type, Some(Ok(MapType::Sockmap | MapType::Sockhash)))
    }

    /// Elements of arrays exist, whatever their value.
    fn surely_there(&self, decl: &HelperDecl, passed: &Passed) -> bool {
        let (Some(MapOp::Lookup), Some(key), Some(map)) = (decl.map_op, passed.key, passed.map)
        else {
            return false;
        };
        self.cx.map_def(map).is_ok_and(|def| key < def.max_entries.into())
    }
}
