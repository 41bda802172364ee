/* Objects of the program's own: made, dropped, kept in lists and trees. */
#include "fields.h"

struct plain {
	long a, b;
};

struct elem {
	long key;
	struct bpf_list_node list;
	long value;
};

struct leaf {
	long key;
	struct bpf_rb_node node;
	long value;
};

struct shared {
	long key;
	struct bpf_rb_node node;
	struct bpf_list_node list;
	struct bpf_refcount ref;
	long value;
};

struct locked {
	long a;
	struct bpf_spin_lock lock;
	struct bpf_list_head head __contains(elem, list);
	long b;
};

struct with_kptr {
	struct bpf_cpumask __kptr *mask;
	struct plain __kptr *own;
	long c;
};

struct big {
	char c[520];
};

struct holder {
	long data;
	struct plain __kptr *own;
	struct plain __percpu_kptr *percpu;
	struct elem __kptr *elem;
	struct shared __kptr *shared;
	struct locked __kptr *locked;
	struct with_kptr __kptr *with;
};

struct value {
	long data;
	struct bpf_spin_lock lock;
	struct bpf_list_head head __contains(elem, list);
	struct bpf_rb_root root __contains(leaf, node);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct holder);
} holders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct value);
} values SEC(".maps");

private(A) struct bpf_spin_lock lock;
private(A) struct bpf_list_head head __contains(elem, list);
private(A) struct bpf_list_head shared_head __contains(shared, list);
private(A) struct bpf_rb_root root __contains(leaf, node);
private(A) struct bpf_rb_root shared_root __contains(shared, node);
private(B) struct bpf_spin_lock other_lock;
private(B) struct bpf_list_head other_head __contains(elem, list);
private(B) struct bpf_rb_root other_root __contains(leaf, node);

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)
#define NEW(type, p)                    \
	type *p = bpf_obj_new(type);    \
	if (!p)                         \
		return 0

SEC("?tc") int uses_types(struct bpf_cpumask *m)
{
	return m->cpumask.bits[0];
}

static _Bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return entry(a, struct leaf, node)->key < entry(b, struct leaf, node)->key;
}

static _Bool shared_less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return entry(a, struct shared, node)->key < entry(b, struct shared, node)->key;
}

