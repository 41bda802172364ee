//! What the kernel knows beyond its types (6.18): which arguments of tracepoints and iterators
//! may be null, which structs have operations for programs.

use ubpf_abi::helper::HelperGroup;
use ubpf_abi::prog_type::ProgType;

/// Arguments of tracepoints that may be null, by number, without the first one that BTF lists.
/// A parameter's name cannot say so where the event is shared by several tracepoints.
pub const NULLABLE_TRACEPOINT_ARGS: &[(&str, &[usize])] = &[
    ("break_lease_block", &[1]),
    ("break_lease_noblock", &[1]),
    ("break_lease_unblock", &[1]),
    ("ext4_mballoc_discard", &[1]),
    ("ext4_mballoc_free", &[1]),
    ("fcntl_setlk", &[1]),
    ("fib_table_lookup", &[2]),
    ("flock_lock_inode", &[1]),
    ("folio_wait_writeback", &[1]),
    ("generic_delete_lease", &[1]),
    ("hugetlbfs_alloc_inode", &[1]),
    ("kfree_skb", &[3]),
    ("locks_remove_posix", &[1]),
    ("mm_collapse_huge_page_isolate", &[0]),
    ("mm_khugepaged_collapse_file", &[1]),
    ("mm_khugepaged_scan_file", &[1]),
    ("mm_khugepaged_scan_pmd", &[1]),
    ("mm_page_alloc", &[0]),
    ("mm_page_alloc_zone_locked", &[0]),
    ("mm_page_pcpu_drain", &[0]),
    ("posix_lock_inode", &[1]),
    ("qdisc_dequeue", &[3]),
    ("sched_pi_setprio", &[1]),
    ("sched_stick_numa", &[2]),
    ("sched_swap_numa", &[2]),
    ("tcp_send_reset", &[0, 1]),
    ("tcp_sendmsg_locked", &[2]),
    ("time_out_leases", &[1]),
    ("tmigr_update_events", &[0]),
    ("writeback_dirty_folio", &[1]),
    ("xfs_blockgc_flush_all", &[0]),
    ("xfs_blockgc_free_space", &[1]),
    ("xfs_blockgc_start", &[0]),
    ("xfs_blockgc_stop", &[0]),
    ("xfs_blockgc_worker", &[0]),
    ("xfs_btree_overlapped_query_range", &[2]),
    ("xfs_btree_updkeys", &[2]),
    ("xfs_defer_add_item", &[0]),
    ("xfs_defer_cancel_item", &[0]),
    ("xfs_defer_cancel_list", &[0]),
    ("xfs_defer_create_intent", &[0]),
    ("xfs_defer_finish_item", &[0]),
    ("xfs_defer_isolate_paused", &[0]),
    ("xfs_defer_item_pause", &[0]),
    ("xfs_defer_item_unpause", &[0]),
    ("xfs_defer_pending_abort", &[0]),
    ("xfs_defer_pending_finish", &[0]),
    ("xfs_defer_relog_intent", &[0]),
    ("xfs_fs_sync_fs", &[0]),
    ("xfs_inodegc_flush", &[0]),
    ("xfs_inodegc_push", &[0]),
    ("xfs_inodegc_queue", &[0]),
    ("xfs_inodegc_start", &[0]),
    ("xfs_inodegc_stop", &[0]),
    ("xfs_inodegc_throttle", &[0]),
    ("xfs_ioc_free_eofblocks", &[1]),
    ("xfs_map_blocks_alloc", &[4]),
    ("xfs_map_blocks_found", &[4]),
];

/// What an argument of an iterator is, where its prototype does not say it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterArg {
    /// A trusted pointer, null when the iteration is over.
    TrustedOrNull,
    /// A pointer, null when the iteration is over.
    PlainOrNull,
    /// Memory that may only be read, or null.
    ReadOnlyBufOrNull,
    /// Memory, or null.
    BufOrNull,
}

