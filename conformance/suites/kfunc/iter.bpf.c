/* Open-coded iterators: begun, asked, ended, broken. */
#include "kernel.h"
int zero;
int arr[100];

SEC("tp_btf/task_newtask")
int BPF_PROG(num, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) s += *v;
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_leak, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) s += *v;
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_nonull, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 10);
	v = bpf_iter_num_next(&it);
	s = *v;
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_nonew, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	v = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_dnonew, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_twice, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 1);
	bpf_iter_num_new(&it, 0, 1);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_dtwice, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 1);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_after, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 1);
	v = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return v?*v:0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_arr, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 100);
	while ((v = bpf_iter_num_next(&it))) {
		int i = *v;
		if (i<0 || i >= 100) break;
		s += arr[i];
	}
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_arr_bad, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 100);
	while ((v = bpf_iter_num_next(&it))) {
		s += arr[*v];
	}
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_write, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 100);
	while ((v = bpf_iter_num_next(&it))) {
		*v = 1;
	}
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_nested, struct task_struct *t, u64 f)
{
	struct bpf_iter_num a, b;
	int *v, *w, s = 0;
	bpf_iter_num_new(&a, 0, 10);
	while ((v = bpf_iter_num_next(&a))) {
		bpf_iter_num_new(&b, 0, 10);
		while ((w = bpf_iter_num_next(&b))) s += *v * *w;
		bpf_iter_num_destroy(&b);
	}
	bpf_iter_num_destroy(&a);
	return s;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_sum_idx, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v, i = 0, s = 0;
	bpf_iter_num_new(&it, 0, 1000);
	while ((v = bpf_iter_num_next(&it))) {
		if (i >= 100) break;
		s += arr[i];
		i++;
	}
	bpf_iter_num_destroy(&it);
	return s;
}

static __noinline int sub(struct bpf_iter_num *it)
{
	int *v = bpf_iter_num_next(it);
	return v?*v:-1;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_sub, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int s = 0;
	bpf_iter_num_new(&it, 0, 3);
	s += sub(&it);
	s += sub(&it);
	bpf_iter_num_destroy(&it);
	return s;
}

static __noinline int sub_leak(void)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 3);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_subleak, struct task_struct *t, u64 f)
{
	return sub_leak();
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_overwrite, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 3);
	*(volatile u64*)&it = 0;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_read, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 3);
	f = *(volatile u64*)&it;
	bpf_iter_num_destroy(&it);
	return f;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_helper, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 3);
	bpf_get_current_comm(&it, 8);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_mis, struct task_struct *t, u64 f)
{
	u64 x[2];
	bpf_iter_num_new((void*)x+4, 0, 3);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_notstack, struct task_struct *t, u64 f)
{
	bpf_iter_num_new((void*)arr, 0, 3);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_var, struct task_struct *t, u64 f)
{
	u64 x[4];
	bpf_iter_num_new((void*)x+(f&8), 0, 3);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_wrongt, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_bits_destroy((void*)&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_ptrarg, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, (long)t, 3);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(num_forever, struct task_struct *t, u64 f)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 3);
	v = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	if (v) {
		for (;;) {
			if (zero == 77) break;
		}
	}
	return 0;
}

SEC("?iter.s/task")
int BPF_PROG(task_rcu, struct bpf_iter_meta *m, struct task_struct *t)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	int n = 0;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	while ((p = bpf_iter_task_next(&it))) n += p->pid;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?iter.s/task")
int BPF_PROG(task_norcu, struct bpf_iter_meta *m, struct task_struct *t)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	int n = 0;
	bpf_iter_task_new(&it, 0, 0);
	while ((p = bpf_iter_task_next(&it))) n += p->pid;
	bpf_iter_task_destroy(&it);
	return 0;
}

SEC("?iter.s/task")
int BPF_PROG(task_unlock, struct bpf_iter_meta *m, struct task_struct *t)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	int n = 0;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	bpf_rcu_read_unlock();
	while ((p = bpf_iter_task_next(&it))) n += p->pid;
	bpf_iter_task_destroy(&it);
	return 0;
}

