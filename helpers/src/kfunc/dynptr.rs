//! Dynptrs: making them, looking into them.

use super::set::COMMON;
use crate::func::dynptr::{Dynptr, Kind};
use crate::func::{memory, packet};
use crate::prog_types::skb::Skb;
use ubpf_abi::kfunc::KfuncFlag::{RetNull, Sleepable, TrustedArgs};
use ubpf_abi::kfunc::{DynptrSource, KfuncSet, KfuncSpecial};
use ubpf_abi::{Errno, Trap};
use ubpf_vm::call::{CallCx, CtxArg, DynptrAny, Fail, IntFail};
use ubpf_vm::kfunc;
use ubpf_vm::mem::Space;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_dynptr_from_skb, since 6.4, "Makes a dynptr of an skb's packet.", &[KfuncSet::Tc, KfuncSet::Tracing, KfuncSet::Cgroup, KfuncSet::SchedAct, KfuncSet::SkSkb, KfuncSet::SocketFilter, KfuncSet::Lwt, KfuncSet::Netfilter], flags: &[TrustedArgs], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::Skb)); from_skb),
    kfunc!(bpf_dynptr_from_skb_meta, since 6.18, "Makes a dynptr of the metadata before an skb's packet.", &[KfuncSet::Tc, KfuncSet::SchedAct], flags: &[TrustedArgs], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::SkbMeta)); from_skb_meta),
    kfunc!(bpf_dynptr_from_xdp, since 6.4, "Makes a dynptr of a frame.", &[KfuncSet::Xdp], special: Some(KfuncSpecial::DynptrFromPacket(DynptrSource::Xdp)); from_xdp),
    kfunc!(bpf_dynptr_slice, since 6.4, "Memory of a dynptr, copied where it is not in one piece.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::DynptrSlice { writable: false }); slice),
    kfunc!(bpf_dynptr_slice_rdwr, since 6.4, "Memory of a dynptr to be written, copied where it is not in one piece.", COMMON, flags: &[RetNull], special: Some(KfuncSpecial::DynptrSlice { writable: true }); slice_rdwr),
    kfunc!(bpf_dynptr_adjust, since 6.5, "Narrows what a dynptr shows.", COMMON; adjust),
    kfunc!(bpf_dynptr_is_null, since 6.5, "Whether a dynptr shows nothing.", COMMON; is_null),
    kfunc!(bpf_dynptr_is_rdonly, since 6.5, "Whether a dynptr may only be read.", COMMON; is_rdonly),
    kfunc!(bpf_dynptr_size, since 6.5, "Bytes that a dynptr shows.", COMMON; size),
    kfunc!(bpf_dynptr_clone, since 6.5, "Makes a second dynptr of the same memory.", COMMON, special: Some(KfuncSpecial::DynptrClone); clone),
    kfunc!(bpf_dynptr_copy, since 6.16, "Copies from one dynptr to another.", COMMON; copy),
    kfunc!(bpf_dynptr_memset, since 6.17, "Fills memory of a dynptr.", COMMON; memset),
    kfunc!(bpf_probe_read_user_dynptr, since 6.16, "Copies memory of the current process into a dynptr.", COMMON; probe_read_user),
    kfunc!(bpf_probe_read_kernel_dynptr, since 6.16, "Copies kernel memory into a dynptr.", COMMON; probe_read_kernel),
    kfunc!(bpf_probe_read_user_str_dynptr, since 6.16, "Copies a string of the current process into a dynptr.", COMMON; probe_read_user_str),
    kfunc!(bpf_probe_read_kernel_str_dynptr, since 6.16, "Copies a string of the kernel's into a dynptr.", COMMON; probe_read_kernel_str),
    kfunc!(bpf_copy_from_user_dynptr, since 6.16, "Copies memory of the current process into a dynptr, waiting for it.", COMMON, flags: &[Sleepable]; probe_read_user),
    kfunc!(bpf_copy_from_user_str_dynptr, since 6.16, "Copies a string of the current process into a dynptr, waiting for it.", COMMON, flags: &[Sleepable]; probe_read_user_str),
    kfunc!(bpf_copy_from_user_task_dynptr, since 6.16, "Copies memory of a process into a dynptr, waiting for it.", COMMON, flags: &[TrustedArgs, Sleepable]),
    kfunc!(bpf_copy_from_user_task_str_dynptr, since 6.16, "Copies a string of a process into a dynptr, waiting for it.", COMMON, flags: &[TrustedArgs, Sleepable]),
];

/// Makes a dynptr, or leaves one that cannot be used where there are flags.
fn make(cx: &CallCx<'_>, flags: u64, to: &DynptrAny, dynptr: Dynptr) -> Result<(), IntFail> {
    let made = if flags == 0 { Ok(dynptr) } else { Err(Errno::EINVAL) };
    Dynptr::store(cx, to.addr(), made.ok())?;
    Ok(made.map(drop)?)
}

