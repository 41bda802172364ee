//! Reading memory that a program has only an address of.
//!
//! Addresses below 0x8000_0000 are user space, the rest of the cage kernel space. Addresses beyond
//! the cage are what they are on the machine: user space in the lower half, kernel space in the
//! upper one, where nothing is mapped.

use super::group::{BASE, TRACING};
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, MemWriteOrEmpty};
use ubpf_vm::helper;
use ubpf_vm::mem::Space;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(4 probe_read, since 4.1,
        "Copies memory from an address, user or kernel.",
        groups: &[TRACING], gpl_only: true),
    helper!(45 probe_read_str, since 4.11,
        "Copies a string from an address, user or kernel; gives its length with its zero.",
        groups: &[TRACING], gpl_only: true),
    helper!(112 probe_read_user, since 5.5,
        "Copies memory from a user-space address.", groups: &[BASE], gpl_only: true),
    helper!(113 probe_read_kernel, since 5.5,
        "Copies memory from a kernel-space address.", groups: &[BASE], gpl_only: true),
    helper!(114 probe_read_user_str, since 5.5,
        "Copies a string from a user-space address; gives its length with its zero.",
        groups: &[BASE], gpl_only: true),
    helper!(115 probe_read_kernel_str, since 5.5,
        "Copies a string from a kernel-space address; gives its length with its zero.",
        groups: &[BASE], gpl_only: true),
];

/// First kernel address of the machine beyond the cage.
const UPPER_HALF: u64 = 0xffff_8000_0000_0000;

/// The space an address belongs to.
#[must_use]
pub fn space_of(addr: u64) -> Space {
    let kernel = Space::Kernel.range().start.into()..=u64::from(u32::MAX);
    if kernel.contains(&addr) || addr >= UPPER_HALF { Space::Kernel } else { Space::User }
}

/// Copies memory from an address that must be in `space`.
///
/// # Errors
/// `ERANGE` for kernel space and an address that is not, `EFAULT` where nothing is mapped.
pub fn read(cx: &CallCx<'_>, space: Space, addr: u64, into: &mut [u8]) -> Result<(), Errno> {
    check(space, addr)?;
    cx.cage().read(addr, into).map_err(|_| Errno::EFAULT)
}

/// A string of up to `limit` bytes from an address that must be in `space`, its zero included;
/// a longer one is cut and ended by a zero.
///
/// # Errors
/// As [`read`].
pub fn string(cx: &CallCx<'_>, space: Space, addr: u64, limit: u32) -> Result<Vec<u8>, Errno> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    check(space, addr)?;
    let mut bytes = Vec::new();
    for off in 0..u64::from(limit) {
        let byte: u8 = cx.cage().load(addr.wrapping_add(off)).map_err(|_| Errno::EFAULT)?;
        bytes.push(byte);
        if byte == 0 {
            return Ok(bytes);
        }
    }
    if let Some(last) = bytes.last_mut() {
        *last = 0;
    }
    Ok(bytes)
}

fn check(space: Space, addr: u64) -> Result<(), Errno> {
    match (space, space_of(addr)) {
        (Space::Kernel, Space::User) => Err(Errno::ERANGE),
        (Space::User, Space::Kernel) => Err(Errno::EFAULT),
        _ => Ok(()),
    }
}

fn copy(cx: &CallCx<'_>, to: &MemWriteOrEmpty, space: Space, from: u64) -> Result<(), Errno> {
    let copied = check(space, from)
        .and_then(|()| cx.cage().copy(from, to.addr(), to.len()).map_err(|_| Errno::EFAULT));
    if copied.is_err() {
        to.clear(cx).map_err(|_| Errno::EFAULT)?;
    }
    copied
}

fn copy_str(cx: &CallCx<'_>, to: &MemWriteOrEmpty, space: Space, from: u64) -> Result<u32, Errno> {
    match string(cx, space, from, to.len()) {
        Ok(bytes) => {
            to.write(cx, &bytes).map_err(|_| Errno::EFAULT)?;
            Ok(bytes.len() as u32)
        }
        Err(errno) => {
            to.clear(cx).map_err(|_| Errno::EFAULT)?;
            Err(errno)
        }
    }
}

fn probe_read(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<(), Errno> {
    copy(cx, &to, space_of(from), from)
}

fn probe_read_str(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<u32, Errno> {
    copy_str(cx, &to, space_of(from), from)
}

fn probe_read_user(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<(), Errno> {
    copy(cx, &to, Space::User, from)
}

fn probe_read_kernel(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<(), Errno> {
    copy(cx, &to, Space::Kernel, from)
}

fn probe_read_user_str(cx: &mut CallCx<'_>, to: MemWriteOrEmpty, from: u64) -> Result<u32, Errno> {
    copy_str(cx, &to, Space::User, from)
}

fn probe_read_kernel_str(
    cx: &mut CallCx<'_>,
    to: MemWriteOrEmpty,
    from: u64,
) -> Result<u32, Errno> {
    copy_str(cx, &to, Space::Kernel, from)
}
