/* Kernel objects in maps, locks, packets as dynptrs, objects of the program's own. */
#include "kernel.h"
#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(typeof(type) *)0, 0)
extern void *bpf_obj_new_impl(u64 id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *s, u64 f, struct bpf_dynptr *p) __ksym;
extern int bpf_dynptr_from_xdp(struct xdp_md *s, u64 f, struct bpf_dynptr *p) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, u32 off, void *b, u32 b__szk) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, u32 off, void *b, u32 b__szk) __ksym;
struct my_node { int v; };
struct kv { struct task_struct __attribute__((btf_type_tag("kptr"))) *t; struct bpf_cpumask __attribute__((btf_type_tag("kptr"))) *m; };
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, int); __type(value, struct kv);} hm SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct kv);} am SEC(".maps");
struct sl { struct bpf_spin_lock l; int x; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, struct sl);} lm SEC(".maps");
static struct kv *get(void) { int k = 0; return bpf_map_lookup_elem(&am, &k); }
int x; struct bpf_cpumask keep_; struct cpumask keep2_;
#define TP(n) SEC("tp_btf/task_newtask") int BPF_PROG(n, struct task_struct *t, u64 f)

TP(xchg)
{
	struct kv *v = get();
	struct task_struct *o, *a;
	if (!v) return 0;
	a = bpf_task_acquire(t);
	if (!a) return 0;
	o = bpf_kptr_xchg(&v->t, a);
	if (o) bpf_task_release(o);
	return 0;
}

TP(xchg_leak)
{
	struct kv *v = get();
	struct task_struct *o, *a;
	if (!v) return 0;
	a = bpf_task_acquire(t);
	if (!a) return 0;
	o = bpf_kptr_xchg(&v->t, a);
	return 0;
}

TP(xchg_unref)
{
	struct kv *v = get();
	struct task_struct *o;
	if (!v) return 0;
	o = bpf_kptr_xchg(&v->t, t);
	if (o) bpf_task_release(o);
	return 0;
}

TP(xchg_use)
{
	struct kv *v = get();
	struct task_struct *o, *a;
	if (!v) return 0;
	a = bpf_task_acquire(t);
	if (!a) return 0;
	o = bpf_kptr_xchg(&v->t, a);
	x = a->pid;
	if (o) bpf_task_release(o);
	return 0;
}

TP(kld)
{
	struct kv *v = get();
	struct task_struct *p;
	if (!v) return 0;
	bpf_rcu_read_lock();
	p = v->t;
	if (p) x = p->pid;
	bpf_rcu_read_unlock();
	return 0;
}

TP(kld_acq)
{
	struct kv *v = get();
	struct task_struct *p, *a;
	if (!v) return 0;
	bpf_rcu_read_lock();
	p = v->t;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	a = bpf_task_acquire(p);
	bpf_rcu_read_unlock();
	if (a) bpf_task_release(a);
	return 0;
}

TP(kld_acq_nonull)
{
	struct kv *v = get();
	struct task_struct *p, *a;
	if (!v) return 0;
	bpf_rcu_read_lock();
	p = v->t;
	a = bpf_task_acquire(p);
	bpf_rcu_read_unlock();
	if (a) bpf_task_release(a);
	return 0;
}

TP(kld_rel)
{
	struct kv *v = get();
	struct task_struct *p;
	if (!v) return 0;
	p = v->t;
	if (p) bpf_task_release(p);
	return 0;
}

