/* Pointers to kernel objects in map values: loads, stores, exchanges. */
#include "fields.h"

struct value {
	long data;
	struct task_struct __kptr_untrusted *plain;
	struct task_struct __kptr *task;
	struct bpf_cpumask __kptr *mask;
	struct task_struct __kptr *many[2];
	long tail;
};

struct own {
	long a, b;
};

struct own_value {
	struct own __kptr *own;
	struct own __percpu_kptr *percpu;
	struct own __kptr_untrusted *plain;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct value);
} kptrs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct own_value);
} owns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, u64[8]);
} plain SEC(".maps");

#define VALUE                                               \
	int key = 0;                                        \
	struct value *v = bpf_map_lookup_elem(&kptrs, &key); \
	if (!v)                                             \
		return 0

SEC("?tc") int own_types(struct own *o, struct task_struct *t, struct bpf_cpumask *m)
{
	return o->a + t->pid + m->cpumask.bits[0];
}

#define ASM_AT(name, text, more...)                                                  \
	SEC("tc") int name(struct __sk_buff *ctx)                                     \
	{                                                                             \
		VALUE;                                                                \
		u64 n = ctx->len;                                                     \
		asm volatile(text : : [v] "r"(v), [n] "r"(n), ##more : "r1", "r2", "r3", "memory"); \
		return 0;                                                             \
	}

ASM_AT(load_whole, "r1 = *(u64 *)(%[v] + 8)")
ASM_AT(load_word, "r1 = *(u32 *)(%[v] + 8)")
ASM_AT(load_byte, "r1 = *(u8 *)(%[v] + 8)")
ASM_AT(load_misaligned, "r1 = *(u64 *)(%[v] + 12)")
ASM_AT(load_before_and_in, "r1 = *(u64 *)(%[v] + 4)")
ASM_AT(load_in_array, "r1 = *(u64 *)(%[v] + 40)")
ASM_AT(load_word_in_array, "r1 = *(u32 *)(%[v] + 44)")
ASM_AT(load_data, "r1 = *(u64 *)(%[v] + 0)")
ASM_AT(load_tail, "r1 = *(u64 *)(%[v] + 48)")
ASM_AT(load_variable, "r1 = %[n]; r1 &= 8; r2 = %[v]; r2 += r1; r1 = *(u64 *)(r2 + 8)")
ASM_AT(load_variable_data, "r1 = %[n]; r1 &= 4; r2 = %[v]; r2 += r1; r1 = *(u32 *)(r2 + 0)")
ASM_AT(load_variable_edge, "r1 = %[n]; r1 &= 7; r2 = %[v]; r2 += r1; r1 = *(u16 *)(r2 + 0)")
ASM_AT(load_constant_variable, "r1 = 8; r2 = %[v]; r2 += r1; r1 = *(u64 *)(r2 + 0)")
ASM_AT(load_signed, ".byte 0x91; .byte 0x81; .short 8; .long 0")
ASM_AT(store_zero, "*(u64 *)(%[v] + 8) = 0")
ASM_AT(store_number, "*(u64 *)(%[v] + 8) = 1")
ASM_AT(store_register, "*(u64 *)(%[v] + 8) = %[n]")
ASM_AT(store_zero_register, "r1 = 0; *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_word, "r1 = 0; *(u32 *)(%[v] + 8) = r1")
ASM_AT(store_owner, "r1 = 0; *(u64 *)(%[v] + 16) = r1")
ASM_AT(store_owner_zero, "*(u64 *)(%[v] + 16) = 0")
ASM_AT(store_itself, "*(u64 *)(%[v] + 8) = %[v]")
ASM_AT(store_stack, "*(u64 *)(%[v] + 8) = r10")
ASM_AT(store_loaded, "r1 = *(u64 *)(%[v] + 8); *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_loaded_checked, "r1 = *(u64 *)(%[v] + 8); if r1 == 0 goto +1; *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_owned_to_plain, "r1 = *(u64 *)(%[v] + 16); *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_other_type, "r1 = *(u64 *)(%[v] + 24); *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_moved, "r1 = *(u64 *)(%[v] + 8); if r1 == 0 goto +2; r1 += 8; *(u64 *)(%[v] + 8) = r1")
ASM_AT(store_moved_back, "r1 = *(u64 *)(%[v] + 8); if r1 == 0 goto +2; r1 += -8; *(u64 *)(%[v] + 8) = r1")
ASM_AT(add_atomically, "r1 = 1; lock *(u64 *)(%[v] + 8) += r1")
ASM_AT(add_owner_atomically, "r1 = 1; lock *(u64 *)(%[v] + 16) += r1")
ASM_AT(exchange_atomically, "r1 = 0; r1 = xchg_64(%[v] + 8, r1)")
ASM_AT(use_unchecked, "r1 = *(u64 *)(%[v] + 8); r1 = *(u64 *)(r1 + 0)")
ASM_AT(use_untrusted, "r1 = *(u64 *)(%[v] + 8); if r1 == 0 goto +1; r1 = *(u64 *)(r1 + 0)")
ASM_AT(write_untrusted, "r1 = *(u64 *)(%[v] + 8); if r1 == 0 goto +1; *(u64 *)(r1 + 0) = 0")
ASM_AT(use_owner, "r1 = *(u64 *)(%[v] + 16); if r1 == 0 goto +1; r1 = *(u64 *)(r1 + 0)")
ASM_AT(write_owner, "r1 = *(u64 *)(%[v] + 16); if r1 == 0 goto +1; *(u64 *)(r1 + 0) = 0")

SEC("tc") int walk_untrusted(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = v->plain;
	if (!t)
		return 0;
	struct task_struct *w = t->last_wakee;
	keep(w);
	return w->pid;
}

SEC("tc") int walk_owner(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = v->task;
	if (!t)
		return 0;
	struct task_struct *w = t->last_wakee;
	keep(w);
	return w->pid;
}

SEC("tc") int update_from_value(struct __sk_buff *ctx)
{
	VALUE;
	bpf_map_update_elem(&kptrs, &key, v, 0);
	return 0;
}

SEC("tc") int update_plain_from_value(struct __sk_buff *ctx)
{
	VALUE;
	bpf_map_update_elem(&plain, &key, v, 0);
	return 0;
}

SEC("tc") int key_in_value(struct __sk_buff *ctx)
{
	VALUE;
	bpf_map_lookup_elem(&plain, (int *)&v->tail);
	return 0;
}

SEC("tc") int key_in_pointer(struct __sk_buff *ctx)
{
	VALUE;
	bpf_map_lookup_elem(&plain, (int *)&v->task);
	return 0;
}

SEC("tc") int helper_fills_pointer(struct __sk_buff *ctx)
{
	VALUE;
	bpf_skb_load_bytes(ctx, 0, &v->data, 16);
	return 0;
}

SEC("tc") int helper_fills_data(struct __sk_buff *ctx)
{
	VALUE;
	bpf_skb_load_bytes(ctx, 0, &v->data, 8);
	return 0;
}

SEC("tc") int helper_fills_variable(struct __sk_buff *ctx)
{
	VALUE;
	u32 n = ctx->len;
	if (n < 1 || n > 9)
		return 0;
	bpf_skb_load_bytes(ctx, 0, &v->data, n);
	return 0;
}

SEC("tc") int xchg_null(struct __sk_buff *ctx)
{
	VALUE;
	return !bpf_kptr_xchg(&v->plain, 0);
}

SEC("tc") int xchg_leak(struct __sk_buff *ctx)
{
	VALUE;
	return !bpf_kptr_xchg(&v->mask, 0);
}

SEC("tc") int xchg_unchecked_back(struct __sk_buff *ctx)
{
	VALUE;
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	bpf_kptr_xchg(&v->mask, m);
	return 0;
}

SEC("tc") int xchg_back(struct __sk_buff *ctx)
{
	VALUE;
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	if (!m)
		return 0;
	m = bpf_kptr_xchg(&v->mask, m);
	if (m)
		bpf_kptr_xchg(&v->mask, m);
	return 0;
}

SEC("tc") int xchg_other_field(struct __sk_buff *ctx)
{
	VALUE;
	void *m = bpf_kptr_xchg(&v->mask, 0);
	if (!m)
		return 0;
	bpf_kptr_xchg(&v->task, m);
	return 0;
}

SEC("tc") int xchg_in_array(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = bpf_kptr_xchg(&v->many[1], 0);
	if (!t)
		return 0;
	bpf_kptr_xchg(&v->many[0], t);
	return 0;
}

SEC("tc") int xchg_untrusted(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = v->task;
	if (!t)
		return 0;
	bpf_kptr_xchg(&v->many[0], t);
	return 0;
}

SEC("tc") int xchg_moved(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = bpf_kptr_xchg(&v->task, 0);
	if (!t)
		return 0;
	t = (void *)t + 8;
	keep(t);
	bpf_kptr_xchg(&v->task, t);
	return 0;
}

SEC("tc") int xchg_no_kptr_there(struct __sk_buff *ctx)
{
	VALUE;
	bpf_kptr_xchg(&v->data, 0);
	return 0;
}

SEC("tc") int xchg_misaligned(struct __sk_buff *ctx)
{
	VALUE;
	bpf_kptr_xchg((void *)&v->task + 4, 0);
	return 0;
}

SEC("tc") int xchg_variable(struct __sk_buff *ctx)
{
	VALUE;
	u64 n = ctx->len & 8;
	keep(n);
	bpf_kptr_xchg((void *)&v->many[0] + n, 0);
	return 0;
}

SEC("tc") int xchg_no_kptrs(struct __sk_buff *ctx)
{
	int key = 0;
	void *v = bpf_map_lookup_elem(&plain, &key);
	if (v)
		bpf_kptr_xchg(v, 0);
	return 0;
}

SEC("tc") int xchg_on_stack(struct __sk_buff *ctx)
{
	u64 x = 0;
	bpf_kptr_xchg(&x, 0);
	return 0;
}

SEC("tc") int xchg_maybe_null_value(struct __sk_buff *ctx)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&owns, &key);
	bpf_kptr_xchg((void *)v, 0);
	return 0;
}