TC(new_drop) { NEW(struct plain, p); bpf_obj_drop(p); return 0; }
TC(new_leak) { NEW(struct plain, p); return p->a; }
TC(new_unchecked) { struct plain *p = bpf_obj_new(struct plain); p->a = 1; bpf_obj_drop(p); return 0; }
TC(drop_unchecked) { struct plain *p = bpf_obj_new(struct plain); bpf_obj_drop(p); return 0; }
TC(drop_twice) { NEW(struct plain, p); bpf_obj_drop(p); bpf_obj_drop(p); return 0; }
TC(use_after_drop) { NEW(struct plain, p); bpf_obj_drop(p); return p->a; }
TC(drop_moved) { NEW(struct plain, p); bpf_obj_drop((void *)p + 8); return 0; }
TC(drop_number) { bpf_obj_drop((void *)(long)ctx->len); return 0; }
TC(drop_context) { bpf_obj_drop(ctx); return 0; }
TC(drop_stack) { long x = 0; bpf_obj_drop(&x); return 0; }
TC(write_read) { NEW(struct plain, p); p->a = ctx->len; p->b = p->a; long n = p->b; bpf_obj_drop(p); return n; }
TC(write_beyond) { NEW(struct plain, p); ((long *)p)[2] = 1; bpf_obj_drop(p); return 0; }
TC(read_across) { NEW(struct plain, p); long n = *(volatile long *)((void *)p + 4); bpf_obj_drop(p); return n; }
TC(read_variable) { NEW(struct plain, p); u64 i = ctx->len & 8; keep(i); long n = *(volatile long *)((void *)p + i); bpf_obj_drop(p); return n; }
TC(store_pointer) { NEW(struct plain, p); p->a = (long)p; long n = p->a; bpf_obj_drop(p); return n & 1; }
TC(add_atomically) { NEW(struct plain, p); __sync_fetch_and_add(&p->a, 1); bpf_obj_drop(p); return 0; }
TC(to_helper) { NEW(struct plain, p); bpf_skb_load_bytes(ctx, 0, p, 16); bpf_obj_drop(p); return 0; }
TC(helper_reads) { NEW(struct plain, p); bpf_skb_store_bytes(ctx, 0, p, 8, 0); bpf_obj_drop(p); return 0; }
TC(as_key) { NEW(struct plain, p); void *v = bpf_map_lookup_elem(&holders, p); keep(v); bpf_obj_drop(p); return 0; }
TC(in_two_branches) { NEW(struct plain, p); if (ctx->len) p->a = 1; else p->b = 1; bpf_obj_drop(p); return 0; }
TC(new_in_loop) { for (int i = 0; i < 4; i++) { NEW(struct plain, p); p->a = i; bpf_obj_drop(p); } return 0; }
TC(new_on_one_branch) { struct plain *p = 0; if (ctx->len) p = bpf_obj_new(struct plain); if (p) bpf_obj_drop(p); return 0; }
TC(new_of_int) { void *p = bpf_obj_new_impl(__builtin_btf_type_id(*(int *)0, 0), 0); if (p) bpf_obj_drop(p); return 0; }
TC(new_unknown) { void *p = bpf_obj_new_impl(100000, 0); if (p) bpf_obj_drop(p); return 0; }
TC(new_variable) { void *p = bpf_obj_new_impl(ctx->len, 0); if (p) bpf_obj_drop(p); return 0; }
TC(new_huge_id) { void *p = bpf_obj_new_impl(1ull << 40, 0); if (p) bpf_obj_drop(p); return 0; }
TC(touch_node) { NEW(struct elem, p); long n = *(volatile long *)&p->list; bpf_obj_drop(p); return n; }
TC(write_node) { NEW(struct elem, p); *(volatile long *)&p->list = 0; bpf_obj_drop(p); return 0; }
TC(touch_rb_node) { NEW(struct leaf, p); long n = *(volatile char *)((void *)&p->node + 31); bpf_obj_drop(p); return n; }
TC(touch_refcount) { NEW(struct shared, p); int n = *(volatile int *)&p->ref; bpf_obj_drop(p); return n; }
TC(touch_lock) { NEW(struct locked, p); int n = p->lock.val; bpf_obj_drop(p); return n; }
TC(touch_head) { NEW(struct locked, p); *(volatile long *)&p->head = 0; bpf_obj_drop(p); return 0; }
TC(touch_kptr) { NEW(struct with_kptr, p); long n = *(volatile long *)&p->mask; bpf_obj_drop(p); return n; }
TC(touch_beside) { NEW(struct elem, p); p->key = 1; p->value = p->key; bpf_obj_drop(p); return 0; }
TC(helper_fills_node) { NEW(struct elem, p); bpf_skb_load_bytes(ctx, 0, p, 16); bpf_obj_drop(p); return 0; }

TC(percpu_new) { struct plain *p = bpf_percpu_obj_new(struct plain); if (p) bpf_percpu_obj_drop(p); return 0; }
TC(percpu_leak) { struct plain *p = bpf_percpu_obj_new(struct plain); return !p; }
TC(percpu_use) { struct plain *p = bpf_percpu_obj_new(struct plain); if (!p) return 0; long n = p->a; bpf_percpu_obj_drop(p); return n; }
TC(percpu_drop_plain) { NEW(struct plain, p); bpf_percpu_obj_drop(p); return 0; }
TC(drop_percpu) { struct plain *p = bpf_percpu_obj_new(struct plain); if (p) bpf_obj_drop(p); return 0; }
TC(percpu_fields) { struct elem *p = bpf_percpu_obj_new(struct elem); if (p) bpf_percpu_obj_drop(p); return 0; }
TC(percpu_kptr) { struct with_kptr *p = bpf_percpu_obj_new(struct with_kptr); if (p) bpf_percpu_obj_drop(p); return 0; }
TC(percpu_big) { struct big *p = bpf_percpu_obj_new(struct big); if (p) bpf_percpu_obj_drop(p); return 0; }
TC(percpu_this_cpu) { struct plain *p = bpf_percpu_obj_new(struct plain); if (!p) return 0; struct plain *q = bpf_this_cpu_ptr(p); long n = q->a; bpf_percpu_obj_drop(p); return n; }

#define HOLDER                                                     \
	int key = 0;                                               \
	struct holder *h = bpf_map_lookup_elem(&holders, &key);    \
	if (!h)                                                    \
		return 0

