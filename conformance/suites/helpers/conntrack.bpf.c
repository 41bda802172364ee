// SPDX-License-Identifier: MIT OR Apache-2.0
/* Look-ups in the connection table, which is empty, and kernel structs behind contexts. */
#include "kfunc.h"

struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u16 ct_zone_id;
	__u8 ct_zone_dir;
	__u8 reserved[3];
};

struct nf_conn {
	unsigned long status;
} __attribute__((preserve_access_index));

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple,
					 __u32 tuple__sz, struct bpf_ct_opts *opts,
					 __u32 opts__sz) __ksym;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *xdp, struct bpf_sock_tuple *tuple,
					 __u32 tuple__sz, struct bpf_ct_opts *opts,
					 __u32 opts__sz) __ksym;
extern void bpf_ct_release(struct nf_conn *conn) __ksym;
extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

struct sk_buff {
	unsigned int len;
	__be16 protocol;
	__u32 mark;
	__u32 priority;
} __attribute__((preserve_access_index));

#define LOOKUP(n, look, size, opts_size, ...) ({ \
	struct bpf_ct_opts opts = { __VA_ARGS__ }; \
	struct bpf_sock_tuple tuple = {}; \
	struct nf_conn *conn = look(ctx, &tuple, size, &opts, opts_size); \
	seen[2 * (n)] = conn != NULL; \
	if (conn) \
		bpf_ct_release(conn); \
	seen[2 * (n) + 1] = opts.error; })

#define ALL(look) \
	LOOKUP(0, look, 12, 12, .netns_id = -1, .l4proto = 6); \
	LOOKUP(1, look, 36, 12, .netns_id = -1, .l4proto = 17); \
	LOOKUP(2, look, 12, 16, .netns_id = -1, .l4proto = 6, .ct_zone_id = 5); \
	LOOKUP(3, look, 12, 12, .netns_id = -1, .l4proto = 6, .ct_zone_id = 5); \
	LOOKUP(4, look, 12, 16, .netns_id = -1, .l4proto = 6, .reserved = { 0, 1 }); \
	LOOKUP(5, look, 12, 12, .netns_id = -1, .l4proto = 1); \
	LOOKUP(6, look, 12, 12, .netns_id = -2, .l4proto = 6); \
	LOOKUP(7, look, 12, 12, .netns_id = 1, .l4proto = 6); \
	LOOKUP(8, look, 12, 12, .netns_id = 1, .l4proto = 1); \
	LOOKUP(9, look, 11, 12, .netns_id = -1, .l4proto = 6); \
	LOOKUP(10, look, 12, 13, .netns_id = -1, .l4proto = 6); \
	LOOKUP(11, look, 12, 8, .netns_id = -1); \
	LOOKUP(12, look, 12, 16, .netns_id = -1, .l4proto = 6, .dir = 7, .ct_zone_dir = 9); \
	LOOKUP(13, look, 12, 12, .netns_id = -1, .l4proto = 6, .dir = 9, .error = 77)

SEC("tc")
int skb_connections(struct __sk_buff *ctx)
{
	ALL(bpf_skb_ct_lookup);
	return 0;
}

SEC("xdp")
int frame_connections(struct xdp_md *ctx)
{
	ALL(bpf_xdp_ct_lookup);
	return 0;
}

SEC("tc")
int kernel_struct(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);

	SEE(skb->len);
	SEE(skb->protocol);
	SEE(skb->mark);
	SEE(skb->priority);
	return 0;
}
