// SPDX-License-Identifier: MIT OR Apache-2.0
/* Clocks, random numbers and the CPU, reduced to what holds on any machine. */
#include "packet.h"

__u64 facts[8];
__u64 last SEC(".bss.clock");

static __always_inline void observe(void)
{
	__u64 a = bpf_ktime_get_ns(), b = bpf_ktime_get_ns(), boot = bpf_ktime_get_boot_ns();
	__u32 differ = 0, first = bpf_get_prandom_u32();

	facts[0] = b >= a;
	facts[1] = boot >= a;
	facts[2] = a >= last && a != 0;
	last = b;
	for (int i = 0; i < 8; i++)
		differ |= first ^ bpf_get_prandom_u32();
	facts[3] = differ != 0;
	facts[4] = bpf_get_smp_processor_id();
	facts[5]++;
}

SEC("xdp")
int observe_xdp(struct xdp_md *ctx)
{
	observe();
	return XDP_PASS;
}

SEC("socket")
int observe_socket(struct __sk_buff *skb)
{
	observe();
	return 0;
}

SEC("cgroup_skb/egress")
int observe_cgroup(struct __sk_buff *skb)
{
	observe();
	return 1;
}

char _license[] SEC("license") = "GPL";
