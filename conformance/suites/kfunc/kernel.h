/* What the programs of this suite need of the kernel's types: the members they touch, found by
 * CO-RE. */
#ifndef KERNEL_H
#define KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

enum pid_type { PIDTYPE_PID };
typedef int pid_t;
struct pt_regs;
typedef struct pt_regs bpf_user_pt_regs_t;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct cpumask { unsigned long bits[1]; };
struct bpf_cpumask { struct cpumask cpumask; };
struct cgroup_subsys_state { int id; };
struct cgroup_root;
struct cgroup { struct cgroup_subsys_state self; int level; struct cgroup_root *root; };
struct cgroup_root { struct cgroup cgrp; };
struct css_set { struct cgroup *dfl_cgrp; };
struct task_struct {
	int pid;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct task_struct *group_leader;
	struct task_struct *last_wakee;
	const struct cpumask *cpus_ptr;
	struct cpumask *user_cpus_ptr;
	struct cpumask cpus_mask;
	struct css_set *cgroups;
};
struct kmem_cache { unsigned int size; };
struct bpf_key { bool has_ref; };
struct vm_area_struct { unsigned long vm_start; };
struct bpf_iter_meta { u64 seq_num; };
struct bpf_map { struct bpf_map *inner_map_meta; };
struct skb_shared_info { u8 nr_frags; };
struct sk_buff { unsigned int len; unsigned int end; unsigned char *head; };
struct xdp_rxq_info { u32 queue_index; };
struct xdp_buff { struct xdp_rxq_info *rxq; };
struct pt_regs { unsigned long ax; };
struct bpf_perf_event_data { struct pt_regs regs; u64 sample_period; };
struct perf_sample_data { u64 period; };
struct bpf_perf_event_data_kern { struct perf_sample_data *data; };
struct bpf_sock_ops_kern { u8 op; };
struct proto { int max_header; };
struct sock_common { struct proto *skc_prot; };
struct sock { struct sock_common __sk_common; u32 sk_mark; unsigned long sk_pacing_rate; u32 sk_pacing_status; };
struct nf_conn { u32 timeout; u32 mark; };
struct nf_conn___init { char own; };
struct bpf_ct_opts { s32 netns_id; s32 error; u8 l4proto; u8 dir; u16 ct_zone_id; u8 ct_zone_dir; u8 reserved[3]; };
struct bpf_nf_ctx { const void *state; struct sk_buff *skb; };
struct bpf_sk_lookup_kern { u16 family; };
struct sk_msg { u32 cork_bytes; };
struct bpf_flow_dissector { void *data; };
struct bpf_sysctl_kern { int write; };
struct bpf_sockopt_kern { int level; };
struct sk_reuseport_kern { u32 hash; };
struct bpf_sock_addr_kern { void *t_ctx; };
struct rq { int cpu; struct task_struct *curr; };
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
struct x86_hw_tss { u64 sp0; };
struct tss_struct { struct x86_hw_tss x86_tss; };
#pragma clang attribute pop

#define BPF_MAP_TYPE_ARENA 33
#define BPF_F_MMAPABLE (1U << 10)

