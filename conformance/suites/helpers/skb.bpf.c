// SPDX-License-Identifier: MIT OR Apache-2.0
/* Room, tags, types and bytes of a socket buffer. */
#include "probe.h"

static __always_inline void shape(struct __sk_buff *skb, int at)
{
	__u16 word = 0;

	seen[at] = skb->len;
	seen[at + 1] = skb->protocol | (__u64)skb->pkt_type << 32;
	seen[at + 2] = skb->vlan_present | (__u64)skb->vlan_tci << 16 | (__u64)skb->vlan_proto << 32;
	seen[at + 3] = bpf_skb_load_bytes_relative(skb, 0, &word, 2, BPF_HDR_START_MAC);
	seen[at + 4] = word;
	seen[at + 5] = bpf_skb_load_bytes_relative(skb, 0, &word, 2, BPF_HDR_START_NET);
	seen[at + 6] = word;
}

/* A step takes eight places. */
#define STEP(n, call) ({ seen[8 * (n)] = (call); shape(skb, 8 * (n) + 1); })

SEC("tc")
int tail(struct __sk_buff *skb)
{
	__u32 len = skb->len;

	STEP(0, bpf_skb_change_tail(skb, len, 0));
	STEP(1, bpf_skb_change_tail(skb, len, 1));
	STEP(2, bpf_skb_change_tail(skb, len - 5, 0));
	STEP(3, bpf_skb_change_tail(skb, len, 0));
	STEP(4, bpf_skb_change_tail(skb, 14, 0));
	STEP(5, bpf_skb_change_tail(skb, 13, 0));
	STEP(6, bpf_skb_change_tail(skb, 16064, 0));
	STEP(7, bpf_skb_change_tail(skb, 16065, 0));
	STEP(8, bpf_skb_change_tail(skb, 0xffffffff, 0));
	STEP(9, bpf_skb_change_tail(skb, 40, 0));
	STEP(10, bpf_skb_pull_data(skb, 0));
	STEP(11, bpf_skb_pull_data(skb, 40));
	STEP(12, bpf_skb_pull_data(skb, 41));
	STEP(13, bpf_skb_pull_data(skb, 0xffffffff));
	return 0;
}

SEC("tc")
int head(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_change_head(skb, 0, 0));
	STEP(1, bpf_skb_change_head(skb, 14, 0));
	STEP(2, bpf_skb_change_head(skb, 14, 1));
	STEP(3, bpf_skb_change_head(skb, 100, 0));
	STEP(4, bpf_skb_change_head(skb, 17000, 0));
	STEP(5, bpf_skb_change_head(skb, 0xffffffff, 0));
	STEP(6, bpf_skb_change_head(skb, 9000, 0));
	STEP(7, bpf_skb_change_tail(skb, 200, 0));
	return 0;
}

SEC("tc")
int tags(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_vlan_pop(skb));
	STEP(1, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 0x1123));
	STEP(2, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 0x2456));
	STEP(3, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_IP), 0xffff));
	STEP(4, bpf_skb_vlan_pop(skb));
	STEP(5, bpf_skb_vlan_pop(skb));
	STEP(6, bpf_skb_vlan_push(skb, 0, 0));
	STEP(7, bpf_skb_vlan_pop(skb));
	STEP(8, bpf_skb_vlan_pop(skb));
	STEP(9, bpf_skb_vlan_pop(skb));
	STEP(10, bpf_skb_vlan_pop(skb));
	STEP(11, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 1));
	return 0;
}

SEC("tc")
int tags_at_the_head(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_change_head(skb, 6, 0));
	STEP(1, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1));
	STEP(2, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 2));
	STEP(3, bpf_skb_vlan_pop(skb));
	STEP(4, bpf_skb_vlan_pop(skb));
	return 0;
}

