// SPDX-License-Identifier: MIT OR Apache-2.0
/* Access by copy to packets of any layout, the second program to fragmented ones too. */
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

static __always_inline int swap_ends(struct xdp_md *ctx)
{
	__u64 len = bpf_xdp_get_buff_len(ctx);
	__u8 first[8] = {}, last[8] = {};

	result(0, len);
	if (len < 16)
		return XDP_DROP;
	result(1, bpf_xdp_load_bytes(ctx, 0, first, 8));
	result(2, bpf_xdp_load_bytes(ctx, len - 8, last, 8));
	result(3, bpf_xdp_store_bytes(ctx, 0, last, 8));
	result(4, bpf_xdp_store_bytes(ctx, len - 8, first, 8));
	result(5, bpf_xdp_load_bytes(ctx, len - 7, first, 8));
	result(6, bpf_xdp_load_bytes(ctx, 0x10000, first, 8));
	result(7, bpf_xdp_store_bytes(ctx, len, first, 1));
	result(8, first[0]);
	return XDP_TX;
}

SEC("xdp")
int linear(struct xdp_md *ctx)
{
	return swap_ends(ctx);
}

SEC("xdp.frags")
int fragments(struct xdp_md *ctx)
{
	int verdict = swap_ends(ctx);
	__u32 sum = 0;

	/* A byte of every 512, across the fragments' borders. */
	for (__u32 off = 0; off < 0x4000; off += 512) {
		__u8 byte;

		if (bpf_xdp_load_bytes(ctx, off, &byte, 1))
			break;
		sum = sum * 31 + byte;
	}
	result(9, sum);
	result(10, ctx->data_end - ctx->data);
	return verdict;
}

char _license[] SEC("license") = "GPL";
