/* Exceptions, and functions that handle them. */
#include "kernel.h"
extern void bpf_throw(u64 cookie) __ksym;
#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
int x;
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, long);} arr SEC(".maps");

__noinline int cb(u64 c)
{
	return c;
}

__noinline int cb2(u64 c)
{
	if (c == 7) return 1;
	return 0;
}

static __noinline int scb(u64 c)
{
	return 0;
}

__noinline int cb3(u64 c, u64 d)
{
	return c+d;
}

__noinline int cb4(void *p)
{
	return 0;
}

__noinline int cbthrow(u64 c)
{
	bpf_throw(c);
	return 0;
}
#define TC SEC("tc")

TC int basic(struct __sk_buff *c)
{
	bpf_throw(0);
	return 1;
}

TC int val(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

SEC("xdp")
int xval(struct xdp_md *c)
{
	bpf_throw(77);
	return 1;
}

SEC("cgroup_skb/ingress")
int cgv(struct __sk_buff *c)
{
	bpf_throw(7);
	return 1;
}

SEC("cgroup_skb/ingress")
int cgv1(struct __sk_buff *c)
{
	bpf_throw(1);
	return 1;
}

TC __exception_cb(cb) int withcb(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

SEC("cgroup_skb/ingress") __exception_cb(cb2)
int cgcb(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

SEC("cgroup_skb/ingress") __exception_cb(cb)
int cgcbbad(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(scb) int withscb(struct __sk_buff *c)
{
	x = scb(1);
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cb3) int withcb3(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cb4) int withcb4(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(nocb) int nocb_(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cb) __exception_cb(cb2) int twocb(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cbthrow) int cbthr(struct __sk_buff *c)
{
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cb) int direct(struct __sk_buff *c)
{
	x = cb(1);
	bpf_throw(c->len);
	return 1;
}

TC __exception_cb(cb) int cbunused(struct __sk_buff *c)
{
	return 1;
}

static __noinline int sub(struct __sk_buff *c)
{
	if (c->len) bpf_throw(1);
	return 2;
}

TC int insub(struct __sk_buff *c)
{
	return sub(c);
}

__noinline int gsub(struct __sk_buff *c)
{
	if (c->len) bpf_throw(1);
	return 2;
}

TC int ingsub(struct __sk_buff *c)
{
	return gsub(c);
}

TC int refleak(struct __sk_buff *c)
{
	struct task_struct *t = bpf_task_from_pid(1);
	if (t) {
		if (x) bpf_throw(1);
		bpf_task_release(t);
	}
	return 0;
}

TC int rcu(struct __sk_buff *c)
{
	bpf_rcu_read_lock();
	if (x) bpf_throw(1);
	bpf_rcu_read_unlock();
	return 0;
}

TC int pre(struct __sk_buff *c)
{
	bpf_preempt_disable();
	if (x) bpf_throw(1);
	bpf_preempt_enable();
	return 0;
}

static __noinline int subref(void)
{
	if (x) bpf_throw(1);
	return 2;
}

TC int refleaksub(struct __sk_buff *c)
{
	struct task_struct *t = bpf_task_from_pid(1);
	if (t) {
		x = subref();
		bpf_task_release(t);
	}
	return 0;
}

static __noinline int subrcu(void)
{
	if (x) bpf_throw(1);
	return 2;
}

TC int rcusub(struct __sk_buff *c)
{
	bpf_rcu_read_lock();
	x = subrcu();
	bpf_rcu_read_unlock();
	return 0;
}

TC int presub(struct __sk_buff *c)
{
	bpf_preempt_disable();
	x = subrcu();
	bpf_preempt_enable();
	return 0;
}

TC int iter(struct __sk_buff *c)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 2);
	if (x) bpf_throw(1);
	bpf_iter_num_destroy(&it);
	return 0;
}

__noinline int gthrow(u64 a)
{
	if (a) bpf_throw(a);
	return 0;
}

TC int refleakglob(struct __sk_buff *c)
{
	struct task_struct *t = bpf_task_from_pid(1);
	if (t) {
		x = gthrow(x);
		bpf_task_release(t);
	}
	return 0;
}

TC int rcuglob(struct __sk_buff *c)
{
	bpf_rcu_read_lock();
	x = gthrow(x);
	bpf_rcu_read_unlock();
	return 0;
}

static int loopcb(u32 i, void *ctx)
{
	bpf_throw(1);
	return 0;
}

TC int incb(struct __sk_buff *c)
{
	bpf_loop(5, loopcb, 0, 0);
	return 0;
}

static int loopcb2(u32 i, void *ctx)
{
	x = gthrow(x);
	return 0;
}

TC int incb2(struct __sk_buff *c)
{
	bpf_loop(5, loopcb2, 0, 0);
	return 0;
}

TC int ptr(struct __sk_buff *c)
{
	bpf_throw((long)c);
	return 0;
}

SEC("cgroup_skb/ingress")
int ptrcg(struct __sk_buff *c)
{
	bpf_throw((long)c);
	return 0;
}

SEC("socket")
int sock(struct __sk_buff *c)
{
	bpf_throw(0);
	return 0;
}

SEC("syscall")
int sys(void *c)
{
	bpf_throw(0);
	return 0;
}

SEC("tp_btf/sys_enter")
int tpb(void *c)
{
	bpf_throw(0);
	return 0;
}

SEC("tp_btf/sys_enter")
int tpb5(void *c)
{
	bpf_throw(5);
	return 0;
}
