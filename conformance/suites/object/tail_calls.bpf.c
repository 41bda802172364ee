// SPDX-License-Identifier: MIT OR Apache-2.0
/* Tail calls: a parser in three programs, a program that calls itself to the limit, a slot that is
 * empty, an index that is too large, and a tail call out of a subprogram. */
#include "packet.h"

enum slot { IPV4, IPV6, FOREVER, EMPTY, LEAF, SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

int parse_v4(struct xdp_md *ctx);
int parse_v6(struct xdp_md *ctx);
int forever(struct xdp_md *ctx);
int leaf(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[IPV4] = (void *)&parse_v4,
		[IPV6] = (void *)&parse_v6,
		[FOREVER] = (void *)&forever,
		[LEAF] = (void *)&leaf,
	},
};

static __always_inline void count(__u32 index)
{
	__u64 *slot = bpf_map_lookup_elem(&counts, &index);

	if (slot)
		(*slot)++;
}

SEC("xdp")
int parse_v4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	count(IPV4);
	if (!INSIDE(ip, end))
		return XDP_ABORTED;
	if (ip->protocol == IPPROTO_ICMP)
		bpf_tail_call(ctx, &programs, FOREVER);
	if (ip->protocol == IPPROTO_UDP)
		bpf_tail_call(ctx, &programs, EMPTY);
	if (ip->protocol == IPPROTO_TCP)
		bpf_tail_call(ctx, &programs, ip->ttl);
	return ip->protocol == IPPROTO_ICMP ? XDP_REDIRECT : XDP_PASS;
}

static __noinline int into_leaf(struct xdp_md *ctx, __u32 add)
{
	volatile __u64 on_stack = add;

	bpf_tail_call_static(ctx, &programs, LEAF);
	return on_stack;
}

SEC("xdp")
int parse_v6(struct xdp_md *ctx)
{
	count(IPV6);
	/* A tail call in a subprogram leaves only its frame: this adds to what leaf returns. */
	return into_leaf(ctx, 7) + 100;
}

SEC("xdp")
int leaf(struct xdp_md *ctx)
{
	count(LEAF);
	return XDP_TX;
}

SEC("xdp")
int forever(struct xdp_md *ctx)
{
	count(FOREVER);
	bpf_tail_call(ctx, &programs, FOREVER);
	count(7);
	return XDP_DROP;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if (!INSIDE(eth, end))
		return XDP_ABORTED;
	switch (bpf_ntohs(eth->h_proto)) {
	case ETH_P_IP:
		bpf_tail_call_static(ctx, &programs, IPV4);
		break;
	case ETH_P_IPV6:
		bpf_tail_call_static(ctx, &programs, IPV6);
		break;
	default:
		bpf_tail_call(ctx, &programs, SLOTS + eth->h_proto);
	}
	count(6);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
