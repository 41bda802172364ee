//! Loads and stores: which memory an address means, whether the access stays inside, and what
//! comes out.

use super::field::Via;
use super::typed::Object;
use super::{Step, tie_to_copy};
use crate::Privilege;
use crate::domain::Tnum;
use crate::facts;
use crate::reason::{CallReason, Direction, MemoryReason, NotMemory, R, Reason, Region, Var};
use crate::state::reg::Extent;
use crate::state::stack::{Byte, Fill, FillError, SLOT_BYTES, Span};
use crate::state::{MemKind, Number, Pointer, PtrTo, Reg, Slot};
use ubpf_abi::ctx::{CtxField, CtxFieldKind};
use ubpf_abi::helper::SockKind;
use ubpf_abi::map::MapFlags;
use ubpf_abi::prog_type::PacketAccess;
use ubpf_abi::{Access, Errno};
use ubpf_isa::{Operand, Reg as Name, RegSet, SignExtend, Size, Width};

/// Offsets at which an access is without useful bound, and the kernel gives up.
const UNBOUNDED: u64 = 1 << 29;

/// A memory operand.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub base: Name,
    pub off: i32,
    pub size: u32,
}

impl Step<'_> {
    /// `dst = *(size *)(base + off)`.
    pub(super) fn load(
        &mut self,
        size: Size,
        signed: bool,
        dst: Name,
        base: Name,
        off: i16,
    ) -> Result<(), Reason> {
        let at = Place { base, off: off.into(), size: size.bytes() };
        self.read(base)?;
        self.check_writable(dst)?;
        let p = self.memory(at)?;
        let loaded = self.loaded(&p, at)?;
        self.found.pointers.used(self.pc, &p, Access::Read)?;
        if signed && p.to == PtrTo::Ctx && loaded.pointer().is_some() {
            return Err(MemoryReason::Ctx { off: at.off.into(), size: at.size }.into());
        }
        self.set(dst, self.widened(loaded, size, signed))
    }

    /// What a load of `size` bytes leaves in the register.
    pub(super) fn widened(&self, loaded: Reg, size: Size, signed: bool) -> Reg {
        match loaded {
            Reg::Number(n) if size != Size::Dw => {
                let value = if signed {
                    n.value.sign_extend(sign_extension(size), Width::W64)
                } else {
                    n.value.truncate(size.bytes() * 8)
                };
                Reg::Number(Number { value, ..n })
            }
            other => other,
        }
    }

    /// A legacy packet load, which ends the program where the packet is too short.
    pub(super) fn legacy_load(&mut self, src: Option<Name>) -> Result<(), Reason> {
        if !self.cx.decl.legacy_loads {
            return Err(MemoryReason::LegacyLoad.into());
        }
        let ctx = self.read(Name::R6)?;
        self.check_held(Region::LegacyLoad)?;
        let Reg::Pointer(p @ Pointer { to: PtrTo::Ctx, nullable: false, .. }) = ctx else {
            return Err(MemoryReason::LegacyCtx.into());
        };
        if let Some(src) = src {
            self.read(src)?;
        }
        self.check_unmodified(&p, Name::R6)?;
        let frame = self.state.frame_mut();
        for reg in Name::all().filter(|&r| RegSet::CALLER_SAVED.contains(r)) {
            frame.regs[reg.index()] = Reg::Uninit;
        }
        self.set(Name::R0, Reg::UNKNOWN)
    }

    /// `*(size *)(base + off) = src`.
    pub(super) fn store(
        &mut self,
        size: Size,
        base: Name,
        off: i16,
        src: Operand,
    ) -> Result<(), Reason> {
        if let Operand::Reg(src) = src {
            self.read(src)?;
        }
        let at = Place { base, off: off.into(), size: size.bytes() };
        let p = self.memory(at)?;
        self.stored(&p, at, Some(src))?;
        self.found.pointers.used(self.pc, &p, Access::Write)
    }

    /// The pointer in the address register, aligned as it must be.
    pub(super) fn memory(&mut self, at: Place) -> Result<Pointer, Reason> {
        let address = self.read(at.base)?;
        self.check_alignment(&address, at, false)?;
        match address {
            Reg::Pointer(p) => {
                let region = facts::region(&p, at.off, self.state.depth());
                self.found.seen.access(self.pc, region);
                Ok(p)
            }
            Reg::Number(_) | Reg::Uninit => {
                let to = NotMemory::Scalar;
                Err(MemoryReason::NotMemory { reg: R(at.base), to }.into())
            }
        }
    }

    /// x86-64 takes misaligned accesses everywhere but on the stack, whose slots are tracked, and
    /// in atomic operations. The kernel judges this before it asks what the address is of.
    pub(super) fn check_alignment(
        &self,
        address: &Reg,
        at: Place,
        strict: bool,
    ) -> Result<(), Reason> {
        let strict = strict || self.cx.options.strict_alignment;
        let (what, strict, off, var) = match address {
            Reg::Pointer(p) => {
                let (what, strict) = match p.to {
                    PtrTo::Packet(_) | PtrTo::PacketMeta(_) => {
                        return check_packet_alignment(p, at, strict);
                    }
                    PtrTo::Stack(_) => ("stack ", true),
                    PtrTo::MapValue(_) if !p.nullable => ("value ", strict),
                    PtrTo::FlowKeys => ("flow keys ", strict),
                    PtrTo::Ctx => ("context ", strict),
                    PtrTo::Sock(SockKind::Full) => ("sock ", strict),
                    PtrTo::Sock(SockKind::Common) => ("sock_common ", strict),
                    PtrTo::Sock(SockKind::Tcp) => ("tcp_sock ", strict),
                    PtrTo::Sock(SockKind::Xdp) => ("xdp_sock ", strict),
                    _ => ("", strict),
                };
                (what, strict, p.off, p.var.bits)
            }
            Reg::Number(n) => ("", strict, 0, n.value.bits),
            Reg::Uninit => return Ok(()),
        };
        let whole = i64::from(off) + i64::from(at.off);
        if !strict || (var + Tnum::constant(whole as u64)).is_aligned(at.size.into()) {
            return Ok(());
        }
        let var = Var(var);
        Err(MemoryReason::Misaligned { what, var, off, insn_off: at.off, size: at.size }.into())
    }

    pub(super) fn loaded(&mut self, p: &Pointer, at: Place) -> Result<Reg, Reason> {
        match p.to {
            _ if p.nullable => self.not_memory(p, at),
            PtrTo::Stack(depth) => self.load_stack(p, depth, at),
            PtrTo::Ctx => self.load_ctx(p, at),
            PtrTo::MapValue(map) => {
                let def = self.cx.map_def(map)?;
                let size = def.value_size;
                if def.flags.has(MapFlags::WRONLY_PROG) {
                    return Err(self.map_forbids("read from", size, p, at));
                }
                self.check_region(p, at, size)?;
                self.check_fields(p, at, Via::Insn)?;
                if let Some((_, kptr)) = self.kptr_at(p, at)? {
                    return self.load_kptr(&kptr);
                }
                let constant = p
                    .const_off()
                    .and_then(|off| self.cx.frozen_value(map, off + i64::from(at.off), at.size));
                Ok(constant.map_or(Reg::UNKNOWN, Reg::constant))
            }
            PtrTo::MapKey(map) => {
                let size = self.cx.map_def(map)?.key_size;
                self.check_region(p, at, size)?;
                Ok(Reg::UNKNOWN)
            }
            PtrTo::Mem { kind: MemKind::Untrusted, .. } => Ok(Reg::UNKNOWN),
            PtrTo::Mem { size, .. } => {
                self.check_region(p, at, size)?;
                Ok(Reg::UNKNOWN)
            }
            PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) => {
                self.check_packet(p, at, extent)?;
                Ok(Reg::UNKNOWN)
            }
            PtrTo::Map(map) => self.load_map(map, at),
            PtrTo::TpBuffer => self.check_sized_later(p, at, "tracepoint").map(|()| Reg::UNKNOWN),
            PtrTo::Arena => Ok(Reg::UNKNOWN),
            PtrTo::PacketEnd | PtrTo::Func(_) | PtrTo::Dynptr(_) => self.not_memory(p, at),
            PtrTo::Sock(kind) => self.check_sock(p, at, kind).map(|()| Reg::UNKNOWN),
            PtrTo::FlowKeys => check_flow_keys(p, at).map(|()| Reg::UNKNOWN),
            PtrTo::Buf { read_only } => {
                self.check_buffer(p, at, Access::Read, read_only)?;
                Ok(Reg::UNKNOWN)
            }
            PtrTo::Own { id, hold } => self.access_own(p, (id, hold), at, Access::Read),
            PtrTo::Btf { id, trust, space } => self.load_object(p, Object { id, trust, space }, at),
        }
    }

    /// A store of the operand, or of a number that nothing is known of.
    pub(super) fn stored(
        &mut self,
        p: &Pointer,
        at: Place,
        src: Option<Operand>,
    ) -> Result<(), Reason> {
        let leak = |step: &Self, into| step.check_leak(src, into);
        match p.to {
            _ if p.nullable => self.not_memory(p, at).map(drop),
            PtrTo::Stack(depth) => self.store_stack(p, depth, at, src),
            PtrTo::Ctx => {
                leak(self, "ctx")?;
                self.store_ctx(p, at)
            }
            PtrTo::MapValue(map) => {
                leak(self, "map")?;
                let def = self.cx.map_def(map)?;
                let size = def.value_size;
                if def.flags.has(MapFlags::RDONLY_PROG) {
                    return Err(self.map_forbids("write into", size, p, at));
                }
                self.check_region(p, at, size)?;
                self.check_fields(p, at, Via::Insn)?;
                match self.kptr_at(p, at)? {
                    Some((off, kptr)) => self.store_kptr(off, &kptr, src),
                    None => Ok(()),
                }
            }
            PtrTo::MapKey(_) => Err(MemoryReason::KeyWrite(R(at.base)).into()),
            PtrTo::Mem { kind, .. } if kind.is_read_only() => {
                let to = p.type_name();
                Err(MemoryReason::ReadOnly { reg: R(at.base), to }.into())
            }
            PtrTo::Mem { size, .. } => {
                leak(self, "mem")?;
                self.check_region(p, at, size)
            }
            PtrTo::Packet(extent) | PtrTo::PacketMeta(extent) => {
                if self.cx.decl.packet != PacketAccess::ReadWrite {
                    return Err(MemoryReason::PacketWrite.into());
                }
                leak(self, "packet")?;
                self.check_packet(p, at, extent)
            }
            PtrTo::Sock(_) => {
                let to = p.type_name();
                Err(MemoryReason::ReadOnly { reg: R(at.base), to }.into())
            }
            PtrTo::Map(map) => self.store_map(map, at),
            PtrTo::TpBuffer => self.check_sized_later(p, at, "tracepoint"),
            PtrTo::Arena => Ok(()),
            PtrTo::PacketEnd | PtrTo::Func(_) | PtrTo::Dynptr(_) => {
                self.not_memory(p, at).map(drop)
            }
            PtrTo::FlowKeys => {
                leak(self, "flow keys")?;
                check_flow_keys(p, at)
            }
            PtrTo::Buf { read_only } => self.check_buffer(p, at, Access::Write, read_only),
            PtrTo::Own { id, hold } => self.access_own(p, (id, hold), at, Access::Write).map(drop),
            PtrTo::Btf { id, trust, space } => {
                self.store_object(p, Object { id, trust, space }, at)
            }
        }
    }

    fn not_memory(&self, p: &Pointer, at: Place) -> Result<Reg, Reason> {
        let to = NotMemory::Pointer(p.type_name());
        Err(MemoryReason::NotMemory { reg: R(at.base), to }.into())
    }

    pub(super) fn map_forbids(
        &self,
        verb: &'static str,
        value_size: u32,
        p: &Pointer,
        at: Place,
    ) -> Reason {
        let off = i64::from(p.off) + i64::from(at.off);
        MemoryReason::MapForbids { verb, value_size, off, size: at.size }.into()
    }

    fn check_leak(&self, src: Option<Operand>, into: &'static str) -> Result<(), Reason> {
        let Some(Operand::Reg(src)) = src else { return Ok(()) };
        let pointer = self.frame().regs[src.index()].pointer().is_some();
        if pointer && self.cx.options.privilege == Privilege::Unprivileged {
            return Err(MemoryReason::Leak { reg: R(src), into }.into());
        }
        Ok(())
    }

    /// The access stays inside memory of `bytes` bytes, wherever the variable part may lead.
    pub(super) fn check_region(
        &mut self,
        p: &Pointer,
        at: Place,
        bytes: u32,
    ) -> Result<(), Reason> {
        let reg = R(at.base);
        let off = i64::from(p.off) + i64::from(at.off);
        let inside =
            |start: i64| start >= 0 && start.saturating_add(at.size.into()) <= bytes.into();
        let min = p.var.full.smin;
        let lowest = off.checked_add(min).filter(|&v| i32::try_from(v).is_ok());
        let Some(lowest) = lowest.filter(|&v| min >= 0 || v >= 0) else {
            return Err(MemoryReason::NegativeMin(reg).into());
        };
        if !inside(lowest) {
            return Err(MemoryReason::MinOutside(reg).into());
        }
        if p.var.full.umax >= UNBOUNDED {
            return Err(MemoryReason::Unbounded(reg).into());
        }
        if !inside(off + p.var.full.umax as i64) {
            return Err(MemoryReason::MaxOutside(reg).into());
        }
        Ok(())
    }

    pub(super) fn check_packet(
        &mut self,
        p: &Pointer,
        at: Place,
        extent: Extent,
    ) -> Result<(), Reason> {
        let off = i64::from(p.off) + i64::from(at.off);
        // The variable part is in the range already: only the constant part must fit.
        if p.var.full.smin < 0 {
            return Err(MemoryReason::NegativeMin(R(at.base)).into());
        }
        let exists = matches!(extent, Extent::Bytes(n) if off + i64::from(at.size) <= n.into());
        if off < 0 || !exists {
            return Err(MemoryReason::OutsidePacket(R(at.base)).into());
        }
        Ok(())
    }

    /// Pointers that must not have been moved.
    pub(super) fn check_unmodified(&self, p: &Pointer, base: Name) -> Result<(), Reason> {
        let (to, off, reg) = (p.type_name(), p.off, R(base));
        if off < 0 {
            Err(MemoryReason::NegativeOffset { reg, to, off }.into())
        } else if off > 0 {
            Err(MemoryReason::Modified { reg, to, off }.into())
        } else if p.var.as_const() != Some(0) {
            Err(MemoryReason::Variable { to, var: p.var.bits }.into())
        } else {
            Ok(())
        }
    }

    fn ctx_field(
        &self,
        p: &Pointer,
        at: Place,
        access: Access,
    ) -> Result<&'static CtxField, Reason> {
        self.check_unmodified(p, at.base)?;
        let layout = &self.cx.decl.ctx;
        let invalid = || Reason::from(MemoryReason::Ctx { off: at.off.into(), size: at.size });
        let off = u32::try_from(at.off).map_err(|_| invalid())?;
        if off % at.size != 0 || off.checked_add(at.size).is_none_or(|end| end > layout.size) {
            return Err(invalid());
        }
        let attach = self.cx.program.section.attach_type;
        let field = layout.field_for(off, attach).ok_or_else(invalid)?;
        let allowed = self.cx.options.kernel.has(field.since) && field.allows(access, off, at.size);
        allowed.then_some(field).ok_or_else(invalid)
    }

    fn load_ctx(&mut self, p: &Pointer, at: Place) -> Result<Reg, Reason> {
        if let Some(proto) = self.cx.target {
            return self.load_argument(p, at, proto);
        }
        let field = self.ctx_field(p, at, Access::Read)?;
        let to = match field.kind {
            CtxFieldKind::Scalar => return Ok(Reg::UNKNOWN),
            CtxFieldKind::PacketData => PtrTo::Packet(Extent::UNKNOWN),
            CtxFieldKind::PacketMeta => PtrTo::PacketMeta(Extent::UNKNOWN),
            CtxFieldKind::PacketEnd => PtrTo::PacketEnd,
            CtxFieldKind::FlowKeys => PtrTo::FlowKeys,
            CtxFieldKind::Sock => PtrTo::Sock(SockKind::Full),
            CtxFieldKind::FullSockOrNull => {
                let id = self.ids.pointer();
                return Ok(Reg::Pointer(Pointer::new(PtrTo::Sock(SockKind::Full)).or_null(id)));
            }
            CtxFieldKind::SockOrNull => {
                let id = self.ids.pointer();
                return Ok(Reg::Pointer(Pointer::new(PtrTo::Sock(SockKind::Common)).or_null(id)));
            }
            CtxFieldKind::Pointer(name) => return self.named_object(name),
            CtxFieldKind::TpBuffer => PtrTo::TpBuffer,
            _ => return Err(Reason::Unsupported("this kind of context field")),
        };
        Ok(Reg::Pointer(Pointer::new(to)))
    }

    fn store_ctx(&mut self, p: &Pointer, at: Place) -> Result<(), Reason> {
        self.ctx_field(p, at, Access::Write).map(drop)
    }

    /// Lowest and highest place where a stack access may begin, both on the stack.
    pub(super) fn stack_bounds(
        &mut self,
        p: &Pointer,
        at: Place,
        access: Access,
    ) -> Result<(Span, Span), Reason> {
        let (reg, direction, size) = (R(at.base), Direction(access), at.size);
        let off = i64::from(p.off) + i64::from(at.off);
        if let Some(var) = p.var.as_const() {
            let off = off.wrapping_add(var as i64);
            let outside = MemoryReason::OutsideStack { direction, reg, off, size };
            // Not even no bytes can be accessed at the frame pointer.
            let span = Span::checked(off, size).filter(|_| off < 0).ok_or(outside)?;
            return Ok((span, span));
        }
        let (min, max) = (p.var.full.smin, p.var.full.smax);
        if max >= UNBOUNDED as i64 || min <= -(UNBOUNDED as i64) {
            return Err(MemoryReason::UnboundedStack { direction, reg }.into());
        }
        let span = |start| Span::checked(start, size);
        match (span(off + min), span(off + max)) {
            (Some(low), Some(high)) => Ok((low, high)),
            _ => {
                let var = p.var.bits;
                // Begun on the stack, perhaps ended above it.
                let begins = Span::checked(off + min, 1).is_some();
                let errno = if begins { Errno::EINVAL } else { Errno::EACCES };
                Err(MemoryReason::MaybeOutsideStack { direction, reg, var, off, size, errno }
                    .into())
            }
        }
    }

    fn load_stack(&mut self, p: &Pointer, depth: u8, at: Place) -> Result<Reg, Reason> {
        let (low, high) = self.stack_bounds(p, at, Access::Read)?;
        let uninit_ok = self.cx.options.privilege == Privilege::Privileged;
        let whole = Span { off: low.off, len: (high.off - low.off) as u32 + at.size };
        self.touch_stack(depth, whole);
        self.reads_stack(depth, whole);
        if low != high {
            return self.load_somewhere(p, depth, at, whole);
        }
        if uninit_ok {
            self.tie_to_fill(depth, low);
        }
        let stack = &self.frame_at(depth).stack;
        let fill = if low == high {
            stack.read(whole, uninit_ok)
        } else {
            stack.read_somewhere(whole, uninit_ok)
        };
        let fill = fill.map_err(|error| match error {
            FillError::PartOfPointer => MemoryReason::FillSize,
            FillError::Invalid { n } => {
                MemoryReason::UninitStack { off: low.off.into(), n, size: at.size }
            }
        })?;
        let (slot, byte) = low.place(0);
        let spilled = stack.slot(low).is_some_and(|slot| slot.bytes[byte] == Byte::Spill);
        // Zeroes of a spilled zero are as good as the number.
        if matches!(fill, Fill::Spilled(_)) || fill == Fill::Zero && spilled {
            self.note_slot(depth, slot);
        }
        Ok(match fill {
            Fill::Zero => Reg::constant(0),
            Fill::Unknown => Reg::UNKNOWN,
            Fill::Spilled(Reg::Number(n)) => {
                // A narrower fill is another number.
                let bits = at.size * 8;
                let fits = bits == 64 || n.value.full.umax >> bits == 0;
                Reg::Number(Number { link: n.link.filter(|_| fits), ..n })
            }
            Fill::Spilled(other) => other,
        })
    }

    /// A load from some place in the span, which spilled registers in it do not get through.
    fn load_somewhere(&self, p: &Pointer, depth: u8, at: Place, span: Span) -> Result<Reg, Reason> {
        let uninit_ok = self.cx.options.privilege == Privilege::Privileged;
        let stack = &self.frame_at(depth).stack;
        if let Err(FillError::Invalid { n }) = stack.readable(span, uninit_ok) {
            let (reg, var, size) = (R(at.base), p.var.bits, at.size);
            return Err(CallReason::UninitStackRange { reg, var, n, size }.into());
        }
        Ok(if stack.is_zero(span) { Reg::constant(0) } else { Reg::UNKNOWN })
    }

    /// A number that is filled whole stays tied to its slot.
    fn tie_to_fill(&mut self, depth: u8, span: Span) {
        let filled = |slot: &Slot| {
            let whole = slot.spill_bytes() == span.len;
            let fits = |n: &Number| n.value.full.umax <= u32::MAX.into();
            slot.spilled_number().is_some_and(|n| match span.len {
                8 => whole,
                4 => whole && span.starts_slot() && fits(n),
                _ => false,
            })
        };
        if self.frame_at(depth).stack.slot(span).is_some_and(filled) {
            let slots = self.state.frame_at_mut(depth).stack.slots_mut();
            if let Some(slot) = slots.get_mut(span.place(0).0) {
                tie_to_copy(&mut slot.reg, self.ids);
            }
        }
    }

    fn store_stack(
        &mut self,
        p: &Pointer,
        depth: u8,
        at: Place,
        src: Option<Operand>,
    ) -> Result<(), Reason> {
        let (low, high) = self.stack_bounds(p, at, Access::Write)?;
        let privileged = self.cx.options.privilege == Privilege::Privileged;
        let whole = Span { off: low.off, len: (high.off - low.off) as u32 + at.size };
        self.touch_stack(depth, whole);
        self.overwrite_dynptrs(depth, whole)?;
        if low != high {
            let zero = self.operand_is_zero(src);
            let kept = self.frame_at_mut(depth).stack.write_somewhere(whole, zero);
            if let (Some(Operand::Reg(src)), true) = (src, kept) {
                self.demand(src);
            }
            return Ok(());
        }
        let aligned = low.starts_slot();
        if at.size == SLOT_BYTES {
            self.overwrites_stack(depth, whole);
        }
        let value = match src {
            Some(Operand::Imm(imm)) => Reg::constant(i64::from(imm) as u64),
            Some(Operand::Reg(src)) => self.frame().regs[src.index()],
            None => Reg::Uninit,
        };
        let old = self.frame_at(depth).stack.slot(low).copied().unwrap_or_default();
        if !privileged && old.spill_bytes() > 0 && old.reg.pointer().is_some() && at.size != 8 {
            return Err(MemoryReason::CorruptSpill.into());
        }
        match value {
            Reg::Pointer(_) if at.size != 8 => Err(MemoryReason::SpillSize.into()),
            Reg::Pointer(Pointer { to: PtrTo::Stack(_), .. })
                if usize::from(depth) + 1 != self.state.depth() =>
            {
                Err(MemoryReason::SpillToCaller.into())
            }
            Reg::Number(n) if aligned && privileged => {
                let fits = at.size == 8 || n.value.full.umax >> (at.size * 8) == 0;
                if let (Some(Operand::Reg(src)), true) = (src, fits) {
                    self.link(src);
                }
                let linked = match src {
                    Some(Operand::Reg(src)) => self.frame().regs[src.index()],
                    Some(Operand::Imm(_)) | None => value,
                };
                let spilled = match linked {
                    Reg::Number(n) => Reg::Number(Number { link: n.link.filter(|_| fits), ..n }),
                    other => other,
                };
                self.note_slot(depth, low.place(0).0);
                self.frame_at_mut(depth).stack.spill(low, spilled, privileged);
                Ok(())
            }
            Reg::Pointer(_) => {
                self.note_slot(depth, low.place(0).0);
                self.frame_at_mut(depth).stack.spill(low, value, privileged);
                Ok(())
            }
            Reg::Number(_) | Reg::Uninit => {
                let zero = self.operand_is_zero(src);
                if let (Some(Operand::Reg(src)), true) = (src, zero) {
                    self.demand(src);
                }
                let byte = if zero { Byte::Zero } else { Byte::Misc };
                self.frame_at_mut(depth).stack.write(low, byte);
                Ok(())
            }
        }
    }

    fn operand_is_zero(&self, src: Option<Operand>) -> bool {
        match src {
            Some(Operand::Imm(imm)) => imm == 0,
            Some(Operand::Reg(src)) => self.frame().regs[src.index()].is_zero(),
            None => false,
        }
    }
}

