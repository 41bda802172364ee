/* RCU read sections and disabled preemption. */
#include "kernel.h"
int x;
struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, long);} st SEC(".maps");
#define P(n) SEC("?iter.s/task") int BPF_PROG(n, struct bpf_iter_meta *m, struct task_struct *t)

P(lock_ok)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	x = c->real_parent->pid;
	bpf_rcu_read_unlock();
	return 0;
}

P(nolock)
{
	struct task_struct *c = bpf_get_current_task_btf();
	struct task_struct *p = c->real_parent;
	struct task_struct *a = bpf_task_acquire(p);
	if (a) bpf_task_release(a);
	return 0;
}

P(noexit)
{
	bpf_rcu_read_lock();
	return 0;
}

P(unlock_only)
{
	bpf_rcu_read_unlock();
	return 0;
}

P(nested)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_rcu_read_unlock();
	return 0;
}

P(sleep_in)
{
	bpf_rcu_read_lock();
	char b[8];
	bpf_copy_from_user(b, 8, 0);
	bpf_rcu_read_unlock();
	return 0;
}

P(sleepk_in)
{
	bpf_rcu_read_lock();
	char b[8];
	bpf_copy_from_user_str(b, 8, 0, 0);
	bpf_rcu_read_unlock();
	return 0;
}

P(use_after)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	struct task_struct *p = c->real_parent;
	bpf_rcu_read_unlock();
	struct task_struct *a = bpf_task_acquire(p);
	if (a) bpf_task_release(a);
	return 0;
}

P(use_after_read)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	struct task_struct *p = c->real_parent;
	bpf_rcu_read_unlock();
	x = p->pid;
	return 0;
}

P(acq_in)
{
	struct task_struct *c = bpf_get_current_task_btf(), *a;
	bpf_rcu_read_lock();
	struct task_struct *p = c->real_parent;
	a = bpf_task_acquire(p);
	bpf_rcu_read_unlock();
	if (a) bpf_task_release(a);
	return 0;
}

P(two_regions)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	x = c->real_parent->pid;
	bpf_rcu_read_unlock();
	bpf_rcu_read_lock();
	x = c->parent->pid;
	bpf_rcu_read_unlock();
	return 0;
}

P(one_branch)
{
	if (x) bpf_rcu_read_lock();
	return 0;
}

P(both)
{
	if (x) bpf_rcu_read_lock();
	if (x) bpf_rcu_read_unlock();
	return 0;
}

static __noinline void sub_lock(void)
{
	bpf_rcu_read_lock();
}

static __noinline void sub_unlock(void)
{
	bpf_rcu_read_unlock();
}

P(subs)
{
	sub_lock();
	sub_unlock();
	return 0;
}

P(subs2)
{
	sub_lock();
	return 0;
}

__noinline int glob_lock(void)
{
	bpf_rcu_read_lock();
	return 0;
}

P(globl)
{
	glob_lock();
	return 0;
}

__noinline int glob_sleep(int a)
{
	char b[8];
	return bpf_copy_from_user(b, 8, 0);
}

P(glob_in)
{
	bpf_rcu_read_lock();
	glob_sleep(1);
	bpf_rcu_read_unlock();
	return 0;
}

P(glob_out)
{
	return 0 & glob_sleep(1);
}

P(glob_pre)
{
	bpf_preempt_disable();
	glob_sleep(1);
	bpf_preempt_enable();
	return 0;
}

P(storage)
{
	long *l;
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	l = bpf_task_storage_get(&st, c->real_parent, 0, 1);
	if (l) *l = 1;
	bpf_rcu_read_unlock();
	return 0;
}

P(storage_out)
{
	long *l;
	struct task_struct *c = bpf_get_current_task_btf();
	l = bpf_task_storage_get(&st, c->real_parent, 0, 1);
	if (l) *l = 1;
	return 0;
}

P(pre_ok)
{
	bpf_preempt_disable();
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_preempt_enable();
	return 0;
}

P(pre_leak)
{
	bpf_preempt_disable();
	return 0;
}

P(pre_un)
{
	bpf_preempt_enable();
	return 0;
}

P(pre_sleep)
{
	char b[8];
	bpf_preempt_disable();
	bpf_copy_from_user(b, 8, 0);
	bpf_preempt_enable();
	return 0;
}

P(pre_sleepk)
{
	char b[8];
	bpf_preempt_disable();
	bpf_copy_from_user_str(b, 8, 0, 0);
	bpf_preempt_enable();
	return 0;
}

P(dfl)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	struct cgroup *g = bpf_cgroup_acquire(c->cgroups->dfl_cgrp);
	bpf_rcu_read_unlock();
	if (g) bpf_cgroup_release(g);
	return 0;
}

P(dflno)
{
	struct task_struct *c = bpf_get_current_task_btf();
	struct cgroup *g = bpf_cgroup_acquire(c->cgroups->dfl_cgrp);
	if (g) bpf_cgroup_release(g);
	return 0;
}

P(cgw)
{
	struct task_struct *c = bpf_get_current_task_btf();
	bpf_rcu_read_lock();
	x = bpf_task_under_cgroup(c, c->cgroups->dfl_cgrp);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("socket")
int sk_rcu(void *c)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("socket")
int sk_pre(void *c)
{
	bpf_preempt_disable();
	bpf_preempt_enable();
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(tp_rcu, struct task_struct *t, u64 f)
{
	bpf_rcu_read_lock();
	x = t->real_parent->pid;
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(tp_rcu_after, struct task_struct *t, u64 f)
{
	bpf_rcu_read_lock();
	struct task_struct *p = t->real_parent;
	bpf_rcu_read_unlock();
	struct task_struct *a = bpf_task_acquire(p);
	if (a) bpf_task_release(a);
	return 0;
}
