// Configuration values and kernel symbols, strong and weak.
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef bpf_ksym_exists
#define bpf_ksym_exists(sym) ({ !!sym; })
#endif

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool LINUX_HAS_BPF_COOKIE __kconfig;
extern bool LINUX_HAS_SYSCALL_WRAPPER __kconfig __weak;
extern unsigned long CONFIG_HZ __kconfig;
extern enum libbpf_tristate CONFIG_BPF_SYSCALL __kconfig;
extern bool CONFIG_NET __kconfig;
extern char CONFIG_INET __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;
extern bool CONFIG_NO_SUCH_THING __kconfig __weak;
extern int LINUX_NO_SUCH_VARIABLE __kconfig __weak;

struct task_struct;
struct rq {
	int cpu;
};
extern const struct rq runqueues __ksym;
extern const int no_such_variable __ksym __weak;
extern const void schedule __ksym;
extern const void no_such_symbol __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;
extern int bpf_no_such_kfunc(int a, void *b) __ksym __weak;
extern struct task_struct *bpf_task_acquire___flavored(struct task_struct *p) __ksym __weak;

SEC("tc") int config(struct __sk_buff *skb)
{
	int sum = LINUX_KERNEL_VERSION + CONFIG_HZ + CONFIG_INET + CONFIG_DEFAULT_HOSTNAME[2];

	if (LINUX_HAS_BPF_COOKIE && CONFIG_NET && CONFIG_BPF_SYSCALL == TRI_YES)
		sum++;
	if (LINUX_HAS_SYSCALL_WRAPPER || CONFIG_NO_SUCH_THING || LINUX_NO_SUCH_VARIABLE)
		sum += 2;
	return sum;
}

SEC("tp_btf/task_newtask") int symbols(__u64 *ctx)
{
	const void *rq = bpf_per_cpu_ptr(&runqueues, 0);
	struct task_struct *p;

	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	if (bpf_ksym_exists(bpf_task_from_pid)) {
		p = bpf_task_from_pid(1);
		if (p)
			bpf_task_release(p);
	}
	if (bpf_ksym_exists(bpf_task_acquire___flavored))
		rq = 0;
	if (bpf_ksym_exists(bpf_no_such_kfunc))
		bpf_no_such_kfunc(1, ctx);
	if (&no_such_variable)
		bpf_printk("%d", no_such_variable);
	if (&no_such_symbol)
		bpf_printk("%p", &schedule);
	return rq != 0;
}

char LICENSE[] SEC("license") = "GPL";