SEC("tc")
int room(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_NET, 0));
	STEP(1, bpf_skb_adjust_room(skb, -8, BPF_ADJ_ROOM_NET, 0));
	STEP(2, bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, 0));
	STEP(3, bpf_skb_adjust_room(skb, -20, BPF_ADJ_ROOM_MAC, 0));
	STEP(4, bpf_skb_adjust_room(skb, 4096, BPF_ADJ_ROOM_MAC, 0));
	STEP(5, bpf_skb_adjust_room(skb, 4095, BPF_ADJ_ROOM_MAC, 0));
	STEP(6, bpf_skb_adjust_room(skb, -4095, BPF_ADJ_ROOM_MAC, 0));
	STEP(7, bpf_skb_adjust_room(skb, -4095, BPF_ADJ_ROOM_MAC, 0));
	STEP(8, bpf_skb_adjust_room(skb, 4, 2, 0));
	STEP(9, bpf_skb_adjust_room(skb, 0, BPF_ADJ_ROOM_MAC, 0));
	STEP(10, bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, 1 << 9));
	STEP(11, bpf_skb_adjust_room(skb, -4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET));
	STEP(12, bpf_skb_adjust_room(skb, -4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4));
	STEP(13, bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV4));
	STEP(14, bpf_skb_adjust_room(skb, -0x7fffffff - 1, BPF_ADJ_ROOM_MAC, 0));
	STEP(15, bpf_skb_adjust_room(skb, -10, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV4));
	STEP(16, bpf_skb_adjust_room(skb, -2, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV6));
	STEP(17, bpf_skb_adjust_room(skb, -2, BPF_ADJ_ROOM_MAC, DECAP_L3_IPV4));
	return 0;
}

SEC("tc")
int room_at_the_limit(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_change_tail(skb, 16000, 0));
	STEP(1, bpf_skb_adjust_room(skb, 65, BPF_ADJ_ROOM_MAC, 0));
	STEP(2, bpf_skb_adjust_room(skb, 64, BPF_ADJ_ROOM_MAC, 0));
	STEP(3, bpf_skb_adjust_room(skb, 1, BPF_ADJ_ROOM_MAC, 0));
	STEP(4, bpf_skb_vlan_push(skb, 0, 1));
	STEP(5, bpf_skb_vlan_push(skb, 0, 2));
	STEP(6, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	return 0;
}

SEC("tc")
int tags_and_room(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 5));
	STEP(1, bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4));
	STEP(2, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 6));
	STEP(3, bpf_skb_adjust_room(skb, 20, BPF_ADJ_ROOM_MAC, 0));
	STEP(4, bpf_skb_change_head(skb, 14, 0));
	STEP(5, bpf_skb_vlan_pop(skb));
	STEP(6, bpf_skb_change_tail(skb, 60, 0));
	STEP(7, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 7));
	STEP(8, bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), 8));
	STEP(9, bpf_skb_change_tail(skb, 16, 0));
	STEP(10, bpf_skb_vlan_pop(skb));
	STEP(11, bpf_skb_vlan_pop(skb));
	STEP(12, bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, 0));
	STEP(13, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	STEP(14, bpf_skb_ecn_set_ce(skb));
	return 0;
}

SEC("tc")
int encap4(struct __sk_buff *skb)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP;

	STEP(0, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L4_GRE));
	STEP(1, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6));
	STEP(2, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L2_ETH));
	STEP(3, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L2(29)));
	STEP(4, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags));
	STEP(5, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags));
	STEP(6, bpf_skb_change_tail(skb, skb->len + 4, 0));
	STEP(7, bpf_skb_adjust_room(skb, -28, BPF_ADJ_ROOM_MAC, 0));
	STEP(8, bpf_skb_adjust_room(skb, 28, BPF_ADJ_ROOM_MAC, flags));
	return 0;
}

SEC("tc")
int encap6(struct __sk_buff *skb)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE |
		      BPF_F_ADJ_ROOM_ENCAP_L2(14) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH;

	STEP(0, bpf_skb_adjust_room(skb, 58, BPF_ADJ_ROOM_NET, flags));
	STEP(1, bpf_skb_adjust_room(skb, -58, BPF_ADJ_ROOM_NET, DECAP_L3_IPV4));
	STEP(2, bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_MAC,
				    BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L4_GRE));
	STEP(3, bpf_skb_adjust_room(skb, 8, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO));
	return 0;
}

