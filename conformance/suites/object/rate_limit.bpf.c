// SPDX-License-Identifier: MIT OR Apache-2.0
/* Token bucket a source address. The clock is the packet counter, so that runs can be repeated. */
#include "packet.h"

#define BURST 3
#define REFILL_EVERY 8

struct bucket {
	__u64 tokens;
	__u64 stamp;
	__u64 dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

static __u64 clock;

static __always_inline int allow(__u32 source)
{
	__u64 now = __sync_fetch_and_add(&clock, 1);
	struct bucket full = { .tokens = BURST, .stamp = now }, *b = bpf_map_lookup_elem(&buckets, &source);

	if (!b) {
		bpf_map_update_elem(&buckets, &source, &full, BPF_ANY);
		b = bpf_map_lookup_elem(&buckets, &source);
		if (!b)
			return 0;
	}
	__u64 refill = (now - b->stamp) / REFILL_EVERY;

	if (refill) {
		b->tokens = b->tokens + refill > BURST ? BURST : b->tokens + refill;
		b->stamp += refill * REFILL_EVERY;
	}
	if (!b->tokens) {
		b->dropped++;
		return 0;
	}
	b->tokens--;
	return 1;
}

SEC("xdp")
int limit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct parsed p;

	if (parse(data, end, &p) < 0)
		return XDP_DROP;
	if (p.l3_proto == ETH_P_IP) {
		struct iphdr *ip = p.l3;

		if (!INSIDE(ip, end))
			return XDP_DROP;
		return allow(ip->saddr) ? XDP_PASS : XDP_DROP;
	}
	return allow(p.l3_proto) ? XDP_PASS : XDP_DROP;
}

SEC("cgroup_skb/ingress")
int limit_ingress(struct __sk_buff *skb)
{
	return allow(skb->protocol);
}

char _license[] SEC("license") = "GPL";
