// SPDX-License-Identifier: MIT OR Apache-2.0
/* Source NAT in a classifier, with the skb helpers only: no direct packet access. */
#include "packet.h"

#define IP_OFF sizeof(struct ethhdr)
#define L4_OFF (IP_OFF + sizeof(struct iphdr))

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u16);
} leases SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

const volatile __be32 outside = 0x010200c6; /* 198.0.2.1 */
__u16 next_port = 40000;

static __always_inline void result(__u32 index, __s64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

SEC("tc")
int snat(struct __sk_buff *skb)
{
	struct iphdr ip;
	struct ports ports;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, IP_OFF, &ip, sizeof(ip)) < 0)
		return TC_ACT_SHOT;
	if (ip.ihl != 5 || (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP))
		return TC_ACT_OK;
	if (bpf_skb_load_bytes_relative(skb, sizeof(ip), &ports, sizeof(ports), BPF_HDR_START_NET) < 0)
		return TC_ACT_SHOT;

	__u64 key = (__u64)ip.saddr << 16 | ports.src;
	__u16 *lease = bpf_map_lookup_elem(&leases, &key), port;

	if (lease) {
		port = *lease;
	} else {
		port = bpf_htons(next_port++);
		bpf_map_update_elem(&leases, &key, &port, BPF_ANY);
	}

	int udp = ip.protocol == IPPROTO_UDP;
	__u32 check = L4_OFF + (udp ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check));
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;

	result(0, bpf_l4_csum_replace(skb, check, ip.saddr, outside, BPF_F_PSEUDO_HDR | flags | 4));
	result(1, bpf_l4_csum_replace(skb, check, ports.src, port, flags | 2));
	result(2, bpf_l3_csum_replace(skb, IP_OFF + offsetof(struct iphdr, check), ip.saddr, outside, 4));
	result(3, bpf_skb_store_bytes(skb, IP_OFF + offsetof(struct iphdr, saddr), (void *)&outside, 4, 0));
	result(4, bpf_skb_store_bytes(skb, L4_OFF, &port, 2, BPF_F_RECOMPUTE_CSUM));
	return TC_ACT_OK;
}

/* The errors of the same helpers. */
SEC("tc")
int refusals(struct __sk_buff *skb)
{
	__u8 buf[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

	result(0, bpf_skb_load_bytes(skb, skb->len - 3, buf, 4));
	result(1, buf[0] | buf[3]);
	result(2, bpf_skb_load_bytes(skb, 0x10000, buf, 4));
	result(3, bpf_skb_load_bytes_relative(skb, 0, buf, 4, 7));
	result(4, bpf_skb_load_bytes_relative(skb, 0, buf, 6, BPF_HDR_START_MAC));
	result(5, buf[0] << 8 | buf[5]);
	result(6, bpf_skb_store_bytes(skb, skb->len, buf, 1, 0));
	result(7, bpf_skb_store_bytes(skb, 0, buf, 1, 1 << 5));
	result(8, bpf_skb_store_bytes(skb, 0, buf + 8, 6, BPF_F_INVALIDATE_HASH));
	result(9, bpf_l3_csum_replace(skb, 25, 1, 2, 2));
	result(10, bpf_l3_csum_replace(skb, 24, 1, 2, 3));
	result(11, bpf_l3_csum_replace(skb, 24, 0, 0x1234, 0));
	result(12, bpf_l4_csum_replace(skb, 24, 1, 2, 0x80 | 2));
	result(13, bpf_l4_csum_replace(skb, 24, 1, 2, 8));
	result(14, bpf_l4_csum_replace(skb, 24, 3, 9, BPF_F_MARK_ENFORCE | 4));
	return TC_ACT_RECLASSIFY;
}

char _license[] SEC("license") = "GPL";
