// SPDX-License-Identifier: MIT OR Apache-2.0
/* Lightweight tunnels: the context, and packets that begin at the network header. */
#include "probe.h"

static __always_inline void common(struct __sk_buff *skb)
{
	char buf[8] = {};

	SEE(skb->len);
	SEE(skb->data_end - skb->data);
	SEE(skb->protocol);
	SEE(skb->pkt_type);
	SEE(skb->ifindex);
	SEE(skb->mark);
	skb->mark = 5;
	skb->priority += 1;
	skb->cb[1] = 7;
	SEE(bpf_skb_load_bytes(skb, 0, buf, 8));
	SEE(*(__u64 *)buf);
	SEE(bpf_skb_load_bytes(skb, skb->len - 7, buf, 8));
	SEE(bpf_skb_pull_data(skb, 0));
	SEE(bpf_skb_pull_data(skb, skb->len + 1));
	SEE(bpf_get_route_realm(skb));
	SEE(bpf_csum_diff(NULL, 0, (void *)buf, 8, 0));
}

SEC("lwt_in")
int in(struct __sk_buff *skb)
{
	common(skb);
	return 0;
}

SEC("lwt_in")
int encapsulated(struct __sk_buff *skb)
{
	__u8 v4[24] = { 0x45, 0, 0, 60, 0, 1, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
	__u8 options[24] = { 0x46, 0, 0, 60, 0, 1, 0, 0, 64, 47, 0xab, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2 };
	__u8 v6[40] = { 0x60 };
	__u32 word = 0;

	v6[6] = 41;
	SEE(bpf_lwt_push_encap(skb, 9, v4, 20));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, v4, 19));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, options, 20));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, v6, 39));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, bytes, 20));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, v4, 20));
	SEE(skb->len);
	SEE(skb->protocol);
	SEE(bpf_skb_load_bytes(skb, 8, &word, 4));
	SEE(word);
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, v4, 24));
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, options, 24));
	SEE(skb->len);
	SEE(bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, v6, 40));
	SEE(skb->len);
	SEE(skb->protocol);
	SEE(bpf_skb_load_bytes(skb, 4, &word, 4));
	SEE(word);
	return 0;
}

SEC("lwt_out")
int out(struct __sk_buff *skb)
{
	common(skb);
	return 2;
}

SEC("lwt_seg6local")
int seg6local(struct __sk_buff *skb)
{
	common(skb);
	return 0;
}

SEC("lwt_xmit")
int xmit(struct __sk_buff *skb)
{
	common(skb);
	SEE(bpf_skb_store_bytes(skb, 1, "abc", 3, BPF_F_RECOMPUTE_CSUM));
	SEE(bpf_l3_csum_replace(skb, 10, 1, 2, 2));
	SEE(bpf_l4_csum_replace(skb, 16, 1, 2, BPF_F_PSEUDO_HDR | 4));
	SEE(bpf_skb_change_head(skb, 14, 0));
	SEE(skb->len);
	SEE(bpf_skb_change_tail(skb, 20, 0));
	SEE(bpf_skb_change_tail(skb, 13, 0));
	SEE(bpf_skb_change_tail(skb, 30, 0));
	SEE(bpf_csum_level(skb, 1));
	SEE(bpf_csum_level(skb, 0));
	SEE(bpf_redirect(1, 0));
	SEE(bpf_redirect(1, 2));
	SEE(bpf_clone_redirect(skb, 9999, 0));
	return 7;
}
