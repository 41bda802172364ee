/* Arguments and results of helpers. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define keep(x) asm volatile("" : "+r"(x))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, __u64);
} read_only SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("xdp") int null_with_size(void *ctx)
{
	return (int)bpf_csum_diff(0, 8, 0, 0, 0);
}

SEC("xdp") int null_without_size(void *ctx)
{
	return (int)bpf_csum_diff(0, 0, 0, 0, 0);
}

SEC("xdp") int number_as_map(void *ctx)
{
	__u32 key = 0;

	return bpf_map_delete_elem((void *)8, &key);
}

SEC("xdp") int number_as_key(void *ctx)
{
	return bpf_map_delete_elem(&hash, (void *)8);
}

SEC("xdp") int null_key(void *ctx)
{
	return bpf_map_delete_elem(&hash, 0);
}

SEC("xdp") int ctx_as_key(void *ctx)
{
	return bpf_map_delete_elem(&hash, ctx);
}

SEC("xdp") int nullable_as_key(void *ctx)
{
	__u32 key = 7;

	return bpf_map_delete_elem(&hash, bpf_map_lookup_elem(&hash, &key));
}

SEC("xdp") int delete_from_array(void *ctx)
{
	__u32 key = 0;

	return bpf_map_delete_elem(&array, &key);
}

SEC("xdp") int update_read_only(void *ctx)
{
	__u32 key = 0;
	__u64 value = 1;

	return bpf_map_update_elem(&read_only, &key, &value, 0);
}

SEC("xdp") int lookup_in_programs(void *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&programs, &key) ? 1 : 2;
}

SEC("xdp") int tail_call_into_array(void *ctx)
{
	bpf_tail_call(ctx, &array, 1);
	return 0;
}

SEC("xdp") int tail_call_while_holding(void *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!record)
		return 0;
	bpf_tail_call(ctx, &programs, 1);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

SEC("xdp") int constant_key_exists(void *ctx)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&array, &key);

	return (int)*value;
}

SEC("xdp") int constant_key_beyond(void *ctx)
{
	__u32 key = 4;
	__u64 *value = bpf_map_lookup_elem(&array, &key);

	return (int)*value;
}

SEC("xdp") int zero_key_exists(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&array, &key);

	return (int)*value;
}

SEC("xdp") int unknown_key(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 *value = bpf_map_lookup_elem(&array, &key);

	return (int)*value;
}

SEC("xdp") int constant_key_of_hash(void *ctx)
{
	__u32 key = 1;
	__u64 *value = bpf_map_lookup_elem(&hash, &key);

	return (int)*value;
}

SEC("xdp") int unknown_reserve(struct xdp_md *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, ctx->rx_queue_index, 0);

	if (record)
		bpf_ringbuf_discard(record, 0);
	return 0;
}

SEC("xdp") int discard_unchecked(void *ctx)
{
	bpf_ringbuf_discard(bpf_ringbuf_reserve(&ring, 8, 0), 0);
	return 0;
}

SEC("xdp") int discard_twice(void *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!record)
		return 0;
	bpf_ringbuf_discard(record, 0);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

SEC("xdp") int discard_inside(void *ctx)
{
	char *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!record)
		return 0;
	record += 4;
	keep(record);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

SEC("xdp") int never_discard(void *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	keep(record);
	return 0;
}

SEC("xdp") int discard_value(void *ctx)
{
	__u32 key = 0;
	void *value = bpf_map_lookup_elem(&hash, &key);

	if (value)
		bpf_ringbuf_discard(value, 0);
	return 0;
}

SEC("xdp") int unknown_size(struct xdp_md *ctx)
{
	char buffer[16];

	return (int)bpf_xdp_load_bytes(ctx, 0, buffer, ctx->rx_queue_index);
}

SEC("xdp") int bounded_size(struct xdp_md *ctx)
{
	char buffer[16] = {};
	__u32 size = ctx->rx_queue_index;

	if (size > 16 || size < 1)
		return 0;
	return (int)bpf_xdp_load_bytes(ctx, 0, buffer, size);
}

SEC("xdp") int maybe_empty(struct xdp_md *ctx)
{
	char buffer[16] = {};
	__u32 size = ctx->rx_queue_index;

	if (size > 16)
		return 0;
	return (int)bpf_xdp_load_bytes(ctx, 0, buffer, size);
}

SEC("xdp") int size_beyond(struct xdp_md *ctx)
{
	char buffer[16];

	return (int)bpf_xdp_load_bytes(ctx, 0, buffer, 17);
}

SEC("xdp") int other_types_helper(struct xdp_md *ctx)
{
	return (int)bpf_get_retval();
}

SEC("cgroup_skb/ingress") int ingress_returns_two(struct __sk_buff *ctx)
{
	return 2;
}

SEC("cgroup_skb/egress") int egress_returns_three(struct __sk_buff *ctx)
{
	return 3;
}

SEC("cgroup_skb/egress") int egress_returns_four(struct __sk_buff *ctx)
{
	return 4;
}

SEC("cgroup_skb/egress") int egress_returns_mark(struct __sk_buff *ctx)
{
	return (int)ctx->mark;
}

char LICENSE[] SEC("license") = "GPL";