fn from_skb(
    cx: &mut CallCx<'_>,
    CtxArg(ctx): CtxArg,
    flags: u64,
    to: DynptrAny,
) -> Result<(), IntFail> {
    let len = packet::len(cx)?;
    let skb = cx.run.as_any_mut().downcast_ref::<Skb>();
    let read_only = !skb.is_some_and(Skb::is_writable);
    let dynptr = Dynptr { read_only, ..Dynptr::new(Kind::Skb, ctx.into(), len) };
    make(cx, flags, &to, dynptr)
}

fn from_skb_meta(
    cx: &mut CallCx<'_>,
    CtxArg(ctx): CtxArg,
    flags: u64,
    to: DynptrAny,
) -> Result<(), IntFail> {
    let len = packet::meta_len(cx)?;
    make(cx, flags, &to, Dynptr::new(Kind::SkbMeta, ctx.into(), len))
}

fn from_xdp(
    cx: &mut CallCx<'_>,
    CtxArg(ctx): CtxArg,
    flags: u64,
    to: DynptrAny,
) -> Result<(), IntFail> {
    let len = packet::len(cx)?;
    make(cx, flags, &to, Dynptr::new(Kind::Xdp, ctx.into(), len))
}

/// Address of `len` bytes of a dynptr. What is not in one piece is copied to `buffer`, where there
/// is one.
fn view(
    cx: &mut CallCx<'_>,
    dynptr: &Dynptr,
    off: u32,
    buffer: Option<u64>,
    len: u32,
) -> Result<Option<u64>, Trap> {
    if dynptr.check(off.into(), len.into()).is_err() {
        return Ok(None);
    }
    if dynptr.kind.is_memory() {
        return Ok(Some(dynptr.addr(off)));
    }
    let at = dynptr.offset.wrapping_add(off);
    let place = match dynptr.kind {
        Kind::SkbMeta => packet::meta_addr(cx, at, len),
        _ => packet::addr(cx, at, len),
    };
    if let Some(addr) = place {
        return Ok(Some(addr.into()));
    }
    let Some(buffer) = buffer else { return Ok(None) };
    match dynptr.read(cx, off, len) {
        Ok(bytes) => {
            cx.cage().write(buffer, &bytes).map_err(|fault| cx.fault(fault))?;
            Ok(Some(buffer))
        }
        Err(Fail::Errno(_)) => Ok(None),
        Err(Fail::Trap(trap)) => Err(trap),
    }
}

fn slice(cx: &mut CallCx<'_>, of: DynptrAny, off: u32, buffer: u64, len: u32) -> Result<u64, Trap> {
    let Some(dynptr) = Dynptr::load(cx, of.addr())? else { return Ok(0) };
    Ok(view(cx, &dynptr, off, (buffer != 0).then_some(buffer), len)?.unwrap_or(0))
}

fn slice_rdwr(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    buffer: u64,
    len: u32,
) -> Result<u64, Trap> {
    let writable = Dynptr::load(cx, of.addr())?.filter(|d| !d.read_only);
    let Some(dynptr) = writable else { return Ok(0) };
    Ok(view(cx, &dynptr, off, (buffer != 0).then_some(buffer), len)?.unwrap_or(0))
}

fn adjust(cx: &mut CallCx<'_>, of: DynptrAny, start: u32, end: u32) -> Result<(), IntFail> {
    let dynptr = Dynptr::load(cx, of.addr())?.ok_or(Errno::EINVAL)?;
    if start > end {
        return Err(Errno::EINVAL.into());
    }
    if start > dynptr.size || end > dynptr.size {
        return Err(Errno::ERANGE.into());
    }
    let offset = dynptr.offset.wrapping_add(start);
    let narrowed = Dynptr { offset, size: end - start, ..dynptr };
    Ok(Dynptr::store(cx, of.addr(), Some(narrowed))?)
}

fn is_null(cx: &mut CallCx<'_>, of: DynptrAny) -> Result<u32, Trap> {
    Ok(Dynptr::load(cx, of.addr())?.is_none().into())
}

fn is_rdonly(cx: &mut CallCx<'_>, of: DynptrAny) -> Result<u32, Trap> {
    Ok(Dynptr::load(cx, of.addr())?.is_some_and(|d| d.read_only).into())
}

fn size(cx: &mut CallCx<'_>, of: DynptrAny) -> Result<u32, IntFail> {
    Ok(Dynptr::load(cx, of.addr())?.ok_or(Errno::EINVAL)?.size)
}

fn clone(cx: &mut CallCx<'_>, of: DynptrAny, to: DynptrAny) -> Result<(), IntFail> {
    let dynptr = Dynptr::load(cx, of.addr())?;
    Dynptr::store(cx, to.addr(), dynptr)?;
    Ok(dynptr.map(drop).ok_or(Errno::EINVAL)?)
}

/// Most bytes that are moved at once where memory is not in one piece.
const CHUNK_BYTES: u32 = 256;

/// Offsets and lengths of the pieces that `len` bytes are moved in.
fn chunks(len: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..len).step_by(CHUNK_BYTES as usize).map(move |off| (off, (len - off).min(CHUNK_BYTES)))
}

