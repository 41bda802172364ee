//! Arenas: memory that a program shares with user space, at addresses of both.

use super::Step;
use crate::reason::{MemoryReason, Reason};
use crate::state::{Pointer, PtrTo, Reg};
use ubpf_abi::map::{MapId, MapType};
use ubpf_isa::{AddrSpaceCast, Imm64, Insn, Reg as Name};

impl Step<'_> {
    /// `dst = addr_space_cast(src)`.
    pub(super) fn cast_space(
        &mut self,
        cast: AddrSpaceCast,
        dst: Name,
        src: Name,
    ) -> Result<(), Reason> {
        if !self.has_arena() {
            return Err(MemoryReason::NoArena.into());
        }
        self.read(src)?;
        let value = match cast {
            AddrSpaceCast::ToKernel => Reg::Pointer(Pointer::new(PtrTo::Arena)),
            AddrSpaceCast::ToUser => Reg::UNKNOWN,
        };
        self.set(dst, value)
    }

    /// The program refers to an arena somewhere.
    fn has_arena(&self) -> bool {
        self.cx.text.insns().any(|(_, insn)| match insn {
            Insn::LdImm64 { imm: Imm64::MapFd(fd) | Imm64::MapValue { fd, .. }, .. } => {
                self.is_arena(fd)
            }
            _ => false,
        })
    }

    /// Whether the map that a wide load names is an arena.
    pub(super) fn is_arena(&self, fd: i32) -> bool {
        let id = u32::try_from(fd).ok().map(MapId);
        let def = id.and_then(|id| self.cx.program.maps.get(id.index()));
        def.is_some_and(|def| def.map_type == Ok(MapType::Arena))
    }
}
