// SPDX-License-Identifier: MIT OR Apache-2.0
/* Checksums: differences, replacements, and what a device said of them. */
#include "probe.h"

static const __u8 text[] = "The quick brown fox jumps over the lazy dog and runs away.";

static __always_inline void diffs(void)
{
	__u32 a[4] = {0x01020304, 0xffffffff, 0, 0x80000000};
	__u32 b[4] = {0xdeadbeef, 1, 2, 3};

	SEE(bpf_csum_diff(NULL, 0, NULL, 0, 0));
	SEE(bpf_csum_diff(NULL, 0, NULL, 0, 0x12345678));
	SEE(bpf_csum_diff(NULL, 0, NULL, 0, 0xffffffff));
	SEE(bpf_csum_diff(a, 16, NULL, 0, 0));
	SEE(bpf_csum_diff(NULL, 0, b, 16, 0));
	SEE(bpf_csum_diff(a, 16, b, 16, 0));
	SEE(bpf_csum_diff(a, 4, b, 12, 0x11112222));
	SEE(bpf_csum_diff(a, 16, a, 16, 0));
	SEE(bpf_csum_diff(a, 16, a, 16, 77));
	SEE(bpf_csum_diff(NULL, 0, (void *)text, 57, 0));
	SEE(bpf_csum_diff((void *)text, 13, (void *)text + 3, 7, 1));
	SEE(bpf_csum_diff((void *)text, 1, NULL, 0, 0));
	SEE(bpf_csum_diff((void *)text, 2, b, 4, 0xffff0000));
}

SEC("xdp")
int xdp_diffs(struct xdp_md *xdp)
{
	diffs();
	return 2;
}

SEC("tc")
int tc_diffs(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	diffs();
	if (data + 33 <= end) {
		SEE(bpf_csum_diff(NULL, 0, data, 33, 0));
		SEE(bpf_csum_diff(data, 20, data + 3, 28, 5));
	}
	return 0;
}

SEC("tc")
int replaces(struct __sk_buff *skb)
{
	SEE(bpf_l3_csum_replace(skb, 24, 0x1234, 0x4321, 2));
	SEE(bpf_l3_csum_replace(skb, 24, 0x12345678, 0x87654321, 4));
	SEE(bpf_l3_csum_replace(skb, 24, 0, 0xdeadbeef, 0));
	SEE(bpf_l3_csum_replace(skb, 24, 1, 2, 0));
	SEE(bpf_l3_csum_replace(skb, 24, 1, 2, 3));
	SEE(bpf_l3_csum_replace(skb, 24, 1, 2, 16));
	SEE(bpf_l3_csum_replace(skb, 25, 1, 2, 2));
	SEE(bpf_l3_csum_replace(skb, 0x10000, 1, 2, 2));
	SEE(bpf_l3_csum_replace(skb, skb->len - 2, 1, 2, 2));
	SEE(bpf_l3_csum_replace(skb, skb->len & ~1, 1, 2, 2));
	SEE(bpf_l3_csum_replace(skb, 24, 0xfffffffff0000ull, 0xabcdef1234567ull, 4));
	SEE(bpf_l3_csum_replace(skb, 26, 0xfffffffff0001ull, 0xabcdef1234567ull, 2));
	SEE(bpf_l4_csum_replace(skb, 20, 0x1234, 0x4321, 2));
	SEE(bpf_l4_csum_replace(skb, 20, 0x12345678, 0x87654321, BPF_F_PSEUDO_HDR | 4));
	SEE(bpf_l4_csum_replace(skb, 20, 0, 0xdeadbeef, BPF_F_PSEUDO_HDR));
	SEE(bpf_l4_csum_replace(skb, 20, 0, 0xdeadbeef, BPF_F_PSEUDO_HDR | 1 << 7));
	SEE(bpf_l4_csum_replace(skb, 20, 0, 0xdeadbeef, 1 << 8));
	SEE(bpf_l4_csum_replace(skb, 20, 1, 2, 1));
	SEE(bpf_l4_csum_replace(skb, 21, 1, 2, 2));
	SEE(bpf_skb_store_bytes(skb, 28, "\0\0", 2, 0));
	SEE(bpf_l4_csum_replace(skb, 28, 5, 6, BPF_F_MARK_MANGLED_0 | 2));
	SEE(bpf_l4_csum_replace(skb, 28, 0xffff, 0xffff, BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | 2));
	SEE(bpf_l4_csum_replace(skb, 28, 0xffff, 0, BPF_F_MARK_MANGLED_0 | 2));
	SEE(bpf_l4_csum_replace(skb, 28, 0, 0xffff, BPF_F_MARK_MANGLED_0 | 2));
	return 0;
}

SEC("tc")
int levels(struct __sk_buff *skb)
{
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_RESET));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_csum_level(skb, 4));
	SEE(bpf_csum_level(skb, 1ull << 32));
	SEE(bpf_csum_update(skb, 5));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_INC));
	SEE(bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_NO_CSUM_RESET));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	SEE(bpf_skb_adjust_room(skb, 4, BPF_ADJ_ROOM_MAC, 0));
	SEE(bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY));
	return 0;
}
