/* Kernel objects that are reached through others, and how far they can be trusted. */
#include "kernel.h"
int x;
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct { unsigned long mmap_base; struct file *exe_file; };
struct dentry { struct inode *d_inode; };
struct inode { unsigned long i_ino; };
struct path { struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; unsigned int f_flags; };
struct task_struct___m { struct mm_struct *mm; };
struct request_sock { struct sock *sk; };
struct socket { struct sock *sk; };
struct sk_buff___s { struct sock *sk; };
struct linux_binprm { struct file *file; };
struct seq_file { void *private; };
struct bpf_iter_meta___s { struct seq_file *seq; };
struct signal_struct { int nr_threads; };
struct task_struct___g { struct signal_struct *signal; };
struct cgroup___r { struct cgroup_rstat_base_cpu *rstat_base_cpu; };
struct cgroup_rstat_base_cpu { int x; };
#pragma clang attribute pop
#define TP(n) SEC("tp_btf/task_newtask") int BPF_PROG(n, struct task_struct *t, u64 f)

TP(a1)
{
	struct mm_struct*m=((struct task_struct___m*)t)->mm;
	x=m->mmap_base;
	return 0;
}

TP(a2)
{
	struct mm_struct*m=((struct task_struct___m*)t)->mm;
	struct file*e=m->exe_file;
	x=e->f_flags;
	return 0;
}

TP(a3)
{
	struct mm_struct*m=((struct task_struct___m*)t)->mm;
	struct file*e=m->exe_file;
	if (e) x=e->f_inode->i_ino;
	return 0;
}

TP(a4)
{
	struct signal_struct*s=((struct task_struct___g*)t)->signal;
	x=s->nr_threads;
	return 0;
}

TP(a5)
{
	struct task_struct*g=t->group_leader;
	g=g->group_leader;
	g=bpf_task_acquire(g);
	if (g) bpf_task_release(g);
	return 0;
}

TP(a6)
{
	struct task_struct*g=t->real_parent;
	g=g->group_leader;
	g=bpf_task_acquire(g);
	if (g) bpf_task_release(g);
	return 0;
}

TP(a7)
{
	struct task_struct*g=t->last_wakee;
	g=g->real_parent;
	g=bpf_task_acquire(g);
	if (g) bpf_task_release(g);
	return 0;
}

TP(a8)
{
	struct task_struct*g=t->real_parent;
	if (!g) return 0;
	g=g->real_parent;
	if (!g) return 0;
	g=bpf_task_acquire(g);
	if (g) bpf_task_release(g);
	return 0;
}

TP(a9)
{
	struct cgroup*c=t->cgroups->dfl_cgrp;
	x=c->level;
	return 0;
}

TP(b1)
{
	struct task_struct*g=bpf_task_from_pid(1),*p;
	if (!g) return 0;
	p=g->real_parent;
	p=bpf_task_acquire(p);
	bpf_task_release(g);
	if (p) bpf_task_release(p);
	return 0;
}

TP(b2)
{
	struct task_struct*g=bpf_task_from_pid(1);
	const struct cpumask*c;
	if (!g) return 0;
	c=g->cpus_ptr;
	bpf_task_release(g);
	x=bpf_cpumask_first(c);
	return 0;
}

TP(b3)
{
	struct task_struct*g=bpf_task_from_pid(1);
	if (!g) return 0;
	x=bpf_cpumask_first(g->cpus_ptr);
	bpf_task_release(g);
	return 0;
}

TP(b4)
{
	struct bpf_cpumask*c=bpf_cpumask_create();
	if (!c) return 0;
	x=bpf_cpumask_first(&c->cpumask);
	bpf_cpumask_release(c);
	return 0;
}

TP(b5)
{
	struct bpf_cpumask*c=bpf_cpumask_create();
	if (!c) return 0;
	x=bpf_cpumask_first((void*)&c->cpumask+8);
	bpf_cpumask_release(c);
	return 0;
}

TP(b6)
{
	struct bpf_cpumask*c=bpf_cpumask_create();
	if (!c) return 0;
	x=c->cpumask.bits[0];
	bpf_cpumask_release(c);
	return 0;
}

TP(b7)
{
	struct bpf_cpumask*c=bpf_cpumask_create();
	if (!c) return 0;
	*(u64*)c=1;
	bpf_cpumask_release(c);
	return 0;
}

