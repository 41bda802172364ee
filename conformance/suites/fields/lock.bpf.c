/* Spin locks in map values and global variables. */
#include "fields.h"

struct value {
	long data;
	struct bpf_spin_lock lock;
	int after;
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

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

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

private(A) struct bpf_spin_lock lock_a;
private(A) int data_a;
private(B) struct bpf_spin_lock lock_b;
private(B) int data_b;

#define VALUE(n, map)                                         \
	int key_##n = 0;                                      \
	struct value *n = bpf_map_lookup_elem(&map, &key_##n); \
	if (!n)                                               \
		return 0

SEC("tc") int lock_unlock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int exit_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	return 0;
}

SEC("tc") int exit_locked_on_one_path(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	if (ctx->len)
		return 0;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int lock_twice(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int lock_two(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	VALUE(w, array);
	bpf_spin_lock(&v->lock);
	bpf_spin_lock(&w->lock);
	bpf_spin_unlock(&w->lock);
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int unlock_only(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int unlock_other_map(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	VALUE(w, array);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 0;
}

SEC("tc") int unlock_other_lookup(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	VALUE(w, hash);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 0;
}

SEC("tc") int unlock_copy(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	struct value *w = v;
	keep(w);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 0;
}

SEC("tc") int unlock_array_twice_looked_up(struct __sk_buff *ctx)
{
	VALUE(v, array);
	VALUE(w, array);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 0;
}

SEC("tc") int global_lock(struct __sk_buff *ctx)
{
	bpf_spin_lock(&lock_a);
	data_a++;
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc") int global_unlock_other(struct __sk_buff *ctx)
{
	bpf_spin_lock(&lock_a);
	bpf_spin_unlock(&lock_b);
	return 0;
}

SEC("tc") int global_unlock_value(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&lock_a);
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int value_unlock_global(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc") int global_not_the_lock(struct __sk_buff *ctx)
{
	bpf_spin_lock((void *)&data_a);
	return 0;
}

SEC("tc") int not_the_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock((void *)&v->after);
	return 0;
}

SEC("tc") int no_lock_in_value(struct __sk_buff *ctx)
{
	int key = 0;
	void *v = bpf_map_lookup_elem(&plain, &key);
	if (v)
		bpf_spin_lock(v);
	return 0;
}

SEC("tc") int lock_on_stack(struct __sk_buff *ctx)
{
	struct bpf_spin_lock lock = {};
	bpf_spin_lock(&lock);
	return 0;
}

SEC("tc") int lock_context(struct __sk_buff *ctx)
{
	bpf_spin_lock((void *)ctx);
	return 0;
}

SEC("tc") int lock_number(struct __sk_buff *ctx)
{
	bpf_spin_lock((void *)(long)ctx->len);
	return 0;
}

SEC("tc") int lock_maybe_null(struct __sk_buff *ctx)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&hash, &key);
	bpf_spin_lock((void *)v);
	return 0;
}

SEC("tc") int lock_variable(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	u64 n = ctx->len & 8;
	keep(n);
	bpf_spin_lock((void *)&v->data + n);
	return 0;
}

SEC("tc") int read_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return v->lock.val;
}

SEC("tc") int write_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	v->lock.val = 1;
	return 0;
}

SEC("tc") int read_across_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return *(volatile long *)&v->lock;
}

SEC("tc") int read_byte_of_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return *((volatile char *)&v->lock + 3);
}

SEC("tc") int read_after_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return v->after;
}

SEC("tc") int add_to_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	__sync_fetch_and_add(&v->lock.val, 1);
	return 0;
}

SEC("tc") int read_global_lock(struct __sk_buff *ctx)
{
	return *(volatile int *)&lock_a;
}

SEC("tc") int helper_reads_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_map_update_elem(&hash, &key_v, v, 0);
	return 0;
}

SEC("tc") int helper_fills_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_skb_load_bytes(ctx, 0, v, 9);
	return 0;
}

SEC("tc") int update_with_lock(struct __sk_buff *ctx)
{
	struct value v = { .data = 1 };
	int key = 0;
	bpf_map_update_elem(&hash, &key, &v, 4);
	return 0;
}

SEC("tc") int helper_while_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	v->data = bpf_ktime_get_ns();
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int lookup_while_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	v = bpf_map_lookup_elem(&hash, &key_v);
	return 0;
}

static __noinline int callee(struct value *v)
{
	return v->data ? 1 : v->after;
}