SEC("tc") int xchg_number(struct __sk_buff *ctx)
{
	VALUE;
	bpf_kptr_xchg(&v->task, (void *)(long)ctx->len);
	return 0;
}

SEC("tc") int xchg_stack_pointer(struct __sk_buff *ctx)
{
	VALUE;
	u64 x = 0;
	bpf_kptr_xchg(&v->task, &x);
	return 0;
}

SEC("tc") int use_after_xchg(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = bpf_kptr_xchg(&v->task, 0);
	if (!t)
		return 0;
	struct task_struct *o = bpf_kptr_xchg(&v->task, t);
	int pid = t->pid;
	keep(pid);
	if (o)
		bpf_kptr_xchg(&v->many[0], o);
	return pid;
}

SEC("tc") int read_exchanged(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = bpf_kptr_xchg(&v->task, 0);
	if (!t)
		return 0;
	int pid = t->pid;
	keep(pid);
	bpf_kptr_xchg(&v->task, t);
	return pid;
}

SEC("tc") int store_exchanged(struct __sk_buff *ctx)
{
	VALUE;
	struct task_struct *t = bpf_kptr_xchg(&v->task, 0);
	if (!t)
		return 0;
	v->plain = t;
	bpf_kptr_xchg(&v->task, t);
	return 0;
}

