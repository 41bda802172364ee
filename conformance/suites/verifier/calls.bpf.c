/* Calls of the program's own functions: what fits a prototype, how deep chains may get. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define noinline __attribute__((noinline))
#define keep(x) asm volatile("" : "+r"(x))

struct pair {
	__u64 a, b;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

/* Global functions by argument. */

noinline int number(__u64 x)
{
	keep(x);
	return (int)x + 1;
}

noinline int of_ctx(struct xdp_md *ctx)
{
	return (int)ctx->rx_queue_index;
}

noinline int of_mem(struct pair *p)
{
	if (!p)
		return -1;
	p->a++;
	return (int)p->b;
}

noinline int unchecked(struct pair *p)
{
	return (int)p->b;
}

noinline int nonnull(struct pair *p __attribute__((btf_decl_tag("arg:nonnull"))))
{
	return (int)p->b;
}

noinline int beyond(struct pair *p)
{
	if (!p)
		return -1;
	return *(int *)((char *)p + 16);
}

noinline int tagged(struct pair *p __attribute__((btf_decl_tag("arg:strange"))))
{
	return p ? 0 : 1;
}

noinline int nullable(struct pair *p __attribute__((btf_decl_tag("arg:nullable"))))
{
	return p ? 0 : 1;
}

noinline int opaque(void *p)
{
	return p ? 0 : 1;
}

noinline int six(int a, int b, int c, int d, int e)
{
	return a + b + c + d + e;
}

noinline int moves(struct xdp_md *ctx)
{
	return (int)bpf_xdp_adjust_head(ctx, 0);
}

noinline int leaks(struct pair *p)
{
	asm volatile("r0 = r10");
	return (int)(long)p;
}

SEC("xdp") int with_number(struct xdp_md *ctx)
{
	return number(ctx->rx_queue_index);
}

SEC("xdp") int with_pointer_as_number(struct xdp_md *ctx)
{
	return number((__u64)(long)ctx);
}

SEC("xdp") int with_ctx(struct xdp_md *ctx)
{
	return of_ctx(ctx);
}

SEC("xdp") int with_other_as_ctx(struct xdp_md *ctx)
{
	struct pair p = {};

	return of_ctx((void *)&p);
}

SEC("xdp") int with_moved_ctx(struct xdp_md *ctx)
{
	char *moved = (void *)ctx;

	moved += 8;
	keep(moved);
	return of_ctx((void *)moved);
}

SEC("xdp") int with_stack(struct xdp_md *ctx)
{
	struct pair p = { 1, 2 };

	keep(ctx);
	return of_mem(&p) + (int)p.a;
}

SEC("xdp") int with_too_little_stack(struct xdp_md *ctx)
{
	__u64 a = 1;

	return of_mem((void *)&a);
}

SEC("xdp") int with_null(struct xdp_md *ctx)
{
	return of_mem(0);
}

SEC("xdp") int with_some_number(struct xdp_md *ctx)
{
	return of_mem((void *)(long)ctx->rx_queue_index);
}

SEC("xdp") int with_value(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	return of_mem(bpf_map_lookup_elem(&pairs, &key));
}

SEC("xdp") int with_nonnull_value(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	struct pair *p = bpf_map_lookup_elem(&pairs, &key);

	return p ? nonnull(p) : 0;
}

SEC("xdp") int with_nullable_value(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	return nonnull(bpf_map_lookup_elem(&pairs, &key));
}

SEC("xdp") int with_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;

	if (data + 16 > (void *)(long)ctx->data_end)
		return 0;
	return of_mem(data);
}

SEC("xdp") int with_short_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;

	if (data + 15 > (void *)(long)ctx->data_end)
		return 0;
	return of_mem(data);
}

SEC("xdp") int into_unchecked(struct xdp_md *ctx)
{
	struct pair p = { 1, 2 };

	return unchecked(&p);
}

SEC("xdp") int into_beyond(struct xdp_md *ctx)
{
	struct pair p = { 1, 2 };

	return beyond(&p);
}

SEC("xdp") int into_tagged(struct xdp_md *ctx)
{
	return tagged(0);
}

SEC("xdp") int into_nullable(struct xdp_md *ctx)
{
	return nullable(0);
}

SEC("xdp") int into_opaque(struct xdp_md *ctx)
{
	return opaque(ctx);
}

SEC("xdp") int into_six(struct xdp_md *ctx)
{
	return six(1, 2, 3, 4, 5);
}

SEC("xdp") int packet_after_move(struct xdp_md *ctx)
{
	char *data = (void *)(long)ctx->data;

	if (data + 1 > (char *)(long)ctx->data_end)
		return 0;
	if (moves(ctx))
		return 0;
	return *data;
}

/* Results. */

noinline struct pair *gives_pointer(struct pair *p)
{
	return p;
}

noinline int gives_stack(int x)
{
	asm volatile("r0 = r10\n\texit" ::: "r0");
	return x;
}

SEC("xdp") int takes_pointer(struct xdp_md *ctx)
{
	struct pair p = { 1, 2 };

	return gives_pointer(&p) ? 1 : 2;
}

SEC("xdp") int takes_stack(struct xdp_md *ctx)
{
	return gives_stack(1);
}

/* Depth. */

static noinline int deep_leaf(int x)
{
	volatile char room[256];

	room[x & 255] = 1;
	return room[(x + 1) & 255];
}

static noinline int deep_middle(int x)
{
	volatile char room[240];

	room[x & 127] = 1;
	return room[(x + 1) & 127] + deep_leaf(x);
}

static noinline int deep_more(int x)
{
	volatile char room[256];

	room[x & 127] = 1;
	return room[(x + 1) & 127] + deep_leaf(x) + 1;
}

SEC("xdp") int deep_enough(struct xdp_md *ctx)
{
	return deep_middle(ctx->rx_queue_index);
}

SEC("xdp") int too_deep(struct xdp_md *ctx)
{
	volatile char one[8];

	one[0] = 1;
	return deep_more(ctx->rx_queue_index) + one[0];
}

static noinline int down(int x);

static noinline int up(int x)
{
	return x > 0 ? down(x - 1) + 1 : 0;
}

static noinline int down(int x)
{
	return x > 1 ? up(x - 2) + 3 : 1;
}

SEC("xdp") int recursion(struct xdp_md *ctx)
{
	return up(ctx->rx_queue_index);
}

noinline int global_up(int x)
{
	return x > 0 ? global_up(x - 1) + number(x) : 0;
}

SEC("xdp") int global_recursion(struct xdp_md *ctx)
{
	return global_up(ctx->rx_queue_index);
}

/* Tail calls in subprograms. */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

static noinline int tails(struct xdp_md *ctx)
{
	volatile char room[64];

	room[0] = 1;
	bpf_tail_call(ctx, &programs, 1);
	return room[0];
}

static noinline void tails_without_result(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &programs, 1);
	asm volatile("" ::: "memory");
}

SEC("xdp") int tail_call_in_subprog(struct xdp_md *ctx)
{
	return tails(ctx);
}

SEC("xdp") int packet_after_tail_call(struct xdp_md *ctx)
{
	char *data = (void *)(long)ctx->data;
	int x;

	if (data + 1 > (char *)(long)ctx->data_end)
		return 0;
	x = tails(ctx);
	return x + *data;
}

SEC("xdp") int tail_call_without_result(struct xdp_md *ctx)
{
	tails_without_result(ctx);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