SEC("tc")
int protocols(struct __sk_buff *skb)
{
	STEP(0, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	STEP(1, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IPV6), 0));
	STEP(2, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 1));
	STEP(3, bpf_skb_change_proto(skb, bpf_htons(ETH_P_ARP), 0));
	STEP(4, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0));
	STEP(5, bpf_skb_change_proto(skb, bpf_htons(ETH_P_IP), 0));
	STEP(6, bpf_skb_change_type(skb, 3));
	STEP(7, bpf_skb_change_type(skb, 4));
	STEP(8, bpf_skb_change_type(skb, 0xffffffff));
	STEP(9, bpf_skb_change_type(skb, 1));
	return 0;
}

#define LOAD(off, len, at) ({ \
	__builtin_memset(buf, 0xa5, sizeof(buf)); \
	seen[at] = bpf_skb_load_bytes(skb, off, buf, len); \
	seen[(at) + 1] = *(__u64 *)buf; \
	seen[(at) + 2] = *(__u64 *)(buf + 8); })
#define RELATIVE(off, len, start, at) ({ \
	__builtin_memset(buf, 0xa5, sizeof(buf)); \
	seen[at] = bpf_skb_load_bytes_relative(skb, off, buf, len, start); \
	seen[(at) + 1] = *(__u64 *)buf; \
	seen[(at) + 2] = *(__u64 *)(buf + 8); })

static __always_inline void loads(struct __sk_buff *skb)
{
	char buf[16] = {};

	LOAD(0, 16, 0);
	LOAD(3, 5, 4);
	LOAD(skb->len - 4, 4, 8);
	LOAD(skb->len - 3, 4, 12);
	LOAD(skb->len, 1, 16);
	LOAD(0xffff, 16, 20);
	LOAD(0x7fffffff, 16, 24);
	LOAD(0x80000000, 16, 28);
	LOAD(0xffffffff, 3, 32);
	RELATIVE(0, 16, BPF_HDR_START_MAC, 36);
	RELATIVE(12, 2, BPF_HDR_START_MAC, 40);
	RELATIVE(0, 4, BPF_HDR_START_NET, 44);
	RELATIVE(skb->len - 4, 4, BPF_HDR_START_NET, 48);
	RELATIVE(0x10000, 4, BPF_HDR_START_NET, 52);
	RELATIVE(0, 4, 2, 56);
	RELATIVE(0, 4, 0xffffffff, 60);
}

SEC("tc")
int tc_loads(struct __sk_buff *skb)
{
	loads(skb);
	seen[100] = bpf_skb_store_bytes(skb, 2, "abcdef", 6, 0);
	seen[101] = bpf_skb_store_bytes(skb, 15, "ghi", 3, BPF_F_RECOMPUTE_CSUM);
	seen[102] = bpf_skb_store_bytes(skb, 3, "jkl", 3, BPF_F_INVALIDATE_HASH);
	seen[103] = bpf_skb_store_bytes(skb, 3, "mno", 3, 4);
	seen[104] = bpf_skb_store_bytes(skb, skb->len - 2, "pqr", 3, 0);
	seen[105] = bpf_skb_store_bytes(skb, skb->len - 3, "stu", 3, 0);
	seen[106] = bpf_skb_store_bytes(skb, 0x80000000, "v", 1, 0);
	seen[107] = bpf_skb_store_bytes(skb, 0xffffffff, "wx", 2, 0);
	return 0;
}

SEC("cgroup_skb/egress")
int cgroup_loads(struct __sk_buff *skb)
{
	loads(skb);
	return 1;
}

SEC("socket")
int socket_loads(struct __sk_buff *skb)
{
	loads(skb);
	return 1;
}

SEC("tc")
int congestion(struct __sk_buff *skb)
{
	seen[0] = bpf_skb_ecn_set_ce(skb);
	seen[1] = bpf_skb_ecn_set_ce(skb);
	seen[2] = bpf_skb_change_tail(skb, 30, 0);
	seen[3] = bpf_skb_ecn_set_ce(skb);
	return 0;
}