/// The access stays inside `struct bpf_flow_keys`.
fn check_flow_keys(p: &Pointer, at: Place) -> Result<(), Reason> {
    const BYTES: i64 = 56;
    let (off, size) = (i64::from(p.off) + i64::from(at.off), at.size);
    if off < 0 || off + i64::from(size) > BYTES {
        return Err(MemoryReason::FlowKeys { off, size }.into());
    }
    Ok(())
}

/// Where alignment matters, the kernel counts a packet's bytes from two before its start, which is
/// where network headers are aligned.
fn check_packet_alignment(p: &Pointer, at: Place, strict: bool) -> Result<(), Reason> {
    const IP_ALIGN: i32 = 2;
    let off = i64::from(IP_ALIGN) + i64::from(p.off) + i64::from(at.off);
    if !strict || (p.var.bits + Tnum::constant(off as u64)).is_aligned(at.size.into()) {
        return Ok(());
    }
    let (var, off) = (Var(p.var.bits), p.off);
    let (ip_align, insn_off, size) = (IP_ALIGN, at.off, at.size);
    Err(MemoryReason::MisalignedPacket { ip_align, var, off, insn_off, size }.into())
}

const fn sign_extension(size: Size) -> SignExtend {
    match size {
        Size::B => SignExtend::From8,
        Size::H => SignExtend::From16,
        Size::W | Size::Dw => SignExtend::From32,
    }
}