__noinline int global_callee(int x)
{
	return x + 1;
}

SEC("tc") int static_call_while_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	int n = callee(v);
	bpf_spin_unlock(&v->lock);
	return n;
}

SEC("tc") int global_call_while_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	int n = global_callee(v->after);
	bpf_spin_unlock(&v->lock);
	return n;
}

static __noinline int locks(struct value *v)
{
	bpf_spin_lock(&v->lock);
	return v->after;
}

static __noinline int unlocks(struct value *v)
{
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int lock_in_callee(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	int n = locks(v);
	bpf_spin_unlock(&v->lock);
	return n;
}

SEC("tc") int unlock_in_callee(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	return unlocks(v);
}

SEC("tc") int lock_in_callee_and_exit(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return locks(v);
}

static int in_loop(u32 i, void *c)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}

static int in_loop_locked(u32 i, void *c)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	return 0;
}

SEC("tc") int lock_in_loop(struct __sk_buff *ctx)
{
	bpf_loop(4, in_loop, 0, 0);
	return 0;
}

SEC("tc") int lock_kept_in_loop(struct __sk_buff *ctx)
{
	bpf_loop(4, in_loop_locked, 0, 0);
	return 0;
}

SEC("tc") int loop_while_locked(struct __sk_buff *ctx)
{
	bpf_spin_lock(&lock_a);
	bpf_loop(4, in_loop, 0, 0);
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc") int tail_call_while_locked(struct __sk_buff *ctx)
{
	bpf_spin_lock(&lock_a);
	bpf_tail_call(ctx, &programs, 0);
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc") int legacy_load_while_locked(struct __sk_buff *ctx)
{
	bpf_spin_lock(&lock_a);
	asm volatile("r6 = %0; r0 = *(u8 *)skb[0]" : : "r"(ctx) : "r0", "r1", "r2", "r3", "r4", "r5", "r6");
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc") int branch_while_locked(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	if (ctx->len > 10)
		v->data = 1;
	else
		v->after = 2;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int loop_in_lock(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	bpf_spin_lock(&v->lock);
	for (int i = 0; i < 100; i++)
		v->data += ctx->len;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int lock_in_branches(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	VALUE(w, hash);
	struct value *x = ctx->len ? v : w;
	keep(x);
	bpf_spin_lock(&x->lock);
	x->data++;
	bpf_spin_unlock(&x->lock);
	return 0;
}

SEC("tc") int lock_on_one_branch(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	if (ctx->len)
		bpf_spin_lock(&v->lock);
	v->data++;
	if (ctx->len)
		bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int inner_map(struct __sk_buff *ctx)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("tc") int inner_map_other(struct __sk_buff *ctx)
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
	struct value *w = bpf_map_lookup_elem(m, &key);
	if (!w)
		return 0;
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 0;
}

SEC("tc") int inner_map_direct(struct __sk_buff *ctx)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	return v ? v->lock.val : 0;
}

SEC("socket") int in_socket_filter(struct __sk_buff *ctx)
{
	VALUE(v, hash);
	return v->data;
}

SEC("kprobe/x") int in_kprobe(void *ctx)
{
	VALUE(v, hash);
	return v->data;
}

SEC("tp/syscalls/sys_enter_getpid") int in_tracepoint(void *ctx)
{
	VALUE(v, array);
	return v->data;
}

SEC("raw_tp/sys_enter") int in_raw_tracepoint(void *ctx)
{
	VALUE(v, array);
	return v->data;
}

SEC("perf_event") int in_perf_event(void *ctx)
{
	return data_a;
}

SEC("tp_btf/sched_switch") int in_typed_tracepoint(u64 *ctx)
{
	VALUE(v, array);
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}

SEC("cgroup_skb/egress") int in_cgroup_skb(struct __sk_buff *ctx)
{
	VALUE(v, array);
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 1;
}

SEC("xdp") int in_xdp(struct xdp_md *ctx)
{
	bpf_spin_lock(&lock_b);
	data_b++;
	bpf_spin_unlock(&lock_b);
	return 2;
}

SEC("syscall") int in_syscall(void *ctx)
{
	bpf_spin_lock(&lock_b);
	data_b++;
	bpf_spin_unlock(&lock_b);
	return 2;
}

SEC("syscall") int prog_array_in_syscall(void *ctx)
{
	void *p = &programs;
	keep(p);
	return 0;
}
