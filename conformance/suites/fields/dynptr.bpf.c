/* Dynptrs: making, using, losing them. */
#include "fields.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, u64[4]);
} array SEC(".maps");

struct holder {
	long data;
	struct bpf_dynptr ptr;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct holder);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user_ring SEC(".maps");

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)
#define RESERVE(p) bpf_ringbuf_reserve_dynptr(&ring, 64, 0, &p)
#define LOCAL(p)                                            \
	int key_ = 0;                                       \
	u64 *v_ = bpf_map_lookup_elem(&array, &key_);       \
	if (!v_)                                            \
		return 0;                                   \
	bpf_dynptr_from_mem(v_, 32, 0, &p)

TC(submit) { struct bpf_dynptr p; RESERVE(p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(discard) { struct bpf_dynptr p; RESERVE(p); bpf_ringbuf_discard_dynptr(&p, 0); return 0; }
TC(never_given_back) { struct bpf_dynptr p; RESERVE(p); return 0; }
TC(given_back_on_one_path)
{
	struct bpf_dynptr p;
	RESERVE(p);
	if (ctx->len)
		bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(submit_twice) { struct bpf_dynptr p; RESERVE(p); bpf_ringbuf_submit_dynptr(&p, 0); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(submit_uninitialized) { struct bpf_dynptr p; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(submit_zeroed) { struct bpf_dynptr p = {}; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(submit_local) { struct bpf_dynptr p; LOCAL(p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(submit_moved) { struct bpf_dynptr p[2]; RESERVE(p[0]); bpf_ringbuf_submit_dynptr((void *)&p[0] + 8, 0); return 0; }
TC(reserve_over) { struct bpf_dynptr p; RESERVE(p); RESERVE(p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(reserve_misaligned) { char b[32]; bpf_ringbuf_reserve_dynptr(&ring, 64, 0, (void *)b + 4); return 0; }
TC(reserve_in_map)
{
	int key = 0;
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	if (h)
		bpf_ringbuf_reserve_dynptr(&ring, 64, 0, &h->ptr);
	return 0;
}
TC(reserve_in_global_memory)
{
	bpf_ringbuf_reserve_dynptr(&ring, 64, 0, (void *)ctx);
	return 0;
}
TC(reserve_variable_place)
{
	char b[64];
	u64 n = ctx->len & 16;
	keep(n);
	bpf_ringbuf_reserve_dynptr(&ring, 64, 0, (void *)b + n);
	return 0;
}
TC(reserve_variable_size)
{
	struct bpf_dynptr p;
	bpf_ringbuf_reserve_dynptr(&ring, ctx->len, 0, &p);
	bpf_ringbuf_discard_dynptr(&p, 0);
	return 0;
}
TC(reserve_beyond_stack)
{
	void *fp;
	asm volatile("%0 = r10; %0 += -8" : "=r"(fp));
	bpf_ringbuf_reserve_dynptr(&ring, 64, 0, fp);
	return 0;
}
TC(overwrite_first) { struct bpf_dynptr p; RESERVE(p); *(volatile u64 *)&p = 1; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(overwrite_second) { struct bpf_dynptr p; RESERVE(p); *((volatile u64 *)&p + 1) = 1; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(overwrite_byte) { struct bpf_dynptr p; RESERVE(p); *((volatile char *)&p + 9) = 1; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(overwrite_local) { struct bpf_dynptr p; LOCAL(p); *(volatile u64 *)&p = 1; return 0; }
TC(use_overwritten_local) { struct bpf_dynptr p; LOCAL(p); *(volatile u64 *)&p = 1; char b[4]; return bpf_dynptr_read(b, 4, &p, 0, 0); }
TC(overwrite_variable)
{
	struct { struct bpf_dynptr p; u64 after[2]; } s;
	RESERVE(s.p);
	u64 n = ctx->len & 24;
	keep(n);
	*(volatile char *)((void *)&s + n) = 1;
	bpf_ringbuf_submit_dynptr(&s.p, 0);
	return 0;
}
TC(overwrite_by_helper)
{
	struct { struct bpf_dynptr p; u64 after[2]; } s;
	RESERVE(s.p);
	bpf_skb_load_bytes(ctx, 0, (void *)&s + 8, 16);
	bpf_ringbuf_submit_dynptr(&s.p, 0);
	return 0;
}
TC(overwrite_local_by_helper)
{
	struct { struct bpf_dynptr p; u64 after[2]; } s;
	LOCAL(s.p);
	bpf_skb_load_bytes(ctx, 0, (void *)&s + 8, 16);
	return 0;
}
TC(overwrite_by_helper_variable)
{
	struct { u64 before[2]; struct bpf_dynptr p; } s;
	LOCAL(s.p);
	u32 n = ctx->len;
	if (n < 1 || n > 24)
		return 0;
	bpf_skb_load_bytes(ctx, 0, &s, n);
	return 0;
}
TC(read_its_bytes) { struct bpf_dynptr p; RESERVE(p); u64 n = *(volatile u64 *)&p; bpf_ringbuf_submit_dynptr(&p, 0); return n; }
TC(read_its_second_bytes) { struct bpf_dynptr p; LOCAL(p); return *((volatile u32 *)&p + 3); }
TC(helper_reads_its_bytes)
{
	struct bpf_dynptr p;
	LOCAL(p);
	bpf_ringbuf_output(&ring, &p, 16, 0);
	return 0;
}
TC(dynptr_as_key)
{
	struct bpf_dynptr p;
	LOCAL(p);
	void *v = bpf_map_lookup_elem(&array, &p);
	keep(v);
	return 0;
}
TC(local_is_forgotten) { struct bpf_dynptr p; LOCAL(p); return 0; }
TC(local_of_stack) { u64 b[2] = {}; struct bpf_dynptr p; bpf_dynptr_from_mem(b, 16, 0, &p); return 0; }
TC(local_of_packet)
{
	struct bpf_dynptr p;
	void *data = (void *)(long)ctx->data;
	if (data + 8 > (void *)(long)ctx->data_end)
		return 0;
	bpf_dynptr_from_mem(data, 8, 0, &p);
	return 0;
}
TC(local_of_record)
{
	struct bpf_dynptr p;
	void *r = bpf_ringbuf_reserve(&ring, 16, 0);
	if (!r)
		return 0;
	bpf_dynptr_from_mem(r, 16, 0, &p);
	bpf_ringbuf_discard(r, 0);
	return 0;
}
TC(local_too_large)
{
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	struct bpf_dynptr p;
	if (v)
		bpf_dynptr_from_mem(v, 33, 0, &p);
	return 0;
}
TC(local_variable_size)
{
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	struct bpf_dynptr p;
	u32 n = ctx->len & 31;
	keep(n);
	if (v && n)
		bpf_dynptr_from_mem(v, n, 0, &p);
	return 0;
}
TC(local_twice) { struct bpf_dynptr p; LOCAL(p); bpf_dynptr_from_mem(v_, 8, 0, &p); return 0; }
TC(local_overlaps)
{
	u64 room[3] = {};
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	if (!v)
		return 0;
	bpf_dynptr_from_mem(v, 8, 0, (void *)room);
	bpf_dynptr_from_mem(v, 8, 0, (void *)room + 8);
	char b[4];
	return bpf_dynptr_read(b, 4, (void *)room + 8, 0, 0);
}
TC(local_overlaps_first_used)
{
	u64 room[3] = {};
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	if (!v)
		return 0;
	bpf_dynptr_from_mem(v, 8, 0, (void *)room);
	bpf_dynptr_from_mem(v, 8, 0, (void *)room + 8);
	char b[4];
	return bpf_dynptr_read(b, 4, (void *)room, 0, 0);
}
TC(local_overlaps_reserved)
{
	u64 room[3] = {};
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	if (!v)
		return 0;
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, (void *)room);
	bpf_dynptr_from_mem(v, 8, 0, (void *)room + 8);
	bpf_ringbuf_submit_dynptr((void *)room, 0);
	return 0;
}
TC(read_local) { struct bpf_dynptr p; LOCAL(p); char b[8]; return bpf_dynptr_read(b, 8, &p, 0, 0) + b[3]; }
TC(read_uninitialized) { struct bpf_dynptr p; char b[8]; return bpf_dynptr_read(b, 8, &p, 0, 0); }
TC(read_number) { char b[8]; return bpf_dynptr_read(b, 8, (void *)(long)ctx->len, 0, 0); }
TC(read_null) { char b[8]; return bpf_dynptr_read(b, 8, 0, 0, 0); }
TC(read_value)
{
	int key = 0;
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	char b[8];
	return h ? bpf_dynptr_read(b, 8, &h->ptr, 0, 0) : 0;
}
TC(read_moved) { struct bpf_dynptr p; LOCAL(p); char b[8]; return bpf_dynptr_read(b, 8, (void *)&p + 8, 0, 0); }
TC(read_misaligned) { struct bpf_dynptr p; LOCAL(p); char b[8]; return bpf_dynptr_read(b, 8, (void *)&p + 1, 0, 0); }
TC(read_into_dynptr) { struct bpf_dynptr p; LOCAL(p); return bpf_dynptr_read(&p, 8, &p, 0, 0); }
TC(read_into_reserved) { struct bpf_dynptr p; RESERVE(p); bpf_dynptr_read(&p, 8, &p, 0, 0); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(read_too_far) { struct bpf_dynptr p; LOCAL(p); char b[8]; return bpf_dynptr_read(b, 16, &p, 0, 0) + (long)b; }
TC(read_variable_size) { struct bpf_dynptr p; LOCAL(p); char b[8]; u32 n = ctx->len & 7; keep(n); return bpf_dynptr_read(b, n, &p, 0, 0); }
TC(read_after_submit) { struct bpf_dynptr p; RESERVE(p); bpf_ringbuf_submit_dynptr(&p, 0); char b[8]; return bpf_dynptr_read(b, 8, &p, 0, 0); }
TC(read_reserved) { struct bpf_dynptr p; char b[8] = {}; RESERVE(p); bpf_dynptr_read(b, 8, &p, 0, 0); bpf_ringbuf_submit_dynptr(&p, 0); return b[0]; }
TC(write_reserved) { struct bpf_dynptr p; char b[8] = {}; RESERVE(p); bpf_dynptr_write(&p, 0, b, 8, 0); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(write_uninitialized) { struct bpf_dynptr p; char b[8] = {}; return bpf_dynptr_write(&p, 0, b, 8, 0); }
TC(write_dynptr_bytes) { struct bpf_dynptr p; LOCAL(p); return bpf_dynptr_write(&p, 0, &p, 8, 0); }
TC(data_reserved)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		*d = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_unchecked) { struct bpf_dynptr p; RESERVE(p); u64 *d = bpf_dynptr_data(&p, 0, 8); *d = 1; bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(data_beyond)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		d[1] = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_before)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		d[-1] = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_variable_size)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, ctx->len);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return !!d;
}
TC(data_zero_size)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 0);
	keep(d);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_after_submit)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	bpf_ringbuf_submit_dynptr(&p, 0);
	if (d)
		*d = 1;
	return 0;
}
TC(checked_data_after_submit)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (!d) {
		bpf_ringbuf_submit_dynptr(&p, 0);
		return 0;
	}
	bpf_ringbuf_submit_dynptr(&p, 0);
	*d = 1;
	return 0;
}
TC(data_released_as_record)
{
	struct bpf_dynptr p;
	RESERVE(p);
	void *d = bpf_dynptr_data(&p, 0, 8);
	if (!d) {
		bpf_ringbuf_discard_dynptr(&p, 0);
		return 0;
	}
	bpf_ringbuf_submit(d, 0);
	return 0;
}
TC(data_local)
{
	struct bpf_dynptr p;
	LOCAL(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		*d = 1;
	return 0;
}
TC(data_local_after_overwrite)
{
	struct bpf_dynptr p;
	LOCAL(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (!d)
		return 0;
	*(volatile u64 *)&p = 1;
	return *d;
}
TC(data_local_after_replaced)
{
	struct bpf_dynptr p;
	LOCAL(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (!d)
		return 0;
	bpf_dynptr_from_mem(v_, 8, 0, &p);
	return *d;
}
TC(data_to_helper)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		bpf_skb_load_bytes(ctx, 0, d, 8);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_to_helper_beyond)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		bpf_skb_load_bytes(ctx, 0, d, 9);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(data_moved_between)
{
	struct bpf_dynptr p, q;
	RESERVE(p);
	RESERVE(q);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	bpf_ringbuf_submit_dynptr(&q, 0);
	if (d)
		*d = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
static __noinline int uses(struct bpf_dynptr *p)
{
	char b[4] = {};
	return bpf_dynptr_write(p, 0, b, 4, 0);
}
static __noinline int makes(struct bpf_dynptr *p)
{
	return RESERVE(*p);
}
static __noinline int ends(struct bpf_dynptr *p)
{
	bpf_ringbuf_submit_dynptr(p, 0);
	return 0;
}
static __noinline int overwrites(struct bpf_dynptr *p)
{
	*(volatile u64 *)p = 0;
	return 0;
}
TC(callee_uses) { struct bpf_dynptr p; RESERVE(p); uses(&p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(callee_makes) { struct bpf_dynptr p; makes(&p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(callee_ends) { struct bpf_dynptr p; RESERVE(p); ends(&p); return 0; }
TC(callee_ends_twice) { struct bpf_dynptr p; RESERVE(p); ends(&p); ends(&p); return 0; }
TC(callee_overwrites) { struct bpf_dynptr p; RESERVE(p); overwrites(&p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
__noinline int global_uses(struct bpf_dynptr *p)
{
	char b[4] = {};
	return bpf_dynptr_write(p, 0, b, 4, 0);
}
__noinline int global_submits(struct bpf_dynptr *p)
{
	bpf_ringbuf_submit_dynptr(p, 0);
	return 0;
}
__noinline int global_makes(struct bpf_dynptr *p)
{
	return RESERVE(*p);
}
TC(global_callee_uses) { struct bpf_dynptr p; RESERVE(p); global_uses(&p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(global_callee_uninitialized) { struct bpf_dynptr p; return global_uses(&p); }
TC(global_callee_submits) { struct bpf_dynptr p; RESERVE(p); return global_submits(&p); }
TC(global_callee_makes) { struct bpf_dynptr p; LOCAL(p); return global_makes(&p); }
TC(global_callee_number) { return global_uses((void *)(long)ctx->len); }

static int in_loop(u32 i, struct bpf_dynptr *p)
{
	return uses(p) ? 1 : 0;
}
static int submits_in_loop(u32 i, struct bpf_dynptr *p)
{
	bpf_ringbuf_submit_dynptr(p, 0);
	return 0;
}
static int reserves_in_loop(u32 i, void *x)
{
	struct bpf_dynptr p;
	RESERVE(p);
	bpf_ringbuf_discard_dynptr(&p, 0);
	return 0;
}
static int leaks_in_loop(u32 i, void *x)
{
	struct bpf_dynptr p;
	RESERVE(p);
	return 0;
}
TC(used_in_loop) { struct bpf_dynptr p; RESERVE(p); bpf_loop(4, in_loop, &p, 0); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(submitted_in_loop) { struct bpf_dynptr p; RESERVE(p); bpf_loop(4, submits_in_loop, &p, 0); return 0; }
TC(reserved_in_loop) { bpf_loop(4, reserves_in_loop, 0, 0); return 0; }
TC(leaked_in_loop) { bpf_loop(4, leaks_in_loop, 0, 0); return 0; }

TC(walked_loop)
{
	struct bpf_dynptr p;
	LOCAL(p);
	int sum = 0;
	for (int i = 0; i < 50; i++) {
		char b;
		if (bpf_dynptr_read(&b, 1, &p, i, 0))
			break;
		sum += b;
	}
	return sum;
}
TC(walked_loop_of_records)
{
	for (int i = 0; i < 10; i++) {
		struct bpf_dynptr p;
		RESERVE(p);
		u64 *d = bpf_dynptr_data(&p, 0, 8);
		if (d)
			*d = i;
		bpf_ringbuf_submit_dynptr(&p, 0);
	}
	return 0;
}
TC(branches_meet)
{
	struct bpf_dynptr p;
	if (ctx->len)
		RESERVE(p);
	else
		bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(made_on_one_branch)
{
	struct bpf_dynptr p;
	if (ctx->len)
		RESERVE(p);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

TC(skb) { struct bpf_dynptr p; bpf_dynptr_from_skb(ctx, 0, &p); return 0; }
TC(skb_read) { struct bpf_dynptr p; char b[8]; bpf_dynptr_from_skb(ctx, 0, &p); return bpf_dynptr_read(b, 8, &p, 0, 0); }
TC(skb_write) { struct bpf_dynptr p; char b[8] = {}; bpf_dynptr_from_skb(ctx, 0, &p); return bpf_dynptr_write(&p, 0, b, 8, 0); }
TC(skb_data) { struct bpf_dynptr p; bpf_dynptr_from_skb(ctx, 0, &p); u64 *d = bpf_dynptr_data(&p, 0, 8); return d ? *d : 0; }
TC(skb_of_number) { struct bpf_dynptr p; return bpf_dynptr_from_skb((void *)(long)ctx->len, 0, &p); }
TC(skb_submit) { struct bpf_dynptr p; bpf_dynptr_from_skb(ctx, 0, &p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(skb_twice) { struct bpf_dynptr p; bpf_dynptr_from_skb(ctx, 0, &p); return bpf_dynptr_from_skb(ctx, 0, &p); }
TC(skb_over_reserved) { struct bpf_dynptr p; RESERVE(p); bpf_dynptr_from_skb(ctx, 0, &p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(skb_in_map)
{
	int key = 0;
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	return h ? bpf_dynptr_from_skb(ctx, 0, &h->ptr) : 0;
}
TC(slice)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	return d ? *d : 0;
}
TC(slice_unchecked)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	return *d;
}
TC(slice_write)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (d)
		*d = 1;
	return 0;
}
TC(slice_without_buffer)
{
	struct bpf_dynptr p;
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, 0, 8);
	return d ? *d : 0;
}
TC(slice_small_buffer)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 9);
	return d ? *d + (long)b : 0;
}
TC(slice_variable_size)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u32 n = ctx->len & 7;
	keep(n);
	char *d = bpf_dynptr_slice(&p, 0, b, n);
	return d ? *d : 0;
}
TC(slice_beyond)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	char *d = bpf_dynptr_slice(&p, 0, b, 8);
	return d ? d[8] : 0;
}
TC(slice_rdwr)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	if (d)
		*d = 1;
	return 0;
}
TC(slice_after_change)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (!d)
		return 0;
	bpf_skb_pull_data(ctx, 20);
	return *d;
}
TC(slice_after_write)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (!d)
		return 0;
	bpf_dynptr_write(&p, 0, b, 8, 0);
	return *d;
}
TC(slice_after_write_to_local)
{
	struct bpf_dynptr p, q;
	char b[8];
	LOCAL(q);
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (!d)
		return 0;
	bpf_dynptr_write(&q, 0, b, 8, 0);
	return *d;
}
TC(packet_after_write)
{
	struct bpf_dynptr p;
	char b[8] = {};
	void *data = (void *)(long)ctx->data;
	if (data + 8 > (void *)(long)ctx->data_end)
		return 0;
	bpf_dynptr_from_skb(ctx, 0, &p);
	bpf_dynptr_write(&p, 0, b, 8, 0);
	return *(char *)data;
}
TC(slice_after_overwrite)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (!d)
		return 0;
	*(volatile u64 *)&p = 0;
	return *d;
}
TC(slice_of_reserved_after_submit)
{
	struct bpf_dynptr p;
	char b[8];
	RESERVE(p);
	u64 *d = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return d ? *d : 0;
}
TC(slice_of_uninitialized)
{
	struct bpf_dynptr p;
	char b[8];
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	return d ? *d : 0;
}
TC(buffer_is_dynptr)
{
	struct bpf_dynptr p;
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, &p, 8);
	return d ? *d : 0;
}
TC(clone_local) { struct bpf_dynptr p, q; LOCAL(p); return bpf_dynptr_clone(&p, &q); }
TC(clone_reserved) { struct bpf_dynptr p, q; RESERVE(p); bpf_dynptr_clone(&p, &q); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(clone_submitted) { struct bpf_dynptr p, q; RESERVE(p); bpf_dynptr_clone(&p, &q); bpf_ringbuf_submit_dynptr(&q, 0); return 0; }
TC(clone_leaked) { struct bpf_dynptr p, q; RESERVE(p); bpf_dynptr_clone(&p, &q); return 0; }
TC(clone_used_after_submit)
{
	struct bpf_dynptr p, q;
	char b[4];
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return bpf_dynptr_read(b, 4, &q, 0, 0);
}
TC(cloned_used_after_submit)
{
	struct bpf_dynptr p, q;
	char b[4];
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	bpf_ringbuf_submit_dynptr(&q, 0);
	return bpf_dynptr_read(b, 4, &p, 0, 0);
}
TC(clone_data_after_submit)
{
	struct bpf_dynptr p, q;
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	u64 *d = bpf_dynptr_data(&q, 0, 8);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return d ? *d : 0;
}
TC(clone_overwritten)
{
	struct bpf_dynptr p, q;
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	*(volatile u64 *)&q = 0;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}
TC(cloned_overwritten)
{
	struct bpf_dynptr p, q;
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	*(volatile u64 *)&p = 0;
	bpf_ringbuf_submit_dynptr(&q, 0);
	return 0;
}
TC(both_overwritten)
{
	struct bpf_dynptr p, q;
	RESERVE(p);
	bpf_dynptr_clone(&p, &q);
	*(volatile u64 *)&p = 0;
	*(volatile u64 *)&q = 0;
	return 0;
}
TC(clone_of_itself) { struct bpf_dynptr p; LOCAL(p); return bpf_dynptr_clone(&p, &p); }
TC(clone_of_reserved_itself) { struct bpf_dynptr p; RESERVE(p); bpf_dynptr_clone(&p, &p); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
TC(clone_of_uninitialized) { struct bpf_dynptr p, q; return bpf_dynptr_clone(&p, &q); }
TC(clone_skb_slice_after_write)
{
	struct bpf_dynptr p, q;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	bpf_dynptr_clone(&p, &q);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	if (!d)
		return 0;
	bpf_dynptr_write(&q, 0, b, 8, 0);
	return *d;
}
TC(asks)
{
	struct bpf_dynptr p;
	LOCAL(p);
	return bpf_dynptr_size(&p) + bpf_dynptr_is_null(&p) + bpf_dynptr_is_rdonly(&p) + bpf_dynptr_adjust(&p, 1, 2);
}
TC(asks_uninitialized) { struct bpf_dynptr p; return bpf_dynptr_size(&p); }
TC(adjust_uninitialized) { struct bpf_dynptr p; return bpf_dynptr_adjust(&p, 0, 1); }
TC(is_null_of_value)
{
	int key = 0;
	struct holder *h = bpf_map_lookup_elem(&holders, &key);
	return h ? bpf_dynptr_is_null(&h->ptr) : 0;
}
TC(copies) { struct bpf_dynptr p, q; LOCAL(p); bpf_dynptr_from_skb(ctx, 0, &q); return bpf_dynptr_copy(&p, 0, &q, 0, 8); }
TC(copies_uninitialized) { struct bpf_dynptr p, q; LOCAL(p); return bpf_dynptr_copy(&p, 0, &q, 0, 8); }
TC(fills) { struct bpf_dynptr p; LOCAL(p); return bpf_dynptr_memset(&p, 0, 8, 1); }
TC(meta) { struct bpf_dynptr p; char b[4]; bpf_dynptr_from_skb_meta(ctx, 0, &p); u32 *d = bpf_dynptr_slice(&p, 0, b, 4); return d ? *d : 0; }
TC(meta_slice_after_change)
{
	struct bpf_dynptr p;
	char b[4];
	bpf_dynptr_from_skb_meta(ctx, 0, &p);
	u32 *d = bpf_dynptr_slice_rdwr(&p, 0, b, 4);
	if (!d)
		return 0;
	bpf_skb_pull_data(ctx, 20);
	return *d;
}
TC(meta_slice_after_write)
{
	struct bpf_dynptr p;
	char b[4];
	bpf_dynptr_from_skb_meta(ctx, 0, &p);
	u32 *d = bpf_dynptr_slice_rdwr(&p, 0, b, 4);
	if (!d)
		return 0;
	bpf_dynptr_write(&p, 0, b, 4, 0);
	return *d;
}
TC(meta_data) { struct bpf_dynptr p; bpf_dynptr_from_skb_meta(ctx, 0, &p); u32 *d = bpf_dynptr_data(&p, 0, 4); return d ? *d : 0; }

SEC("xdp") int xdp_slice(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	char b[14];
	bpf_dynptr_from_xdp(ctx, 0, &p);
	char *d = bpf_dynptr_slice(&p, 0, b, 14);
	return d ? d[13] & 1 : 2;
}
SEC("xdp") int xdp_write_slice(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	char b[14];
	bpf_dynptr_from_xdp(ctx, 0, &p);
	char *d = bpf_dynptr_slice_rdwr(&p, 0, b, 14);
	if (!d)
		return 2;
	d[13] = 1;
	if (d == b)
		bpf_dynptr_write(&p, 0, b, 14, 0);
	return 2;
}
SEC("xdp") int xdp_slice_after_adjust(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	char b[14];
	bpf_dynptr_from_xdp(ctx, 0, &p);
	char *d = bpf_dynptr_slice(&p, 0, b, 14);
	if (!d)
		return 2;
	bpf_xdp_adjust_head(ctx, 4);
	return d[13] & 1;
}
SEC("xdp") int xdp_slice_after_write(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	char b[14];
	bpf_dynptr_from_xdp(ctx, 0, &p);
	char *d = bpf_dynptr_slice(&p, 0, b, 14);
	if (!d)
		return 2;
	bpf_dynptr_write(&p, 0, b, 14, 0);
	return d[13] & 1;
}
SEC("xdp") int skb_in_xdp(struct xdp_md *ctx)
{
	struct bpf_dynptr p;
	return bpf_dynptr_from_skb((void *)ctx, 0, &p) & 1;
}
TC(xdp_in_tc) { struct bpf_dynptr p; return bpf_dynptr_from_xdp((void *)ctx, 0, &p); }
SEC("cgroup_skb/egress") int read_only_packet(struct __sk_buff *ctx)
{
	struct bpf_dynptr p;
	char b[8];
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	return d ? *d & 1 : 0;
}
SEC("cgroup_skb/egress") int read_only_packet_slice(struct __sk_buff *ctx)
{
	struct bpf_dynptr p;
	char b[8] = {};
	bpf_dynptr_from_skb(ctx, 0, &p);
	u64 *d = bpf_dynptr_slice(&p, 0, b, 8);
	bpf_dynptr_write(&p, 0, b, 8, 0);
	return d ? *d & 1 : 0;
}
SEC("kprobe/x") int in_kprobe(void *ctx)
{
	struct bpf_dynptr p;
	RESERVE(p);
	u64 *d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		*d = bpf_get_current_pid_tgid();
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

static long drain(struct bpf_dynptr *p, void *c)
{
	char b[4];
	bpf_dynptr_read(b, 4, p, 0, 0);
	return 0;
}
static long drain_data(struct bpf_dynptr *p, void *c)
{
	u64 *d = bpf_dynptr_data(p, 0, 8);
	return d ? *d & 1 : 0;
}
static long drain_writes_data(struct bpf_dynptr *p, void *c)
{
	u64 *d = bpf_dynptr_data(p, 0, 8);
	if (d)
		*d = 1;
	return 0;
}
static long drain_writes(struct bpf_dynptr *p, void *c)
{
	char b[4] = {};
	bpf_dynptr_write(p, 0, b, 4, 0);
	return 0;
}
static long drain_submits(struct bpf_dynptr *p, void *c)
{
	bpf_ringbuf_submit_dynptr(p, 0);
	return 0;
}
static long drain_discards(struct bpf_dynptr *p, void *c)
{
	bpf_ringbuf_discard_dynptr(p, 0);
	return 0;
}
static long drain_replaces(struct bpf_dynptr *p, void *c)
{
	int key = 0;
	u64 *v = bpf_map_lookup_elem(&array, &key);
	if (v)
		bpf_dynptr_from_mem(v, 8, 0, p);
	return 0;
}
static long drain_reserves(struct bpf_dynptr *p, void *c)
{
	RESERVE(*p);
	return 0;
}
static long drain_moved(struct bpf_dynptr *p, void *c)
{
	char b[4];
	bpf_dynptr_read(b, 4, (void *)p + 8, 0, 0);
	return 0;
}
static long drain_moved_back(struct bpf_dynptr *p, void *c)
{
	return *(volatile u64 *)((void *)p - 1);
}
static long drain_beyond(struct bpf_dynptr *p, void *c)
{
	*(volatile u64 *)((void *)p + 1) = 0;
	return 0;
}
static long drain_looks(struct bpf_dynptr *p, void *c)
{
	return *(volatile u64 *)p;
}
static long drain_stores(struct bpf_dynptr *p, void *c)
{
	*(volatile u64 *)p = 0;
	return 0;
}
static long drain_returns_two(struct bpf_dynptr *p, void *c)
{
	return 2;
}
static long drain_clones(struct bpf_dynptr *p, void *c)
{
	struct bpf_dynptr q;
	bpf_dynptr_clone(p, &q);
	return bpf_dynptr_size(p) & 1;
}
static long drain_slices(struct bpf_dynptr *p, void *c)
{
	char b[8];
	u64 *d = bpf_dynptr_slice(p, 0, b, 8);
	return d ? *d & 1 : 0;
}
static long drain_adjusts(struct bpf_dynptr *p, void *c)
{
	bpf_dynptr_adjust(p, 0, 1);
	return 0;
}
static long drain_memsets(struct bpf_dynptr *p, void *c)
{
	bpf_dynptr_memset(p, 0, 1, 0);
	return 0;
}
static long drain_null_check(struct bpf_dynptr *p, void *c)
{
	if (!p)
		return 1;
	return 0;
}
static long drain_counts(struct bpf_dynptr *p, int *n)
{
	(*n)++;
	return 0;
}
#define DRAIN(name, callback) TC(name) { return bpf_user_ringbuf_drain(&user_ring, callback, 0, 0); }
DRAIN(drains, drain)
DRAIN(drains_data, drain_data)
DRAIN(drains_writes_data, drain_writes_data)
DRAIN(drains_writes, drain_writes)
DRAIN(drains_submits, drain_submits)
DRAIN(drains_discards, drain_discards)
DRAIN(drains_replaces, drain_replaces)
DRAIN(drains_reserves, drain_reserves)
DRAIN(drains_moved, drain_moved)
DRAIN(drains_moved_back, drain_moved_back)
DRAIN(drains_beyond, drain_beyond)
DRAIN(drains_looks, drain_looks)
DRAIN(drains_stores, drain_stores)
DRAIN(drains_returns_two, drain_returns_two)
DRAIN(drains_clones, drain_clones)
DRAIN(drains_slices, drain_slices)
DRAIN(drains_adjusts, drain_adjusts)
DRAIN(drains_memsets, drain_memsets)
DRAIN(drains_null_check, drain_null_check)
TC(drains_counts) { int n = 0; bpf_user_ringbuf_drain(&user_ring, drain_counts, &n, 0); return n; }
TC(drains_other_ring) { return bpf_user_ringbuf_drain(&ring, drain, 0, 0); }
TC(reserves_user_ring) { void *r = bpf_ringbuf_reserve(&user_ring, 8, 0); keep(r); return 0; }
