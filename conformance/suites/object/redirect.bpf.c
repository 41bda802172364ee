// SPDX-License-Identifier: MIT OR Apache-2.0
/* Redirection by interface: what the helper answers, not where the packet goes. */
#include "packet.h"

__s64 results[8];

SEC("xdp")
int redirect_xdp(struct xdp_md *ctx)
{
	results[0] = bpf_redirect(1, 1);
	results[1] = bpf_redirect(1, 1 << 20);
	results[2] = bpf_redirect(1, 0);
	return ctx->data_end - ctx->data > 60 ? results[2] : XDP_PASS;
}

SEC("tc")
int redirect_tc(struct __sk_buff *skb)
{
	results[0] = bpf_redirect(1, 2);
	results[1] = bpf_redirect(1, BPF_F_INGRESS);
	results[2] = bpf_redirect(0, 0);
	return results[2];
}

SEC("action")
int redirect_action(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, 0);
}

char _license[] SEC("license") = "GPL";
