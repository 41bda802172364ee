/* Callbacks, subprograms and tail calls with something held. */
#include "kernel.h"
extern void bpf_local_irq_save(unsigned long *f) __ksym;
extern void bpf_local_irq_restore(unsigned long *f) __ksym;
extern void bpf_throw(u64) __ksym;
int x;
struct kv { struct task_struct __attribute__((btf_type_tag("kptr"))) *t; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, int); __type(value, struct kv);} am SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int); __type(value, int);} hm SEC(".maps");

static int cb_acq(u32 i, void *c)
{
	struct task_struct *t = bpf_task_from_pid(1);
	return 0;
}

static int cb_acqrel(u32 i, void *c)
{
	struct task_struct *t = bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	return 0;
}
struct holder { struct task_struct *t; };

static int cb_rel(u32 i, struct holder *c)
{
	bpf_task_release(c->t);
	return 0;
}

static int cb_use(u32 i, struct holder *c)
{
	x = c->t->pid;
	return 0;
}

static int cb_rcu(u32 i, void *c)
{
	bpf_rcu_read_lock();
	return 0;
}

static int cb_rcu2(u32 i, void *c)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

static int cb_unrcu(u32 i, void *c)
{
	bpf_rcu_read_unlock();
	return 0;
}

static int cb_pre(u32 i, void *c)
{
	bpf_preempt_disable();
	return 0;
}

static int cb_iter(u32 i, void *c)
{
	int k;
	bpf_for(k, 0, 3) x+=k;
	return 0;
}

static int cb_iterleak(u32 i, void *c)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 2);
	return 0;
}

static int cb_next(u32 i, struct bpf_iter_num *it)
{
	int *v = bpf_iter_num_next(it);
	return v?0:1;
}

static int cb_destroy(u32 i, struct bpf_iter_num *it)
{
	bpf_iter_num_destroy(it);
	return 0;
}

static int cb_irq(u32 i, unsigned long *f)
{
	bpf_local_irq_save(f);
	return 0;
}

static int cb_sleep(u32 i, void *c)
{
	char b[8];
	return bpf_copy_from_user_str(b, 8, 0, 0) > 0;
}

static int me_cb(void *m, int *k, int *v, void *c)
{
	struct task_struct *t = bpf_task_from_pid(*k);
	if (t) bpf_task_release(t);
	return 0;
}
#define TC(n) SEC("tc") int n(struct __sk_buff *s)
TC(l_acq) { bpf_loop(5, cb_acq, 0, 0); return 0; }
TC(l_acqrel) { bpf_loop(5, cb_acqrel, 0, 0); return 0; }
TC(l_rel) { struct holder h = {bpf_task_from_pid(1)}; if(!h.t) return 0; bpf_loop(5, cb_rel, &h, 0); return 0; }
TC(l_rel1) { struct holder h = {bpf_task_from_pid(1)}; if(!h.t) return 0; bpf_loop(1, cb_rel, &h, 0); return 0; }
TC(l_use) { struct holder h = {bpf_task_from_pid(1)}; if(!h.t) return 0; bpf_loop(5, cb_use, &h, 0); bpf_task_release(h.t); return 0; }
TC(l_rcu) { bpf_loop(5, cb_rcu, 0, 0); return 0; }
TC(l_rcu2) { bpf_loop(5, cb_rcu2, 0, 0); return 0; }
TC(l_rcu3) { bpf_rcu_read_lock(); bpf_loop(5, cb_rcu2, 0, 0); bpf_rcu_read_unlock(); return 0; }
TC(l_unrcu) { bpf_rcu_read_lock(); bpf_loop(5, cb_unrcu, 0, 0); return 0; }
TC(l_pre) { bpf_loop(5, cb_pre, 0, 0); return 0; }
TC(l_iter) { bpf_loop(5, cb_iter, 0, 0); return 0; }
TC(l_iterleak) { bpf_loop(5, cb_iterleak, 0, 0); return 0; }
TC(l_next) { struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 9); bpf_loop(5, cb_next, &it, 0); bpf_iter_num_destroy(&it); return 0; }
TC(l_destroy) { struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 9); bpf_loop(5, cb_destroy, &it, 0); return 0; }
TC(l_destroy2) { struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 9); bpf_loop(5, cb_destroy, &it, 0); bpf_iter_num_destroy(&it); return 0; }
TC(l_irq) { unsigned long f; bpf_loop(5, cb_irq, &f, 0); return 0; }

SEC("syscall")
int l_sleep(void *c)
{
	bpf_loop(5, cb_sleep, 0, 0);
	return 0;
}

