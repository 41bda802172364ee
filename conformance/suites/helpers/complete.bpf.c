// SPDX-License-Identifier: MIT OR Apache-2.0
/* Packets whose whole sum a device has computed: which helpers keep it right. */
#include "probe.h"

/* The sum as it stands. */
#define SUM() SEE(bpf_csum_update(skb, 0))

SEC("tc")
int kept(struct __sk_buff *skb)
{
	SUM();
	SEE(bpf_skb_store_bytes(skb, 16, "abcdef", 6, BPF_F_RECOMPUTE_CSUM));
	SUM();
	SEE(bpf_skb_store_bytes(skb, 23, "ghi", 3, BPF_F_RECOMPUTE_CSUM));
	SUM();
	SEE(bpf_skb_change_tail(skb, skb->len - 3, 0));
	SUM();
	SEE(bpf_skb_change_tail(skb, skb->len + 5, 0));
	SUM();
	SEE(bpf_skb_ecn_set_ce(skb));
	SUM();
	return 0;
}

SEC("tc")
int rooms(struct __sk_buff *skb)
{
	SEE(bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_NET, 0));
	SUM();
	SEE(bpf_skb_adjust_room(skb, -6, BPF_ADJ_ROOM_MAC, 0));
	SUM();
	SEE(bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	SUM();
	SEE(bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0));
	SUM();
	return 0;
}

SEC("tc")
int tags(struct __sk_buff *skb)
{
	SEE(bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 0x1123));
	SUM();
	SEE(bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 0x2456));
	SUM();
	SEE(bpf_skb_vlan_pop(skb));
	SUM();
	SEE(bpf_skb_vlan_pop(skb));
	SUM();
	return 0;
}

SEC("tc")
int popped(struct __sk_buff *skb)
{
	SEE(bpf_skb_vlan_pop(skb));
	SUM();
	SEE(bpf_skb_vlan_pop(skb));
	SUM();
	return 0;
}

SEC("tc")
int headed(struct __sk_buff *skb)
{
	SEE(bpf_skb_change_head(skb, 10, 0));
	SUM();
	return 0;
}

/* Addresses change: the transport sum takes it in, the network sum does not. */
SEC("tc")
int translated(struct __sk_buff *skb)
{
	SEE(bpf_l4_csum_replace(skb, 40, 0x01020304, 0x05060708, BPF_F_PSEUDO_HDR | 4));
	SUM();
	SEE(bpf_l4_csum_replace(skb, 40, 0x0102, 0x0304, BPF_F_PSEUDO_HDR | 2));
	SUM();
	SEE(bpf_l4_csum_replace(skb, 40, 0, 0x12345678, BPF_F_PSEUDO_HDR));
	SUM();
	SEE(bpf_l4_csum_replace(skb, 40, 0, 0x12345678, BPF_F_PSEUDO_HDR | 1 << 7));
	SUM();
	SEE(bpf_l4_csum_replace(skb, 40, 0x0102, 0x0304, 2));
	SUM();
	SEE(bpf_l3_csum_replace(skb, 24, 0x01020304, 0x05060708, 4));
	SUM();
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET));
	SUM();
	return 0;
}

SEC("tc")
int wrong(struct __sk_buff *skb)
{
	SEE(bpf_csum_update(skb, 5));
	return 0;
}

SEC("cgroup_skb/ingress")
int marked(struct __sk_buff *skb)
{
	SEE(bpf_skb_ecn_set_ce(skb));
	return 1;
}
