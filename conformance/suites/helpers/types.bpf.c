// SPDX-License-Identifier: MIT OR Apache-2.0
/* Program types whose context is not a packet's, or not the struct that user space gives. */
#include "probe.h"
#include <linux/bpf.h>

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
} __attribute__((preserve_access_index));

struct sk_buff {
	unsigned int len;
	unsigned int data_len;
	__be16 protocol;
} __attribute__((preserve_access_index));

struct bpf_nf_ctx {
	struct nf_hook_state *state;
	struct sk_buff *skb;
} __attribute__((preserve_access_index));

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	char buf[4] = { 1, 2, 3, 4 };

	SEE(end - data);
	SEE(keys->nhoff | (__u64)keys->thoff << 16 | (__u64)keys->n_proto << 32);
	SEE(keys->flags);
	SEE(keys->addr_proto | (__u64)keys->flow_label << 32);
	SEE(bpf_skb_load_bytes(skb, 0, buf, 4));
	SEE(*(__u32 *)buf);
	if ((void *)(eth + 1) > end)
		return BPF_DROP;
	keys->addr_proto = eth->h_proto;
	keys->nhoff = eth->h_dest[5] * 4;
	keys->thoff = eth->h_source[5] * 1000;
	keys->ip_proto = 17;
	keys->sport = 1;
	keys->dport = 2;
	keys->ipv4_src = 3;
	keys->flow_label = 99;
	return eth->h_proto == bpf_htons(ETH_P_IP) ? BPF_OK : BPF_FLOW_DISSECTOR_CONTINUE;
}

SEC("netfilter")
int hook(struct bpf_nf_ctx *ctx)
{
	SEE(ctx->state->hook | (__u64)ctx->state->pf << 8);
	SEE(ctx->skb->len);
	SEE(ctx->skb->data_len);
	SEE(ctx->skb->protocol);
	return ctx->skb->len & 1;
}

SEC("sk_lookup")
int lookup(struct bpf_sk_lookup *ctx)
{
	SEE(ctx->family);
	SEE(ctx->protocol);
	SEE(ctx->remote_ip4);
	SEE(ctx->remote_ip6[0]);
	SEE(ctx->remote_ip6[3]);
	SEE(ctx->remote_port);
	SEE(*(__u32 *)&ctx->remote_port);
	SEE(ctx->local_ip4);
	SEE(ctx->local_ip6[0]);
	SEE(ctx->local_ip6[3]);
	SEE(ctx->local_port);
	SEE(ctx->ingress_ifindex);
	SEE(*(__u8 *)&ctx->local_ip4);
	SEE(ctx->sk != NULL);
	SEE(bpf_sk_assign(ctx, NULL, 0));
	SEE(bpf_sk_assign(ctx, NULL, 4));
	SEE(bpf_sk_assign(ctx, NULL, BPF_SK_LOOKUP_F_REPLACE | BPF_SK_LOOKUP_F_NO_REUSEPORT));
	seen[100]++;
	return ctx->local_port == 8080 ? SK_PASS : SK_DROP;
}

SEC("raw_tracepoint/sys_enter")
int arguments(struct bpf_raw_tracepoint_args *ctx)
{
	SEE(ctx->args[0]);
	SEE(ctx->args[1]);
	SEE(*(__u32 *)&ctx->args[1]);
	SEE(bpf_get_attach_cookie(ctx));
	return ctx->args[0] + 7;
}

SEC("syscall")
int call(void *ctx)
{
	__u32 *words = ctx;

	SEE(words[0] | (__u64)words[15] << 32);
	words[2] = words[1] + 1;
	words[4] += 5;
	return words[3];
}
