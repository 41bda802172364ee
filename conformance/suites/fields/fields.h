/* What the programs of this suite have in common: the kernel's types as far as they are used,
 * tags, kernel functions. */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uptr __attribute__((btf_type_tag("uptr")))
#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))
#define private(name) SEC(".data." #name) __hidden __attribute__((aligned(8)))
#define __core __attribute__((preserve_access_index))

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

struct task_struct {
	int pid;
	struct task_struct *last_wakee;
} __core;

struct cgroup {
	int level;
} __core;

struct cpumask {
	unsigned long bits[1];
} __core;

struct bpf_cpumask {
	struct cpumask cpumask;
} __core;

struct prog_test_member {
	int c;
} __core;

struct prog_test_ref_kfunc {
	int a;
	int b;
	struct prog_test_member memb;
	struct prog_test_ref_kfunc *next;
} __core;

#define keep(x) asm volatile("" : "+r"(x))

char _license[] SEC("license") = "GPL";

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym __weak;
extern int bpf_dynptr_from_skb_meta(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym __weak;
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *ptr) __ksym __weak;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *p, u32 off, void *buf, u32 size) __ksym __weak;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, u32 off, void *buf, u32 size) __ksym __weak;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *p, u32 start, u32 end) __ksym __weak;
extern _Bool bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym __weak;
extern _Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym __weak;
extern u32 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym __weak;
extern int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone) __ksym __weak;
extern int bpf_dynptr_copy(struct bpf_dynptr *to, u32 to_off, struct bpf_dynptr *from, u32 from_off, u32 size) __ksym __weak;
extern int bpf_dynptr_memset(struct bpf_dynptr *p, u32 off, u32 size, u8 value) __ksym __weak;