TC(keep_own)
{
	HOLDER;
	NEW(struct plain, p);
	p = bpf_kptr_xchg(&h->own, p);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
TC(keep_other_type)
{
	HOLDER;
	NEW(struct plain, p);
	struct elem *q = bpf_kptr_xchg(&h->elem, (void *)p);
	if (q)
		bpf_obj_drop(q);
	return 0;
}
TC(keep_percpu)
{
	HOLDER;
	struct plain *p = bpf_percpu_obj_new(struct plain);
	if (!p)
		return 0;
	struct plain *q = bpf_kptr_xchg(&h->percpu, p);
	if (q)
		bpf_percpu_obj_drop(q);
	return 0;
}
TC(use_kept_percpu)
{
	HOLDER;
	struct plain *p = bpf_percpu_obj_new(struct plain);
	if (!p)
		return 0;
	struct plain *q = bpf_kptr_xchg(&h->percpu, p);
	if (q)
		bpf_percpu_obj_drop(q);
	q = bpf_this_cpu_ptr(p);
	q->a = 1;
	return q->a;
}
TC(drop_kept_percpu)
{
	HOLDER;
	struct plain *p = bpf_percpu_obj_new(struct plain);
	if (!p)
		return 0;
	struct plain *q = bpf_kptr_xchg(&h->percpu, p);
	if (q)
		bpf_percpu_obj_drop(q);
	bpf_percpu_obj_drop(p);
	return 0;
}
TC(use_kept)
{
	HOLDER;
	NEW(struct plain, p);
	struct plain *q = bpf_kptr_xchg(&h->own, p);
	if (q)
		bpf_obj_drop(q);
	return p->a;
}
TC(keep_percpu_as_own)
{
	HOLDER;
	struct plain *p = bpf_percpu_obj_new(struct plain);
	if (!p)
		return 0;
	struct plain *q = bpf_kptr_xchg(&h->own, p);
	if (q)
		bpf_obj_drop(q);
	return 0;
}
TC(drop_taken_as_percpu)
{
	HOLDER;
	struct plain *p = bpf_kptr_xchg(&h->own, 0);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
TC(keep_in_object)
{
	HOLDER;
	NEW(struct with_kptr, w);
	NEW(struct plain, p);
	p = bpf_kptr_xchg(&w->own, p);
	if (p)
		bpf_obj_drop(p);
	bpf_obj_drop(w);
	return 0;
}
TC(keep_in_object_checked)
{
	struct with_kptr *w = bpf_obj_new(struct with_kptr);
	if (!w)
		return 0;
	struct plain *p = bpf_obj_new(struct plain);
	if (!p) {
		bpf_obj_drop(w);
		return 0;
	}
	p = bpf_kptr_xchg(&w->own, p);
	if (p)
		bpf_obj_drop(p);
	bpf_obj_drop(w);
	return 0;
}
TC(xchg_no_kptr_in_object) { NEW(struct with_kptr, w); void *p = bpf_kptr_xchg(&w->c, 0); keep(p); bpf_obj_drop(w); return 0; }
TC(xchg_no_kptrs_in_object) { NEW(struct plain, w); void *p = bpf_kptr_xchg(&w->a, 0); keep(p); bpf_obj_drop(w); return 0; }
TC(keep_object_with_kptr)
{
	HOLDER;
	NEW(struct with_kptr, w);
	w = bpf_kptr_xchg(&h->with, w);
	if (w)
		bpf_obj_drop(w);
	return 0;
}
TC(drop_borrowed) { HOLDER; struct plain *p = h->own; if (p) bpf_obj_drop(p); return 0; }
TC(refcount_of_borrowed)
{
	HOLDER;
	struct shared *p = h->shared;
	if (!p)
		return 0;
	p = bpf_refcount_acquire(p);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
TC(refcount_of_unchecked) { HOLDER; struct shared *p = bpf_refcount_acquire(h->shared); if (p) bpf_obj_drop(p); return 0; }
TC(refcount_of_uncounted) { HOLDER; struct plain *p = h->own; if (!p) return 0; p = bpf_refcount_acquire(p); if (p) bpf_obj_drop(p); return 0; }
SEC("syscall") int borrowed_outside_rcu(void *ctx)
{
	HOLDER;
	struct shared *p = h->shared;
	if (!p)
		return 0;
	p = bpf_refcount_acquire(p);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
SEC("syscall") int borrowed_inside_rcu(void *ctx)
{
	HOLDER;
	bpf_rcu_read_lock();
	struct shared *p = h->shared;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	struct shared *q = bpf_refcount_acquire(p);
	bpf_rcu_read_unlock();
	if (q)
		bpf_obj_drop(q);
	return 0;
}
SEC("syscall") int borrowed_read_after_rcu(void *ctx)
{
	HOLDER;
	bpf_rcu_read_lock();
	struct plain *p = h->own;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	return p->a;
}
#define BORROW(type, p, place, then)            \
	bpf_rcu_read_lock();                    \
	type *p = place;                        \
	if (!p) {                               \
		bpf_rcu_read_unlock();          \
		return 0;                       \
	}                                       \
	then;                                   \
	bpf_rcu_read_unlock()
SEC("syscall") int element_read_after_rcu(void *ctx) { HOLDER; BORROW(struct elem, p, h->elem, ); return p->value; }
SEC("syscall") int element_written_after_rcu(void *ctx) { HOLDER; BORROW(struct elem, p, h->elem, ); p->value = 1; return 0; }
SEC("syscall") int element_written_in_rcu(void *ctx) { HOLDER; BORROW(struct elem, p, h->elem, p->value = 1); return 0; }
SEC("syscall") int node_touched_after_rcu(void *ctx) { HOLDER; BORROW(struct elem, p, h->elem, ); return *(volatile long *)&p->list; }
SEC("syscall") int shared_read_after_rcu(void *ctx) { HOLDER; BORROW(struct shared, p, h->shared, ); return p->value; }
SEC("syscall") int shared_acquired_after_rcu(void *ctx)
{
	HOLDER;
	BORROW(struct shared, p, h->shared, );
	p = bpf_refcount_acquire(p);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
SEC("syscall") int borrowed_written_after_rcu(void *ctx) { HOLDER; BORROW(struct plain, p, h->own, ); p->a = 1; return 0; }
TC(borrowed_acquired_unchecked)
{
	HOLDER;
	struct shared *p = h->shared;
	if (!p)
		return 0;
	p = bpf_refcount_acquire(p);
	bpf_obj_drop(p);
	return 0;
}
TC(borrowed_removed)
{
	HOLDER;
	struct shared *p = h->shared;
	if (!p)
		return 0;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_remove(&shared_root, &p->node);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct shared, node));
	return 0;
}
TC(borrowed_pushed)
{
	HOLDER;
	struct elem *p = h->elem;
	if (!p)
		return 0;
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(borrowed_over_unlock)
{
	HOLDER;
	struct elem *p = h->elem;
	if (!p)
		return 0;
	bpf_spin_lock(&lock);
	bpf_spin_unlock(&lock);
	return p->value;
}
TC(borrowed_plain_over_unlock)
{
	HOLDER;
	struct plain *p = h->own;
	if (!p)
		return 0;
	bpf_spin_lock(&lock);
	bpf_spin_unlock(&lock);
	return p->a;
}
TC(borrowed_kept)
{
	HOLDER;
	struct elem *p = h->elem;
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&h->elem, p);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
TC(borrowed_with_kptr)
{
	HOLDER;
	struct with_kptr *w = h->with;
	if (!w)
		return 0;
	struct plain *p = bpf_kptr_xchg(&w->own, 0);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
TC(shared_with_kptr_type)
{
	HOLDER;
	struct shared *p = h->shared;
	if (!p)
		return 0;
	bpf_kptr_xchg((void *)&p->value, 0);
	return 0;
}
SEC("syscall") int percpu_outside_rcu(void *ctx)
{
	HOLDER;
	struct plain *p = bpf_percpu_obj_new(struct plain);
	if (!p)
		return 0;
	struct plain *q = bpf_kptr_xchg(&h->percpu, p);
	if (q)
		bpf_percpu_obj_drop(q);
	q = bpf_this_cpu_ptr(p);
	return q->a;
}

/* Lists. */
TC(push)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_back)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_back(&head, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_unlocked) { NEW(struct elem, p); bpf_list_push_front(&head, &p->list); return 0; }
TC(push_other_lock)
{
	NEW(struct elem, p);
	bpf_spin_lock(&other_lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&other_lock);
	return 0;
}
TC(push_value_lock)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	NEW(struct elem, p);
	bpf_spin_lock(&v->lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&v->lock);
	return 0;
}
TC(push_to_value)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	NEW(struct elem, p);
	bpf_spin_lock(&v->lock);
	bpf_list_push_front(&v->head, &p->list);
	bpf_spin_unlock(&v->lock);
	return 0;
}
TC(push_to_other_value)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);
	if (!v)
		return 0;
	struct value *w = bpf_map_lookup_elem(&values, &key);
	if (!w)
		return 0;
	NEW(struct elem, p);
	bpf_spin_lock(&v->lock);
	bpf_list_push_front(&w->head, &p->list);
	bpf_spin_unlock(&v->lock);
	return 0;
}
TC(push_use)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	p->key = 3;
	long n = p->value;
	bpf_spin_unlock(&lock);
	return n;
}
TC(push_use_unlocked)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&lock);
	return p->key;
}
TC(push_twice)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_drop)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_obj_drop(p);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_wrong_struct)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_wrong_offset)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, (void *)p);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_near_node)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, (void *)&p->list + 1);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_wrong_head)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front((void *)&lock, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_root_as_head)
{
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front((void *)&root, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_null)
{
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, 0);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_maybe_null)
{
	struct elem *p = bpf_obj_new(struct elem);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, (void *)p);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_head_on_stack)
{
	struct bpf_list_head h = {};
	NEW(struct elem, p);
	bpf_spin_lock(&lock);
	bpf_list_push_front(&h, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_node_on_stack)
{
	struct elem p = {};
	bpf_spin_lock(&lock);
	bpf_list_push_front(&head, &p.list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(push_variable_head)
{
	NEW(struct elem, p);
	u64 n = ctx->len & 16;
	keep(n);
	bpf_spin_lock(&lock);
	bpf_list_push_front((void *)&head + n, &p->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(pop)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	struct elem *p = entry(n, struct elem, list);
	long v = p->value;
	bpf_obj_drop(p);
	return v;
}
TC(pop_leak)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_back(&head);
	bpf_spin_unlock(&lock);
	return !n;
}
TC(pop_unlocked) { struct bpf_list_node *n = bpf_list_pop_front(&head); if (n) bpf_obj_drop(entry(n, struct elem, list)); return 0; }
TC(pop_unchecked)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	bpf_obj_drop((void *)n);
	return 0;
}
TC(pop_drop_node)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(n);
	return 0;
}
TC(pop_push)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	if (n)
		bpf_list_push_back(&head, n);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(pop_push_other)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	bpf_spin_lock(&other_lock);
	bpf_list_push_back(&other_head, n);
	bpf_spin_unlock(&other_lock);
	return 0;
}
TC(pop_read_node)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	long x = *(volatile long *)n;
	bpf_obj_drop(entry(n, struct elem, list));
	return x;
}
TC(front)
{
	long v = 0;
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_front(&head);
	if (n)
		v = entry(n, struct elem, list)->value;
	bpf_spin_unlock(&lock);
	return v;
}
TC(front_unchecked)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_back(&head);
	long v = *(volatile long *)((void *)n - 8);
	bpf_spin_unlock(&lock);
	return v;
}
TC(front_after_unlock)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_front(&head);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	return entry(n, struct elem, list)->value;
}
TC(front_drop)
{
	bpf_spin_lock(&lock);
	struct bpf_list_node *n = bpf_list_front(&head);
	if (n)
		bpf_list_push_back(&head, n);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(front_unlocked) { return !bpf_list_front(&head); }
TC(pop_loop)
{
	for (int i = 0; i < 16; i++) {
		bpf_spin_lock(&lock);
		struct bpf_list_node *n = bpf_list_pop_front(&head);
		bpf_spin_unlock(&lock);
		if (!n)
			break;
		bpf_obj_drop(entry(n, struct elem, list));
	}
	return 0;
}
TC(list_in_object)
{
	struct locked *l = bpf_obj_new(struct locked);
	if (!l)
		return 0;
	struct elem *p = bpf_obj_new(struct elem);
	if (!p) {
		bpf_obj_drop(l);
		return 0;
	}
	bpf_spin_lock(&l->lock);
	bpf_list_push_front(&l->head, &p->list);
	bpf_spin_unlock(&l->lock);
	bpf_obj_drop(l);
	return 0;
}
TC(list_in_object_unlocked)
{
	struct locked *l = bpf_obj_new(struct locked);
	if (!l)
		return 0;
	struct bpf_list_node *n = bpf_list_pop_front(&l->head);
	keep(n);
	bpf_obj_drop(l);
	return 0;
}
TC(list_in_other_object)
{
	struct locked *l = bpf_obj_new(struct locked);
	if (!l)
		return 0;
	struct locked *m = bpf_obj_new(struct locked);
	if (!m) {
		bpf_obj_drop(l);
		return 0;
	}
	bpf_spin_lock(&m->lock);
	struct bpf_list_node *n = bpf_list_pop_front(&l->head);
	bpf_spin_unlock(&m->lock);
	keep(n);
	bpf_obj_drop(l);
	bpf_obj_drop(m);
	return 0;
}
TC(lock_object) { NEW(struct locked, l); bpf_spin_lock(&l->lock); l->a++; bpf_spin_unlock(&l->lock); bpf_obj_drop(l); return 0; }
TC(lock_object_leak) { NEW(struct locked, l); bpf_spin_lock(&l->lock); bpf_obj_drop(l); return 0; }
TC(lock_plain_object) { NEW(struct plain, l); bpf_spin_lock((void *)l); bpf_obj_drop(l); return 0; }
TC(lock_object_elsewhere) { NEW(struct locked, l); bpf_spin_lock((void *)&l->a); bpf_obj_drop(l); return 0; }
TC(lock_borrowed) { HOLDER; struct locked *l = h->locked; if (!l) return 0; bpf_spin_lock(&l->lock); bpf_spin_unlock(&l->lock); return 0; }
TC(unlock_other_object)
{
	struct locked *l = bpf_obj_new(struct locked);
	if (!l)
		return 0;
	struct locked *m = bpf_obj_new(struct locked);
	if (!m) {
		bpf_obj_drop(l);
		return 0;
	}
	bpf_spin_lock(&l->lock);
	bpf_spin_unlock(&m->lock);
	bpf_obj_drop(l);
	bpf_obj_drop(m);
	return 0;
}

/* Trees. */
TC(add)
{
	NEW(struct leaf, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &p->node, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_unlocked) { NEW(struct leaf, p); bpf_rbtree_add(&root, &p->node, less); return 0; }
TC(add_two)
{
	struct leaf *p = bpf_obj_new(struct leaf);
	if (!p)
		return 0;
	struct leaf *q = bpf_obj_new(struct leaf);
	if (!q) {
		bpf_obj_drop(p);
		return 0;
	}
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &p->node, less);
	bpf_rbtree_add(&root, &q->node, less);
	p->key = q->key;
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_twice)
{
	NEW(struct leaf, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &p->node, less);
	bpf_rbtree_add(&root, &p->node, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_and_remove)
{
	NEW(struct leaf, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &p->node, less);
	struct bpf_rb_node *n = bpf_rbtree_remove(&root, &p->node);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(add_wrong_struct)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &p->node, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_other_root)
{
	NEW(struct leaf, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&other_root, &p->node, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_list_node)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, (void *)&p->list, shared_less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(remove_without_root)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		n = bpf_rbtree_remove(&other_root, n);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(first_remove)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&lock);
		return 0;
	}
	n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(first_remove_unchecked)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(removed_unchecked)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&lock);
		return 0;
	}
	n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(removed_leak)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		n = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	return !n;
}
TC(remove_owned)
{
	NEW(struct leaf, p);
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_remove(&root, &p->node);
	bpf_spin_unlock(&lock);
	if (n)
		bpf_obj_drop(entry(n, struct leaf, node));
	return 0;
}
TC(first_read)
{
	long v = 0;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		v = entry(n, struct leaf, node)->value;
	bpf_spin_unlock(&lock);
	return v;
}
TC(first_write)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		entry(n, struct leaf, node)->value = 1;
	bpf_spin_unlock(&lock);
	return 0;
}
TC(first_after_unlock)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	bpf_spin_unlock(&lock);
	if (!n)
		return 0;
	return entry(n, struct leaf, node)->value;
}
TC(first_remove_use_other)
{
	long v = 0;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&lock);
		return 0;
	}
	struct bpf_rb_node *m = bpf_rbtree_remove(&root, n);
	v = entry(n, struct leaf, node)->value;
	bpf_spin_unlock(&lock);
	if (m)
		bpf_obj_drop(entry(m, struct leaf, node));
	return v;
}
TC(first_remove_twice)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (!n) {
		bpf_spin_unlock(&lock);
		return 0;
	}
	struct bpf_rb_node *m = bpf_rbtree_remove(&root, n);
	struct bpf_rb_node *o = bpf_rbtree_remove(&root, n);
	bpf_spin_unlock(&lock);
	if (m)
		bpf_obj_drop(entry(m, struct leaf, node));
	if (o)
		bpf_obj_drop(entry(o, struct leaf, node));
	return 0;
}
TC(first_unlocked) { return !bpf_rbtree_first(&root); }
TC(add_first)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		bpf_rbtree_add(&root, n, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(add_removed)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&root);
	if (n)
		n = bpf_rbtree_remove(&root, n);
	if (n)
		bpf_rbtree_add(&root, n, less);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(walk)
{
	long v = 0;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_root(&root);
	for (int i = 0; i < 8 && n; i++) {
		v += entry(n, struct leaf, node)->value;
		n = i & 1 ? bpf_rbtree_left(&root, n) : bpf_rbtree_right(&root, n);
	}
	bpf_spin_unlock(&lock);
	return v;
}
TC(left_unchecked)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_left(&root, bpf_rbtree_root(&root));
	keep(n);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(left_unlocked)
{
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_root(&root);
	bpf_spin_unlock(&lock);
	if (n)
		n = bpf_rbtree_left(&root, n);
	return !n;
}
static _Bool less_drops(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_obj_drop(entry(a, struct leaf, node));
	return 0;
}
static _Bool less_unlocks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_spin_unlock(&lock);
	return 0;
}
static _Bool less_relocks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_spin_unlock(&lock);
	bpf_spin_lock(&lock);
	return 0;
}
static _Bool less_adds(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	struct leaf *p = bpf_obj_new(struct leaf);
	if (!p)
		return 0;
	bpf_rbtree_add(&root, &p->node, less);
	return 0;
}
static _Bool less_removes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	struct bpf_rb_node *n = bpf_rbtree_remove(&root, a);
	return !n;
}
static _Bool less_firsts(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return !bpf_rbtree_first(&root);
}
static _Bool less_lefts(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return !bpf_rbtree_left(&root, a);
}
static _Bool less_writes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	entry(a, struct leaf, node)->value = 1;
	return 1;
}
static _Bool less_touches(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return *(volatile char *)a;
}
static _Bool less_helps(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return bpf_get_prandom_u32() & 1;
}
static _Bool less_returns_two(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	int n = 2;
	keep(n);
	asm volatile("r0 = 2; exit" ::: "r0");
	return n;
}
#define ADD_WITH(name, callback)                                       \
	TC(name)                                                       \
	{                                                              \
		NEW(struct leaf, p);                                   \
		bpf_spin_lock(&lock);                                  \
		bpf_rbtree_add(&root, &p->node, callback);             \
		bpf_spin_unlock(&lock);                                \
		return 0;                                              \
	}
