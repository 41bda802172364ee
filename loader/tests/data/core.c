// CO-RE relocations that patch, and some that find nothing.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct___mine {
	int unused;
};
struct task_struct {
	int tgid;
	int pid;
	struct task_struct *real_parent;
	unsigned sched_reset_on_fork : 1;
	char comm[16];
	int no_such_field;
};
struct sk_buff {
	unsigned len;
	__u8 pkt_type : 3;
	struct net_device *dev;
};
struct no_such_struct {
	int field;
};
#pragma clang attribute pop

enum pid_type {
	PIDTYPE_TGID = 55,
	PIDTYPE_NONE_SUCH = 66,
};

static __noinline int from_subprog(struct task_struct *p)
{
	return BPF_CORE_READ(p, real_parent, tgid) + bpf_core_field_exists(p->no_such_field);
}

SEC("raw_tp/sched_process_exit") int task(void *ctx)
{
	struct task_struct *p = (void *)bpf_get_current_task();
	int sum = from_subprog(p) + BPF_CORE_READ_BITFIELD_PROBED(p, sched_reset_on_fork);

	sum += bpf_core_type_exists(struct no_such_struct) + bpf_core_type_size(struct task_struct);
	sum += bpf_core_enum_value_exists(enum pid_type, PIDTYPE_NONE_SUCH);
	sum += bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
	sum += bpf_core_field_size(p->comm) + bpf_core_type_id_local(struct task_struct);
	if (bpf_core_field_exists(p->no_such_field))
		sum += BPF_CORE_READ(p, no_such_field);
	return sum;
}

SEC("fentry/ip_rcv") int direct(__u64 *ctx)
{
	struct sk_buff *skb = (void *)ctx[0];

	return skb->len + BPF_CORE_READ_BITFIELD(skb, pkt_type);
}

char LICENSE[] SEC("license") = "GPL";
