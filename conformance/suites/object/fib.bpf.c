// SPDX-License-Identifier: MIT OR Apache-2.0
/* Route look-ups and their refusals. */
#include "packet.h"

#define AF_INET 2
#define AF_INET6 10

__s64 results[12];

static __always_inline void ask(void *ctx)
{
	struct bpf_fib_lookup local = {
		.family = AF_INET, .ifindex = 1, .ipv4_src = bpf_htonl(0x7f000001), .ipv4_dst = bpf_htonl(0x7f000002),
	};
	struct bpf_fib_lookup odd = { .family = 1, .ifindex = 1 };
	struct bpf_fib_lookup nowhere = { .family = AF_INET, .ifindex = 9999 };

	results[0] = bpf_fib_lookup(ctx, &local, sizeof(local), 0);
	results[1] = local.ifindex;
	results[2] = bpf_fib_lookup(ctx, &odd, sizeof(odd), 0);
	results[3] = bpf_fib_lookup(ctx, &nowhere, sizeof(nowhere), 0);
	results[4] = bpf_fib_lookup(ctx, &odd, sizeof(odd) - 1, 0);
	results[5] = bpf_fib_lookup(ctx, &odd, sizeof(odd), 1 << 20);
}

SEC("xdp")
int routes_xdp(struct xdp_md *ctx)
{
	ask(ctx);
	return XDP_PASS;
}

SEC("tc")
int routes_tc(struct __sk_buff *skb)
{
	ask(skb);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
