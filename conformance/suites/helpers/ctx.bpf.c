// SPDX-License-Identifier: MIT OR Apache-2.0
/* Every field of the contexts, read, and written where that is allowed. */
#include "probe.h"

static __always_inline void common(struct __sk_buff *skb)
{
	SEE(skb->len);
	SEE(skb->pkt_type);
	SEE(skb->mark);
	SEE(skb->queue_mapping);
	SEE(skb->protocol);
	SEE(skb->vlan_present);
	SEE(skb->vlan_tci);
	SEE(skb->vlan_proto);
	SEE(skb->priority);
	SEE(skb->ingress_ifindex);
	SEE(skb->ifindex);
	SEE(skb->tc_index);
	SEE(skb->cb[0]);
	SEE(skb->cb[1]);
	SEE(skb->cb[2]);
	SEE(skb->cb[3]);
	SEE(skb->cb[4]);
	SEE(skb->hash);
	SEE(skb->napi_id);
	SEE(skb->gso_segs);
	SEE(skb->gso_size);
	SEE(*((volatile __u8 *)&skb->protocol + 1));
	SEE(*((volatile __u16 *)&skb->len));
	*(volatile __u8 *)((char *)skb->cb + 3) = 0x5a;
	*(volatile __u16 *)((char *)skb->cb + 6) = 0x1234;
	*(volatile __u64 *)((char *)skb->cb + 8) = 0x1122334455667788ull;
	FORGET();
	SEE(skb->cb[0]);
	SEE(skb->cb[1]);
	SEE(skb->cb[2]);
	SEE(skb->cb[3]);
	skb->cb[4] += 3;
}

static __always_inline void sock(struct bpf_sock *sk)
{
	if (!sk)
		return;
	SEE(sk->bound_dev_if);
	SEE(sk->family);
	SEE(sk->type);
	SEE(sk->protocol);
	SEE(sk->mark);
	SEE(sk->priority);
	SEE(sk->src_ip4);
	SEE(sk->src_ip6[0]);
	SEE(sk->src_ip6[3]);
	SEE(sk->src_port);
	SEE(sk->dst_port);
	SEE(sk->dst_ip4);
	SEE(sk->dst_ip6[0]);
	SEE(sk->dst_ip6[3]);
	SEE(sk->state);
	SEE(sk->rx_queue_mapping);
}

SEC("tc")
int tc_fields(struct __sk_buff *skb)
{
	common(skb);
	SEE(skb->tc_classid);
	SEE(skb->data_end - skb->data);
	SEE(skb->data - skb->data_meta);
	SEE(skb->tstamp);
	SEE(skb->wire_len);
	SEE(skb->tstamp_type);
	SEE(skb->hwtstamp);
	struct bpf_sock *sk = skb->sk;

	if (sk) {
		SEE(!bpf_tcp_sock(sk));
		SEE(!bpf_get_listener_sock(sk));
		sock(bpf_sk_fullsock(sk));
	}
	return skb->mark;
}

#define STORE(field, value) ({ skb->field = (value); FORGET(); SEE(skb->field); })

SEC("tc")
int tc_writes(struct __sk_buff *skb)
{
	STORE(mark, skb->mark + 1);
	STORE(priority, 0xffffffff);
	STORE(queue_mapping, 5);
	STORE(queue_mapping, 0xfffe);
	STORE(queue_mapping, 0xffff);
	STORE(queue_mapping, 0x10005);
	STORE(queue_mapping, hidden(0x1ffff));
	STORE(queue_mapping, hidden(7));
	STORE(tc_index, 0x12345);
	STORE(tc_classid, 0x23456789);
	STORE(tstamp, 0x1122334455667788ull);
	SEE(skb->tstamp_type);
	return -1;
}

SEC("tc")
int tc_tstamp(struct __sk_buff *skb)
{
	static const __u32 clocks[] = {0, 1, 2, 3};

	SEE(skb->tstamp);
#pragma unroll
	for (int i = 0; i < 4; i++) {
		seen[100 + 8 * i] = bpf_skb_set_tstamp(skb, 0, clocks[i]);
		seen[101 + 8 * i] = bpf_skb_set_tstamp(skb, 99 + i, clocks[i]);
		FORGET();
		seen[102 + 8 * i] = skb->tstamp;
		seen[103 + 8 * i] = skb->tstamp_type;
	}
	skb->tstamp = 0x77;
	FORGET();
	SEE(skb->tstamp_type);
	return 0;
}

SEC("cgroup_skb/ingress")
int cgroup_fields(struct __sk_buff *skb)
{
	common(skb);
	SEE(skb->data_end - skb->data);
	SEE(skb->family);
	SEE(skb->remote_ip4);
	SEE(skb->local_ip4);
	SEE(skb->remote_ip6[0]);
	SEE(skb->remote_ip6[1]);
	SEE(skb->remote_ip6[3]);
	SEE(skb->local_ip6[0]);
	SEE(skb->local_ip6[2]);
	SEE(skb->local_ip6[3]);
	SEE(skb->remote_port);
	SEE(skb->local_port);
	SEE(skb->tstamp);
	SEE(skb->hwtstamp);
	STORE(mark, 7);
	STORE(priority, 8);
	STORE(tstamp, 9);
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sock(bpf_sk_fullsock(sk));
	return 1;
}

SEC("socket")
int socket_fields(struct __sk_buff *skb)
{
	common(skb);
	return skb->len;
}

SEC("xdp")
int xdp_fields(struct xdp_md *xdp)
{
	SEE(xdp->data_end - xdp->data);
	SEE(xdp->data - xdp->data_meta);
	SEE(xdp->ingress_ifindex);
	SEE(xdp->rx_queue_index);
	return 0x80000001;
}
