/* Contexts and addresses seen as objects of the kernel's; strings; maps. */
#include "kernel.h"

SEC("tc")
int kern(struct __sk_buff *s)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(s);
	return k->len;
}

SEC("xdp")
int kernx(struct xdp_md *s)
{
	struct xdp_buff *k = bpf_cast_to_kern_ctx(s);
	return k->rxq->queue_index;
}

SEC("tc")
int kern_bad(struct __sk_buff *s)
{
	u64 x;
	struct sk_buff *k = bpf_cast_to_kern_ctx(&x);
	return k->len;
}

SEC("tc")
int kern_off(struct __sk_buff *s)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx((void*)s+4);
	return k->len;
}

SEC("kprobe/x")
int kernp(struct pt_regs *s)
{
	struct pt_regs *k = bpf_cast_to_kern_ctx(s);
	return k->ax;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(tpk)
{
	void *k = bpf_cast_to_kern_ctx(ctx);
	return k != 0;
}

SEC("perf_event")
int kernpe(void *s)
{
	struct bpf_perf_event_data_kern *k = bpf_cast_to_kern_ctx(s);
	return k->data->period;
}

SEC("sockops")
int kernso(void *s)
{
	struct bpf_sock_ops_kern *k = bpf_cast_to_kern_ctx(s);
	return k->op;
}

SEC("cgroup/skb")
int kerncg(void *s)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(s);
	return k->len;
}

SEC("cgroup/sock")
int kerncs(void *s)
{
	struct sock *k = bpf_cast_to_kern_ctx(s);
	return k->sk_mark & 1;
}

SEC("lwt_in")
int kernl(void *s)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(s);
	return k->len;
}

SEC("netfilter")
int kernn(void *s)
{
	struct bpf_nf_ctx *k = bpf_cast_to_kern_ctx(s);
	return k->skb != 0;
}

SEC("sk_lookup")
int kernsl(void *s)
{
	struct bpf_sk_lookup_kern *k = bpf_cast_to_kern_ctx(s);
	return k->family & 1;
}

SEC("sk_msg")
int kernsm(void *s)
{
	struct sk_msg *k = bpf_cast_to_kern_ctx(s);
	return k->cork_bytes & 1;
}

SEC("syscall")
int kernsc(void *s)
{
	void *k = bpf_cast_to_kern_ctx(s);
	return k != 0;
}

SEC("tp/sched/sched_switch")
int kerntp(void *s)
{
	void *k = bpf_cast_to_kern_ctx(s);
	return k != 0;
}

SEC("raw_tp/sched_switch")
int kernrt(void *s)
{
	void *k = bpf_cast_to_kern_ctx(s);
	return k != 0;
}

SEC("flow_dissector")
int kernfd(void *s)
{
	struct bpf_flow_dissector *k = bpf_cast_to_kern_ctx(s);
	return k != 0;
}

SEC("cgroup/dev")
int kerncd(void *s)
{
	struct bpf_cgroup_dev_ctx *k = bpf_cast_to_kern_ctx(s);
	return k->major&1;
}

SEC("cgroup/sysctl")
int kerncsy(void *s)
{
	struct bpf_sysctl_kern *k = bpf_cast_to_kern_ctx(s);
	return k->write&1;
}

SEC("cgroup/getsockopt")
int kerncso(void *s)
{
	struct bpf_sockopt_kern *k = bpf_cast_to_kern_ctx(s);
	return k->level&1;
}

SEC("sk_reuseport")
int kernsr(void *s)
{
	struct sk_reuseport_kern *k = bpf_cast_to_kern_ctx(s);
	return k->hash&1;
}

SEC("cgroup/connect4")
int kernsa(void *s)
{
	struct bpf_sock_addr_kern *k = bpf_cast_to_kern_ctx(s);
	return k->t_ctx != 0;
}

SEC("tc")
int rd(struct __sk_buff *s)
{
	struct sk_buff *k = bpf_cast_to_kern_ctx(s);
	struct skb_shared_info *i = bpf_rdonly_cast(k->head+k->end, bpf_core_type_id_kernel(struct skb_shared_info));
	return i->nr_frags;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd1, struct pt_regs *r, long id)
{
	struct task_struct *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(struct task_struct));
	return t->pid;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd2, struct pt_regs *r, long id)
{
	struct task_struct *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(struct task_struct));
	return t->real_parent->pid;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_acq, struct pt_regs *r, long id)
{
	struct task_struct *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(struct task_struct));
	t = bpf_task_acquire(t);
	if (t) bpf_task_release(t);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_bad, struct pt_regs *r, long id)
{
	void *t = bpf_rdonly_cast((void*)id, 10000000);
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_int, struct pt_regs *r, long id)
{
	void *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(u64));
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_int2, struct pt_regs *r, long id)
{
	void *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(unsigned int));
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_union, struct pt_regs *r, long id)
{
	void *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(union sigval));
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_void, struct pt_regs *r, long id)
{
	int *t = bpf_rdonly_cast((void*)id, 0);
	return t[3];
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_voidw, struct pt_regs *r, long id)
{
	int *t = bpf_rdonly_cast((void*)id, 0);
	t[1] = 1;
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_var, struct pt_regs *r, long id)
{
	int *t = bpf_rdonly_cast((void*)id, id&3);
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_td, struct pt_regs *r, long id)
{
	int *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(pid_t));
	return t != 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rd_write, struct pt_regs *r, long id)
{
	struct task_struct *t = bpf_rdonly_cast((void*)id, bpf_core_type_id_kernel(struct task_struct));
	t->pid = 1;
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(str, struct pt_regs *r, long id)
{
	return bpf_strcmp("a","b")+bpf_strlen((void*)id)+bpf_strchr((void*)r, id);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(str_bad, struct pt_regs *r, long id)
{
	return bpf_strchr((void*)r, (long)r);
}

SEC("syscall")
int cfu(void *c)
{
	char b[8];
	return bpf_copy_from_user_str(b, 8, 0, 0);
}

SEC("syscall")
int cfu_big(void *c)
{
	char b[8];
	return bpf_copy_from_user_str(b, 800, 0, 0);
}

SEC("syscall")
int cfu_z(void *c)
{
	char b[8];
	return bpf_copy_from_user_str(b, 0, 0, 0);
}

SEC("tc")
int cfu_ns(void *c)
{
	char b[8];
	return bpf_copy_from_user_str(b, 8, 0, 0);
}

SEC("tc")
int cfu_ctx(void *c)
{
	return bpf_strlen(c);
}
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, int); __type(value, int);} h SEC(".maps");

SEC("syscall")
int msum(void *c)
{
	return bpf_map_sum_elem_count((void*)&h);
}

SEC("syscall")
int msum2(void *c)
{
	int k = 0;
	int *v = bpf_map_lookup_elem(&h, &k);
	if (!v) return 0;
	return bpf_map_sum_elem_count((void*)v);
}

SEC("iter/bpf_map")
int BPF_PROG(msum3, struct bpf_iter_meta *m, struct bpf_map *mp)
{
	if (!mp) return 0;
	return bpf_map_sum_elem_count(mp)&0;
}

SEC("iter/bpf_map")
int BPF_PROG(msum4, struct bpf_iter_meta *m, struct bpf_map *mp)
{
	return bpf_map_sum_elem_count(mp)&0;
}

SEC("iter/bpf_map")
int BPF_PROG(msum5, struct bpf_iter_meta *m, struct bpf_map *mp)
{
	if (!mp) return 0;
	return bpf_map_sum_elem_count(mp->inner_map_meta)&0;
}
