/* Resilient locks. */
#include "fields.h"

struct value {
	long data;
	struct bpf_res_spin_lock lock;
	int after;
};

struct elem {
	long key;
	struct bpf_list_node list;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} hash SEC(".maps");

struct spin_value {
	struct bpf_spin_lock lock;
	int data;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct spin_value);
} spins SEC(".maps");

private(A) struct bpf_res_spin_lock lock_a;
private(A) struct bpf_list_head head __contains(elem, list);
private(B) struct bpf_res_spin_lock lock_b;

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)
#define VALUE(n, map)                                         \
	int key_##n = 0;                                      \
	struct value *n = bpf_map_lookup_elem(&map, &key_##n); \
	if (!n)                                               \
		return 0
#define SPIN(n)                                                      \
	int key_##n = 0;                                             \
	struct spin_value *n = bpf_map_lookup_elem(&spins, &key_##n); \
	if (!n)                                                      \
		return 0

TC(lock) { VALUE(v, hash); if (bpf_res_spin_lock(&v->lock)) return 0; v->data++; bpf_res_spin_unlock(&v->lock); return 0; }
TC(lock_unchecked) { VALUE(v, hash); bpf_res_spin_lock(&v->lock); bpf_res_spin_unlock(&v->lock); return 0; }
TC(lock_leak) { VALUE(v, hash); bpf_res_spin_lock(&v->lock); return 0; }
TC(lock_failed) { VALUE(v, hash); int e = bpf_res_spin_lock(&v->lock); if (!e) bpf_res_spin_unlock(&v->lock); return e; }
TC(lock_failed_negative) { VALUE(v, hash); int e = bpf_res_spin_lock(&v->lock); if (e < 0) return 0; bpf_res_spin_unlock(&v->lock); return 0; }
TC(unlock_only) { VALUE(v, hash); bpf_res_spin_unlock(&v->lock); return 0; }
TC(lock_twice)
{
	VALUE(v, hash);
	if (bpf_res_spin_lock(&v->lock))
		return 0;
	if (bpf_res_spin_lock(&v->lock)) {
		bpf_res_spin_unlock(&v->lock);
		return 0;
	}
	bpf_res_spin_unlock(&v->lock);
	bpf_res_spin_unlock(&v->lock);
	return 0;
}
TC(lock_two)
{
	VALUE(v, hash);
	VALUE(w, hash);
	if (bpf_res_spin_lock(&v->lock))
		return 0;
	if (bpf_res_spin_lock(&w->lock)) {
		bpf_res_spin_unlock(&v->lock);
		return 0;
	}
	bpf_res_spin_unlock(&w->lock);
	bpf_res_spin_unlock(&v->lock);
	return 0;
}
TC(lock_two_out_of_order)
{
	VALUE(v, hash);
	VALUE(w, hash);
	if (bpf_res_spin_lock(&v->lock))
		return 0;
	if (bpf_res_spin_lock(&w->lock)) {
		bpf_res_spin_unlock(&v->lock);
		return 0;
	}
	bpf_res_spin_unlock(&v->lock);
	bpf_res_spin_unlock(&w->lock);
	return 0;
}
TC(lock_two_globals)
{
	if (bpf_res_spin_lock(&lock_a))
		return 0;
	if (!bpf_res_spin_lock(&lock_b))
		bpf_res_spin_unlock(&lock_b);
	bpf_res_spin_unlock(&lock_a);
	return 0;
}
TC(unlock_other)
{
	if (bpf_res_spin_lock(&lock_a))
		return 0;
	bpf_res_spin_unlock(&lock_b);
	return 0;
}
TC(mixed_locks)
{
	SPIN(s);
	if (bpf_res_spin_lock(&lock_a))
		return 0;
	bpf_spin_lock(&s->lock);
	bpf_spin_unlock(&s->lock);
	bpf_res_spin_unlock(&lock_a);
	return 0;
}
TC(mixed_locks_other_way)
{
	SPIN(s);
	bpf_spin_lock(&s->lock);
	if (!bpf_res_spin_lock(&lock_a))
		bpf_res_spin_unlock(&lock_a);
	bpf_spin_unlock(&s->lock);
	return 0;
}
TC(spin_lock_on_resilient) { bpf_spin_lock((void *)&lock_a); return 0; }
TC(resilient_on_spin_lock) { SPIN(s); if (!bpf_res_spin_lock((void *)&s->lock)) bpf_res_spin_unlock((void *)&s->lock); return 0; }
TC(not_the_lock) { VALUE(v, hash); bpf_res_spin_lock((void *)&v->after); return 0; }
TC(lock_variable) { VALUE(v, hash); u64 n = ctx->len & 8; keep(n); bpf_res_spin_lock((void *)&v->data + n); return 0; }
TC(lock_on_stack) { struct bpf_res_spin_lock l = {}; bpf_res_spin_lock(&l); return 0; }
TC(lock_number) { bpf_res_spin_lock((void *)(long)ctx->len); return 0; }
TC(lock_maybe_null) { int key = 0; struct value *v = bpf_map_lookup_elem(&hash, &key); bpf_res_spin_lock((void *)v + 8); return 0; }
TC(read_lock) { VALUE(v, hash); return v->lock.val; }
TC(helper_while_locked) { if (bpf_res_spin_lock(&lock_a)) return 0; bpf_ktime_get_ns(); bpf_res_spin_unlock(&lock_a); return 0; }
TC(irqsave)
{
	unsigned long f;
	if (bpf_res_spin_lock_irqsave(&lock_a, &f))
		return 0;
	bpf_res_spin_unlock_irqrestore(&lock_a, &f);
	return 0;
}
TC(irqsave_leak) { unsigned long f; bpf_res_spin_lock_irqsave(&lock_a, &f); return 0; }
TC(irqsave_plain_unlock) { unsigned long f; if (bpf_res_spin_lock_irqsave(&lock_a, &f)) return 0; bpf_res_spin_unlock(&lock_a); return 0; }
TC(plain_lock_irqrestore) { unsigned long f; if (bpf_res_spin_lock(&lock_a)) return 0; bpf_res_spin_unlock_irqrestore(&lock_a, &f); return 0; }
TC(irqsave_wrong_flags)
{
	unsigned long f, g;
	bpf_local_irq_save(&g);
	if (bpf_res_spin_lock_irqsave(&lock_a, &f)) {
		bpf_local_irq_restore(&g);
		return 0;
	}
	bpf_res_spin_unlock_irqrestore(&lock_a, &g);
	bpf_local_irq_restore(&f);
	return 0;
}
TC(irqsave_nested)
{
	unsigned long f, g;
	if (bpf_res_spin_lock_irqsave(&lock_a, &f))
		return 0;
	if (!bpf_res_spin_lock_irqsave(&lock_b, &g))
		bpf_res_spin_unlock_irqrestore(&lock_b, &g);
	bpf_res_spin_unlock_irqrestore(&lock_a, &f);
	return 0;
}
TC(irqsave_out_of_order)
{
	unsigned long f, g;
	if (bpf_res_spin_lock_irqsave(&lock_a, &f))
		return 0;
	if (bpf_res_spin_lock_irqsave(&lock_b, &g)) {
		bpf_res_spin_unlock_irqrestore(&lock_a, &f);
		return 0;
	}
	bpf_res_spin_unlock_irqrestore(&lock_b, &f);
	bpf_res_spin_unlock_irqrestore(&lock_a, &g);
	return 0;
}
TC(restore_native)
{
	unsigned long f;
	if (bpf_res_spin_lock_irqsave(&lock_a, &f))
		return 0;
	bpf_local_irq_restore(&f);
	return 0;
}
TC(list)
{
	struct elem *e = bpf_obj_new(struct elem);
	if (!e)
		return 0;
	if (bpf_res_spin_lock(&lock_a)) {
		bpf_obj_drop(e);
		return 0;
	}
	bpf_list_push_front(&head, &e->list);
	bpf_res_spin_unlock(&lock_a);
	return 0;
}
TC(list_unlocked)
{
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	keep(n);
	return 0;
}
TC(list_other_lock)
{
	if (bpf_res_spin_lock(&lock_b))
		return 0;
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_res_spin_unlock(&lock_b);
	if (n)
		bpf_obj_drop(entry(n, struct elem, list));
	return 0;
}
TC(iterate_while_locked)
{
	if (bpf_res_spin_lock(&lock_a))
		return 0;
	for (int i = 0; i < 10; i++)
		asm volatile("" ::: "memory");
	bpf_res_spin_unlock(&lock_a);
	return 0;
}
SEC("socket") int in_socket_filter(struct __sk_buff *ctx) { VALUE(v, hash); return v->data; }
SEC("kprobe/x") int in_kprobe(void *ctx) { VALUE(v, hash); return v->data; }