ADD_WITH(add_less_drops, less_drops)
ADD_WITH(add_less_unlocks, less_unlocks)
ADD_WITH(add_less_relocks, less_relocks)
ADD_WITH(add_less_adds, less_adds)
ADD_WITH(add_less_removes, less_removes)
ADD_WITH(add_less_firsts, less_firsts)
ADD_WITH(add_less_lefts, less_lefts)
ADD_WITH(add_less_writes, less_writes)
ADD_WITH(add_less_touches, less_touches)
ADD_WITH(add_less_helps, less_helps)
ADD_WITH(add_less_returns_two, less_returns_two)
ADD_WITH(add_less_number, (void *)(long)ctx->len)
ADD_WITH(add_less_null, 0)

/* Counted references. */
TC(acquire_owned) { NEW(struct shared, p); struct shared *q = bpf_refcount_acquire(p); bpf_obj_drop(p); bpf_obj_drop(q); return 0; }
TC(acquire_leak) { NEW(struct shared, p); struct shared *q = bpf_refcount_acquire(p); keep(q); bpf_obj_drop(p); return 0; }
TC(acquire_uncounted) { NEW(struct elem, p); struct elem *q = bpf_refcount_acquire(p); keep(q); bpf_obj_drop(p); return 0; }
TC(acquire_unchecked) { struct shared *p = bpf_obj_new(struct shared); struct shared *q = bpf_refcount_acquire(p); keep(q); return 0; }
TC(acquire_number) { void *q = bpf_refcount_acquire((void *)(long)ctx->len); keep(q); return 0; }
TC(acquire_value) { HOLDER; void *q = bpf_refcount_acquire(h); keep(q); return 0; }
TC(add_and_keep)
{
	NEW(struct shared, p);
	struct shared *q = bpf_refcount_acquire(p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	bpf_spin_unlock(&lock);
	q->value = 1;
	bpf_obj_drop(q);
	return 0;
}
TC(add_and_push)
{
	NEW(struct shared, p);
	struct shared *q = bpf_refcount_acquire(p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	bpf_list_push_front(&shared_head, &q->list);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(acquire_non_owning)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	struct shared *q = bpf_refcount_acquire(p);
	bpf_spin_unlock(&lock);
	if (q)
		bpf_obj_drop(q);
	return 0;
}
TC(acquire_non_owning_unchecked)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	struct shared *q = bpf_refcount_acquire(p);
	bpf_spin_unlock(&lock);
	bpf_obj_drop(q);
	return 0;
}
TC(acquire_after_unlock)
{
	NEW(struct shared, p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	bpf_spin_unlock(&lock);
	struct shared *q = bpf_refcount_acquire(p);
	keep(q);
	return 0;
}
TC(remove_counted)
{
	NEW(struct shared, p);
	struct shared *q = bpf_refcount_acquire(p);
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&shared_root, &p->node, shared_less);
	struct bpf_rb_node *n = bpf_rbtree_remove(&shared_root, &q->node);
	bpf_spin_unlock(&lock);
	bpf_obj_drop(q);
	if (n)
		bpf_obj_drop(entry(n, struct shared, node));
	return 0;
}
TC(read_non_owning_counted)
{
	long v = 0;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&shared_root);
	if (n)
		v = entry(n, struct shared, node)->value;
	bpf_spin_unlock(&lock);
	return v;
}
TC(keep_non_owning)
{
	HOLDER;
	bpf_spin_lock(&lock);
	struct bpf_rb_node *n = bpf_rbtree_first(&shared_root);
	if (n)
		bpf_kptr_xchg(&h->shared, (void *)n);
	bpf_spin_unlock(&lock);
	return 0;
}
TC(xchg_while_locked)
{
	HOLDER;
	bpf_spin_lock(&lock);
	struct plain *p = bpf_kptr_xchg(&h->own, 0);
	bpf_spin_unlock(&lock);
	if (p)
		bpf_obj_drop(p);
	return 0;
}
TC(new_while_locked) { bpf_spin_lock(&lock); struct plain *p = bpf_obj_new(struct plain); bpf_spin_unlock(&lock); if (p) bpf_obj_drop(p); return 0; }
TC(callee_pushes_nothing) { bpf_spin_lock(&lock); bpf_spin_unlock(&lock); return 0; }

static __noinline struct elem *makes(void)
{
	return bpf_obj_new(struct elem);
}
static __noinline int drops(struct elem *p)
{
	bpf_obj_drop(p);
	return 0;
}
TC(callee_makes) { struct elem *p = makes(); if (p) bpf_obj_drop(p); return 0; }
TC(callee_drops) { NEW(struct elem, p); drops(p); return 0; }
TC(callee_drops_twice) { NEW(struct elem, p); drops(p); drops(p); return 0; }

SEC("kprobe/x") int lists_in_kprobe(void *ctx)
{
	int key = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);
	return v ? v->data : 0;
}
SEC("socket") int objects_in_socket_filter(struct __sk_buff *ctx)
{
	NEW(struct plain, p);
	bpf_obj_drop(p);
	return 0;
}
SEC("xdp") int objects_in_xdp(struct xdp_md *ctx)
{
	NEW(struct plain, p);
	bpf_obj_drop(p);
	return 2;
}
SEC("tp_btf/sched_switch") int objects_in_tracing(u64 *ctx)
{
	NEW(struct plain, p);
	bpf_obj_drop(p);
	return 0;
}
