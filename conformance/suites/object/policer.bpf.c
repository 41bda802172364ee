// SPDX-License-Identifier: MIT OR Apache-2.0
/* A traffic action: a verdict by DSCP, the class in a table, the field rewritten in place. */
#include "packet.h"

struct class {
	__u32 packets;
	__u32 action;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct class);
} classes SEC(".maps");

static __always_inline int by_dscp(__u32 dscp)
{
	switch (dscp >> 3) {
	case 0: return TC_ACT_OK;
	case 1: return TC_ACT_RECLASSIFY;
	case 2: return TC_ACT_SHOT;
	case 3: return TC_ACT_PIPE;
	case 4: return TC_ACT_STOLEN;
	case 5: return TC_ACT_QUEUED;
	case 6: return TC_ACT_REPEAT;
	default: return TC_ACT_TRAP;
	}
}

SEC("action")
int police(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (skb->protocol != bpf_htons(ETH_P_IP) || !INSIDE(ip, end))
		return TC_ACT_UNSPEC;
	__u32 dscp = ip->tos >> 2;
	struct class *class = bpf_map_lookup_elem(&classes, &dscp);

	if (!class)
		return TC_ACT_SHOT;
	__sync_fetch_and_add(&class->packets, 1);
	class->action = by_dscp(dscp);

	/* RFC 1624: the checksum after one word changed. */
	__u16 old = *(__u16 *)ip;

	ip->tos = (dscp ^ 1) << 2 | (ip->tos & 3);
	__u32 sum = (__u16)~ip->check + (__u16)~old + *(__u16 *)ip;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
	skb->priority = dscp;
	return class->action;
}

char _license[] SEC("license") = "GPL";
