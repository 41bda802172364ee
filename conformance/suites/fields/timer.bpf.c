/* Timers in map values. */
#include "fields.h"

struct value {
	long data;
	struct bpf_timer timer;
	long after;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, u64[4]);
} plain SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &inner_a, &inner_b } };

#define VALUE(n, map)                                         \
	int key_##n = 0;                                      \
	struct value *n = bpf_map_lookup_elem(&map, &key_##n); \
	if (!n)                                               \
		return 0

static int nothing(void *map, int *key, struct value *v)
{
	return 0;
}

static int uses_value(void *map, int *key, struct value *v)
{
	v->data += *key;
	return 0;
}

static int rearms(void *map, int *key, struct value *v)
{
	bpf_timer_start(&v->timer, 1000, 0);
	return 0;
}

static int sets_itself(void *map, int *key, struct value *v)
{
	bpf_timer_set_callback(&v->timer, sets_itself);
	bpf_timer_start(&v->timer, 1000, 0);
	return 0;
}

static int other_one(void *map, int *key, struct value *v);

static int one_other(void *map, int *key, struct value *v)
{
	bpf_timer_set_callback(&v->timer, other_one);
	return 0;
}

static int other_one(void *map, int *key, struct value *v)
{
	bpf_timer_set_callback(&v->timer, one_other);
	return 0;
}

static int returns_one(void *map, int *key, struct value *v)
{
	return 1;
}

static int returns_anything(void *map, int *key, struct value *v)
{
	return v->data;
}

static int touches_timer(void *map, int *key, struct value *v)
{
	return *(volatile int *)&v->timer;
}

static int beyond_value(void *map, int *key, struct value *v)
{
	return *(volatile int *)(v + 1);
}

static int writes_key(void *map, int *key, struct value *v)
{
	*key = 1;
	return 0;
}

static int uses_map(void *map, int *key, struct value *v)
{
	void *w = bpf_map_lookup_elem(map, key);
	keep(w);
	return 0;
}

static int loops(void *map, int *key, struct value *v)
{
	for (;;)
		asm volatile("" ::: "memory");
	return 0;
}

static int fourth(void *map, int *key, struct value *v, long x)
{
	return x;
}

static __noinline int deep(long x)
{
	char buf[256];
	for (int i = 0; i < 256; i++)
		buf[i] = x;
	return buf[x & 255];
}

static int stack_of_its_own(void *map, int *key, struct value *v)
{
	char buf[320] = {};
	keep(*(long *)buf);
	return 0;
}

static int stack_too_deep(void *map, int *key, struct value *v)
{
	char buf[320] = {};
	for (int i = 0; i < 320; i++)
		buf[i] = v->data;
	return buf[v->data & 255] && deep(v->data) ? 0 : 0;
}

#define TIMER(name, callback)                                  \
	SEC("tc") int name(struct __sk_buff *ctx)              \
	{                                                      \
		VALUE(v, array);                               \
		bpf_timer_init(&v->timer, &array, 1);          \
		bpf_timer_set_callback(&v->timer, callback);   \
		bpf_timer_start(&v->timer, 1000, 0);           \
		return 0;                                      \
	}

TIMER(calls_nothing, nothing)
TIMER(calls_uses_value, uses_value)
TIMER(calls_rearms, rearms)
TIMER(calls_sets_itself, sets_itself)
TIMER(calls_one_other, one_other)
TIMER(calls_returns_one, returns_one)
TIMER(calls_returns_anything, returns_anything)
TIMER(calls_touches_timer, touches_timer)
TIMER(calls_beyond_value, beyond_value)
TIMER(calls_writes_key, writes_key)
TIMER(calls_uses_map, uses_map)
TIMER(calls_loops, loops)
TIMER(calls_fourth, (void *)fourth)
TIMER(calls_stack_of_its_own, stack_of_its_own)
TIMER(calls_stack_too_deep, stack_too_deep)

SEC("tc") int two_callbacks(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, nothing);
	bpf_timer_set_callback(&v->timer, uses_value);
	return 0;
}

SEC("tc") int callback_on_a_branch(struct __sk_buff *ctx)
{
	VALUE(v, array);
	if (ctx->len)
		bpf_timer_set_callback(&v->timer, nothing);
	else
		bpf_timer_set_callback(&v->timer, rearms);
	return ctx->len;
}

SEC("tc") int callback_in_a_loop(struct __sk_buff *ctx)
{
	VALUE(v, array);
	for (int i = 0; i < 8; i++)
		bpf_timer_set_callback(&v->timer, nothing);
	return ctx->len;
}

