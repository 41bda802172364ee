//! Helper groups: who may call what.
//!
//! One group for helpers that every program type admits, a few that many types share, and one for
//! each type or family that admits helpers of its own. A helper names the groups it belongs to; a
//! program type names the groups it admits. Checked against the running kernel's verifier, helper
//! by helper and type by type.

use ubpf_abi::helper::HelperGroup;

macro_rules! groups {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: HelperGroup = HelperGroup($text);)*
    };
}

groups! {
    /// Every program type.
    BASE = "base";
    /// Types that may send perf events.
    EVENTS = "events";
    /// Types that work on packets, messages or sockets.
    NET = "net";
    /// Socket filters.
    SOCKET_FILTER = "socket_filter";
    /// Traffic control: `sched_cls` and `sched_act`.
    TC = "tc";
    /// XDP.
    XDP = "xdp";
    /// Packets of a cgroup.
    CGROUP_SKB = "cgroup_skb";
    /// Lightweight tunnels of every kind.
    LWT = "lwt";
    /// Lightweight tunnels, input.
    LWT_IN = "lwt_in";
    /// Lightweight tunnels, transmit.
    LWT_XMIT = "lwt_xmit";
    /// Segment routing.
    LWT_SEG6LOCAL = "lwt_seg6local";
    /// Stream parsers and verdicts.
    SK_SKB = "sk_skb";
    /// Flow dissectors.
    FLOW_DISSECTOR = "flow_dissector";
    /// Tracing: kprobes, tracepoints, perf events, fentry and relatives.
    TRACING = "tracing";
    /// Tracing of a kind that is attached with a number of the user's.
    ATTACHED = "attached";
    /// Tracing that changes what processes and the kernel do. No program type admits it: the
    /// kernel must be built for it and not be locked down.
    INTRUSIVE = "intrusive";
    /// Perf events.
    PERF_EVENT = "perf_event";
    /// BTF-typed tracing: typed raw tracepoints, iterators, fentry and relatives.
    TRACING_BTF = "tracing_btf";
    /// Iterators.
    ITER = "iter";
    /// Programs around a kernel function: fentry and relatives.
    TRACED = "traced";
    /// Security hooks.
    LSM = "lsm";
    /// Programs run through a system call.
    SYSCALL = "syscall";
    /// Socket lookup.
    SK_LOOKUP = "sk_lookup";
    /// Messages sent through a sockmap.
    SK_MSG = "sk_msg";
    /// TCP socket events.
    SOCK_OPS = "sock_ops";
    /// Reuseport selection.
    SK_REUSEPORT = "sk_reuseport";
    /// Every hook of a cgroup.
    CGROUP = "cgroup";
    /// Socket creation in a cgroup.
    CGROUP_SOCK = "cgroup_sock";
    /// Socket addresses in a cgroup.
    CGROUP_SOCK_ADDR = "cgroup_sock_addr";
    /// Connecting sockets in a cgroup.
    CGROUP_CONNECT = "cgroup_connect";
    /// Socket addresses in a cgroup, where the verdict may be an error number.
    CGROUP_RETVAL = "cgroup_retval";
    /// Setting socket options in a cgroup.
    CGROUP_SETSOCKOPT = "cgroup_setsockopt";
    /// Socket options in a cgroup.
    CGROUP_SOCKOPT = "cgroup_sockopt";
    /// Sysctls in a cgroup.
    CGROUP_SYSCTL = "cgroup_sysctl";
    /// Infrared receivers.
    LIRC = "lirc";
    /// TCP congestion control.
    TCP_CA = "tcp_congestion_ops";
    /// Classic filters.
    CLASSIC = "classic";
}
