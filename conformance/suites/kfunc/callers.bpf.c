/* Programs of many types, which may call what they may call. */
#include "kernel.h"
int x;
extern void bpf_throw(u64) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;
struct { __uint(type, BPF_MAP_TYPE_SK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key,int); __type(value,int);} sks SEC(".maps");

SEC("cgroup/connect4")
int c1(struct bpf_sock_addr*c)
{
	struct task_struct*t=bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	return 1;
}

SEC("cgroup/getsockopt")
int c2(struct bpf_sockopt*c)
{
	struct cgroup*g=bpf_cgroup_from_id(1);
	if (g) bpf_cgroup_release(g);
	return 1;
}

SEC("cgroup/dev")
int c3(void*c)
{
	bpf_throw(1);
	return 1;
}

SEC("cgroup/dev")
int c4(void*c)
{
	bpf_throw(2);
	return 1;
}

SEC("sockops")
int c5(void*c)
{
	bpf_throw(1);
	return 1;
}

SEC("sk_lookup")
int c6(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	return 1;
}

SEC("sk_lookup")
int c7(void*c)
{
	struct task_struct*t=bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	return 1;
}

SEC("sk_msg")
int c8(void*c)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 1;
}

SEC("sk_skb/stream_parser")
int c9(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	return 1;
}

SEC("flow_dissector")
int d1(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	return 0;
}

SEC("lwt_in")
int d2(struct __sk_buff*c)
{
	struct sk_buff*k=bpf_cast_to_kern_ctx(c);
	x=k->len;
	return 0;
}

SEC("netfilter")
int d3(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	return 1;
}

SEC("netfilter")
int d4(struct bpf_nf_ctx*c)
{
	x=c->skb->len;
	return 1;
}

SEC("perf_event")
int d5(void*c)
{
	struct task_struct*t=bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	return 0;
}

SEC("raw_tp/sys_enter")
int d6(void*c)
{
	struct task_struct*t=bpf_task_from_pid(1);
	if (t) bpf_task_release(t);
	return 0;
}

SEC("tp/syscalls/sys_enter_getpid")
int d7(void*c)
{
	struct task_struct*t=bpf_task_acquire(bpf_get_current_task_btf());
	if (t) bpf_task_release(t);
	return 0;
}

SEC("kprobe/x")
int d8(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("uprobe.s/x")
int d9(void*c)
{
	char b[8];
	return bpf_copy_from_user_str(b,8,0,0)&0;
}

SEC("uprobe/x")
int e1(void*c)
{
	char b[8];
	return bpf_copy_from_user_str(b,8,0,0)&0;
}

SEC("kprobe.multi/x")
int e2(void*c)
{
	bpf_preempt_disable();
	bpf_preempt_enable();
	return 0;
}

SEC("action")
int e3(struct __sk_buff*s)
{
	struct sk_buff*k=bpf_cast_to_kern_ctx(s);
	return k->len&1;
}

SEC("sk_reuseport")
int e4(void*c)
{
	int i;
	bpf_for(i,0,3) x+=i;
	return 1;
}

SEC("cgroup/sysctl")
int e5(void*c)
{
	struct cgroup*g=bpf_cgroup_from_id(1);
	if (g) bpf_cgroup_release(g);
	return 1;
}

SEC("cgroup/sock_create")
int e6(void*c)
{
	struct cgroup*g=bpf_cgroup_from_id(1);
	if (g) bpf_cgroup_release(g);
	return 1;
}
