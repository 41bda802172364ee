// SPDX-License-Identifier: MIT OR Apache-2.0
/* Callbacks: bpf_loop and bpf_for_each_map_elem over each map type that can be iterated. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} percpu_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32);
	__type(key, __u32);
	__type(value, __u64);
} recent SEC(".maps");

__s64 results[16];

struct sum {
	__u64 total;
	__u32 calls;
	__u32 stop_after;
};

static long add_index(__u32 index, struct sum *sum)
{
	sum->total += index;
	sum->calls++;
	return sum->calls == sum->stop_after;
}

static long add_value(void *map, __u32 *key, __u64 *value, struct sum *sum)
{
	sum->total += *value + *key;
	sum->calls++;
	*value += 1;
	return sum->calls == sum->stop_after;
}

static long delete_odd(void *map, __u32 *key, __u64 *value, void *ctx)
{
	if (*key & 1)
		bpf_map_delete_elem(map, key);
	return 0;
}

SEC("tc")
int loop(struct __sk_buff *skb)
{
	struct sum all = {}, some = { .stop_after = 5 }, none = {};

	results[0] = bpf_loop(100, add_index, &all, 0);
	results[1] = bpf_loop(100, add_index, &some, 0);
	results[2] = bpf_loop(0, add_index, &none, 0);
	results[3] = bpf_loop(1, add_index, &none, 1);
	results[4] = bpf_loop((1 << 23) + 1, add_index, &none, 0);
	results[5] = all.total;
	results[6] = some.total;
	results[7] = none.calls;
	results[8] = bpf_loop(skb->len, add_index, &none, 0);
	results[9] = none.total;
	return TC_ACT_OK;
}

SEC("xdp")
int each(struct xdp_md *ctx)
{
	struct sum sum = {}, some = { .stop_after = 2 };
	__u64 len = ctx->data_end - ctx->data;

	OPAQUE(len);

	for (__u32 i = 0; i < 8; i++) {
		__u64 value = i * i + len;
		__u32 key = i;

		bpf_map_update_elem(&numbers, &key, &value, BPF_ANY);
		bpf_map_update_elem(&table, &key, &value, BPF_ANY);
		bpf_map_update_elem(&percpu, &key, &value, BPF_ANY);
		bpf_map_update_elem(&percpu_table, &key, &value, BPF_ANY);
		bpf_map_update_elem(&recent, &key, &value, BPF_ANY);
	}
	results[0] = bpf_for_each_map_elem(&numbers, add_value, &sum, 0);
	results[1] = bpf_for_each_map_elem(&table, add_value, &sum, 0);
	results[2] = bpf_for_each_map_elem(&percpu, add_value, &sum, 0);
	results[3] = bpf_for_each_map_elem(&percpu_table, add_value, &sum, 0);
	results[4] = bpf_for_each_map_elem(&recent, add_value, &sum, 0);
	results[5] = sum.total;
	results[6] = bpf_for_each_map_elem(&numbers, add_value, &some, 0);
	results[7] = bpf_for_each_map_elem(&numbers, add_value, &some, 1);
	results[8] = bpf_for_each_map_elem(&table, delete_odd, NULL, 0);
	results[9] = bpf_for_each_map_elem(&table, add_value, &sum, 0);
	results[10] = sum.calls;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