/// Iterators, and the arguments that differ from what their prototypes say.
pub const ITERATORS: &[(&str, &[(usize, IterArg)])] = {
    use IterArg::{BufOrNull, PlainOrNull, ReadOnlyBufOrNull, TrustedOrNull};
    &[
        ("bpf_link", &[(1, PlainOrNull)]),
        ("bpf_map", &[(1, TrustedOrNull)]),
        ("bpf_map_elem", &[(2, ReadOnlyBufOrNull), (3, BufOrNull)]),
        ("bpf_prog", &[(1, PlainOrNull)]),
        ("bpf_sk_storage_map", &[(2, PlainOrNull), (3, BufOrNull)]),
        ("cgroup", &[(1, TrustedOrNull)]),
        ("dmabuf", &[(1, PlainOrNull)]),
        ("ipv6_route", &[(1, PlainOrNull)]),
        ("kmem_cache", &[(1, TrustedOrNull)]),
        ("ksym", &[(1, PlainOrNull)]),
        ("netlink", &[(1, PlainOrNull)]),
        ("sockmap", &[(2, ReadOnlyBufOrNull), (3, PlainOrNull)]),
        ("task", &[(1, TrustedOrNull)]),
        ("task_file", &[(1, PlainOrNull), (3, PlainOrNull)]),
        ("task_vma", &[(1, PlainOrNull), (2, PlainOrNull)]),
        ("tcp", &[(1, TrustedOrNull)]),
        ("udp", &[(1, TrustedOrNull)]),
        ("unix", &[(1, PlainOrNull)]),
    ]
};

/// Attach types that programs of a type must name one of, where the kernel asks for that.
#[must_use]
pub const fn attach_types(prog_type: ProgType) -> Option<&'static [u32]> {
    Some(match prog_type {
        ProgType::CgroupSkb => &[0, 1],
        // 0 stands for the creation of a socket.
        ProgType::CgroupSock => &[0, 2, 12, 13, 34],
        ProgType::CgroupSockAddr => {
            &[8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53]
        }
        ProgType::CgroupSockopt => &[21, 22],
        ProgType::SkLookup => &[36],
        // 0 stands for selection alone.
        ProgType::SkReuseport => &[0, 39, 40],
        ProgType::Netfilter => &[45],
        ProgType::Syscall => &[0],
        _ => return None,
    })
}

/// What programs may write of kernel objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// All of a struct.
    Struct(&'static str),
    /// Members of a struct.
    Members {
        /// The struct.
        of: &'static str,
        /// Its members.
        members: &'static [Member],
    },
}

/// A member that may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The struct that it is found in, which begins where the one that is written does.
    pub of: &'static str,
    /// The way to it.
    pub path: &'static [&'static str],
    /// Writes may begin anywhere in it.
    pub anywhere: bool,
}

const fn member(of: &'static str, path: &'static [&'static str]) -> Member {
    Member { of, path, anywhere: false }
}

/// What congestion control may change of a connection.
const CONGESTION: &[Member] = &[
    member("sock", &["sk_pacing_rate"]),
    member("sock", &["sk_pacing_status"]),
    Member { of: "inet_connection_sock", path: &["icsk_ca_priv"], anywhere: true },
    member("inet_connection_sock", &["icsk_ack", "pending"]),
    member("tcp_sock", &["snd_cwnd"]),
    member("tcp_sock", &["snd_cwnd_cnt"]),
    member("tcp_sock", &["snd_cwnd_stamp"]),
    member("tcp_sock", &["snd_ssthresh"]),
    member("tcp_sock", &["ecn_flags"]),
    member("tcp_sock", &["app_limited"]),
];

/// A kernel struct whose operations programs can implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ops {
    /// Its name.
    pub name: &'static str,
    /// Operations that are not for programs.
    pub unsupported: &'static [&'static str],
    /// Operations that may sleep; `None` for all of them.
    pub sleepable: Option<&'static [&'static str]>,
    /// The helpers that they may call beside those for every program; `None` where they may call
    /// none at all.
    pub helpers: Option<HelperGroup>,
    /// Arguments of the first type are taken as the second.
    pub promoted: Option<(&'static str, &'static str)>,
    /// What they may write.
    pub writable: Writable,
}

/// Structs whose operations programs can implement, where the kernel has them.
pub const OPS: &[Ops] = &[
    Ops {
        name: "bpf_dummy_ops",
        unsupported: &[],
        sleepable: Some(&["test_sleepable"]),
        helpers: None,
        promoted: None,
        writable: Writable::Struct("bpf_dummy_ops_state"),
    },
    Ops {
        name: "tcp_congestion_ops",
        unsupported: &["get_info"],
        sleepable: None,
        helpers: Some(HelperGroup("tcp_congestion_ops")),
        promoted: Some(("sock", "tcp_sock")),
        writable: Writable::Members { of: "tcp_sock", members: CONGESTION },
    },
];

/// The operations of a kernel struct, by its name.
#[must_use]
pub fn ops(name: &str) -> Option<&'static Ops> {
    OPS.iter().find(|ops| ops.name == name)
}
