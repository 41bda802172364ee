// SPDX-License-Identifier: MIT OR Apache-2.0
/* Counts what is on the wire: VLAN depth, network and transport protocol, IPv6 extension headers. */
#include "packet.h"

struct kind {
	__u16 l3;
	__u8 l4;
	__u8 vlans : 4;
	__u8 fragment : 4;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, struct kind);
	__type(value, __u32);
} kinds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8[6]);
	__type(value, __u64);
} sources SEC(".maps");

__u64 malformed;
__u64 total = 1000;

static int count(void *data, void *end)
{
	struct parsed p;
	struct ethhdr *eth = data;

	total++;
	if (parse(data, end, &p) < 0) {
		malformed++;
		return -1;
	}
	struct kind kind = { p.l3_proto, p.l4_proto, p.vlans, p.fragment };
	__u32 one = 1, *seen = bpf_map_lookup_elem(&kinds, &kind);

	if (seen)
		(*seen)++;
	else
		bpf_map_update_elem(&kinds, &kind, &one, BPF_ANY);
	if (INSIDE(eth, end)) {
		__u64 bytes = end - data, *sum = bpf_map_lookup_elem(&sources, eth->h_source);

		if (sum)
			bytes += *sum;
		bpf_map_update_elem(&sources, eth->h_source, &bytes, BPF_ANY);
	}
	return p.l3_proto;
}

SEC("xdp")
int count_xdp(struct xdp_md *ctx)
{
	return count((void *)(long)ctx->data, (void *)(long)ctx->data_end) < 0 ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int count_tc(struct __sk_buff *skb)
{
	return count((void *)(long)skb->data, (void *)(long)skb->data_end) < 0 ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("action")
int count_action(struct __sk_buff *skb)
{
	int l3 = count((void *)(long)skb->data, (void *)(long)skb->data_end);

	skb->priority = l3;
	return l3 < 0 ? TC_ACT_STOLEN : TC_ACT_PIPE;
}

char _license[] SEC("license") = "GPL";