struct bpf_iter_num { u64 __opaque[1]; };
struct bpf_iter_bits { u64 __opaque[2]; };
struct bpf_iter_task { u64 __opaque[3]; };
struct bpf_iter_task_vma { u64 __opaque[1]; };
struct bpf_iter_css { u64 __opaque[3]; };
struct bpf_iter_css_task { u64 __opaque[1]; };

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym;
extern struct cgroup *bpf_cgroup_acquire(struct cgroup *p) __ksym;
extern void bpf_cgroup_release(struct cgroup *p) __ksym;
extern struct cgroup *bpf_cgroup_ancestor(struct cgroup *c, int l) __ksym;
extern struct cgroup *bpf_cgroup_from_id(u64) __ksym;
extern long bpf_task_under_cgroup(struct task_struct *t, struct cgroup *c) __ksym;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *c) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *c) __ksym;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *c) __ksym;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *c) __ksym;
extern u32 bpf_cpumask_first(const struct cpumask *c) __ksym;
extern bool bpf_cpumask_and(struct bpf_cpumask *d, const struct cpumask *a, const struct cpumask *b) __ksym;
extern int bpf_cpumask_populate(struct cpumask *c, void *src, size_t src__sz) __ksym;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *t, unsigned int flags) __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym;
extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *t, u64 a) __ksym;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *p, u32 n) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern int bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *s, unsigned int flags) __ksym;
extern struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it) __ksym;
extern void bpf_iter_css_destroy(struct bpf_iter_css *it) __ksym;
extern int bpf_iter_css_task_new(struct bpf_iter_css_task *it, struct cgroup_subsys_state *s, unsigned int flags) __ksym;
extern struct task_struct *bpf_iter_css_task_next(struct bpf_iter_css_task *it) __ksym;
extern void bpf_iter_css_task_destroy(struct bpf_iter_css_task *it) __ksym;
extern void *bpf_cast_to_kern_ctx(void *) __ksym;
extern void *bpf_rdonly_cast(const void *obj, u32 id) __ksym;
extern int bpf_strcmp(const char *a, const char *b) __ksym;
extern int bpf_strlen(const char *a) __ksym;
extern int bpf_strchr(const char *s, char c) __ksym;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *s, struct bpf_sock_tuple *t, u32 tsz, struct bpf_ct_opts *o, u32 osz) __ksym;
extern struct nf_conn___init *bpf_skb_ct_alloc(struct __sk_buff *s, struct bpf_sock_tuple *t, u32 tsz, struct bpf_ct_opts *o, u32 osz) __ksym;
extern struct nf_conn *bpf_ct_insert_entry(struct nf_conn___init *i) __ksym;
extern void bpf_ct_release(struct nf_conn *i) __ksym;
extern void bpf_ct_set_timeout(struct nf_conn___init *i, u32 t) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *i, u32 t) __ksym;
extern s64 bpf_map_sum_elem_count(const struct bpf_map *m) __ksym;
extern struct kmem_cache *bpf_get_kmem_cache(u64 addr) __ksym;
extern int bpf_copy_from_user_str(void *dst, u32 dst__sz, const void *p, u64 flags) __ksym;
extern int bpf_sock_destroy(struct sock_common *sk) __ksym;
extern int bpf_xdp_pull_data(struct xdp_md *x, u32 len) __ksym;
extern struct bpf_key *bpf_lookup_system_key(u64 id) __ksym;
extern struct bpf_key *bpf_lookup_user_key(s32 serial, u64 flags) __ksym;
extern void bpf_key_put(struct bpf_key *k) __ksym;
extern int bpf_send_signal_task(struct task_struct *t, int sig, enum pid_type type, u64 v) __ksym;

#define bpf_for(i, start, end)                                                                     \
	for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),  \
	     *___p __attribute__((unused)) =                                                        \
		     (bpf_iter_num_new(&___it, (start), (end)), (void)bpf_iter_num_destroy,         \
		      (void *)0);                                                                   \
	     ({                                                                                     \
		     int *___t = bpf_iter_num_next(&___it);                                         \
		     (___t ? ((i) = *___t, (i) >= (start) && (i) < (end)) : ((i) = 0, 0));          \
	     });)
#define bpf_repeat(N)                                                                              \
	for (struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),  \
	     *___p __attribute__((unused)) =                                                        \
		     (bpf_iter_num_new(&___it, 0, (N)), (void)bpf_iter_num_destroy, (void *)0);     \
	     bpf_iter_num_next(&___it);)

#ifndef bpf_ksym_exists
#define bpf_ksym_exists(sym) ({ !!sym; })
#endif
#ifndef bpf_core_type_id_kernel
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(*(typeof(type) *)0, 1)
#endif

char _license[] SEC("license") = "GPL";
#endif
