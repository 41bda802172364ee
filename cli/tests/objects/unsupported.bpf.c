// SPDX-License-Identifier: MIT OR Apache-2.0
/* What cannot be run: unknown helpers and kernel functions, maps and types not emulated. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int bpf_no_such_function(struct xdp_md *ctx) __ksym;
static long (*no_such_helper)(void) = (void *)9999;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 0xffffffff);
	__type(key, __u32);
	__uint(value_size, 4096);
} enormous SEC(".maps");

struct {
	__uint(type, 33); /* arena, which older headers lack */
	__uint(map_flags, 1 << 10);
	__uint(max_entries, 1);

} arena SEC(".maps");

SEC("xdp")
int helper(struct xdp_md *ctx)
{
	return no_such_helper();
}

SEC("xdp")
int later_map(struct xdp_md *ctx)
{
	return bpf_map_delete_elem(&arena, 0);
}

SEC("xdp")
int kfunc(struct xdp_md *ctx)
{
	return bpf_no_such_function(ctx);
}

SEC("xdp")
int huge_map(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&enormous, &key) ? XDP_PASS : XDP_DROP;
}

SEC("fentry/do_unlinkat")
int program_type(void *ctx)
{
	return 0;
}

SEC("no such section")
int section(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
