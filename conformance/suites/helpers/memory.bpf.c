// SPDX-License-Identifier: MIT OR Apache-2.0
/* Reading memory by address, and loops. */
#include "probe.h"

char source[32] = "a string in kernel memory";

#define READ(n, helper, size, from) ({ \
	char buf[40]; \
	__builtin_memset(buf, 0xa5, sizeof(buf)); \
	seen[4 * (n)] = helper(buf, size, (void *)(from)); \
	seen[4 * (n) + 1] = *(__u64 *)buf; \
	seen[4 * (n) + 2] = *(__u64 *)(buf + 8); \
	seen[4 * (n) + 3] = *(__u64 *)(buf + 24); })

SEC("tc")
int reads(struct __sk_buff *skb)
{
	READ(0, bpf_probe_read_kernel, 32, source);
	READ(1, bpf_probe_read_kernel, 3, source + 2);
	READ(2, bpf_probe_read_kernel, 16, 0);
	READ(3, bpf_probe_read_kernel, 16, 1);
	READ(4, bpf_probe_read_kernel, 0, source);
	READ(5, bpf_probe_read_kernel, 0, 0);
	READ(6, bpf_probe_read_kernel, 16, 0xffffffffffffffffull);
	READ(7, bpf_probe_read_kernel, 16, 0x8000000000000000ull);
	READ(8, bpf_probe_read_user, 16, 0);
	READ(9, bpf_probe_read_user, 16, source);
	READ(10, bpf_probe_read_user, 0, 0);
	READ(11, bpf_probe_read_user, 0, source);
	READ(12, bpf_probe_read_user, 9, 0xffffffffffffff00ull);
	READ(13, bpf_probe_read_kernel_str, 32, source);
	READ(14, bpf_probe_read_kernel_str, 8, source);
	READ(15, bpf_probe_read_kernel_str, 1, source);
	READ(16, bpf_probe_read_kernel_str, 0, source);
	READ(17, bpf_probe_read_kernel_str, 0, 0);
	READ(18, bpf_probe_read_kernel_str, 16, 0);
	READ(19, bpf_probe_read_kernel_str, 16, 0xffffffffffffff00ull);
	READ(20, bpf_probe_read_kernel_str, 16, source + 25);
	READ(21, bpf_probe_read_user_str, 16, 0);
	READ(22, bpf_probe_read_user_str, 16, source);
	READ(23, bpf_probe_read_user_str, 0, 0);
	READ(24, bpf_probe_read_kernel_str, 26, source);
	READ(25, bpf_probe_read_kernel_str, 25, source);
	return 0;
}

struct tally {
	__u64 calls;
	__u64 sum;
	__u64 stop;
};

static long step(__u64 index, struct tally *tally)
{
	tally->calls++;
	tally->sum += index;
	return index == tally->stop;
}

static __always_inline void repeat(int n, __u32 times, __u64 stop, __u64 flags)
{
	struct tally tally = {.stop = stop};

	seen[4 * n] = bpf_loop(times, step, &tally, flags);
	seen[4 * n + 1] = tally.calls;
	seen[4 * n + 2] = tally.sum;
}

SEC("tc")
int loops(struct __sk_buff *skb)
{
	repeat(0, 0, 1000, 0);
	repeat(1, 1, 1000, 0);
	repeat(2, 100, 1000, 0);
	repeat(3, 100, 50, 0);
	repeat(4, 100, 0, 0);
	repeat(5, 100, 0, 0);
	repeat(6, 1 << 23, 3, 0);
	repeat(7, (1 << 23) + 1, 3, 0);
	repeat(8, 0xffffffff, 3, 0);
	return 0;
}

SEC("tc")
int flagged_loops(struct __sk_buff *skb)
{
	repeat(0, 3, 1000, 1);
	repeat(1, 1 << 24, 1000, 1ull << 40);
	return 0;
}

SEC("tc")
int tasks(struct __sk_buff *skb)
{
	char comm[20];
	__u64 info;

	__builtin_memset(comm, 0xa5, sizeof(comm));
	seen[0] = bpf_get_current_comm(comm, 20);
	seen[1] = *(__u32 *)(comm + 16);
	__builtin_memset(comm, 0xa5, sizeof(comm));
	seen[2] = bpf_get_current_comm(comm, 1);
	seen[3] = comm[0] | comm[1] << 8;
	seen[4] = bpf_get_ns_current_pid_tgid(0, 0, (void *)&info, 8);
	seen[5] = info;
	seen[6] = bpf_get_ns_current_pid_tgid(0, 0, (void *)comm, 4);
	seen[7] = *(__u64 *)comm;
	seen[8] = bpf_get_current_ancestor_cgroup_id(0);
	seen[9] = bpf_get_current_ancestor_cgroup_id(-1);
	seen[10] = bpf_get_current_ancestor_cgroup_id(1000);
	seen[11] = bpf_get_current_uid_gid();
	seen[12] = bpf_get_current_pid_tgid();
	seen[13] = bpf_get_current_cgroup_id();
	seen[14] = bpf_get_numa_node_id();
	seen[15] = bpf_get_smp_processor_id();
	seen[16] = bpf_ktime_get_ns() <= bpf_ktime_get_ns();
	seen[17] = bpf_ktime_get_boot_ns() - bpf_ktime_get_ns() < 1000000000ull;
	return 0;
}
