// SPDX-License-Identifier: MIT OR Apache-2.0
/* Every field of struct xdp_md. */
#include "packet.h"

__u64 fields[8];

SEC("xdp")
int all_fields(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	fields[0] = end - data;
	fields[1] = ctx->data - ctx->data_meta;
	fields[2] = ctx->ingress_ifindex;
	fields[3] = ctx->rx_queue_index;
	if (data + 2 <= end)
		fields[4] = *(__u16 *)data;
	return ctx->ingress_ifindex + 1;
}

SEC("xdp/devmap")
int device_fields(struct xdp_md *ctx)
{
	fields[5] = ctx->egress_ifindex;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
