// SPDX-License-Identifier: MIT OR Apache-2.0
/* Samples to a perf event array from each kind of packet program, with packet bytes appended. */
#include "packet.h"

struct header {
	__u64 cookie;
	__u32 len;
	__u16 kind;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

static __always_inline void send(void *ctx, __u64 len, __u16 kind)
{
	struct header h = { .cookie = 0x1122334455667788, .len = len, .kind = kind };
	__u64 tail = len < 24 ? len : 24;
	__s64 err[5] = {
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &h, sizeof(h)),
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | tail << 32, &h, 14),
		bpf_perf_event_output(ctx, &events, 0, &h, 1),
		/* Nothing sits behind that index, and more than the packet holds. */
		bpf_perf_event_output(ctx, &events, 77, &h, sizeof(h)),
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU | (len + 1) << 32, &h, 8),
	};

	for (__u32 i = 0; i < 5; i++) {
		__u32 key = i;

		bpf_map_update_elem(&results, &key, &err[i], BPF_ANY);
	}
}

SEC("xdp")
int sample_xdp(struct xdp_md *ctx)
{
	send(ctx, ctx->data_end - ctx->data, 1);
	return XDP_PASS;
}

SEC("tc")
int sample_tc(struct __sk_buff *skb)
{
	send(skb, skb->len, 2);
	return TC_ACT_OK;
}

SEC("socket")
int sample_socket(struct __sk_buff *skb)
{
	send(skb, skb->len, 3);
	return skb->len;
}

SEC("cgroup_skb/egress")
int sample_cgroup(struct __sk_buff *skb)
{
	send(skb, skb->len, 4);
	return 1;
}

char _license[] SEC("license") = "GPL";
