//! What each kind of argument takes.
//!
//! Every kind has a list of the pointer types that fit it; the message for all others quotes the
//! list. Then the pointer's offset is judged, then what the kind itself asks for.

use super::super::Step;
use super::super::mem::Place;
use super::field::Turn;
use super::helper::{ARGS, Passed};
use crate::Privilege;
use crate::domain::Scalar;
use crate::reason::{CallReason, FieldReason, HelperName, R, Reason};
use crate::state::stack::{Byte, Slot, Span};
use crate::state::{Hold, LockKind, MapRef, MemKind, Pointer, PtrTo, Reg, Space, Trust};
use ubpf_abi::fields::FieldKind;
use ubpf_abi::helper::{Arg, ArgKind, DynptrArg, HelperDecl, MemAccess, MemSize, SockKind};
use ubpf_abi::map::{MapFlags, MapInit, MapType};
use ubpf_isa::Reg as Name;

/// Sizes at which a helper's memory argument is without useful bound.
const UNBOUNDED_SIZE: u64 = 1 << 29;

const MEMORY: &str = "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";

/// Helpers that take the program's own socket pointers only, none to the kernel's structs.
const NO_KERNEL_SOCKETS: [&str; 4] =
    ["sk_fullsock", "tcp_sock", "get_listener_sock", "skc_to_mptcp_sock"];