TP(b8)
{
	t->pid=1;
	return 0;
}

TP(b9)
{
	struct task_struct*g=bpf_task_from_pid(1);
	if (!g) return 0;
	g->pid=1;
	bpf_task_release(g);
	return 0;
}

TP(c1)
{
	x=*(volatile u16*)((void*)t+1);
	return 0;
}

TP(c2)
{
	x=*(volatile u64*)((void*)t+(f&8));
	return 0;
}

TP(c3)
{
	x=*(volatile u64*)((void*)t-8);
	return 0;
}

TP(c4)
{
	x=*(volatile u64*)((void*)t+100000);
	return 0;
}

TP(c5)
{
	x=*(volatile u32*)&t->real_parent;
	return 0;
}

TP(c6)
{
	t+=1;
	x=t->pid;
	return 0;
}

TP(c7)
{
	char b[16];
	bpf_probe_read_kernel(b,16,t->group_leader);
	x=b[3];
	return 0;
}

TP(c8)
{
	char b[16];
	bpf_probe_read_kernel(b,16,(void*)f);
	x=b[3];
	return 0;
}

TP(c9)
{
	struct task_struct*g=(void*)bpf_get_current_task();
	x=g->pid;
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(d1, struct sock*sk, struct sk_buff*skb)
{
	struct sock*s=((struct sk_buff___s*)skb)->sk;
	x=s->sk_mark;
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(d2, struct sock*sk, struct sk_buff*skb)
{
	struct sock*s=((struct sk_buff___s*)skb)->sk;
	void*p=bpf_skc_to_tcp_sock(s);
	return p!=0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(d3, struct sock*sk, struct sk_buff*skb)
{
	void*p=bpf_skc_to_tcp_sock(sk);
	if (p) x=((struct sock*)p)->sk_mark;
	return 0;
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(d4, struct sock*sk, struct sk_buff*skb)
{
	x=sk->__sk_common.skc_prot->max_header;
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e1, struct cgroup*c, const char*p)
{
	x=p[0];
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e2, struct cgroup*c, const char*p)
{
	char b[8];
	bpf_probe_read_kernel_str(b,8,p);
	x=b[0];
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e3, struct cgroup*c, const char*p)
{
	struct cgroup*r=&c->root->cgrp;
	r=bpf_cgroup_acquire(r);
	if (r) bpf_cgroup_release(r);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e4, struct cgroup*c, const char*p)
{
	struct cgroup_rstat_base_cpu*b=((struct cgroup___r*)c)->rstat_base_cpu;
	b=bpf_per_cpu_ptr(b,0);
	if (b) x=*(int*)b;
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e5, struct cgroup*c, const char*p)
{
	struct cgroup_rstat_base_cpu*b=((struct cgroup___r*)c)->rstat_base_cpu;
	x=*(int*)b;
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(e6, struct cgroup*c, const char*p)
{
	struct cgroup_rstat_base_cpu*b=((struct cgroup___r*)c)->rstat_base_cpu;
	b=bpf_this_cpu_ptr(b);
	x=*(int*)b;
	return 0;
}

SEC("iter/task_vma")
int BPF_PROG(g1, struct bpf_iter_meta*m, struct task_struct*t, struct vm_area_struct*v)
{
	if (!v) return 0;
	x=v->vm_start;
	return 0;
}

SEC("iter/task_vma")
int BPF_PROG(g2, struct bpf_iter_meta*m, struct task_struct*t, struct vm_area_struct*v)
{
	x=v->vm_start;
	return 0;
}

SEC("iter/task")
int BPF_PROG(g3, struct bpf_iter_meta*m, struct task_struct*t)
{
	struct task_struct*a;
	if (!t) return 0;
	a=bpf_task_acquire(t);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("iter/task_file")
int BPF_PROG(g4, struct bpf_iter_meta*m, struct task_struct*t)
{
	struct task_struct*a;
	if (!t) return 0;
	a=bpf_task_acquire(t);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("iter/bpf_map_elem")
int BPF_PROG(g5, struct bpf_iter_meta*m, struct bpf_map*mp, int*k, u64*v)
{
	if (!k||!v) return 0;
	*v=*k;
	return 0;
}

SEC("iter/bpf_map_elem")
int BPF_PROG(g6, struct bpf_iter_meta*m, struct bpf_map*mp, int*k, u64*v)
{
	if (!k||!v) return 0;
	*k=1;
	return 0;
}