SEC("cgroup_skb/egress")
int cgroup_congestion(struct __sk_buff *skb)
{
	seen[0] = bpf_skb_ecn_set_ce(skb);
	seen[1] = bpf_skb_ecn_set_ce(skb);
	return 1;
}

SEC("tc")
int hashes(struct __sk_buff *skb)
{
	__u32 first;

	seen[0] = bpf_set_hash(skb, (__u32)0x1234567890ull);
	seen[1] = skb->hash;
	seen[2] = bpf_get_hash_recalc(skb);
	bpf_set_hash_invalid(skb);
	FORGET();
	seen[3] = skb->hash;
	first = bpf_get_hash_recalc(skb);
	seen[4] = first == bpf_get_hash_recalc(skb);
	FORGET();
	seen[5] = first == skb->hash;
	seen[6] = bpf_skb_store_bytes(skb, 0, "x", 1, BPF_F_INVALIDATE_HASH);
	FORGET();
	seen[7] = skb->hash;
	return 0;
}

SEC("tc")
int results(struct __sk_buff *skb)
{
	seen[0] = bpf_redirect(1, 0);
	seen[1] = bpf_redirect(12345, BPF_F_INGRESS);
	seen[2] = bpf_redirect(1, 2);
	seen[3] = bpf_redirect(1, 1ull << 40);
	seen[4] = bpf_redirect_peer(1, 0);
	seen[5] = bpf_redirect_peer(1, 1);
	seen[6] = bpf_redirect_neigh(1, NULL, 0, 0);
	seen[7] = bpf_redirect_neigh(1, NULL, 0, 1);
	seen[8] = bpf_redirect_neigh(1, (struct bpf_redir_neigh *)bytes, 20, 0);
	seen[9] = bpf_redirect_neigh(1, (struct bpf_redir_neigh *)bytes, 19, 0);
	seen[10] = bpf_get_route_realm(skb);
	seen[11] = bpf_get_cgroup_classid(skb);
	seen[12] = bpf_skb_cgroup_classid(skb);
	seen[13] = bpf_get_socket_uid(skb);
	seen[14] = bpf_get_socket_cookie(skb) == bpf_get_socket_cookie(skb);
	seen[15] = bpf_get_netns_cookie(skb) == bpf_get_netns_cookie(NULL);
	seen[16] = bpf_skb_cgroup_id(skb) == bpf_get_current_cgroup_id();
	seen[17] = bpf_skb_ancestor_cgroup_id(skb, 0);
	seen[18] = bpf_skb_ancestor_cgroup_id(skb, -1);
	seen[19] = bpf_skb_ancestor_cgroup_id(skb, 1000);
	return bpf_redirect(1, 0);
}

SEC("tc")
int mtu(struct __sk_buff *skb)
{
	__u32 len = 0;

	seen[0] = bpf_check_mtu(skb, 0, &len, 0, 0);
	seen[1] = len;
	seen[2] = bpf_check_mtu(skb, 0, &len, 0, 0);
	len = 0;
	seen[3] = bpf_check_mtu(skb, 1, &len, 65536, 0);
	seen[4] = len;
	len = 65537;
	seen[5] = bpf_check_mtu(skb, 1, &len, 0, 0);
	len = 65537;
	seen[6] = bpf_check_mtu(skb, 1, &len, -1, 0);
	seen[7] = bpf_check_mtu(skb, 1, &len, 0, 1);
	len = 0;
	seen[8] = bpf_check_mtu(skb, 1, &len, 0, 1);
	seen[9] = bpf_check_mtu(skb, 1, &len, 0, 2);
	len = 11;
	seen[10] = bpf_check_mtu(skb, 9999, &len, 0, 0);
	seen[11] = len;
	len = 0;
	seen[12] = bpf_check_mtu(skb, 1, &len, -100000, 0);
	return 0;
}

SEC("tc")
int clones(struct __sk_buff *skb)
{
	seen[0] = bpf_clone_redirect(skb, 9999, 0);
	seen[1] = bpf_clone_redirect(skb, 1, 2);
	seen[2] = bpf_clone_redirect(skb, 0, 0);
	return 0;
}
