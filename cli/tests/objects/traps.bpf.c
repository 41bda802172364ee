// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the verifier would refuse, to see what becomes of it at run time. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* Reads a map's value without asking whether there is one. */
SEC("xdp")
int null_pointer(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counters, &key);

	return *count;
}

/* Reads past the end of the packet. */
SEC("xdp")
int past_the_packet(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;

	return data[2000];
}

/* Writes where programs may only read. */
SEC("xdp")
int into_the_context(struct xdp_md *ctx)
{
	ctx->data = 0;
	return XDP_PASS;
}

static const volatile int ever = 1;

/* Does not end. */
SEC("xdp")
int forever(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_printk("going round");
	while (ever)
		n++;
	return n;
}

char LICENSE[] SEC("license") = "GPL";
