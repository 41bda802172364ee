//! Memory of processes, arenas, and other views of kernel objects.

use super::set::COMMON;
use crate::func::memory;
use crate::prog_types::skb::Skb;
use crate::prog_types::xdp::XdpRun;
use ubpf_abi::kfunc::KfuncFlag::{ArenaArg2, ArenaRet, Fastcall, Sleepable, TrustedArgs};
use ubpf_abi::kfunc::KfuncSpecial;
use ubpf_abi::{Errno, Trap, TrapKind};
use ubpf_vm::call::{CallCx, CtxArg, IntFail};
use ubpf_vm::kfunc;
use ubpf_vm::mem::Space;
use ubpf_vm::registry::KfuncDef;

/// Kernel functions of this topic.
pub const ALL: &[KfuncDef] = &[
    kfunc!(bpf_cast_to_kern_ctx, since 6.2, "The kernel's own struct behind the context.", COMMON, flags: &[Fastcall], special: Some(KfuncSpecial::CastToKernCtx); cast_to_kern_ctx),
    kfunc!(bpf_rdonly_cast, since 6.2, "An address as an object of the kernel's, to be read.", COMMON, flags: &[Fastcall], special: Some(KfuncSpecial::RdonlyCast); rdonly_cast),
    kfunc!(bpf_copy_from_user_str, since 6.12, "Copies a string of the current process, waiting for it.", COMMON, flags: &[Sleepable]; copy_from_user_str),
    kfunc!(bpf_copy_from_user_task_str, since 6.15, "Copies a string of a process, waiting for it.", COMMON, flags: &[Sleepable]),
    kfunc!(bpf_arena_alloc_pages, since 6.9, "Maps pages into the arena.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaRet, ArenaArg2]),
    kfunc!(bpf_arena_free_pages, since 6.9, "Takes pages out of the arena.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaArg2]),
    kfunc!(bpf_arena_reserve_pages, since 6.18, "Keeps a part of the arena from being used.", COMMON, flags: &[TrustedArgs, Sleepable, ArenaArg2]),
];

/// The kernel's own struct of the packet, as it is now.
fn cast_to_kern_ctx(cx: &mut CallCx<'_>, CtxArg(ctx): CtxArg) -> Result<u64, Trap> {
    let limit = cx.trap(TrapKind::HostLimit);
    let world = cx.world;
    let run = cx.run.as_any_mut();
    let addr = if let Some(skb) = run.downcast_mut::<Skb>() {
        skb.kernel_struct(world)
    } else if let Some(frame) = run.downcast_mut::<XdpRun>() {
        frame.kernel_struct(world)
    } else {
        // Other contexts are the kernel's own already.
        return Ok(ctx.into());
    };
    addr.map(u64::from).map_err(|_| limit)
}

fn rdonly_cast(_: &mut CallCx<'_>, object: u64, _type_id: u32) -> u64 {
    object
}

/// Copies a string, and zeros behind it where that is asked for.
fn copy_from_user_str(
    cx: &mut CallCx<'_>,
    to: u64,
    len: u32,
    from: u64,
    flags: u64,
) -> Result<u32, IntFail> {
    const PAD_ZEROS: u64 = 1;
    if flags & !PAD_ZEROS != 0 {
        return Err(Errno::EINVAL.into());
    }
    if len == 0 {
        return Ok(0);
    }
    let string = memory::string(cx, Space::User, from, len);
    if string.is_err() || flags & PAD_ZEROS != 0 {
        cx.cage().fill(to, len, 0).map_err(|fault| cx.fault(fault))?;
    }
    let string = string?;
    cx.cage().write(to, &string).map_err(|fault| cx.fault(fault))?;
    Ok(string.len() as u32)
}
