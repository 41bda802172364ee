/* Sets of CPUs, and memory with its size. */
#include "kernel.h"

SEC("tp_btf/task_newtask")
int BPF_PROG(ok, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	bpf_cpumask_set_cpu(1, c);
	int r = bpf_cpumask_test_cpu(1, (void*)c);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(leak, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(null, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	bpf_cpumask_set_cpu(1, c);
	if (c) bpf_cpumask_release(c);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(twice, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	bpf_cpumask_release(c);
	bpf_cpumask_release(c);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(mutate, struct task_struct *t, u64 f)
{
	bpf_cpumask_set_cpu(0, (void*)t->cpus_ptr);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(readm, struct task_struct *t, u64 f)
{
	return bpf_cpumask_first(t->cpus_ptr);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(readm2, struct task_struct *t, u64 f)
{
	return bpf_cpumask_first(&t->cpus_mask);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(readm3, struct task_struct *t, u64 f)
{
	return bpf_cpumask_first(t->user_cpus_ptr);
}

SEC("tp_btf/task_newtask")
int BPF_PROG(and, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	bpf_cpumask_and(c, t->cpus_ptr, (void*)c);
	bpf_cpumask_release(c);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create(), *d;
	if (!c) return 0;
	d = bpf_cpumask_acquire(c);
	bpf_cpumask_release(c);
	bpf_cpumask_release(d);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_leak, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create(), *d;
	if (!c) return 0;
	d = bpf_cpumask_acquire(c);
	bpf_cpumask_release(c);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop, struct task_struct *t, u64 f)
{
	u64 x = 1;
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, &x, 8);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_big, struct task_struct *t, u64 f)
{
	u64 x = 1;
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, &x, 600);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_unb, struct task_struct *t, u64 f)
{
	u64 x = 1;
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, &x, f);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_null, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, 0, 8);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_null0, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, 0, 0);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_ptr, struct task_struct *t, u64 f)
{
	u64 x = 1;
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, &x, (long)t);
	bpf_cpumask_release(c);
	return r;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(pop_task, struct task_struct *t, u64 f)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (!c) return 0;
	int r = bpf_cpumask_populate((void*)c, t, 8);
	bpf_cpumask_release(c);
	return r;
}

SEC("xdp")
int xdp_mask(void *ctx)
{
	struct bpf_cpumask *c = bpf_cpumask_create();
	if (c) bpf_cpumask_release(c);
	return 2;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(fp, struct task_struct *t, u64 f)
{
	struct bpf_cpumask c = {};
	bpf_cpumask_set_cpu(1, &c);
	return 0;
}
