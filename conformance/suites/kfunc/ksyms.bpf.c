/* Variables and functions of the kernel, there or not. */
#include "kernel.h"
extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym;
extern const struct task_struct *const current_task __ksym __weak;
extern const int cpu_number __ksym __weak;
extern const struct tss_struct cpu_tss_rw __ksym;
extern const u64 __per_cpu_offset[] __ksym __weak;
extern void bpf_does_not_exist(int a) __ksym __weak;
extern void bpf_does_not_exist2(int a) __ksym __weak;
extern const int nope_var __ksym __weak;
int out;

SEC("raw_tp/sys_enter")
int percpu(void *c)
{
	struct rq *r = bpf_per_cpu_ptr(&runqueues, 0);
	if (r) out = r->cpu;
	return 0;
}

SEC("raw_tp/sys_enter")
int percpu_nonull(void *c)
{
	struct rq *r = bpf_per_cpu_ptr(&runqueues, 0);
	out = r->cpu;
	return 0;
}

SEC("raw_tp/sys_enter")
int thiscpu(void *c)
{
	struct rq *r = bpf_this_cpu_ptr(&runqueues);
	out = r->cpu;
	return 0;
}

SEC("raw_tp/sys_enter")
int thiscpu_w(void *c)
{
	struct rq *r = bpf_this_cpu_ptr(&runqueues);
	r->cpu = 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int int_percpu(void *c)
{
	int *r = bpf_per_cpu_ptr(&bpf_prog_active, 0);
	if (r) out = *r;
	return 0;
}

SEC("raw_tp/sys_enter")
int int_this(void *c)
{
	int *r = bpf_this_cpu_ptr(&bpf_prog_active);
	out = *r;
	return 0;
}

SEC("raw_tp/sys_enter")
int int_thisw(void *c)
{
	int *r = bpf_this_cpu_ptr(&bpf_prog_active);
	*r = 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int int_thiso(void *c)
{
	int *r = bpf_this_cpu_ptr(&bpf_prog_active);
	out = r[1];
	return 0;
}

SEC("raw_tp/sys_enter")
int direct(void *c)
{
	out = runqueues.cpu;
	return 0;
}

SEC("raw_tp/sys_enter")
int off(void *c)
{
	struct rq *r = bpf_this_cpu_ptr((void*)&runqueues+8);
	out = r->cpu;
	return 0;
}

SEC("raw_tp/sys_enter")
int bad(void *c)
{
	int z;
	int *r = bpf_this_cpu_ptr(&z);
	out = *r;
	return 0;
}

SEC("raw_tp/sys_enter")
int exists(void *c)
{
	if (bpf_ksym_exists(bpf_does_not_exist)) bpf_does_not_exist(1);
	return 0;
}

SEC("raw_tp/sys_enter")
int exists2(void *c)
{
	bpf_does_not_exist2(1);
	return 0;
}

SEC("raw_tp/sys_enter")
int exists3(void *c)
{
	if (bpf_ksym_exists(bpf_rcu_read_lock)) {
		bpf_rcu_read_lock();
		bpf_rcu_read_unlock();
	}
	return 0;
}

SEC("raw_tp/sys_enter")
int exists4(void *c)
{
	if (&nope_var) out = 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int faddr(void *c)
{
	u64 *p = (void*)bpf_rcu_read_lock;
	out = *p;
	return 0;
}

SEC("raw_tp/sys_enter")
int faddr2(void *c)
{
	return (long)(void*)bpf_rcu_read_lock != 0;
}

SEC("raw_tp/sys_enter")
int field_ptr(void *c)
{
	struct rq *r = bpf_this_cpu_ptr(&runqueues);
	struct task_struct *t = r->curr;
	out = t->pid;
	return 0;
}

SEC("raw_tp/sys_enter")
int tss(void *c)
{
	struct tss_struct *r = bpf_this_cpu_ptr(&cpu_tss_rw);
	out = r->x86_tss.sp0;
	return 0;
}
