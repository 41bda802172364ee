// SPDX-License-Identifier: MIT OR Apache-2.0
/* Traffic of a cgroup: bytes by direction and protocol, one port closed, congestion asked for. */
#include "packet.h"

struct usage {
	__u64 packets, bytes;
};

struct key {
	__u8 egress, proto;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 32);
	__type(key, struct key);
	__type(value, struct usage);
} usage SEC(".maps");

static __always_inline int account(struct __sk_buff *skb, int egress)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct key key = { .egress = egress };
	struct usage one = { 1, skb->len };
	struct iphdr *ip = data;

	/* The packet begins with its network header. */
	if (skb->protocol == bpf_htons(ETH_P_IP) && INSIDE(ip, end)) {
		key.proto = ip->protocol;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		__u8 next = 0;

		if (bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, nexthdr), &next, 1))
			return 0;
		key.proto = next;
	}
	struct usage *u = bpf_map_lookup_elem(&usage, &key);

	if (u) {
		u->packets++;
		u->bytes += skb->len;
	} else {
		bpf_map_update_elem(&usage, &key, &one, BPF_NOEXIST);
	}
	return key.proto;
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	return account(skb, 0) != IPPROTO_ICMP;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct ports ports = {};
	int proto = account(skb, 1);

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return 1;
	bpf_skb_load_bytes_relative(skb, sizeof(struct iphdr), &ports, sizeof(ports), BPF_HDR_START_NET);
	if (ports.dst == bpf_htons(25))
		return 0;
	return ports.dst == bpf_htons(53) ? 3 : 1;
}

char _license[] SEC("license") = "GPL";
