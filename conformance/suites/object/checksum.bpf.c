// SPDX-License-Identifier: MIT OR Apache-2.0
/* Internet checksums by helper and by hand, which must agree. */
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

static __always_inline __u16 fold(__u64 sum)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __noinline __u16 by_hand(const __u16 *words, __u32 count)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < count && i < 32; i++)
		sum += words[i];
	return fold(sum);
}

static __always_inline void sums(void *data, void *end)
{
	__u8 buf[64] = {};

	if (data + 64 <= end) {
		__builtin_memcpy(buf, data, 64);
		result(0, bpf_csum_diff(NULL, 0, data, 64, 0));
	}
	result(1, by_hand((__u16 *)buf, 32));
	result(2, fold(bpf_csum_diff(NULL, 0, (__be32 *)buf, 64, 0)));
	result(3, bpf_csum_diff((__be32 *)buf, 8, (__be32 *)(buf + 8), 8, 0x1234));
	result(4, bpf_csum_diff((__be32 *)buf, 16, NULL, 0, 0xffff));
	result(5, bpf_csum_diff(NULL, 0, (__be32 *)buf, 6, 0));
	result(6, bpf_csum_diff((__be32 *)buf, 4, (__be32 *)(buf + 4), 12, 0xffffffff));
	result(7, bpf_csum_diff(NULL, 0, NULL, 0, 0xabcdef));
}

SEC("xdp")
int sums_xdp(struct xdp_md *ctx)
{
	sums((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return XDP_PASS;
}

SEC("tc")
int sums_tc(struct __sk_buff *skb)
{
	sums((void *)(long)skb->data, (void *)(long)skb->data_end);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