SEC("?iter.s/task")
int BPF_PROG(task_relock, struct bpf_iter_meta *m, struct task_struct *t)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	int n = 0;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	bpf_rcu_read_unlock();
	bpf_rcu_read_lock();
	while ((p = bpf_iter_task_next(&it))) n += p->pid;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?iter.s/task")
int BPF_PROG(task_acq, struct bpf_iter_meta *m, struct task_struct *t)
{
	struct bpf_iter_task it;
	struct task_struct *p, *q;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	while ((p = bpf_iter_task_next(&it))) {
		q = bpf_task_acquire(p);
		if (q) bpf_task_release(q);
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(task_tp, struct task_struct *t, u64 f)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	int n = 0;
	bpf_iter_task_new(&it, t, 1);
	while ((p = bpf_iter_task_next(&it))) n += p->pid;
	bpf_iter_task_destroy(&it);
	return n;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(vma, struct task_struct *t, u64 f)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *p;
	int n = 0;
	bpf_iter_task_vma_new(&it, t, 1);
	while ((p = bpf_iter_task_vma_next(&it))) n += p->vm_start;
	bpf_iter_task_vma_destroy(&it);
	return n;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(vma_null, struct task_struct *t, u64 f)
{
	struct bpf_iter_task_vma it;
	bpf_iter_task_vma_new(&it, 0, 1);
	bpf_iter_task_vma_destroy(&it);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(bits, struct task_struct *t, u64 f)
{
	struct bpf_iter_bits it;
	int *p, n = 0;
	bpf_iter_bits_new(&it, &f, 1);
	while ((p = bpf_iter_bits_next(&it))) n += *p;
	bpf_iter_bits_destroy(&it);
	return n;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(css, struct cgroup *c, const char *pp)
{
	struct bpf_iter_css it;
	struct cgroup_subsys_state *p;
	int n = 0;
	bpf_iter_css_new(&it, &c->self, 1);
	while ((p = bpf_iter_css_next(&it))) n += p->id;
	bpf_iter_css_destroy(&it);
	return n;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(css_task, struct cgroup *c, const char *pp)
{
	struct bpf_iter_css_task it;
	struct task_struct *p;
	int n = 0;
	bpf_iter_css_task_new(&it, &c->self, 1);
	while ((p = bpf_iter_css_task_next(&it))) n += p->pid;
	bpf_iter_css_task_destroy(&it);
	return n;
}

SEC("?iter/cgroup")
int BPF_PROG(css_task_it, struct bpf_iter_meta *m, struct cgroup *c)
{
	struct bpf_iter_css_task it;
	struct task_struct *p;
	int n = 0;
	if (!c) return 0;
	bpf_iter_css_task_new(&it, &c->self, 1);
	while ((p = bpf_iter_css_task_next(&it))) n += p->pid;
	bpf_iter_css_task_destroy(&it);
	return 0;
}

SEC("?iter.s/cgroup")
int BPF_PROG(css_norcu, struct bpf_iter_meta *m, struct cgroup *c)
{
	struct bpf_iter_css it;
	struct cgroup_subsys_state *p;
	int n = 0;
	if (!c) return 0;
	bpf_iter_css_new(&it, &c->self, 1);
	while ((p = bpf_iter_css_next(&it))) n += p->id;
	bpf_iter_css_destroy(&it);
	return 0;
}

SEC("xdp")
int num_xdp(struct xdp_md *x)
{
	struct bpf_iter_num it;
	int *v, s = 0;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) s += *v;
	bpf_iter_num_destroy(&it);
	return s;
}

SEC("socket")
int bpf_for_sock(void *x)
{
	int i, s = 0;
	bpf_for(i, 0, 100) {
		s += arr[i];
	}
	return s;
}

SEC("socket")
int bpf_for_break(void *x)
{
	int i, s = 0;
	bpf_for(i, 0, 1000) {
		if (arr[i%100] == 7) break;
		s += arr[i%100];
	}
	return s;
}

SEC("socket")
int bpf_rep(void *x)
{
	int s = 0;
	bpf_repeat(100) {
		s++;
	}
	return s;
}

SEC("socket")
int bpf_for_nested(void *x)
{
	int i, j, s = 0;
	bpf_for(i, 0, 100) {
		bpf_for(j, 0, 100) {
			s += arr[j];
		}
	}
	return s;
}
