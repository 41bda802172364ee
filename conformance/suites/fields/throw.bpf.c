/* Exceptions: thrown in the program, its functions, its callbacks. */
#include "fields.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

struct timed {
	long data;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct timed);
} timers SEC(".maps");

struct leaf {
	long key;
	struct bpf_rb_node node;
};

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_rb_root root __contains(leaf, node);

extern void bpf_throw(u64 cookie) __ksym __weak;
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)

SEC("?tc") int uses_types(struct leaf *l) { return l->key; }

TC(throws) { bpf_throw(0); return 1; }
TC(throws_value) { bpf_throw(ctx->len); return 1; }
TC(throws_pointer) { bpf_throw((long)ctx); return 1; }
TC(throws_on_a_branch) { if (ctx->len > 10) bpf_throw(3); return 1; }
static __noinline int callee(int x) { if (x > 3) bpf_throw(7); return x; }
TC(callee_throws) { return callee(ctx->len); }
static __noinline void always(void) { bpf_throw(7); }
TC(callee_always_throws) { always(); return 2; }
__noinline int global(int x) { if (x > 3) bpf_throw(7); return x; }
TC(global_throws) { return global(ctx->len); }
__noinline int global_with_local(int x) { return callee(x); }
TC(global_callee_throws) { return global_with_local(ctx->len); }
TC(throws_with_record) { void *r = bpf_ringbuf_reserve(&ring, 8, 0); if (!r) return 0; bpf_throw(0); bpf_ringbuf_discard(r, 0); return 0; }
TC(callee_throws_with_record) { void *r = bpf_ringbuf_reserve(&ring, 8, 0); if (!r) return 0; callee(ctx->len); bpf_ringbuf_discard(r, 0); return 0; }
TC(global_throws_with_record) { void *r = bpf_ringbuf_reserve(&ring, 8, 0); if (!r) return 0; global(ctx->len); bpf_ringbuf_discard(r, 0); return 0; }
TC(throws_locked) { bpf_spin_lock(&lock); bpf_throw(0); bpf_spin_unlock(&lock); return 0; }
TC(callee_throws_locked) { bpf_spin_lock(&lock); callee(ctx->len); bpf_spin_unlock(&lock); return 0; }
TC(throws_in_rcu) { bpf_rcu_read_lock(); bpf_throw(0); bpf_rcu_read_unlock(); return 0; }
TC(callee_throws_in_rcu) { bpf_rcu_read_lock(); callee(ctx->len); bpf_rcu_read_unlock(); return 0; }
TC(global_throws_in_rcu) { bpf_rcu_read_lock(); global(ctx->len); bpf_rcu_read_unlock(); return 0; }
TC(throws_not_preempted) { bpf_preempt_disable(); bpf_throw(0); bpf_preempt_enable(); return 0; }
TC(throws_with_interrupts_off) { unsigned long f; bpf_local_irq_save(&f); bpf_throw(0); bpf_local_irq_restore(&f); return 0; }
TC(throws_in_dynptr) { struct bpf_dynptr p; bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p); bpf_throw(0); bpf_ringbuf_submit_dynptr(&p, 0); return 0; }
static int in_loop(u32 i, void *c) { bpf_throw(1); return 0; }
TC(throws_in_loop) { bpf_loop(3, in_loop, 0, 0); return 0; }
static int each(void *map, int *key, u64 *v, void *c) { callee(*v); return 0; }
TC(throws_in_for_each) { bpf_for_each_map_elem(&array, each, 0, 0); return 0; }
static int timer(void *map, int *key, struct timed *v) { bpf_throw(1); return 0; }
TC(throws_in_timer)
{
	int key = 0;
	struct timed *v = bpf_map_lookup_elem(&timers, &key);
	if (v)
		bpf_timer_set_callback(&v->timer, timer);
	return 0;
}
static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b) { bpf_throw(0); return 0; }
TC(throws_in_less)
{
	struct leaf *l = bpf_obj_new(struct leaf);
	if (!l)
		return 0;
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &l->node, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(throws_after_loop) { for (int i = 0; i < 10; i++) callee(i); return 0; }
TC(throws_nothing_after) { bpf_throw(64); return 64; }

__noinline int good(u64 c) { return c & 1; }
__noinline int good_constant(u64 c) { return 5; }
__noinline int bad_args(u64 c, u64 d) { return 0; }
__noinline int bad_pointer(struct __sk_buff *ctx) { return 0; }
__noinline int out_of_range(u64 c) { return 100000; }
__noinline int returns_cookie(u64 c) { return c; }
__noinline int throws_itself(u64 c) { bpf_throw(c); return 0; }
__noinline int loads(u64 c) { int k = 0; u64 *v = bpf_map_lookup_elem(&array, &k); return v ? *v & 1 : 0; }
__noinline void nothing(u64 c) { asm volatile(""); }
static __noinline int local(u64 c) { return 0; }

__exception_cb(good) SEC("tc") int cb_good(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(good_constant) SEC("tc") int cb_constant(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(bad_args) SEC("tc") int cb_bad_args(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(bad_pointer) SEC("tc") int cb_bad_pointer(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(returns_cookie) SEC("tc") int cb_returns_cookie(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(throws_itself) SEC("tc") int cb_throws(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(loads) SEC("tc") int cb_loads(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(missing) SEC("tc") int cb_missing(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(local) SEC("tc") int cb_local(struct __sk_buff *ctx) { bpf_throw(1); return local(ctx->len); }
__exception_cb(good) SEC("tc") int cb_called_too(struct __sk_buff *ctx) { bpf_throw(1); return good(ctx->len); }
__exception_cb(good) __exception_cb(loads) SEC("tc") int cb_two(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(out_of_range) SEC("cgroup_skb/egress") int cb_out_of_range(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(good) SEC("cgroup_skb/egress") int cb_in_range(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(nothing) SEC("tc") int cb_void(struct __sk_buff *ctx) { bpf_throw(1); return 0; }
__exception_cb(good) SEC("tc") int cb_unused(struct __sk_buff *ctx) { return 0; }
SEC("cgroup_skb/egress") int throws_out_of_range(struct __sk_buff *ctx) { bpf_throw(64); return 1; }
SEC("cgroup_skb/egress") int throws_in_range(struct __sk_buff *ctx) { bpf_throw(1); return 1; }
SEC("cgroup_skb/egress") int throws_unknown(struct __sk_buff *ctx) { bpf_throw(ctx->len); return 1; }
SEC("xdp") int throws_in_xdp(struct xdp_md *ctx) { bpf_throw(2); return 1; }
SEC("kprobe/x") int throws_in_kprobe(void *ctx) { bpf_throw(2); return 1; }
SEC("socket") int throws_in_socket_filter(struct __sk_buff *ctx) { bpf_throw(2); return 1; }
SEC("syscall") int throws_in_syscall(void *ctx) { bpf_throw(2); return 1; }
SEC("tp_btf/sched_switch") int throws_in_tracing(u64 *ctx) { bpf_throw(0); return 1; }
