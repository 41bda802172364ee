//! What a verification works on and never changes: the program, its host, the rules.

use crate::Options;
use crate::cfg::Cfg;
use crate::liveness::LiveRegs;
use crate::maps::Fields;
use crate::reason::Reason;
use crate::state::{MapRef, Pointer, PtrTo};
use crate::text::Text;
use crate::typed::Prototype;
use ubpf_abi::fields::Record;
use ubpf_abi::helper::{HelperId, SockKind};
use ubpf_abi::kfunc::KfuncFlag;
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapInit, MapOp, MapType};
use ubpf_abi::platform::Platform;
use ubpf_abi::prog_type::ProgTypeDecl;
use ubpf_abi::program::{Program, Subprog, SubprogId};
use ubpf_isa::{CallTarget, Insn, Pc};

/// The fixed part of a verification.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// The program.
    pub program: &'a Program,
    /// Its code, decoded.
    pub text: &'a Text,
    /// Its control-flow graph.
    pub cfg: &'a Cfg,
    /// Which registers matter where.
    pub live: &'a LiveRegs,
    /// The host it is meant for.
    pub platform: &'a dyn Platform,
    /// Its type.
    pub decl: &'a ProgTypeDecl,
    /// The rules.
    pub options: &'a Options,
    /// What it is attached to, where that gives its context its types.
    pub target: Option<&'a Prototype>,
    /// The function that handles exceptions, where the program has one.
    pub exception: Option<SubprogId>,
    /// Where its types have fields with rules of their own.
    pub fields: &'a Fields,
}

impl<'a> Cx<'a> {
    /// The definition of the map that a pointer belongs to.
    ///
    /// # Errors
    /// When the program has no such map.
    pub fn map_def(&self, map: MapRef) -> Result<&'a MapDef, Reason> {
        let outer = self.program.maps.get(map.map.index());
        let def = if map.inner { outer.and_then(|m| m.inner.as_deref()) } else { outer };
        def.ok_or(Reason::Unsupported("maps of maps without a template"))
    }

    /// What a pointer that a look-up gave points to once it is known not to be null: in maps of
    /// sockets, to a socket. Until then the kernel calls it a map's value.
    #[must_use]
    pub fn present(&self, to: PtrTo) -> PtrTo {
        let PtrTo::MapValue(map) = to else { return to };
        match self.map_def(map).map(|def| def.map_type) {
            Ok(Ok(MapType::Sockmap | MapType::Sockhash)) => PtrTo::Sock(SockKind::Full),
            Ok(Ok(MapType::Xskmap)) => PtrTo::Sock(SockKind::Xdp),
            _ => to,
        }
    }

    /// The fields of what a pointer points to.
    #[must_use]
    pub fn record_of(&self, p: &Pointer) -> Option<&'a Record> {
        match p.to {
            PtrTo::MapValue(map) => self.fields.of_map(map),
            PtrTo::Own { id, hold } if hold.is_allocated() => self.fields.of_struct(id),
            _ => None,
        }
    }

    /// A lock lies in what a pointer points to: it matters which one it is.
    #[must_use]
    pub fn has_lock(&self, p: &Pointer) -> bool {
        self.record_of(p).is_some_and(|record| record.lock().is_some())
    }

    /// The function that a subprogram is, where the program says more of it than its code.
    #[must_use]
    pub fn function(&self, id: SubprogId) -> Option<&'a Subprog> {
        let (start, _) = self.text.extent(id);
        self.program.subprogs.iter().find(|s| s.start == start)
    }

    /// The name of a subprogram that is verified on its own.
    #[must_use]
    pub fn global(&self, id: SubprogId) -> Option<&'a str> {
        let known = self.has_func_info() && id.0 != 0;
        self.function(id).filter(|f| known && f.global).map(|f| f.name.as_str())
    }

    /// The program says which functions it has, and of which types.
    #[must_use]
    pub fn has_func_info(&self) -> bool {
        self.program.subprogs.iter().any(|s| s.btf_func.is_some())
    }

    /// Whether a subprogram, or one that it calls, may move the packet.
    #[must_use]
    pub fn changes_packet(&self, id: SubprogId) -> bool {
        self.reaches(id, |call| match call {
            CallTarget::Helper(helper) => {
                let helper = self.platform.helper(HelperId(helper));
                helper.is_some_and(|h| h.changes_packet || h.map_op == Some(MapOp::TailCall))
            }
            CallTarget::Kfunc { btf_id, .. } => {
                self.kfunc(btf_id).is_ok_and(|kfunc| kfunc.changes_packet())
            }
            CallTarget::Subprog(_) => false,
        })
    }

    /// Whether a subprogram, or one that it calls, may sleep.
    #[must_use]
    pub fn might_sleep(&self, id: SubprogId) -> bool {
        self.reaches(id, |call| match call {
            CallTarget::Helper(helper) => {
                self.platform.helper(HelperId(helper)).is_some_and(|h| h.might_sleep)
            }
            CallTarget::Kfunc { btf_id, .. } => {
                self.kfunc(btf_id).is_ok_and(|kfunc| kfunc.has(KfuncFlag::Sleepable))
            }
            CallTarget::Subprog(_) => false,
        })
    }

    /// Whether a subprogram, or one that it calls, has a call that is wanted.
    fn reaches(&self, id: SubprogId, wanted: impl Fn(CallTarget) -> bool) -> bool {
        let mut seen = vec![false; self.text.subprogs()];
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            match seen.get_mut(id.0 as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let (start, end) = self.text.extent(id);
            for pc in (start.0..end.0).map(Pc) {
                let Some(insn) = self.text.insn(pc) else { continue };
                if let Insn::Call(target) = insn
                    && wanted(target)
                {
                    return true;
                }
                let callee = insn.subprog().and_then(|off| pc.target(off));
                todo.extend(callee.and_then(|at| self.text.subprog_starting(at)));
            }
        }
        false
    }

    /// Whether nobody can change a map's value any more.
    #[must_use]
    pub fn is_frozen(&self, map: MapRef) -> bool {
        let init = self.map_def(map).map(|def| &def.init);
        matches!(
            init,
            Ok(MapInit::Data { section: DataSection::Rodata | DataSection::Kconfig, .. })
        )
    }

    /// `size` bytes at `off` in the value of a map that nobody can change any more: a constant.
    #[must_use]
    pub fn frozen_value(&self, map: MapRef, off: i64, size: u32) -> Option<u64> {
        let def = self.map_def(map).ok().filter(|d| d.flags.has(MapFlags::RDONLY_PROG))?;
        let MapInit::Data { section: DataSection::Rodata | DataSection::Kconfig, bytes } =
            &def.init
        else {
            return None;
        };
        let start = usize::try_from(off).ok()?;
        let bytes = bytes.get(start..start.checked_add(size as usize)?)?;
        let mut value = [0; 8];
        value.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(value))
    }
}
