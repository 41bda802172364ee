// SPDX-License-Identifier: MIT OR Apache-2.0
/* Every field of struct __sk_buff that a program type may read, and every one it may write. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} fields SEC(".maps");

/* Volatile, because the verifier refuses two fields written at once. */
#define SET(field, value) (*(volatile __u32 *)&skb->field = (value))

static __always_inline void put(__u32 index, __u64 value)
{
	bpf_map_update_elem(&fields, &index, &value, BPF_ANY);
}

static __always_inline void common(struct __sk_buff *skb)
{
	put(0, skb->len);
	put(1, skb->pkt_type);
	put(2, skb->mark);
	put(3, skb->queue_mapping);
	put(4, skb->protocol);
	put(5, skb->vlan_present);
	put(6, skb->vlan_tci);
	put(7, skb->vlan_proto);
	put(8, skb->priority);
	put(9, skb->ingress_ifindex);
	put(10, skb->ifindex);
	put(11, skb->hash);
	put(12, skb->cb[0]);
	put(13, skb->cb[1]);
	put(14, skb->cb[2]);
	put(15, skb->cb[3]);
	put(16, skb->cb[4]);
	put(17, skb->napi_id != 0);
	put(18, skb->gso_segs);
	put(19, skb->gso_size);
	/* Narrow loads of the same. */
	put(20, *((__u8 *)&skb->len));
	put(21, *((__u16 *)&skb->protocol));
	put(22, *((__u8 *)&skb->protocol + 1));
	put(23, *((__u16 *)&skb->mark + 1));
}

static __always_inline void sock(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	put(56, !!sk);
	if (!sk)
		return;
	put(57, sk->family);
	put(58, sk->state);
	put(59, sk->src_ip4);
	put(60, sk->dst_ip4);
	put(61, sk->src_port);
	put(62, sk->dst_port);
	put(63, sk->bound_dev_if);
}

static __always_inline void classifier(struct __sk_buff *skb)
{
	common(skb);
	sock(skb);
	put(24, skb->tc_index);
	put(25, skb->tc_classid);
	put(26, skb->data_end - skb->data);
	put(27, skb->data_meta - skb->data);
	put(28, skb->wire_len);
	put(29, skb->tstamp);
	put(30, skb->tstamp_type);
	put(31, skb->hwtstamp);
	SET(mark, 0x11223344);
	SET(priority, 7);
	SET(tc_index, 0x12345);
	SET(tc_classid, 0x54321);
	SET(queue_mapping, 3);
	SET(cb[0], 10);
	SET(cb[1], 11);
	SET(cb[2], 12);
	SET(cb[3], 13);
	SET(cb[4], 14);
	skb->tstamp = 0x1234567890;
	put(32, skb->mark);
	put(33, skb->priority);
	put(34, skb->tc_index);
	put(35, skb->tc_classid);
	put(36, skb->queue_mapping);
	put(37, skb->cb[0] + skb->cb[1] + skb->cb[2] + skb->cb[3] + skb->cb[4]);
	put(38, skb->tstamp);
	SET(queue_mapping, 0x10000);
	put(39, skb->queue_mapping);
	put(40, *((__u8 *)&skb->mark + 3));
}

SEC("tc")
int classifier_fields(struct __sk_buff *skb)
{
	classifier(skb);
	return TC_ACT_OK;
}

SEC("action")
int action_fields(struct __sk_buff *skb)
{
	classifier(skb);
	return TC_ACT_PIPE;
}

SEC("socket")
int socket_fields(struct __sk_buff *skb)
{
	common(skb);
	SET(cb[0], 1);
	SET(cb[4], 5);
	put(37, skb->cb[0] + skb->cb[4]);
	return skb->len;
}

SEC("cgroup_skb/ingress")
int cgroup_fields(struct __sk_buff *skb)
{
	common(skb);
	sock(skb);
	put(26, skb->data_end - skb->data);
	put(29, skb->tstamp);
	put(44, skb->family);
	put(45, skb->remote_ip4);
	put(46, skb->local_ip4);
	put(47, skb->remote_ip6[0]);
	put(48, skb->local_ip6[3]);
	put(49, skb->remote_port);
	put(50, skb->local_port);
	SET(mark, 9);
	SET(priority, 8);
	SET(cb[2], 6);
	skb->tstamp = 77;
	put(32, skb->mark);
	put(33, skb->priority);
	put(38, skb->tstamp);
	return 1;
}

char _license[] SEC("license") = "GPL";