impl Step<'_> {
    /// Judges the argument at `index`.
    pub(super) fn argument(
        &mut self,
        decl: &HelperDecl,
        helper: HelperName,
        index: usize,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let (arg, reg) = (&decl.args[index], ARGS[index]);
        if arg.kind == ArgKind::Unchecked {
            return Ok(());
        }
        let value = self.read(reg)?;
        if arg.kind == ArgKind::Anything {
            return self.check_argument_leak(&value, reg);
        }
        let packet =
            matches!(value.pointer().map(|p| p.to), Some(PtrTo::Packet(_) | PtrTo::PacketMeta(_)));
        if packet && !decl.packet_access {
            return Err(CallReason::PacketArgument.into());
        }
        let kind = self.for_map(arg.kind, passed)?;
        if arg.nullable && value.is_zero() {
            self.demand(reg);
        } else {
            match (kind, passed.kptr) {
                (ArgKind::BtfPtr(_), Some(kptr)) => self.exchanged_argument(&kptr, reg)?,
                _ => self.check_type(decl, kind, arg, reg, &value)?,
            }
            self.check_offset(arg, reg, &value)?;
        }
        self.note_reference(arg, reg, &value, passed)?;
        let place = |size| Place { base: reg, off: 0, size };
        match kind {
            ArgKind::MapPtr => {
                if let Reg::Pointer(Pointer { to: PtrTo::Map(map), .. }) = value {
                    if let Some(of_field) = passed.map.filter(|m| *m != map) {
                        let (first, second) = (of_field.uid, map.uid);
                        return Err(
                            FieldReason::OtherMap { what: "timer", at: 1, first, second }.into()
                        );
                    }
                    passed.map = Some(map);
                }
                Ok(())
            }
            ArgKind::MapKey => {
                let map = passed.map.ok_or(CallReason::KeyWithoutMap)?;
                let (size, map_type) = {
                    let def = self.cx.map_def(map)?;
                    (def.key_size, def.map_type)
                };
                self.check_not_empty(&value, size)?;
                self.memory_argument(place(size), MemAccess::Read, passed)?;
                if matches!(map_type, Ok(MapType::Array | MapType::PercpuArray)) {
                    passed.key = self.constant_key(&value, size);
                }
                Ok(())
            }
            ArgKind::MapValue(_) if value.is_zero() => Ok(()),
            ArgKind::MapValue(access) => {
                let map = passed.map.ok_or(CallReason::ValueWithoutMap)?;
                let size = self.cx.map_def(map)?.value_size;
                self.check_not_empty(&value, size)?;
                self.memory_argument(place(size), access, passed)
            }
            ArgKind::Mem { access, size: MemSize::Fixed(size), aligned } => {
                self.memory_argument(place(size), access, passed)?;
                if aligned { self.check_alignment(&value, place(size), true) } else { Ok(()) }
            }
            ArgKind::Size { zero_ok } => {
                let before = index.checked_sub(1);
                let memory = before.and_then(|i| Some((decl.args.get(i)?, *ARGS.get(i)?)));
                let Some((Arg { kind: ArgKind::Mem { access, .. }, .. }, base)) = memory else {
                    return Err(Reason::Unsupported("a size without memory"));
                };
                self.size_argument(base, reg, *access, zero_ok, passed)
            }
            ArgKind::ConstAllocSize { .. } => {
                let size = value.as_const().and_then(|v| u32::try_from(v).ok());
                passed.alloc_size = Some(size.ok_or(CallReason::NotConstant(R(reg)))?);
                self.demand(reg);
                Ok(())
            }
            ArgKind::ConstStr => self.string_argument(reg, &value),
            ArgKind::Callback(kind) => {
                if let Reg::Pointer(Pointer { to: PtrTo::Func(subprog), .. }) = value {
                    passed.callback = Some((kind, subprog));
                }
                Ok(())
            }
            // Judged with the size that follows.
            ArgKind::Mem { size: MemSize::NextArg, .. }
            | ArgKind::Anything
            | ArgKind::Unchecked
            | ArgKind::Ctx
            | ArgKind::StackPtr
            | ArgKind::AllocMem
            | ArgKind::BtfPtr(_)
            | ArgKind::Sock(_) => Ok(()),
            ArgKind::SpinLock => {
                let turn = if decl.name == "spin_lock" { Turn::Lock } else { Turn::Unlock };
                self.lock_argument(reg, LockKind::Spin, turn)
            }
            ArgKind::Timer => {
                passed.map = Some(self.map_field_argument(reg, FieldKind::Timer)?);
                Ok(())
            }
            ArgKind::Kptr => self.kptr_argument(reg, passed),
            ArgKind::PercpuBtfPtr => {
                passed.percpu = value.pointer().map(|p| p.to);
                Ok(())
            }
            ArgKind::Dynptr(DynptrArg::Init(kind)) => self.dynptr_made(reg, index, kind, None),
            ArgKind::Dynptr(DynptrArg::Any | DynptrArg::Of(_)) => {
                passed.dynptr = Some(self.dynptr_argument(reg, index)?);
                Ok(())
            }
            _ => Err(Reason::Unsupported(
                helper
                    .name
                    .map_or("this helper argument", |_| "kernel objects as helper arguments"),
            )),
        }
    }

    /// Maps without keys or values take none from the stack.
    fn check_not_empty(&self, value: &Reg, size: u32) -> Result<(), Reason> {
        match value {
            Reg::Pointer(Pointer { to: PtrTo::Stack(_), .. }) if size == 0 => {
                Err(CallReason::EmptyStackArgument.into())
            }
            _ => Ok(()),
        }
    }
    /// Sockets stand in for the values of maps of sockets, where they are only read.
    fn for_map(&self, kind: ArgKind, passed: &Passed) -> Result<ArgKind, Reason> {
        let map_type = passed.map.and_then(|m| self.cx.map_def(m).ok()).map(|d| d.map_type);
        match (kind, map_type) {
            (ArgKind::MapValue(access), Some(Ok(MapType::Sockmap | MapType::Sockhash))) => {
                match access {
                    MemAccess::Read => Ok(ArgKind::Sock(SockKind::Common)),
                    _ => Err(CallReason::SocketValue.into()),
                }
            }
            _ => Ok(kind),
        }
    }

    fn check_argument_leak(&self, value: &Reg, reg: Name) -> Result<(), Reason> {
        let hidden = self.cx.options.privilege == Privilege::Unprivileged;
        if hidden && value.pointer().is_some() {
            return Err(CallReason::LeakToHelper(R(reg)).into());
        }
        Ok(())
    }

    fn check_type(
        &self,
        decl: &HelperDecl,
        kind: ArgKind,
        arg: &Arg,
        reg: Name,
        value: &Reg,
    ) -> Result<(), Reason> {
        let no_structs = NO_KERNEL_SOCKETS.contains(&decl.name);
        let expected = expected(kind, no_structs);
        let fits = match value {
            Reg::Pointer(p) => {
                let stands_in = !no_structs && stands_in_for_socket(kind, &p.to);
                (!p.nullable || arg.nullable) && (stands_in || fits(kind, &p.to))
            }
            Reg::Number(_) => {
                matches!(kind, ArgKind::Size { .. } | ArgKind::ConstAllocSize { .. })
            }
            Reg::Uninit => false,
        };
        let Some(expected) = expected else {
            return Err(Reason::Unsupported("this kind of helper argument"));
        };
        if fits {
            return match kind {
                ArgKind::BtfPtr(structs) => self.object_argument(value, reg, structs),
                ArgKind::Sock(_) => self.object_argument(value, reg, &["sock_common"]),
                _ => Ok(()),
            };
        }
        Err(self.wrong_type(reg, expected))
    }

    /// Pointers into memory may have any offset, all others none.
    fn check_offset(&self, arg: &Arg, reg: Name, value: &Reg) -> Result<(), Reason> {
        let Reg::Pointer(p) = value else { return Ok(()) };
        let dynptr = matches!(arg.kind, ArgKind::Dynptr(_));
        let released = arg.release && !(dynptr && matches!(p.to, PtrTo::Stack(_)));
        self.check_argument_offset(p, reg, released)
    }

    /// The same of a pointer that the call may take the reference of.
    pub(in super::super) fn check_argument_offset(
        &self,
        p: &Pointer,
        reg: Name,
        released: bool,
    ) -> Result<(), Reason> {
        if released {
            if p.off != 0 {
                return Err(CallReason::ReleaseOffset(R(reg)).into());
            }
            return self.check_unmodified(p, reg);
        }
        match p.to {
            PtrTo::Stack(_)
            | PtrTo::Packet(_)
            | PtrTo::PacketMeta(_)
            | PtrTo::MapKey(_)
            | PtrTo::MapValue(_)
            | PtrTo::Mem { .. }
            | PtrTo::Buf { .. } => Ok(()),
            // What lies at the offset is judged with the object's type.
            PtrTo::Btf { .. } | PtrTo::Own { .. } if !p.nullable => {
                self.check_unmodified(&Pointer { off: p.off.min(0), ..*p }, reg)
            }
            _ => self.check_unmodified(p, reg),
        }
    }

    fn note_reference(
        &self,
        arg: &Arg,
        reg: Name,
        value: &Reg,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let reference = value.pointer().and_then(|p| p.ref_id);
        if arg.release {
            if matches!(arg.kind, ArgKind::Dynptr(_)) {
                self.check_released_dynptr(reg)?;
            }
            if reference.is_none() && !value.is_zero() && !matches!(arg.kind, ArgKind::Dynptr(_)) {
                return Err(CallReason::NotReferenced(R(reg)).into());
            }
            passed.released = Some(reg);
        }
        if let Some(id) = reference.filter(|_| arg.kind != ArgKind::Kptr) {
            if let Some(other) = passed.reference {
                let (first, second) = (other.0, id.0);
                return Err(CallReason::TwoReferences { reg: R(reg), first, second }.into());
            }
            passed.reference = Some(id);
        }
        Ok(())
    }

    pub(in super::super) fn size_argument(
        &mut self,
        base: Name,
        reg: Name,
        access: MemAccess,
        zero_ok: bool,
        passed: &mut Passed,
    ) -> Result<(), Reason> {
        let Reg::Number(size) = self.frame().regs[reg.index()] else {
            return Err(self.wrong_type(reg, "scalar"));
        };
        let range = size.value.full;
        passed.size_max = Some(range.umax);
        if range.smin < 0 {
            return Err(CallReason::NegativeSize(R(reg)).into());
        }
        if range.umin == 0 && !zero_ok {
            let (min, max) = (range.umin, range.umax);
            return Err(CallReason::ZeroSize { reg: R(reg), min, max }.into());
        }
        if range.umax >= UNBOUNDED_SIZE {
            return Err(CallReason::UnboundedSize(R(reg)).into());
        }
        self.demand(reg);
        let access = match access {
            // Only what is surely written counts as written.
            MemAccess::WriteUninit if size.value.as_const().is_none() => MemAccess::ReadWrite,
            other => other,
        };
        let place = Place { base, off: 0, size: range.umax as u32 };
        self.memory_argument(place, access, passed)
    }

    /// The key that the stack is known to hold, for maps whose elements always exist.
    fn constant_key(&mut self, value: &Reg, size: u32) -> Option<u64> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::Stack(depth), .. }) = value else { return None };
        let span = Span::checked(p.const_off()?, size)?;
        let (index, start) = span.place(0);
        let slot: &Slot = self.frame_at(*depth).stack.slot(span)?;
        let run = |byte| slot.bytes.iter().skip(start).take_while(|b| **b == byte).count() as u32;
        if run(Byte::Zero) >= size {
            return Some(0);
        }
        let spilled: Scalar = slot.spilled_number()?.value;
        if run(Byte::Spill) != size {
            return None;
        }
        let key = spilled.as_const()?;
        self.trace.slot_demand = Some((*depth, 1 << index));
        Some(key)
    }

    pub(in super::super) fn string_argument(
        &mut self,
        reg: Name,
        value: &Reg,
    ) -> Result<(), Reason> {
        let Reg::Pointer(p @ Pointer { to: PtrTo::MapValue(map), .. }) = value else {
            return Err(self.wrong_type(reg, "map_value"));
        };
        let def = self.cx.map_def(*map)?;
        if !def.flags.has(MapFlags::RDONLY_PROG) || !self.cx.is_frozen(*map) {
            return Err(CallReason::StringMap(R(reg)).into());
        }
        let off = p.const_off().ok_or(CallReason::StringAddress(R(reg)))?;
        let size = def.value_size;
        let rest = i64::from(size).saturating_sub(p.off.into());
        let place = Place { base: reg, off: 0, size: u32::try_from(rest).unwrap_or(0) };
        self.check_region(p, place, size)?;
        if self.string_in(*map, off)?.is_some() {
            Ok(())
        } else {
            Err(CallReason::Unterminated.into())
        }
    }

    /// The text at an offset of a map that nobody can change, up to its final zero.
    fn string_in(&self, map: MapRef, off: i64) -> Result<Option<&[u8]>, Reason> {
        let MapInit::Data { bytes, .. } = &self.cx.map_def(map)?.init else {
            return Err(Reason::Unsupported("strings in maps without contents"));
        };
        let text = usize::try_from(off).ok().and_then(|off| bytes.get(off..));
        Ok(text.and_then(|text| Some(text.split_at(text.iter().position(|&c| c == 0)?).0)))
    }

    /// The format string in `format` is one, for as many arguments as `bytes` bytes hold.
    pub(super) fn check_format(&self, format: Name, bytes: Name) -> Result<(), Reason> {
        const ARG_BYTES: u64 = 8;
        let registers = &self.frame().regs;
        let bytes = registers[bytes.index()].number().map_or(0, |n| n.value.bits.value());
        if !bytes.is_multiple_of(ARG_BYTES) {
            return Err(CallReason::FormatArguments(bytes).into());
        }
        let Reg::Pointer(p @ Pointer { to: PtrTo::MapValue(map), .. }) = registers[format.index()]
        else {
            return Ok(());
        };
        let text = self.string_in(map, p.const_off().unwrap_or(i64::MAX))?.unwrap_or_default();
        let args = usize::try_from(bytes / ARG_BYTES).unwrap_or(usize::MAX);
        match ubpf_abi::format::parse(text, args) {
            Ok(_) => Ok(()),
            Err(invalid) => Err(CallReason::Format(invalid).into()),
        }
    }
}

