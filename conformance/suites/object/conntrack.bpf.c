// SPDX-License-Identifier: MIT OR Apache-2.0
/* Connection counter for a classifier: TCP state a flow, both directions on one entry. */
#include "packet.h"

enum state { NEW, ESTABLISHED, CLOSING, CLOSED };

struct flow_key {
	__be32 low, high;
	__be16 low_port, high_port;
	__u8 proto, pad[3];
};

struct flow {
	__u64 packets[2];
	__u64 bytes[2];
	enum state state;
	__u32 fins;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow_key);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 128);
	__type(key, __be32);
	__type(value, __u64);
} talkers SEC(".maps");

static __always_inline enum state advance(struct flow *flow, struct tcphdr *tcp)
{
	if (tcp->rst)
		return CLOSED;
	if (tcp->fin)
		return ++flow->fins > 1 ? CLOSED : CLOSING;
	if (flow->state == NEW && tcp->ack && !tcp->syn)
		return ESTABLISHED;
	return flow->state;
}

SEC("tc")
int track(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	struct parsed p;

	if (parse(data, end, &p) < 0)
		return TC_ACT_SHOT;
	if (p.l3_proto != ETH_P_IP || !p.l4 || p.fragment)
		return TC_ACT_OK;
	struct iphdr *ip = p.l3;
	struct ports *ports = p.l4;

	if (!INSIDE(ip, end) || !INSIDE(ports, end))
		return TC_ACT_OK;
	if (p.l4_proto != IPPROTO_TCP && p.l4_proto != IPPROTO_UDP)
		return TC_ACT_UNSPEC;

	int reverse = ip->saddr > ip->daddr;
	struct flow_key key = {
		.low = reverse ? ip->daddr : ip->saddr,
		.high = reverse ? ip->saddr : ip->daddr,
		.low_port = reverse ? ports->dst : ports->src,
		.high_port = reverse ? ports->src : ports->dst,
		.proto = p.l4_proto,
	};
	struct flow fresh = {}, *flow = bpf_map_lookup_elem(&flows, &key);

	if (!flow) {
		bpf_map_update_elem(&flows, &key, &fresh, BPF_NOEXIST);
		flow = bpf_map_lookup_elem(&flows, &key);
		if (!flow)
			return TC_ACT_SHOT;
	}
	flow->packets[reverse]++;
	flow->bytes[reverse] += skb->len;
	if (p.l4_proto == IPPROTO_TCP) {
		struct tcphdr *tcp = p.l4;

		if (!INSIDE(tcp, end))
			return TC_ACT_SHOT;
		flow->state = advance(flow, tcp);
		if (flow->state == CLOSED)
			bpf_map_delete_elem(&flows, &key);
	}

	__be32 source = ip->saddr;
	__u64 one = 1, *count = bpf_map_lookup_elem(&talkers, &source);

	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&talkers, &source, &one, BPF_ANY);
	skb->mark = flow->packets[0] + flow->packets[1];
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