SEC("syscall")
int l_sleep_rcu(void *c)
{
	bpf_rcu_read_lock();
	bpf_loop(5, cb_sleep, 0, 0);
	bpf_rcu_read_unlock();
	return 0;
}
TC(m_cb) { bpf_for_each_map_elem(&hm, me_cb, 0, 0); return 0; }
TC(m_cbrcu) { bpf_rcu_read_lock(); bpf_for_each_map_elem(&hm, me_cb, 0, 0); bpf_rcu_read_unlock(); return 0; }

static __noinline struct task_struct *get(int p)
{
	return bpf_task_from_pid(p);
}

static __noinline void put(struct task_struct *t)
{
	bpf_task_release(t);
}
TC(s_getput) { struct task_struct *t = get(1); if(t) put(t); return 0; }
TC(s_get) { struct task_struct *t = get(1); return t!=0; }
TC(s_put2) { struct task_struct *t = get(1); if(!t) return 0; put(t); put(t); return 0; }
TC(s_spill) { struct task_struct *volatile t = get(1); if(t) put(t); return 0; }
TC(s_two) { struct task_struct *a = get(1), *b = get(2); if(a) put(a); if(b) put(b); return 0; }
TC(s_twol) { struct task_struct *a = get(1), *b = get(2); if(a&&b) { put(a); put(b);} return 0; }
TC(s_branch) { struct task_struct *a = 0; if(s->len) a = get(1); if(a) put(a); return 0; }
TC(s_loop) { struct task_struct *a; for(int i = 0; i<5; i++) { a = get(i); if(!a) continue; put(a);} return 0; }
TC(s_mapstore) { int k = 0; struct task_struct *a = get(1); int *v; if(!a) return 0; v = bpf_map_lookup_elem(&hm, &k); if(v) *(u64*)&x = (u64)a; put(a); return 0; }
TC(s_cmp) { struct task_struct *a = get(1), *b = get(1); int r = a==b; if(a) put(a); if(b) put(b); return r; }
TC(s_ret) { struct task_struct *a = get(1); if(!a) return 0; put(a); return (long)a; }
TC(s_walk) { struct task_struct *a = get(1), *b; if(!a) return 0; b = bpf_task_acquire(a->group_leader); put(a); if(b) put(b); return 0; }
TC(s_walk2) { struct task_struct *a = get(1), *b; if(!a) return 0; b = a->real_parent; put(a); x = b->pid; return 0; }
TC(s_walk3) { struct task_struct *a = get(1), *b; if(!a) return 0; b = a->real_parent; put(a); b = bpf_task_acquire(b); if(b) put(b); return 0; }

SEC("syscall")
int sl_walk(void *c)
{
	struct task_struct *a = get(1), *b;
	if (!a) return 0;
	b = a->real_parent;
	b = bpf_task_acquire(b);
	put(a);
	if (b) put(b);
	return 0;
}

SEC("syscall")
int sl_walk2(void *c)
{
	struct task_struct *a = get(1), *b;
	if (!a) return 0;
	bpf_rcu_read_lock();
	b = a->real_parent;
	b = bpf_task_acquire(b);
	bpf_rcu_read_unlock();
	put(a);
	if (b) put(b);
	return 0;
}

SEC("syscall")
int sl_gl(void *c)
{
	struct task_struct *a = get(1), *b;
	if (!a) return 0;
	b = bpf_task_acquire(a->group_leader);
	put(a);
	if (b) put(b);
	return 0;
}
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, int);} pa SEC(".maps");
TC(tail_ref) { struct task_struct *a = get(1); if(!a) return 0; bpf_tail_call(s, &pa, 0); put(a); return 0; }
TC(tail_pre) { bpf_preempt_disable(); bpf_tail_call(s, &pa, 0); bpf_preempt_enable(); return 0; }
TC(tail_iter) { struct bpf_iter_num it; bpf_iter_num_new(&it, 0, 9); bpf_tail_call(s, &pa, 0); bpf_iter_num_destroy(&it); return 0; }

static __noinline int tsub(struct __sk_buff *s)
{
	bpf_tail_call(s, &pa, 0);
	return 0;
}
TC(tail_sub) { bpf_rcu_read_lock(); tsub(s); bpf_rcu_read_unlock(); return 0; }
TC(ldabs) { extern unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte"); struct task_struct *a = get(1); if(!a) return 0; x = load_byte(s, 1); put(a); return 0; }
TC(ldabs_rcu) { extern unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte"); bpf_rcu_read_lock(); x = load_byte(s, 1); bpf_rcu_read_unlock(); return 0; }