/// The types that the kernel names when the argument has another; `None` where the kind is not
/// known here.
fn expected(kind: ArgKind, own_sockets_only: bool) -> Option<&'static str> {
    Some(match kind {
        ArgKind::Ctx => "ctx",
        ArgKind::MapPtr => "map_ptr",
        ArgKind::MapKey | ArgKind::MapValue(_) | ArgKind::Mem { .. } => MEMORY,
        ArgKind::Size { .. } | ArgKind::ConstAllocSize { .. } => "scalar",
        ArgKind::SpinLock | ArgKind::Kptr => "map_value, ptr_",
        ArgKind::Timer | ArgKind::ConstStr => "map_value",
        ArgKind::Callback(_) => "func",
        ArgKind::StackPtr => "fp",
        ArgKind::Dynptr(_) => "fp, dynptr_ptr",
        ArgKind::AllocMem => "ringbuf_mem",
        ArgKind::Sock(SockKind::Common) if own_sockets_only => {
            "sock_common, sock, tcp_sock, xdp_sock"
        }
        ArgKind::Sock(SockKind::Common) => {
            "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_"
        }
        ArgKind::Sock(SockKind::Full) => "sock",
        ArgKind::Sock(SockKind::Tcp) => "tcp_sock",
        ArgKind::Sock(SockKind::Xdp) => "xdp_sock",
        ArgKind::BtfPtr(_) => "ptr_, trusted_ptr_, rcu_ptr_",
        ArgKind::PercpuBtfPtr => "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_",
        _ => return None,
    })
}

