//! The current task.

use super::KernelTypes;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use ubpf_vm::mem::{Cage, MemError, Region};

/// Bytes of a task's name, the final zero included (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// The task in whose context programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Thread id, which the kernel calls pid.
    pub pid: u32,
    /// Process id, which the kernel calls tgid.
    pub tgid: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Name, filled up with zeros; its last byte is zero.
    pub comm: [u8; COMM_BYTES],
    /// Device and inode number of its pid namespace, as `stat` gives them for
    /// `/proc/self/ns/pid`.
    pub pid_namespace: (u64, u64),
    /// Ids of its cgroup's ancestors in the unified hierarchy, the root first, itself last.
    pub cgroups: Vec<u64>,
    /// Return addresses in the kernel, the innermost first; test-run's are not known.
    pub kernel_stack: Vec<u64>,
    /// Return addresses in user space, the innermost first.
    pub user_stack: Vec<u64>,
}

impl Task {
    /// The calling thread: what programs see under test-run.
    #[must_use]
    pub fn current() -> Self {
        let comm = fs::read("/proc/thread-self/comm").unwrap_or_default();
        Self {
            pid: rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(),
            tgid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            comm: Self::comm_of(comm.trim_ascii_end()),
            pid_namespace: fs::metadata("/proc/self/ns/pid")
                .map(|meta| (meta.dev(), meta.ino()))
                .unwrap_or_default(),
            cgroups: current_cgroups(),
            kernel_stack: Vec::new(),
            user_stack: Vec::new(),
        }
    }

    /// It as the kernel's struct. It is the leader of its group and has no parent.
    ///
    /// # Errors
    /// When guest memory is exhausted.
    pub fn object(&self, types: &KernelTypes, cage: &Arc<Cage>) -> Result<Region, MemError> {
        let comm = self.comm.iter().enumerate().map(|(at, &byte)| (format!("comm[{at}]"), byte));
        let comm: Vec<_> = comm.collect();
        let mut fields = vec![("pid", u64::from(self.pid)), ("tgid", u64::from(self.tgid))];
        fields.extend(comm.iter().map(|(path, byte)| (path.as_str(), u64::from(*byte))));
        types.object(cage, "task_struct", &fields)
    }

    /// A name as the kernel keeps it: cut, filled up with zeros, and ended by one.
    #[must_use]
    pub fn comm_of(name: &[u8]) -> [u8; COMM_BYTES] {
        let mut comm = [0; COMM_BYTES];
        let chars = comm.iter_mut().take(COMM_BYTES - 1);
        chars.zip(name).for_each(|(to, from)| *to = *from);
        comm
    }

    /// Id of its cgroup.
    #[must_use]
    pub fn cgroup_id(&self) -> u64 {
        self.cgroups.last().copied().unwrap_or(ROOT_CGROUP)
    }

    /// Id of its cgroup's ancestor at this level, the root being at level 0; 0 where there is
    /// none.
    #[must_use]
    pub fn ancestor_cgroup_id(&self, level: i32) -> u64 {
        let level = usize::try_from(level).ok();
        level.and_then(|level| self.cgroups.get(level)).copied().unwrap_or(0)
    }
}

/// Id of the unified hierarchy's root.
const ROOT_CGROUP: u64 = 1;

/// The calling process's cgroup and its ancestors: their ids are the inode numbers of their
/// directories. Where the hierarchy cannot be read, the root alone.
fn current_cgroups() -> Vec<u64> {
    let table = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = table.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut ids = vec![ROOT_CGROUP];
    let mut dir = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .iter()
        .map(|root| Path::new(root).to_path_buf())
        .find(|root| root.join("cgroup.procs").exists())
        .unwrap_or_default();
    for part in path.unwrap_or_default().split('/').filter(|part| !part.is_empty()) {
        dir.push(part);
        match fs::metadata(&dir) {
            Ok(meta) => ids.push(meta.ino()),
            Err(_) => break,
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_ended() {
        assert_eq!(&Task::comm_of(b"cat"), b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&Task::comm_of(b"a-very-long-task-name"), b"a-very-long-tas\0");
    }

    #[test]
    fn the_current_task_is_this_one() {
        let task = Task::current();
        assert_eq!(task.tgid, std::process::id());
        assert!(task.pid >= task.tgid && task.comm[0] != 0 && !task.cgroups.is_empty());
    }
}
