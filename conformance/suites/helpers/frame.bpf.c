// SPDX-License-Identifier: MIT OR Apache-2.0
/* Moving the ends of an XDP frame, and its bytes by helper. */
#include "probe.h"

static __always_inline void shape(struct xdp_md *xdp, int at)
{
	seen[at] = xdp->data_end - xdp->data;
	seen[at + 1] = xdp->data - xdp->data_meta;
	seen[at + 2] = bpf_xdp_get_buff_len(xdp);
}

#define MOVE(helper, by, at) ({ seen[at] = helper(xdp, by); shape(xdp, (at) + 1); })

SEC("xdp.frags")
int ends(struct xdp_md *xdp)
{
	shape(xdp, 0);
	MOVE(bpf_xdp_adjust_head, -1, 4);
	MOVE(bpf_xdp_adjust_meta, -4, 8);
	MOVE(bpf_xdp_adjust_meta, -3, 12);
	MOVE(bpf_xdp_adjust_head, -20, 16);
	MOVE(bpf_xdp_adjust_tail, 7, 20);
	MOVE(bpf_xdp_adjust_tail, -3, 24);
	MOVE(bpf_xdp_adjust_head, 25, 28);
	MOVE(bpf_xdp_adjust_meta, 8, 32);
	MOVE(bpf_xdp_adjust_meta, 4, 36);
	MOVE(bpf_xdp_adjust_meta, -216, 40);
	MOVE(bpf_xdp_adjust_meta, -212, 44);
	MOVE(bpf_xdp_adjust_head, -220, 48);
	MOVE(bpf_xdp_adjust_head, -5, 52);
	return 2;
}

SEC("xdp.frags")
int limits(struct xdp_md *xdp)
{
	MOVE(bpf_xdp_adjust_head, -217, 0);
	MOVE(bpf_xdp_adjust_head, -216, 4);
	MOVE(bpf_xdp_adjust_head, -1, 8);
	MOVE(bpf_xdp_adjust_head, 216, 12);
	MOVE(bpf_xdp_adjust_head, 0x7fffffff, 16);
	MOVE(bpf_xdp_adjust_head, -0x7fffffff - 1, 20);
	MOVE(bpf_xdp_adjust_tail, 0x7fffffff, 24);
	MOVE(bpf_xdp_adjust_tail, -0x7fffffff - 1, 28);
	MOVE(bpf_xdp_adjust_tail, 4096, 32);
	MOVE(bpf_xdp_adjust_tail, 1000, 36);
	MOVE(bpf_xdp_adjust_tail, -1000, 40);
	MOVE(bpf_xdp_adjust_tail, -40, 44);
	MOVE(bpf_xdp_adjust_tail, -4000, 48);
	MOVE(bpf_xdp_adjust_meta, 0x7fffffff, 52);
	MOVE(bpf_xdp_adjust_meta, -0x7fffffff - 1, 56);
	return 1;
}

SEC("xdp.frags")
int to_the_last_byte(struct xdp_md *xdp)
{
	int len = bpf_xdp_get_buff_len(xdp);

	MOVE(bpf_xdp_adjust_tail, -(len - 13), 0);
	MOVE(bpf_xdp_adjust_tail, -(len - 14), 4);
	MOVE(bpf_xdp_adjust_head, 1, 8);
	MOVE(bpf_xdp_adjust_tail, 3600, 12);
	MOVE(bpf_xdp_adjust_tail, 3506, 16);
	MOVE(bpf_xdp_adjust_tail, 3507, 20);
	MOVE(bpf_xdp_adjust_tail, 1, 24);
	return 1;
}

#define LOAD(off, len, at) ({ \
	__builtin_memset(buf, 0xa5, sizeof(buf)); \
	seen[at] = bpf_xdp_load_bytes(xdp, off, buf, len); \
	seen[(at) + 1] = *(__u64 *)buf; \
	seen[(at) + 2] = *(__u64 *)(buf + 24); })

SEC("xdp.frags")
int by_helper(struct xdp_md *xdp)
{
	char buf[32] = {};
	__u32 len = bpf_xdp_get_buff_len(xdp);

	LOAD(0, 8, 0);
	LOAD(len - 8, 8, 4);
	LOAD(len - 7, 8, 8);
	LOAD(3516, 32, 12);
	LOAD(3520, 32, 16);
	LOAD(7600, 32, 20);
	LOAD(7612, 32, 24);
	LOAD(0xffff, 1, 28);
	LOAD(0x10000, 1, 32);
	LOAD(0xffffffff, 1, 36);
	seen[40] = bpf_xdp_store_bytes(xdp, 3, "abcdefgh", 8);
	seen[41] = bpf_xdp_store_bytes(xdp, 3518, "0123456789", 10);
	seen[42] = bpf_xdp_store_bytes(xdp, 7612, "ABCDEFGHIJKLMNOP", 16);
	seen[43] = bpf_xdp_store_bytes(xdp, len, "x", 1);
	seen[44] = bpf_xdp_store_bytes(xdp, len - 1, "x", 1);
	seen[45] = bpf_xdp_store_bytes(xdp, 0x10000, "x", 1);
	return 2;
}

SEC("xdp")
int results(struct xdp_md *xdp)
{
	seen[0] = bpf_redirect(1, 0);
	seen[1] = bpf_redirect(12345, 0);
	seen[2] = bpf_redirect(1, 1);
	return bpf_redirect(1, 0);
}

SEC("xdp")
int mtu(struct xdp_md *xdp)
{
	__u32 len = 0;

	seen[0] = bpf_check_mtu(xdp, 0, &len, 0, 0);
	seen[1] = len;
	seen[2] = bpf_check_mtu(xdp, 0, &len, 0, 0);
	len = 0;
	seen[3] = bpf_check_mtu(xdp, 1, &len, 65536, 0);
	seen[4] = len;
	len = 65537;
	seen[5] = bpf_check_mtu(xdp, 1, &len, 0, 0);
	len = 65537;
	seen[6] = bpf_check_mtu(xdp, 1, &len, -1, 0);
	seen[7] = bpf_check_mtu(xdp, 1, &len, 0, 1);
	len = 11;
	seen[8] = bpf_check_mtu(xdp, 9999, &len, 0, 0);
	seen[9] = len;
	len = 0xffffffff;
	seen[10] = bpf_check_mtu(xdp, 1, &len, 0, 0);
	len = 0;
	seen[11] = bpf_check_mtu(xdp, 1, &len, -100000, 0);
	return 2;
}