SEC("syscall")
int kld_nolock(void *c)
{
	struct kv *v = get();
	struct task_struct *p, *a;
	if (!v) return 0;
	p = v->t;
	if (!p) return 0;
	a = bpf_task_acquire(p);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("syscall")
int kld_lock(void *c)
{
	struct kv *v = get();
	struct task_struct *p, *a;
	if (!v) return 0;
	bpf_rcu_read_lock();
	p = v->t;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	a = bpf_task_acquire(p);
	bpf_rcu_read_unlock();
	if (a) bpf_task_release(a);
	return 0;
}

TP(msk)
{
	struct kv *v = get();
	struct bpf_cpumask *m, *o;
	if (!v) return 0;
	m = bpf_cpumask_create();
	if (!m) return 0;
	o = bpf_kptr_xchg(&v->m, m);
	if (o) bpf_cpumask_release(o);
	bpf_rcu_read_lock();
	m = v->m;
	if (m) x = bpf_cpumask_test_cpu(0, (void*)m);
	bpf_rcu_read_unlock();
	return 0;
}

TP(msk_set)
{
	struct kv *v = get();
	struct bpf_cpumask *m;
	if (!v) return 0;
	bpf_rcu_read_lock();
	m = v->m;
	if (m) bpf_cpumask_set_cpu(0, m);
	bpf_rcu_read_unlock();
	return 0;
}

TP(msk_acq)
{
	struct kv *v = get();
	struct bpf_cpumask *m;
	if (!v) return 0;
	bpf_rcu_read_lock();
	m = v->m;
	if (m) {
		m = bpf_cpumask_acquire(m);
		bpf_cpumask_release(m);
	}
	bpf_rcu_read_unlock();
	return 0;
}

TP(lock_kf)
{
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int lock_it(void *c)
{
	int k = 0, i;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	bpf_for(i, 0, 5) v->x++;
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int lock_rcu(void *c)
{
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	bpf_rcu_read_lock();
	bpf_spin_unlock(&v->l);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tc")
int lock_pre(void *c)
{
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int lock_task(void *c)
{
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	struct task_struct *t;
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	t = bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	bpf_spin_unlock(&v->l);
	return 0;
}

__noinline int gf(int a)
{
	return a;
}

SEC("tc")
int lock_glob(void *c)
{
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	v->x = gf(v->x);
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int lock_throw(void *c)
{
	extern void bpf_throw(u64) __ksym;
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	if (v->x) bpf_throw(0);
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int lock_irq(void *c)
{
	extern void bpf_local_irq_save(unsigned long*) __ksym;
	extern void bpf_local_irq_restore(unsigned long*) __ksym;
	unsigned long fl;
	int k = 0;
	struct sl *v = bpf_map_lookup_elem(&lm, &k);
	if (!v) return 0;
	bpf_spin_lock(&v->l);
	bpf_local_irq_save(&fl);
	bpf_local_irq_restore(&fl);
	bpf_spin_unlock(&v->l);
	return 0;
}

SEC("tc")
int slice(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice(&p, 0, b, 8);
	if (!q) return 0;
	return q[7];
}

SEC("tc")
int slice_oob(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice(&p, 0, b, 8);
	if (!q) return 0;
	return q[8];
}

SEC("tc")
int slice_null(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice(&p, 0, 0, 8);
	if (!q) return 0;
	return q[7];
}

SEC("tc")
int slice_var(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice(&p, 0, b, s->len&7);
	if (!q) return 0;
	return q[0];
}

SEC("tc")
int slice_w(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice(&p, 0, b, 8);
	if (!q) return 0;
	q[0] = 1;
	return 0;
}

SEC("tc")
int slice_rw(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	if (!q) return 0;
	q[0] = 1;
	return 0;
}

SEC("cgroup_skb/ingress")
int slice_rwcg(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_skb(s, 0, &p)) return 0;
	q = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	if (!q) return 0;
	q[0] = 1;
	return 1;
}

SEC("xdp")
int slice_x(struct xdp_md *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_xdp(s, 0, &p)) return 0;
	q = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	if (!q) return 0;
	q[0] = 1;
	return 2;
}

SEC("xdp")
int slice_adj(struct xdp_md *s)
{
	struct bpf_dynptr p;
	char b[8];
	char *q;
	if (bpf_dynptr_from_xdp(s, 0, &p)) return 0;
	q = bpf_dynptr_slice_rdwr(&p, 0, b, 8);
	if (!q) return 0;
	bpf_xdp_adjust_head(s, 0);
	q[0] = 1;
	return 2;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(dfs, struct sk_buff *skb)
{
	struct bpf_dynptr p;
	return bpf_dynptr_from_skb((void*)skb, 0, &p)&0;
}

SEC("tc")
int dfk(struct __sk_buff *s)
{
	struct bpf_dynptr p;
	struct sk_buff *k = bpf_cast_to_kern_ctx(s);
	return bpf_dynptr_from_skb((void*)k, 0, &p)&0;
}

TP(objdrop_task)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (!a) return 0;
	bpf_obj_drop_impl(a, 0);
	return 0;
}

TP(objdrop_t)
{
	bpf_obj_drop_impl(t, 0);
	return 0;
}

TP(objnew)
{
	struct my_node *n = bpf_obj_new_impl(bpf_core_type_id_local(struct my_node), 0);
	if (!n) return 0;
	n->v = 1;
	bpf_obj_drop_impl(n, 0);
	return 0;
}

TP(objnew_leak)
{
	struct my_node *n = bpf_obj_new_impl(bpf_core_type_id_local(struct my_node), 0);
	return n!=0;
}

TP(objnew_rel)
{
	struct my_node *n = bpf_obj_new_impl(bpf_core_type_id_local(struct my_node), 0);
	if (!n) return 0;
	bpf_task_release((void*)n);
	return 0;
}

TP(objnew_acq)
{
	struct my_node *n = bpf_obj_new_impl(bpf_core_type_id_local(struct my_node), 0);
	struct task_struct *a;
	if (!n) return 0;
	a = bpf_task_acquire((void*)n);
	if (a) bpf_task_release(a);
	bpf_obj_drop_impl(n, 0);
	return 0;
}

TP(objnew_mem)
{
	u64 z = 0;
	struct my_node *n = bpf_obj_new_impl(bpf_core_type_id_local(struct my_node), 0);
	struct bpf_cpumask *m;
	if (!n) return 0;
	m = bpf_cpumask_create();
	if (!m) {
		bpf_obj_drop_impl(n, 0);
		return 0;
	}
	x = bpf_cpumask_populate((void*)m, n, 4);
	bpf_cpumask_release(m);
	bpf_obj_drop_impl(n, 0);
	return 0;
}
