// SPDX-License-Identifier: MIT OR Apache-2.0
/* Redirection through device maps: empty slots fall back to the action in the flags. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} devices SEC(".maps");

__s64 results[8];

SEC("xdp")
int redirect_device(struct xdp_md *ctx)
{
	results[0] = bpf_redirect_map(&devices, 0, XDP_PASS);
	results[1] = bpf_redirect_map(&devices, 9, XDP_TX);
	results[2] = bpf_redirect_map(&devices, 0, 4);
	results[3] = bpf_redirect_map(&devices, 0, 1 << 10);
	results[4] = bpf_redirect_map(&devices, 1, XDP_ABORTED);
	return results[0];
}

char _license[] SEC("license") = "GPL";