fn copy(
    cx: &mut CallCx<'_>,
    to: DynptrAny,
    to_off: u32,
    from: DynptrAny,
    from_off: u32,
    len: u32,
) -> Result<(), IntFail> {
    let source = Dynptr::load(cx, from.addr())?;
    let target = Dynptr::load(cx, to.addr())?;
    let source_at = match &source {
        Some(source) => view(cx, source, from_off, None, len)?,
        None => None,
    };
    let target_at = match target.filter(|target| !target.read_only) {
        Some(target) => view(cx, &target, to_off, None, len)?,
        None => None,
    };
    match (source_at, target_at, source, target) {
        (Some(source), Some(target), ..) => {
            Ok(cx.cage().copy(source, target, len).map_err(|fault| cx.fault(fault))?)
        }
        (Some(_), None, Some(source), Some(target)) => {
            if target.read_only {
                return Err(Errno::EINVAL.into());
            }
            target.check(to_off.into(), len.into())?;
            let bytes = source.read(cx, from_off, len)?;
            Ok(target.write(cx, to_off, &bytes, 0)?)
        }
        (Some(_), None, ..) => Err(Errno::EINVAL.into()),
        (None, Some(target), source, _) => {
            let source = source.ok_or(Errno::EINVAL)?;
            source.check(from_off.into(), len.into())?;
            let bytes = source.read(cx, from_off, len)?;
            Ok(cx.cage().write(target, &bytes).map_err(|fault| cx.fault(fault))?)
        }
        (None, None, source, target) => {
            let check = |dynptr: Option<Dynptr>, off: u32| match dynptr {
                Some(dynptr) => dynptr.check(off.into(), len.into()),
                None if off == 0 && len == 0 => Ok(()),
                None => Err(Errno::E2BIG),
            };
            check(target, to_off).and_then(|()| check(source, from_off))?;
            for (off, len) in chunks(len) {
                let (source, target) = (source.ok_or(Errno::EINVAL)?, target.ok_or(Errno::EINVAL)?);
                let bytes = source.read(cx, from_off + off, len)?;
                if target.read_only {
                    return Err(Errno::EINVAL.into());
                }
                target.write(cx, to_off + off, &bytes, 0)?;
            }
            Ok(())
        }
    }
}

fn memset(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    byte: u32,
) -> Result<(), IntFail> {
    let Some(dynptr) = Dynptr::load(cx, of.addr())? else {
        return if off == 0 && len == 0 { Ok(()) } else { Err(Errno::E2BIG.into()) };
    };
    if dynptr.read_only {
        return Err(Errno::EINVAL.into());
    }
    dynptr.check(off.into(), len.into())?;
    let byte = byte as u8;
    if let Some(at) = view(cx, &dynptr, off, None, len)? {
        return Ok(cx.cage().fill(at, len, byte).map_err(|fault| cx.fault(fault))?);
    }
    for (at, len) in chunks(len) {
        dynptr.write(cx, off + at, &vec![byte; len as usize], 0)?;
    }
    Ok(())
}

/// Copies memory from an address into a dynptr.
fn probe(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    (space, from): (Space, u64),
) -> Result<(), IntFail> {
    let dynptr = Dynptr::load(cx, of.addr())?;
    let dynptr = writable(dynptr, off, len)?;
    let mut bytes = vec![0; len as usize];
    let read = memory::read(cx, space, from, &mut bytes);
    if read.is_err() {
        bytes.fill(0);
    }
    dynptr.write(cx, off, &bytes, 0)?;
    Ok(read?)
}

/// The dynptr, where `len` bytes can be written at `off`.
fn writable(dynptr: Option<Dynptr>, off: u32, len: u32) -> Result<Dynptr, Errno> {
    let dynptr = dynptr.ok_or(Errno::E2BIG)?;
    dynptr.check(off.into(), len.into())?;
    if dynptr.read_only { Err(Errno::EINVAL) } else { Ok(dynptr) }
}

/// Copies a string from an address into a dynptr; gives its length with its zero.
fn probe_str(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    (space, from): (Space, u64),
) -> Result<u32, IntFail> {
    let dynptr = Dynptr::load(cx, of.addr())?;
    let dynptr = writable(dynptr, off, len)?;
    let string = memory::string(cx, space, from, len)?;
    dynptr.write(cx, off, &string, 0)?;
    Ok(string.len() as u32)
}

fn probe_read_user(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    from: u64,
) -> Result<(), IntFail> {
    probe(cx, of, off, len, (Space::User, from))
}

fn probe_read_kernel(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    from: u64,
) -> Result<(), IntFail> {
    probe(cx, of, off, len, (Space::Kernel, from))
}

fn probe_read_user_str(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    from: u64,
) -> Result<u32, IntFail> {
    probe_str(cx, of, off, len, (Space::User, from))
}

fn probe_read_kernel_str(
    cx: &mut CallCx<'_>,
    of: DynptrAny,
    off: u32,
    len: u32,
    from: u64,
) -> Result<u32, IntFail> {
    probe_str(cx, of, off, len, (Space::Kernel, from))
}
