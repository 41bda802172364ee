/* Subprograms that helpers call. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map;

#define noinline __attribute__((noinline))
#define keep(x) asm volatile("" : "+r"(x))

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u64);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

int array[16];

static int count(__u32 i, void *ctx)
{
	__u64 *n = ctx;

	*n += i;
	return 0;
}

static int returns_two(__u32 i, void *ctx)
{
	return 2;
}

static int returns_index(__u32 i, void *ctx)
{
	return (int)i;
}

static int returns_ctx(__u32 i, void *ctx)
{
	return (int)(long)ctx;
}

static int indexes(__u32 i, void *ctx)
{
	array[i] = 1;
	return 0;
}

static int indexes_checked(__u32 i, void *ctx)
{
	if (i >= 16)
		return 1;
	array[i] = 1;
	return 0;
}

static int steps(__u32 i, void *ctx)
{
	__u64 *n = ctx;

	array[*n] = 1;
	*n = *n + 1;
	return 0;
}

static int beyond_ctx(__u32 i, void *ctx)
{
	__u64 *n = ctx;

	n[1] = 1;
	return 0;
}

static int nested(__u32 i, void *ctx)
{
	bpf_loop(3, count, ctx, 0);
	return 0;
}

static int acquires(__u32 i, void *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	keep(record);
	return 0;
}

static int takes_and_gives(__u32 i, void *ctx)
{
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (record)
		bpf_ringbuf_discard(record, 0);
	return 0;
}

static int spins(__u32 i, void *ctx)
{
	for (;;)
		keep(i);
	return 0;
}

static __u64 element(struct bpf_map *map, __u32 *key, __u64 *value, void *ctx)
{
	__u64 *n = ctx;

	*n += *key + *value;
	*value = 1;
	return 0;
}

static __u64 writes_key(struct bpf_map *map, __u32 *key, __u64 *value, void *ctx)
{
	*key = 1;
	return 0;
}

static __u64 beyond_value(struct bpf_map *map, __u32 *key, __u64 *value, void *ctx)
{
	return value[1] & 1;
}

static __u64 changes_map(struct bpf_map *map, __u32 *key, __u64 *value, void *ctx)
{
	bpf_map_delete_elem(map, key);
	return 1;
}

noinline int global_callback(__u32 i, void *ctx)
{
	return 0;
}

SEC("xdp") int loop_counts(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(10, count, &n, 0);
	return (int)n;
}

SEC("xdp") int loop_unknown_times(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(ctx->rx_queue_index, count, &n, 0);
	return (int)n;
}

SEC("xdp") int loop_zero_times(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(0, indexes, &n, 0);
	return (int)n;
}

SEC("xdp") int loop_returns_two(struct xdp_md *ctx)
{
	bpf_loop(10, returns_two, 0, 0);
	return 0;
}

SEC("xdp") int loop_returns_index(struct xdp_md *ctx)
{
	bpf_loop(10, returns_index, 0, 0);
	return 0;
}

SEC("xdp") int loop_returns_ctx(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(10, returns_ctx, &n, 0);
	return 0;
}

SEC("xdp") int loop_indexes(struct xdp_md *ctx)
{
	bpf_loop(10, indexes, 0, 0);
	return 0;
}

SEC("xdp") int loop_indexes_checked(struct xdp_md *ctx)
{
	bpf_loop(100, indexes_checked, 0, 0);
	return 0;
}

SEC("xdp") int loop_steps(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(10, steps, &n, 0);
	return 0;
}

SEC("xdp") int loop_steps_too_far(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(17, steps, &n, 0);
	return 0;
}

SEC("xdp") int loop_beyond_ctx(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(10, beyond_ctx, &n, 0);
	return 0;
}

SEC("xdp") int loop_nested(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_loop(10, nested, &n, 0);
	return (int)n;
}

SEC("xdp") int loop_acquires(struct xdp_md *ctx)
{
	bpf_loop(10, acquires, 0, 0);
	return 0;
}

SEC("xdp") int loop_takes_and_gives(struct xdp_md *ctx)
{
	bpf_loop(10, takes_and_gives, 0, 0);
	return 0;
}

SEC("xdp") int loop_while_holding(struct xdp_md *ctx)
{
	__u64 n = 0;
	void *record = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!record)
		return 0;
	bpf_loop(10, count, &n, 0);
	bpf_ringbuf_discard(record, 0);
	return 0;
}

SEC("xdp") int loop_spins(struct xdp_md *ctx)
{
	bpf_loop(10, spins, 0, 0);
	return 0;
}

SEC("xdp") int loop_global(struct xdp_md *ctx)
{
	bpf_loop(10, global_callback, 0, 0);
	return 0;
}

SEC("xdp") int loop_number_as_callback(struct xdp_md *ctx)
{
	bpf_loop(10, (void *)8, 0, 0);
	return 0;
}

SEC("xdp") int loop_result_used(struct xdp_md *ctx)
{
	__u64 n = 0;
	__u32 i;

	bpf_loop(4, count, &n, 0);
	i = (__u32)n;
	array[i] = 1;
	return 0;
}

SEC("xdp") int each_element(struct xdp_md *ctx)
{
	__u64 n = 0;

	bpf_for_each_map_elem(&counts, element, &n, 0);
	return (int)n;
}

SEC("xdp") int each_writes_key(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&counts, writes_key, 0, 0);
	return 0;
}

SEC("xdp") int each_beyond_value(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&counts, beyond_value, 0, 0);
	return 0;
}

SEC("xdp") int each_changes_map(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&counts, changes_map, 0, 0);
	return 0;
}

SEC("xdp") int each_of_queue(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&queue, element, 0, 0);
	return 0;
}

SEC("xdp") int loop_in_loop_in_loop(struct xdp_md *ctx)
{
	__u64 n = 0;

	for (int i = 0; i < 5; i++)
		bpf_loop(ctx->rx_queue_index, nested, &n, 0);
	return (int)n;
}

static int first(__u32 i, void *ctx)
{
	return 0;
}

static int second(__u32 i, void *ctx)
{
	return 0;
}

static noinline int called(int x)
{
	keep(x);
	return x;
}

static noinline int called_too(int x)
{
	keep(x);
	return x + 1;
}

/* Takes an address and calls nothing by it. */
#define hold(function) do { void *held = function; keep(held); } while (0)

