/* Tasks, cgroups, keys and sockets: references taken, released, forgotten. */
#include "kernel.h"

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_ok, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_leak, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (a) return 1;
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_nonull, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_null, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(NULL);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_walked, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t->group_leader);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_untrusted, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t->last_wakee);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_fp, struct task_struct *t, u64 f)
{
	u64 x = 0;
	struct task_struct *a = bpf_task_acquire((void*)&x);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(acq_scalar, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire((void*)f);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(rel_unacq, struct task_struct *t, u64 f)
{
	bpf_task_release(t);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(rel_null, struct task_struct *t, u64 f)
{
	bpf_task_release(NULL);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(rel_twice, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (!a) return 0;
	bpf_task_release(a);
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(rel_use, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (!a) return 0;
	bpf_task_release(a);
	return a->pid;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(wrong_struct, struct task_struct *t, u64 f)
{
	struct cgroup *a = bpf_cgroup_acquire((void*)t);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(wrong_rel, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (!a) return 0;
	bpf_cgroup_release((void*)a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(rel_off, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(t);
	if (!a) return 0;
	bpf_task_release((void*)a+8);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(from_pid, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_from_pid(t->pid);
	if (!a) return 0;
	int p = a->pid;
	bpf_task_release(a);
	return p;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(from_pid_ptr, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_from_pid((long)t);
	if (!a) return 0;
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(current, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire(bpf_get_current_task_btf());
	if (!a) return 0;
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(off_arg, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire((void*)t+16);
	if (!a) return 0;
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(var_arg, struct task_struct *t, u64 f)
{
	struct task_struct *a = bpf_task_acquire((void*)t+(f&8));
	if (!a) return 0;
	bpf_task_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(sig, struct task_struct *t, u64 f)
{
	return bpf_send_signal_task(t, 9, PIDTYPE_PID, f);
}

SEC("kprobe/foo")
int kprobe_task(void *ctx)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp/sched/sched_switch")
int tp_task(void *ctx)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp/sched/sched_switch")
int tp_cur(void *ctx)
{
	struct task_struct *a = bpf_task_acquire(bpf_get_current_task_btf());
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp/sched/sched_switch")
int tp_curlong(void *ctx)
{
	struct task_struct *a = bpf_task_acquire((void*)bpf_get_current_task());
	if (a) bpf_task_release(a);
	return 0;
}

SEC("xdp")
int xdp_task(void *ctx)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (a) bpf_task_release(a);
	return 2;
}

SEC("socket")
int sf_task(void *ctx)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (a) bpf_task_release(a);
	return 2;
}

SEC("syscall")
int sc_task(void *ctx)
{
	struct task_struct *a = bpf_task_from_pid(1);
	if (a) bpf_task_release(a);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cg1, struct cgroup *c, const char *p)
{
	struct cgroup *a = bpf_cgroup_acquire(c);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cg_anc, struct cgroup *c, const char *p)
{
	struct cgroup *a = bpf_cgroup_ancestor(c, 1);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cg_kn, struct cgroup *c, const char *p)
{
	struct cgroup *a = bpf_cgroup_acquire(c->root->cgrp.root ? &c->root->cgrp : c);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cg_under, struct cgroup *c, const char *p)
{
	struct task_struct *t = bpf_get_current_task_btf();
	return bpf_task_under_cgroup(t, c);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cg_id, struct cgroup *c, const char *p)
{
	struct cgroup *a = bpf_cgroup_from_id(1);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(cg_dfl, struct task_struct *t, u64 f)
{
	struct cgroup *a = bpf_cgroup_acquire(t->cgroups->dfl_cgrp);
	if (!a) return 0;
	bpf_cgroup_release(a);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(key, struct task_struct *t, u64 f)
{
	struct bpf_key *k = bpf_lookup_system_key(1);
	if (!k) return 0;
	bpf_key_put(k);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(key_user, struct task_struct *t, u64 f)
{
	struct bpf_key *k = bpf_lookup_user_key(1, 0);
	if (!k) return 0;
	bpf_key_put(k);
	return 0;
}

SEC("syscall")
int key_user_ok(void *ctx)
{
	struct bpf_key *k = bpf_lookup_user_key(1, 0);
	if (!k) return 0;
	bpf_key_put(k);
	return 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(kmem, struct task_struct *t, u64 f)
{
	struct kmem_cache *k = bpf_get_kmem_cache((u64)t);
	if (!k) return 0;
	return k->size;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(kmem2, struct task_struct *t, u64 f)
{
	struct kmem_cache *k = bpf_get_kmem_cache(f);
	return k->size;
}

SEC("iter/tcp")
int BPF_PROG(sockd, struct bpf_iter_meta *m, struct sock_common *sk)
{
	if (sk) return bpf_sock_destroy(sk);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(sockd2, struct sock *sk)
{
	return bpf_sock_destroy((void*)sk);
}
