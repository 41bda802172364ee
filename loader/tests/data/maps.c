// Every way to write a BTF-defined map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef __ulong
#define __ulong(name, val) enum { __##name##_value = val } name
#endif

struct key {
	__u32 a;
	__u16 b;
};
typedef __u64 counter;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key);
	__type(value, const counter);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} typed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 24);
	__uint(max_entries, 3);
	__uint(numa_node, 0);
} sized SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(key_size, 4);
	__type(key, __u32);
	__type(value, struct key);
	__uint(value_size, sizeof(struct key));
	__uint(max_entries, 1);
} both SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, __u32);
	__uint(max_entries, 100);
	__ulong(map_extra, 3);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, int);
	__type(value, int);
} events SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &inner_a, [3] = &inner_b },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 8);
		__uint(key_size, 4);
		__uint(value_size, 8);
	});
} outer_hash SEC(".maps");

SEC("xdp") int first(struct xdp_md *ctx);
SEC("xdp") int second(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = {
	.values = { [2] = (void *)&first, [0] = (void *)&second },
};

SEC("xdp") int first(struct xdp_md *ctx)
{
	struct key k = { .a = 1 };
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&typed, &k);
	void *inner = bpf_map_lookup_elem(&outer, &zero);

	if (inner)
		inner = bpf_map_lookup_elem(inner, &zero);
	bpf_map_push_elem(&bloom, &zero, 0);
	bpf_ringbuf_output(&ring, &zero, 4, 0);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &zero, 4);
	return n && inner ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int second(struct xdp_md *ctx)
{
	__u32 zero = 0;
	void *v = bpf_map_lookup_elem(&sized, &zero), *w = bpf_map_lookup_elem(&both, &zero);

	bpf_tail_call(ctx, &jumps, 2);
	w = w ? bpf_map_lookup_elem(&outer_hash, &zero) : w;
	return v && w ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