SEC("tc") int main_has_deep_stack(struct __sk_buff *ctx)
{
	char buf[400];
	bpf_skb_load_bytes(ctx, 0, buf, sizeof(buf));
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, stack_of_its_own);
	return buf[3];
}

SEC("tc") int callback_with_reference(struct __sk_buff *ctx)
{
	VALUE(v, array);
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(ctx, &t, sizeof(t.ipv4), -1, 0);
	bpf_timer_set_callback(&v->timer, uses_value);
	if (sk)
		bpf_sk_release(sk);
	return 0;
}

SEC("tc") int cancel(struct __sk_buff *ctx)
{
	VALUE(v, array);
	return bpf_timer_cancel(&v->timer);
}

SEC("tc") int init_other_map(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_init(&v->timer, &hash, 1);
	return 0;
}

SEC("tc") int init_hash(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return bpf_timer_init(&v->timer, &hash, 1);
}

SEC("tc") int init_inner(struct __sk_buff *ctx)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	bpf_timer_init(&v->timer, m, 1);
	bpf_timer_set_callback(&v->timer, uses_value);
	bpf_timer_start(&v->timer, 1000, 0);
	return 0;
}

SEC("tc") int init_inner_mixed(struct __sk_buff *ctx)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	key = 1;
	m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	bpf_timer_init(&v->timer, m, 1);
	return 0;
}

SEC("tc") int not_the_timer(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_start((void *)&v->after, 0, 0);
	return 0;
}

SEC("tc") int variable(struct __sk_buff *ctx)
{
	VALUE(v, array);
	u64 n = ctx->len & 8;
	keep(n);
	bpf_timer_start((void *)v + n, 0, 0);
	return 0;
}

SEC("tc") int no_timer_in_value(struct __sk_buff *ctx)
{
	int key = 0;
	void *v = bpf_map_lookup_elem(&plain, &key);
	if (v)
		bpf_timer_start(v, 0, 0);
	return 0;
}

SEC("tc") int timer_on_stack(struct __sk_buff *ctx)
{
	struct bpf_timer t = {};
	bpf_timer_start(&t, 0, 0);
	return 0;
}

SEC("tc") int timer_maybe_null(struct __sk_buff *ctx)
{
	int key = 0;
	void *v = bpf_map_lookup_elem(&hash, &key);
	bpf_timer_start(v, 0, 0);
	return 0;
}

SEC("tc") int read_timer(struct __sk_buff *ctx)
{
	VALUE(v, array);
	return *(volatile int *)&v->timer;
}

SEC("tc") int write_timer(struct __sk_buff *ctx)
{
	VALUE(v, array);
	*((volatile char *)&v->timer + 15) = 0;
	return 0;
}

SEC("tc") int read_around(struct __sk_buff *ctx)
{
	VALUE(v, array);
	return v->data + v->after;
}

SEC("tc") int callback_is_number(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, (void *)(long)ctx->len);
	return 0;
}

SEC("tc") int callback_is_value(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, v);
	return 0;
}

__noinline int global(void *map, int *key, struct value *v)
{
	return 0;
}

SEC("tc") int callback_is_global(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, global);
	return 0;
}

static int in_loop(u32 i, void *c)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, uses_value);
	return 0;
}

SEC("tc") int callback_in_callback(struct __sk_buff *ctx)
{
	bpf_loop(4, in_loop, 0, 0);
	return 0;
}

SEC("kprobe/x") int in_kprobe(void *ctx)
{
	VALUE(v, array);
	return v->data;
}

SEC("raw_tp/sys_enter") int in_raw_tracepoint(void *ctx)
{
	VALUE(v, array);
	return v->data;
}

SEC("socket") int in_socket_filter(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_timer_init(&v->timer, &array, 1);
	bpf_timer_set_callback(&v->timer, uses_value);
	return bpf_timer_start(&v->timer, 1000, 0);
}

SEC("syscall") int in_syscall(void *ctx)
{
	VALUE(v, array);
	bpf_timer_init(&v->timer, &array, 1);
	bpf_timer_set_callback(&v->timer, uses_value);
	return bpf_timer_start(&v->timer, 1000, 0);
}

static int copies(void *map, int *key, struct value *v)
{
	char buf[8];
	bpf_copy_from_user(buf, 8, 0);
	return 0;
}

SEC("syscall") int callback_sleeps(void *ctx)
{
	VALUE(v, array);
	bpf_timer_set_callback(&v->timer, copies);
	return 0;
}
