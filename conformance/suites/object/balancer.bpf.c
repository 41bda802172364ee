// SPDX-License-Identifier: MIT OR Apache-2.0
/* Layer-4 load balancer: Jenkins hash of the five-tuple chooses a backend, an LRU remembers the
 * choice, the packet is readdressed with its checksums and sent back out. */
#include "packet.h"

#define BACKENDS 4

struct tuple {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 proto, pad[3];
};

struct backend {
	__be32 addr;
	__u8 mac[6];
	__u16 weight;
};

struct flow {
	__u32 backend;
	__u32 packets;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct tuple);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BACKENDS);
	__type(key, __u32);
	__type(value, __u64);
} chosen SEC(".maps");

static const struct backend backends[BACKENDS] = {
	{ 0x0100a8c0, { 2, 0, 0, 0, 0, 1 }, 1 },
	{ 0x0200a8c0, { 2, 0, 0, 0, 0, 2 }, 2 },
	{ 0x0300a8c0, { 2, 0, 0, 0, 0, 3 }, 1 },
	{ 0x0400a8c0, { 2, 0, 0, 0, 0, 4 }, 4 },
};

static __always_inline __u32 rol(__u32 x, int n)
{
	return x << n | x >> (32 - n);
}

static __noinline __u32 jhash(const __u32 *words, __u32 count)
{
	__u32 a = 0xdeadbeef + count * 4, b = a, c = a;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		a += words[i];
		a -= c; a ^= rol(c, 4); c += b;
		b -= a; b ^= rol(a, 6); a += c;
		c -= b; c ^= rol(b, 8); b += a;
		a -= c; a ^= rol(c, 16); c += b;
		b -= a; b ^= rol(a, 19); a += c;
		c -= b; c ^= rol(b, 4); b += a;
	}
	return c;
}

static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tuple key = {};

	if (!INSIDE(ip, end) || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	struct ports *ports = (void *)(ip + 1);

	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (!INSIDE(ports, end) || ip->frag_off & bpf_htons(0x1fff))
		return XDP_DROP;
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.sport = ports->src;
	key.dport = ports->dst;
	key.proto = ip->protocol;

	struct flow *flow = bpf_map_lookup_elem(&flows, &key);
	__u32 index;

	if (flow) {
		flow->packets++;
		index = flow->backend;
	} else {
		struct flow fresh = { .packets = 1 };

		index = fresh.backend = jhash((__u32 *)&key, 4) % BACKENDS;
		bpf_map_update_elem(&flows, &key, &fresh, BPF_ANY);
	}
	__u64 *count = bpf_map_lookup_elem(&chosen, &index);

	if (!count)
		return XDP_ABORTED;
	__sync_fetch_and_add(count, 1);

	__u32 slot = index;

	OPAQUE(slot);
	if (slot >= BACKENDS)
		return XDP_ABORTED;
	const struct backend *to = &backends[slot];
	__be32 old = ip->daddr, new = to->addr;
	__u64 diff = bpf_csum_diff(&old, 4, &new, 4, (__u16)~ip->check);

	ip->check = csum_fold(diff);
	ip->daddr = new;
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)ports;

		if (!INSIDE(tcp, end))
			return XDP_DROP;
		tcp->check = csum_fold(bpf_csum_diff(&old, 4, &new, 4, (__u16)~tcp->check));
	} else {
		struct udphdr *udp = (void *)ports;

		if (!INSIDE(udp, end))
			return XDP_DROP;
		if (udp->check)
			udp->check = csum_fold(bpf_csum_diff(&old, 4, &new, 4, (__u16)~udp->check));
	}
	__builtin_memcpy(eth->h_source, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, to->mac, 6);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