#define OWN                                                    \
	int key = 0;                                           \
	struct own_value *v = bpf_map_lookup_elem(&owns, &key); \
	if (!v)                                                \
		return 0

SEC("tc") int load_own(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->own;
	return o ? o->a : 0;
}

SEC("tc") int write_own(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->own;
	if (o)
		o->a = 1;
	return 0;
}

SEC("tc") int load_own_plain(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->plain;
	return o ? o->b : 0;
}

SEC("tc") int write_own_plain(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->plain;
	if (o)
		o->a = 1;
	return 0;
}

SEC("tc") int load_own_beyond(struct __sk_buff *ctx)
{
	OWN;
	u64 *o = (void *)v->own;
	return o ? o[2] : 0;
}

SEC("tc") int load_percpu(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	return o ? o->a : 0;
}

SEC("tc") int this_cpu(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	if (!o)
		return 0;
	o = bpf_this_cpu_ptr(o);
	return o->a;
}

SEC("tc") int this_cpu_unchecked(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	o = bpf_this_cpu_ptr(o);
	return o->a;
}

SEC("tc") int per_cpu(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	if (!o)
		return 0;
	o = bpf_per_cpu_ptr(o, 0);
	return o ? o->a : 0;
}

SEC("tc") int per_cpu_write(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	if (!o)
		return 0;
	o = bpf_per_cpu_ptr(o, 0);
	if (o)
		o->b = 1;
	return 0;
}

