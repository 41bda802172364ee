//! Memory handed to a helper: does it have the bytes that the helper reads or writes.

use super::super::Step;
use super::super::field::Via;
use super::super::mem::Place;
use super::super::typed::Object;
use super::helper::Passed;
use crate::Privilege;
use crate::reason::{CallReason, MemoryReason, ObjectReason, R, Reason};
use crate::state::stack::{Byte, FillError, Span};
use crate::state::{Pointer, PtrTo, Reg};
use ubpf_abi::Access;
use ubpf_abi::helper::MemAccess;
use ubpf_abi::map::MapFlags;

impl Step<'_> {
    /// Judges the memory at `at.base`, from its pointer on, of `at.size` bytes.
    pub(super) fn memory_argument(
        &mut self,
        at: Place,
        access: MemAccess,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let value = self.frame().regs[at.base.index()];
        let Reg::Pointer(p) = value else {
            return if at.size == 0 && value.is_zero() {
                Ok(())
            } else {
                Err(self.wrong_type(at.base, "fp"))
            };
        };
        let writes = access != MemAccess::Read;
        let read_only =
            || Reason::from(MemoryReason::ReadOnly { reg: R(at.base), to: p.type_name() });
        match p.to {
            PtrTo::Stack(depth) => self.stack_argument(&p, depth, at, access, passed),
            PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) => self.check_packet(&p, at, extent),
            PtrTo::MapValue(map) => {
                let def = self.cx.map_def(map)?;
                let (size, flags) = (def.value_size, def.flags);
                if writes && flags.has(MapFlags::RDONLY_PROG) {
                    return Err(self.map_forbids("write into", size, &p, at));
                }
                if !writes && flags.has(MapFlags::WRONLY_PROG) {
                    return Err(self.map_forbids("read from", size, &p, at));
                }
                self.check_region(&p, at, size)?;
                self.check_fields(&p, at, Via::Helper)
            }
            PtrTo::MapKey(_) if writes => Err(read_only()),
            PtrTo::MapKey(map) => {
                let size = self.cx.map_def(map)?.key_size;
                self.check_region(&p, at, size)
            }
            PtrTo::Mem { kind, .. } if writes && kind.is_read_only() => Err(read_only()),
            PtrTo::Mem { size, .. } => self.check_region(&p, at, size),
            PtrTo::Btf { id, trust, space } if !writes => {
                self.load_object(&p, Object { id, trust, space }, at).map(drop)
            }
            PtrTo::Own { id, hold } => {
                let access = if writes { Access::Write } else { Access::Read };
                self.access_own(&p, (id, hold), at, access).map(drop)
            }
            PtrTo::Buf { .. } | PtrTo::Btf { .. } => {
                Err(Reason::Unsupported("this kind of memory argument"))
            }
            PtrTo::Ctx
            | PtrTo::Map(_)
            | PtrTo::PacketEnd
            | PtrTo::FlowKeys
            | PtrTo::Sock(_)
            | PtrTo::Dynptr(_)
            | PtrTo::TpBuffer
            | PtrTo::Arena
            | PtrTo::Func(_) => Err(self.wrong_type(at.base, "fp")),
        }
    }

    fn stack_argument(
        &mut self,
        p: &Pointer,
        depth: u8,
        at: Place,
        access: MemAccess,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let direction = if access == MemAccess::Read { Access::Read } else { Access::Write };
        let (low, high) = self.stack_bounds(p, at, direction)?;
        let whole = Span { off: low.off, len: (high.off - low.off) as u32 + at.size };
        if whole.len == 0 {
            return Ok(());
        }
        self.touch_stack(depth, whole);
        if low == high && access == MemAccess::WriteUninit {
            let in_way = self.frame_at(depth).stack.objects_in(whole);
            let dynptrs = in_way.filter(|(_, object)| object.dynptr().is_some());
            if let Some(off) = dynptrs.map(|(off, _)| off.max(whole.off)).min() {
                return Err(ObjectReason::MayWriteDynptr(off).into());
            }
            passed.filled = Some((depth, whole));
            return Ok(());
        }
        self.reads_stack(depth, whole);
        let uninit_ok = self.cx.options.privilege == Privilege::Privileged;
        let readable = self.frame_at(depth).stack.readable(whole, uninit_ok);
        if let Err(FillError::Invalid { n }) = readable {
            let (reg, size) = (R(at.base), at.size);
            return Err(if low == high {
                CallReason::UninitStackArgument { reg, off: low.off.into(), n, size }.into()
            } else {
                CallReason::UninitStackRange { reg, var: p.var.bits, n, size }.into()
            });
        }
        if access != MemAccess::Read {
            self.frame_at_mut(depth).stack.write(whole, Byte::Misc);
        }
        Ok(())
    }
}
