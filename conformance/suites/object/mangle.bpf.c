// SPDX-License-Identifier: MIT OR Apache-2.0
/* XDP programs that grow and shrink the packet: encapsulation, metadata, trimming, and refusals. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

static __always_inline void result(__u32 index, __s64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

/* IP in IP. */
SEC("xdp")
int encapsulate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, old;
	struct iphdr *inner = (void *)(eth + 1);

	if (!INSIDE(inner, end) || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	old = *eth;
	__u16 inner_len = bpf_ntohs(inner->tot_len);

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	struct iphdr *outer = (void *)(eth + 1);

	if (!INSIDE(outer, end))
		return XDP_ABORTED;
	*eth = old;
	__builtin_memset(outer, 0, sizeof(*outer));
	outer->version = 4;
	outer->ihl = 5;
	outer->ttl = 64;
	outer->protocol = IPPROTO_IPIP;
	outer->tot_len = bpf_htons(inner_len + sizeof(*outer));
	outer->saddr = bpf_htonl(0x0a0a0a01);
	outer->daddr = bpf_htonl(0x0a0a0a02);

	__u32 sum = 0;
	__u16 *word = (void *)outer;

#pragma unroll
	for (int i = 0; i < (int)sizeof(*outer) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	outer->check = ~sum;
	return XDP_TX;
}

/* The reverse: strips one VLAN tag. */
SEC("xdp")
int untag(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, header;
	struct vlan_tag *tag = (void *)(eth + 1);

	if (!INSIDE(tag, end) || (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD)))
		return XDP_PASS;
	header = *eth;
	header.h_proto = tag->proto;
	if (bpf_xdp_adjust_head(ctx, sizeof(*tag)))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	if (!INSIDE(eth, end))
		return XDP_ABORTED;
	*eth = header;
	return XDP_TX;
}

SEC("xdp")
int metadata(struct xdp_md *ctx)
{
	result(0, bpf_xdp_adjust_meta(ctx, -8));
	void *data = (void *)(long)ctx->data;
	__u32 *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 2) > data)
		return XDP_ABORTED;
	meta[0] = 0xfeedface;
	meta[1] = ctx->data_end - ctx->data;
	result(1, bpf_xdp_adjust_meta(ctx, -3));
	result(2, bpf_xdp_adjust_meta(ctx, -252));
	result(3, bpf_xdp_adjust_meta(ctx, 4));
	result(4, bpf_xdp_adjust_meta(ctx, 8));
	result(5, (__s64)ctx->data - ctx->data_meta);
	/* The head may not move into the metadata; moving it keeps the metadata in front. */
	result(6, bpf_xdp_adjust_head(ctx, -16));
	result(7, (__s64)ctx->data - ctx->data_meta);
	return XDP_PASS;
}

SEC("xdp")
int trim(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;

	result(0, bpf_xdp_adjust_tail(ctx, len > 40 ? 40 - (int)len : 0));
	result(1, ctx->data_end - ctx->data);
	result(2, bpf_xdp_adjust_tail(ctx, 12));
	result(3, ctx->data_end - ctx->data);
	result(4, bpf_xdp_adjust_tail(ctx, -1000));
	result(5, bpf_xdp_adjust_tail(ctx, 100000));
	result(6, bpf_xdp_get_buff_len(ctx));
	return XDP_TX;
}

SEC("xdp")
int head_limits(struct xdp_md *ctx)
{
	int len = ctx->data_end - ctx->data;

	result(0, bpf_xdp_adjust_head(ctx, len - 13));
	result(1, bpf_xdp_adjust_head(ctx, len));
	result(2, bpf_xdp_adjust_head(ctx, -217));
	result(3, bpf_xdp_adjust_head(ctx, -216));
	result(4, bpf_xdp_adjust_head(ctx, -1));
	result(5, ctx->data_end - ctx->data);
	result(6, bpf_xdp_adjust_head(ctx, 216));
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