SEC("tc") int xchg_own_leak(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	return o ? o->a : 0;
}

SEC("tc") int xchg_own(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	if (!o)
		return 0;
	o->b = o->a;
	o = bpf_kptr_xchg(&v->own, o);
	if (o)
		bpf_kptr_xchg(&v->own, o);
	return 0;
}

SEC("tc") int xchg_own_to_percpu(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	if (o)
		bpf_kptr_xchg(&v->percpu, o);
	return 0;
}

SEC("tc") int xchg_percpu(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->percpu, 0);
	if (o)
		bpf_kptr_xchg(&v->percpu, o);
	return 0;
}

SEC("tc") int xchg_percpu_to_own(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->percpu, 0);
	if (o)
		bpf_kptr_xchg(&v->own, o);
	return 0;
}

SEC("tc") int xchg_borrowed(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->own;
	if (o)
		bpf_kptr_xchg(&v->own, o);
	return 0;
}

SEC("tc") int xchg_borrowed_unchecked(struct __sk_buff *ctx)
{
	OWN;
	bpf_kptr_xchg(&v->own, v->own);
	return 0;
}

SEC("tc") int xchg_own_unchecked(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	bpf_kptr_xchg(&v->own, o);
	return 0;
}

SEC("tc") int xchg_percpu_unchecked(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->percpu, 0);
	bpf_kptr_xchg(&v->percpu, o);
	return 0;
}

SEC("tc") int xchg_percpu_borrowed(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = v->percpu;
	if (o)
		bpf_kptr_xchg(&v->percpu, o);
	return 0;
}

SEC("tc") int store_own_plain(struct __sk_buff *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	if (!o)
		return 0;
	v->plain = o;
	bpf_kptr_xchg(&v->own, o);
	return 0;
}

SEC("?fentry.s/bpf_fentry_test1") int sleepable_load(void *ctx)
{
	VALUE;
	struct task_struct *t = v->task;
	return t ? t->pid : 0;
}

SEC("syscall") int sleepable_own(void *ctx)
{
	OWN;
	struct own *o = v->own;
	return o ? o->a : 0;
}

SEC("syscall") int sleepable_percpu(void *ctx)
{
	OWN;
	struct own *o = v->percpu;
	if (!o)
		return 0;
	o = bpf_this_cpu_ptr(o);
	return o->a;
}

SEC("syscall") int sleepable_xchg(void *ctx)
{
	OWN;
	struct own *o = bpf_kptr_xchg(&v->own, 0);
	if (!o)
		return 0;
	o->b = o->a;
	bpf_kptr_xchg(&v->own, o);
	return 0;
}