SEC("xdp") int held_alone(struct xdp_md *ctx)
{
	hold(first);
	return 0;
}

SEC("xdp") int held_two(struct xdp_md *ctx)
{
	hold(first);
	hold(second);
	return 0;
}

SEC("xdp") int held_before_called(struct xdp_md *ctx)
{
	hold(first);
	return called(1);
}

SEC("xdp") int held_behind_called(struct xdp_md *ctx)
{
	int x = called(1);

	hold(first);
	return x;
}

SEC("xdp") int held_two_before_called(struct xdp_md *ctx)
{
	hold(first);
	hold(second);
	return called(1);
}

SEC("xdp") int held_two_before_two_called(struct xdp_md *ctx)
{
	hold(first);
	hold(second);
	return called(1) + called_too(1);
}

SEC("xdp") int held_between_called(struct xdp_md *ctx)
{
	int x = called(1);

	hold(first);
	return x + called_too(1);
}

SEC("xdp") int held_on_no_path(struct xdp_md *ctx)
{
	int zero = 0;

	asm volatile("%0 = 0" : "=r"(zero));
	if (zero)
		hold(first);
	return called(1);
}

SEC("xdp") int held_and_called_back(struct xdp_md *ctx)
{
	int x = called(1);

	hold(first);
	bpf_loop(2, first, 0, 0);
	return x;
}

char LICENSE[] SEC("license") = "GPL";