/// Whether a kernel object may be passed where any socket may; its struct is judged later.
const fn stands_in_for_socket(kind: ArgKind, to: &PtrTo) -> bool {
    matches!(kind, ArgKind::Sock(SockKind::Common))
        && matches!(
            to,
            PtrTo::Btf { trust: Trust::Trusted | Trust::Plain, space: Space::Kernel, .. }
        )
}

/// Whether a pointer of this type fits, null aside.
fn fits(kind: ArgKind, to: &PtrTo) -> bool {
    match kind {
        ArgKind::Ctx => matches!(to, PtrTo::Ctx),
        ArgKind::MapPtr => matches!(to, PtrTo::Map(_)),
        ArgKind::Mem { access: MemAccess::Read, .. } => memory(to, true),
        ArgKind::MapKey | ArgKind::MapValue(_) | ArgKind::Mem { .. } => memory(to, false),
        ArgKind::SpinLock | ArgKind::Kptr => {
            matches!(to, PtrTo::MapValue(_) | PtrTo::Own { hold: Hold::Owned, .. })
        }
        ArgKind::Timer | ArgKind::ConstStr => matches!(to, PtrTo::MapValue(_)),
        ArgKind::Callback(_) => matches!(to, PtrTo::Func(_)),
        ArgKind::StackPtr => matches!(to, PtrTo::Stack(_)),
        ArgKind::Dynptr(_) => matches!(to, PtrTo::Stack(_) | PtrTo::Dynptr(_)),
        ArgKind::AllocMem => matches!(to, PtrTo::Mem { kind: MemKind::Ringbuf, .. }),
        ArgKind::PercpuBtfPtr => matches!(
            to,
            PtrTo::Own { hold: Hold::PercpuRcu, .. }
                | PtrTo::Btf {
                    trust: Trust::Trusted | Trust::Rcu | Trust::Plain,
                    space: Space::Percpu,
                    ..
                }
        ),
        ArgKind::Sock(SockKind::Common) => matches!(to, PtrTo::Sock(_)),
        ArgKind::Sock(kind) => *to == PtrTo::Sock(kind),
        ArgKind::BtfPtr(_) => matches!(
            to,
            PtrTo::Btf {
                trust: Trust::Trusted | Trust::Rcu | Trust::Plain,
                space: Space::Kernel,
                ..
            }
        ),
        _ => false,
    }
}

const fn memory(to: &PtrTo, read_only: bool) -> bool {
    match to {
        PtrTo::Mem {
            kind: MemKind::ReadOnly | MemKind::DynptrSlice { writable: false, .. },
            ..
        }
        | PtrTo::Buf { read_only: true } => read_only,
        PtrTo::Stack(_)
        | PtrTo::Packet(_)
        | PtrTo::PacketMeta(_)
        | PtrTo::MapKey(_)
        | PtrTo::MapValue(_)
        | PtrTo::Mem { .. }
        | PtrTo::Buf { .. } => true,
        PtrTo::Btf { trust, space, .. } => {
            matches!((trust, space), (Trust::Trusted, Space::Kernel))
        }
        PtrTo::Ctx
        | PtrTo::Map(_)
        | PtrTo::Own { .. }
        | PtrTo::Dynptr(_)
        | PtrTo::PacketEnd
        | PtrTo::FlowKeys
        | PtrTo::Sock(_)
        | PtrTo::TpBuffer
        | PtrTo::Arena
        | PtrTo::Func(_) => false,
    }
}
