// One program a section: what the names mean is compared with libbpf.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define P(n, s) SEC(s) int p##n(void *ctx) { return 0; }

P(1, "socket") P(2, "sk_reuseport/migrate") P(3, "sk_reuseport") P(4, "kprobe/do_exit")
P(5, "uprobe.s//bin/true:main") P(6, "kretprobe") P(7, "kprobe.multi/bpf_*")
P(8, "kprobe.session/bpf_*") P(9, "uprobe.multi.s//bin/true:*") P(10, "usdt.s")
P(11, "ksyscall/openat") P(12, "tc/ingress") P(13, "tcx/egress") P(14, "classifier")
P(15, "action") P(16, "netkit/primary") P(17, "tp/sched/sched_switch") P(18, "raw_tp.w/x")
P(19, "tp_btf/sched_switch") P(20, "fmod_ret.s/x") P(21, "freplace/x") P(22, "lsm.s/file_open")
P(23, "lsm_cgroup/socket_bind") P(24, "iter.s/task") P(25, "syscall") P(26, "xdp.frags/devmap")
P(27, "xdp/cpumap") P(28, "xdp.frags") P(29, "perf_event") P(30, "lwt_seg6local")
P(31, "sockops") P(32, "sk_skb/stream_parser") P(33, "sk_skb") P(34, "sk_msg")
P(35, "lirc_mode2") P(36, "flow_dissector") P(37, "cgroup_skb/ingress") P(38, "cgroup/skb")
P(39, "cgroup/sock_release") P(40, "cgroup/bind4") P(41, "cgroup/connect_unix")
P(42, "cgroup/recvmsg6") P(43, "cgroup/sysctl") P(44, "cgroup/getsockopt") P(45, "cgroup/dev")
P(46, "struct_ops.s/x") P(47, "sk_lookup") P(48, "netfilter") P(49, "?xdp") P(50, "custom/name")
P(51, "fsession/x") P(52, "uretprobe.multi//bin/true:*") P(53, "raw_tracepoint/x")
P(54, "tracepoint/a/b") P(55, "cgroup/getsockname_unix") P(56, "xdpx") P(57, "sk_skb/verdict")

char LICENSE[] SEC("license") = "GPL";
