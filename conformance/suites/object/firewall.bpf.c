// SPDX-License-Identifier: MIT OR Apache-2.0
/* XDP firewall: prefixes in tries, ports in a hash, verdict counters a CPU. */
#include "packet.h"

struct v4_prefix {
	__u32 bits;
	__be32 addr;
};

struct v6_prefix {
	__u32 bits;
	struct in6_addr addr;
};

struct rule {
	__u32 action;
	__u32 pad;
	__u64 hits;
};

struct counter {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v4_prefix);
	__type(value, struct rule);
} rules_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v6_prefix);
	__type(value, struct rule);
} rules_v6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u64);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, struct counter);
} verdicts SEC(".maps");

const volatile __u32 default_action = XDP_PASS;
const volatile __u16 blocked_port = 4444;

static __always_inline int verdict(struct xdp_md *ctx, __u32 action)
{
	struct counter *c = bpf_map_lookup_elem(&verdicts, &action);

	if (c) {
		c->packets++;
		c->bytes += ctx->data_end - ctx->data;
	}
	return action;
}

/* Learns: the first packet from a /24 makes a rule for it, so that later ones find it. */
static __always_inline __u32 match_v4(__be32 saddr)
{
	struct v4_prefix key = { .bits = 32, .addr = saddr };
	struct rule *rule = bpf_map_lookup_elem(&rules_v4, &key);

	if (rule) {
		__sync_fetch_and_add(&rule->hits, 1);
		return rule->action;
	}
	struct rule fresh = {
		.action = (saddr & bpf_htonl(0xff000000)) == bpf_htonl(0x0a000000) ? default_action : XDP_DROP,
		.hits = 1,
	};

	key.bits = 24;
	bpf_map_update_elem(&rules_v4, &key, &fresh, BPF_ANY);
	return default_action;
}

static __always_inline __u32 match_v6(const struct in6_addr *saddr)
{
	struct v6_prefix key = { .bits = 128, .addr = *saddr };
	struct rule *rule = bpf_map_lookup_elem(&rules_v6, &key);

	if (rule) {
		rule->hits++;
		return rule->action;
	}
	struct rule fresh = { .action = XDP_TX, .hits = 0 };

	key.bits = 64;
	bpf_map_update_elem(&rules_v6, &key, &fresh, BPF_NOEXIST);
	return default_action;
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct parsed p;

	if (parse(data, end, &p) < 0)
		return verdict(ctx, XDP_ABORTED);

	__u32 action = default_action;

	if (p.l3_proto == ETH_P_IP) {
		struct iphdr *ip = p.l3;

		if (!INSIDE(ip, end))
			return verdict(ctx, XDP_ABORTED);
		action = match_v4(ip->saddr);
	} else if (p.l3_proto == ETH_P_IPV6) {
		struct ipv6hdr *ip6 = p.l3;

		if (!INSIDE(ip6, end))
			return verdict(ctx, XDP_ABORTED);
		action = match_v6(&ip6->saddr);
	} else {
		return verdict(ctx, XDP_PASS);
	}

	if (p.l4 && !p.fragment && (p.l4_proto == IPPROTO_TCP || p.l4_proto == IPPROTO_UDP)) {
		struct ports *l4 = p.l4;

		if (!INSIDE(l4, end))
			return verdict(ctx, XDP_DROP);
		__u32 key = p.l4_proto << 16 | bpf_ntohs(l4->dst);
		__u64 one = 1, *seen = bpf_map_lookup_elem(&ports, &key);

		if (seen)
			__sync_fetch_and_add(seen, 1);
		else
			bpf_map_update_elem(&ports, &key, &one, BPF_NOEXIST);
		if (bpf_ntohs(l4->dst) == blocked_port)
			action = XDP_DROP;
	}
	return verdict(ctx, action);
}

char _license[] SEC("license") = "Dual MIT/GPL";
