//! Who the current task is.

use super::group::BASE;
use crate::env;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, MemWrite};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(14 get_current_pid_tgid, since 4.2,
        "The current task's process id in the upper and thread id in the lower half.",
        groups: &[BASE]),
    helper!(15 get_current_uid_gid, since 4.2,
        "The current task's group id in the upper and user id in the lower half.",
        groups: &[BASE]),
    helper!(16 get_current_comm, since 4.2,
        "Copies the current task's name, cut to the buffer and ended by zeros.",
        groups: &[BASE]),
    helper!(80 get_current_cgroup_id, since 4.18,
        "Id of the current task's cgroup in the unified hierarchy.", groups: &[BASE]),
    helper!(120 get_ns_current_pid_tgid, since 5.7,
        "The current task's ids as its pid namespace, named by device and inode, has them.",
        groups: &[BASE]),
    helper!(123 get_current_ancestor_cgroup_id, since 5.7,
        "Id of the ancestor at a level of the current task's cgroup, 0 where there is none.",
        groups: &[BASE]),
];

fn get_current_pid_tgid(cx: &mut CallCx<'_>) -> u64 {
    let task = env::of(cx.world).task();
    u64::from(task.tgid) << 32 | u64::from(task.pid)
}

fn get_current_uid_gid(cx: &mut CallCx<'_>) -> u64 {
    let task = env::of(cx.world).task();
    u64::from(task.gid) << 32 | u64::from(task.uid)
}

fn get_current_comm(cx: &mut CallCx<'_>, buf: MemWrite) -> Result<(), Errno> {
    let comm = env::of(cx.world).task().comm;
    let fits = comm.len().min(buf.len() as usize - 1);
    let name = comm.get(..fits).unwrap_or_default();
    buf.clear(cx).and_then(|()| buf.write(cx, name)).map_err(|_| Errno::EFAULT)
}

fn get_current_cgroup_id(cx: &mut CallCx<'_>) -> u64 {
    env::of(cx.world).task().cgroup_id()
}

fn get_ns_current_pid_tgid(
    cx: &mut CallCx<'_>,
    dev: u64,
    ino: u64,
    info: MemWrite,
) -> Result<(), Errno> {
    /// `struct bpf_pidns_info`: thread id, process id.
    const INFO_BYTES: u32 = 8;
    let task = env::of(cx.world).task();
    let mut ids = [0; INFO_BYTES as usize];
    let known = info.len() == INFO_BYTES && task.pid_namespace == (dev, ino);
    if known {
        let (pid, tgid) = ids.split_at_mut(4);
        pid.copy_from_slice(&task.pid.to_le_bytes());
        tgid.copy_from_slice(&task.tgid.to_le_bytes());
    }
    info.clear(cx).map_err(|_| Errno::EFAULT)?;
    if !known {
        return Err(Errno::EINVAL);
    }
    info.write(cx, &ids).map_err(|_| Errno::EFAULT)
}

fn get_current_ancestor_cgroup_id(cx: &mut CallCx<'_>, level: i32) -> u64 {
    env::of(cx.world).task().ancestor_cgroup_id(level)
}
