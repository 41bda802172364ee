//! What `BPF_MAP_CREATE` checks for more than one type, with the kernel's errors (6.18).

use ubpf_abi::Errno;
use ubpf_abi::map::{MapDef, MapFlags};

/// Both sides' access modes, which most types take.
pub(super) const ACCESS: u32 =
    MapFlags::RDONLY | MapFlags::WRONLY | MapFlags::RDONLY_PROG | MapFlags::WRONLY_PROG;

/// User space's access modes.
pub(super) const USER_ACCESS: u32 = MapFlags::RDONLY | MapFlags::WRONLY;

/// Largest single allocation of the kernel's slab allocator: 4 MiB.
pub(super) const KMALLOC_MAX_BYTES: u64 = 4 << 20;

/// Largest per-CPU allocation.
const PERCPU_MAX_BYTES: u32 = 32 << 10;

/// Checks flags against those that the type takes, and that they do not contradict each other.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check_flags(def: &MapDef, allowed: u32) -> Result<(), Errno> {
    let MapFlags(bits) = def.flags;
    let both = |a, b| def.flags.has(a | b);
    let bad = bits & !allowed != 0
        || both(MapFlags::RDONLY, MapFlags::WRONLY)
        || both(MapFlags::RDONLY_PROG, MapFlags::WRONLY_PROG)
        // The emulated machine has one NUMA node.
        || (def.flags.has(MapFlags::NUMA_NODE) && def.numa_node != 0);
    if bad { Err(Errno::EINVAL) } else { Ok(()) }
}

/// `map_extra` means nothing to this type.
///
/// # Errors
/// `EINVAL` unless it is zero.
pub(super) fn check_no_extra(def: &MapDef) -> Result<(), Errno> {
    if def.extra == 0 { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Keys are 32-bit indices, and there are values and entries.
///
/// # Errors
/// `EINVAL`; `E2BIG` for values of 2 GiB and more.
pub(super) fn check_array(def: &MapDef, allowed_flags: u32) -> Result<(), Errno> {
    if def.max_entries == 0 || def.key_size != 4 || def.value_size == 0 {
        return Err(Errno::EINVAL);
    }
    check_flags(def, allowed_flags)?;
    check_no_extra(def)?;
    if i32::try_from(def.value_size).is_err() {
        return Err(Errno::E2BIG);
    }
    Ok(())
}

/// Entries are references that user space names by number: descriptors, ids, indices.
///
/// # Errors
/// `EINVAL`.
pub(super) fn check_fd_array(def: &MapDef, allowed_flags: u32) -> Result<(), Errno> {
    if def.value_size != 4 {
        return Err(Errno::EINVAL);
    }
    check_array(def, allowed_flags)
}

/// A value fits into a per-CPU allocation.
///
/// # Errors
/// `E2BIG`.
pub(super) fn check_percpu_value(def: &MapDef) -> Result<(), Errno> {
    if def.value_size > PERCPU_MAX_BYTES { Err(Errno::E2BIG) } else { Ok(()) }
}
