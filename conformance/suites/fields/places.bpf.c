/* Where fields lie: globals, arrays, nested structs, maps in maps, storage, values of each CPU. */
#include "fields.h"

struct elem {
	long key;
	struct bpf_list_node list;
};

struct nested {
	long a;
	struct {
		struct bpf_cpumask __kptr *mask;
		long b;
	} in[2];
	struct bpf_cpumask __kptr *more[2];
};

struct value {
	long data;
	struct bpf_spin_lock lock;
	struct bpf_list_head head __contains(elem, list);
};

struct kept {
	long data;
	struct bpf_cpumask __kptr *mask;
	struct task_struct __kptr_untrusted *task;
};

struct locked {
	int data;
	struct bpf_spin_lock lock;
};

#define MAP(name, type_, flags, entries, val)  \
	struct {                               \
		__uint(type, type_);           \
		__uint(map_flags, flags);      \
		__uint(max_entries, entries);  \
		__type(key, int);              \
		__type(value, val);            \
	} name SEC(".maps")

MAP(nests, BPF_MAP_TYPE_ARRAY, 0, 2, struct nested);
MAP(values, BPF_MAP_TYPE_HASH, 0, 2, struct value);
MAP(kept_hash, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 2, struct kept);
MAP(kept_lru, BPF_MAP_TYPE_LRU_HASH, 0, 2, struct kept);
MAP(kept_percpu, BPF_MAP_TYPE_PERCPU_HASH, 0, 2, struct kept);
MAP(kept_percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 0, 2, struct kept);
MAP(kept_lru_percpu, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 2, struct kept);
MAP(kept_task, BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 0, struct kept);
MAP(kept_sk, BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 0, struct kept);
MAP(kept_inode, BPF_MAP_TYPE_INODE_STORAGE, BPF_F_NO_PREALLOC, 0, struct kept);
MAP(locked_sk, BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 0, struct locked);
MAP(locked_percpu, BPF_MAP_TYPE_PERCPU_ARRAY, 0, 2, struct locked);
MAP(locked_lru, BPF_MAP_TYPE_LRU_HASH, 0, 2, struct locked);

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct locked);
} locked_cgroup SEC(".maps");

struct user_page {
	long a[4];
};
struct with_user {
	struct user_page __uptr *user;
	long b;
};
MAP(users, BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 0, struct with_user);

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct value);
} inner_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &inner_map } };

struct inner_kept {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} inner_kept_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, int);
	__array(values, struct inner_kept);
} outer_kept SEC(".maps");

private(A) static struct bpf_cpumask __kptr *global_mask;
private(B) static struct bpf_cpumask __kptr *global_masks[2];
private(C) static struct bpf_cpumask __kptr *global_square[2][2];
private(D) static struct nested global_nested[2];
private(E) static struct bpf_cpumask __kptr *too_many[12];
private(F) struct bpf_spin_lock lock;
private(F) struct bpf_list_head head __contains(elem, list);
private(F) long beside;
private(G) struct bpf_spin_lock two_a;
private(G) struct bpf_spin_lock two_b;

#define TC(name) SEC("tp_btf/sched_switch") int name(u64 *ctx)
#define PUT_BACK(place, p)                         \
	do {                                       \
		if (p)                             \
			p = bpf_kptr_xchg(place, p); \
		if (p)                             \
			bpf_cpumask_release(p);    \
	} while (0)
extern void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym __weak;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym __weak;
extern _Bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *cpumask) __ksym __weak;

SEC("?tc") int uses_types(struct bpf_cpumask *m, struct task_struct *t, struct user_page *u)
{
	return m->cpumask.bits[0] + t->pid + u->a[0];
}

TC(global) { struct bpf_cpumask *m = bpf_kptr_xchg(&global_mask, 0); PUT_BACK(&global_mask, m); return 0; }
TC(global_create) { struct bpf_cpumask *m = bpf_cpumask_create(); PUT_BACK(&global_mask, m); return 0; }
TC(global_leak) { struct bpf_cpumask *m = bpf_cpumask_create(); return !m; }
TC(global_read)
{
	struct bpf_cpumask *m = global_mask;
	return m ? bpf_cpumask_test_cpu(0, (struct cpumask *)m) : 0;
}
TC(global_read_unchecked) { return bpf_cpumask_test_cpu(0, (struct cpumask *)global_mask); }
TC(global_store) { global_mask = 0; return 0; }
TC(global_array) { struct bpf_cpumask *m = bpf_kptr_xchg(&global_masks[1], 0); PUT_BACK(&global_masks[0], m); return 0; }
TC(global_array_read) { struct bpf_cpumask *m = global_masks[1]; return m ? bpf_cpumask_test_cpu(0, (struct cpumask *)m) : 0; }
TC(global_array_variable)
{
	struct bpf_cpumask **at = &global_masks[bpf_get_prandom_u32() & 1];
	keep(at);
	return !*at;
}
TC(global_array_xchg_variable)
{
	struct bpf_cpumask **at = &global_masks[bpf_get_prandom_u32() & 1];
	keep(at);
	struct bpf_cpumask *m = bpf_kptr_xchg(at, 0);
	return !m;
}
TC(global_square_read) { struct bpf_cpumask *m = global_square[1][0]; return m ? bpf_cpumask_test_cpu(0, (struct cpumask *)m) : 0; }
TC(global_square_word) { return *(volatile int *)&global_square[1][1]; }
TC(global_nested_read) { struct bpf_cpumask *m = global_nested[1].in[1].mask; return m ? bpf_cpumask_test_cpu(0, (struct cpumask *)m) : 0; }
TC(global_nested_word) { return *(volatile int *)&global_nested[1].more[1]; }
TC(global_nested_data) { return global_nested[1].in[0].b; }
TC(global_too_many) { return *(volatile int *)&too_many[3]; }
TC(global_too_many_xchg) { struct bpf_cpumask *m = bpf_kptr_xchg(&too_many[3], 0); return !m; }
TC(global_beside_lock) { bpf_spin_lock(&lock); beside++; bpf_spin_unlock(&lock); return beside; }
TC(global_two_locks) { bpf_spin_lock(&two_a); bpf_spin_unlock(&two_a); return 0; }
TC(global_two_locks_read) { return *(volatile int *)&two_b; }

#define FROM(map, type)                                      \
	int key = 0;                                         \
	type *v = bpf_map_lookup_elem(&map, &key);           \
	if (!v)                                              \
		return 0

TC(nested) { FROM(nests, struct nested); struct bpf_cpumask *m = bpf_kptr_xchg(&v->in[1].mask, 0); PUT_BACK(&v->more[1], m); return 0; }
TC(nested_word) { FROM(nests, struct nested); return *(volatile int *)&v->in[1].mask; }
TC(nested_data) { FROM(nests, struct nested); return v->in[1].b; }
TC(in_hash) { FROM(kept_hash, struct kept); struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0); PUT_BACK(&v->mask, m); return 0; }
TC(in_lru) { FROM(kept_lru, struct kept); struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0); PUT_BACK(&v->mask, m); return 0; }
TC(in_percpu) { FROM(kept_percpu, struct kept); struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0); PUT_BACK(&v->mask, m); return 0; }
TC(in_percpu_array) { FROM(kept_percpu_array, struct kept); struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0); PUT_BACK(&v->mask, m); return 0; }
TC(in_lru_percpu) { FROM(kept_lru_percpu, struct kept); struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0); PUT_BACK(&v->mask, m); return 0; }
TC(in_other_cpu)
{
	int key = 0;
	struct kept *v = bpf_map_lookup_percpu_elem(&kept_percpu_array, &key, 1);
	if (!v)
		return 0;
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	PUT_BACK(&v->mask, m);
	return 0;
}
SEC("tp_btf/sched_switch") int in_task(u64 *ctx)
{
	struct kept *v = bpf_task_storage_get(&kept_task, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	PUT_BACK(&v->mask, m);
	return 0;
}
SEC("tp_btf/sched_switch") int in_task_word(u64 *ctx)
{
	struct kept *v = bpf_task_storage_get(&kept_task, bpf_get_current_task_btf(), 0, 1);
	return v ? *(volatile int *)&v->mask : 0;
}
SEC("tp_btf/sched_switch") int in_task_initial(u64 *ctx)
{
	struct kept init = {};
	struct kept *v = bpf_task_storage_get(&kept_task, bpf_get_current_task_btf(), &init, 1);
	return !v;
}
SEC("tp_btf/sched_switch") int user_read(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	struct user_page *u = v->user;
	return u ? u->a[3] : 0;
}
SEC("tp_btf/sched_switch") int user_read_unchecked(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	return v ? v->user->a[0] : 0;
}
SEC("tp_btf/sched_switch") int user_read_beyond(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	struct user_page *u = v->user;
	return u ? ((volatile long *)u)[4] : 0;
}
SEC("tp_btf/sched_switch") int user_write(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	struct user_page *u = v->user;
	if (u)
		u->a[1] = 1;
	return 0;
}
SEC("tp_btf/sched_switch") int user_store(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (v)
		v->user = 0;
	return 0;
}
SEC("tp_btf/sched_switch") int user_xchg(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	void *u = bpf_kptr_xchg(&v->user, 0);
	return !u;
}
SEC("tp_btf/sched_switch") int user_to_helper(u64 *ctx)
{
	struct with_user *v = bpf_task_storage_get(&users, bpf_get_current_task_btf(), 0, 1);
	if (!v)
		return 0;
	struct user_page *u = v->user;
	if (u)
		bpf_get_current_comm(u, sizeof(*u));
	return 0;
}
SEC("tc") int in_socket(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	struct kept *v = bpf_sk_storage_get(&kept_sk, sk, 0, 1);
	if (!v)
		return 0;
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	return !m;
}
SEC("tc") int lock_in_socket(struct __sk_buff *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	struct locked *v = bpf_sk_storage_get(&locked_sk, sk, 0, 1);
	if (!v)
		return 0;
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}
TC(lock_in_percpu) { FROM(locked_percpu, struct locked); bpf_spin_lock(&v->lock); v->data++; bpf_spin_unlock(&v->lock); return 0; }
TC(lock_in_lru) { FROM(locked_lru, struct locked); bpf_spin_lock(&v->lock); v->data++; bpf_spin_unlock(&v->lock); return 0; }
TC(read_lock_in_lru) { FROM(locked_lru, struct locked); return v->lock.val; }
SEC("cgroup_skb/egress") int lock_in_cgroup(struct __sk_buff *ctx)
{
	struct locked *v = bpf_get_local_storage(&locked_cgroup, 0);
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 1;
}
SEC("cgroup_skb/egress") int lock_in_cgroup_twice(struct __sk_buff *ctx)
{
	struct locked *v = bpf_get_local_storage(&locked_cgroup, 0);
	struct locked *w = bpf_get_local_storage(&locked_cgroup, 0);
	bpf_spin_lock(&v->lock);
	bpf_spin_unlock(&w->lock);
	return 1;
}

TC(inner_list)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	bpf_spin_lock(&v->lock);
	struct bpf_list_node *n = bpf_list_pop_front(&v->head);
	bpf_spin_unlock(&v->lock);
	if (n)
		bpf_obj_drop(entry(n, struct elem, list));
	return 0;
}
TC(inner_list_unlocked)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	struct bpf_list_node *n = bpf_list_pop_front(&v->head);
	return !n;
}
TC(inner_list_outer_lock)
{
	int key = 0;
	struct value *w = bpf_map_lookup_elem(&values, &key);
	if (!w)
		return 0;
	void *m = bpf_map_lookup_elem(&outer, &key);
	if (!m)
		return 0;
	struct value *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	bpf_spin_lock(&w->lock);
	struct bpf_list_node *n = bpf_list_pop_front(&v->head);
	bpf_spin_unlock(&w->lock);
	return !n;
}
TC(inner_kept)
{
	int key = 0;
	void *m = bpf_map_lookup_elem(&outer_kept, &key);
	if (!m)
		return 0;
	struct kept *v = bpf_map_lookup_elem(m, &key);
	if (!v)
		return 0;
	struct bpf_cpumask *p = bpf_kptr_xchg(&v->mask, 0);
	PUT_BACK(&v->mask, p);
	return 0;
}
static long each(void *map, int *key, struct kept *v, void *c)
{
	struct bpf_cpumask *p = bpf_kptr_xchg(&v->mask, 0);
	PUT_BACK(&v->mask, p);
	return 0;
}
static long each_leaks(void *map, int *key, struct kept *v, void *c)
{
	struct bpf_cpumask *p = bpf_kptr_xchg(&v->mask, 0);
	return !p;
}
static long each_reads(void *map, int *key, struct kept *v, void *c)
{
	return *(volatile int *)&v->mask & 1;
}
static long each_locks(void *map, int *key, struct value *v, void *c)
{
	bpf_spin_lock(&v->lock);
	v->data++;
	bpf_spin_unlock(&v->lock);
	return 0;
}
TC(for_each) { bpf_for_each_map_elem(&kept_hash, each, 0, 0); return 0; }
TC(for_each_leaks) { bpf_for_each_map_elem(&kept_hash, each_leaks, 0, 0); return 0; }
TC(for_each_reads) { bpf_for_each_map_elem(&kept_hash, each_reads, 0, 0); return 0; }
TC(for_each_locks) { bpf_for_each_map_elem(&values, each_locks, 0, 0); return 0; }

TC(update) { struct kept k = {}; int key = 0; bpf_map_update_elem(&kept_hash, &key, &k, 0); return 0; }
TC(delete) { int key = 0; bpf_map_delete_elem(&kept_hash, &key); return 0; }
TC(push_in_loop)
{
	for (int i = 0; i < 8; i++) {
		struct elem *e = bpf_obj_new(struct elem);
		if (!e)
			break;
		e->key = i;
		bpf_spin_lock(&lock);
		bpf_list_push_back(&head, &e->list);
		bpf_spin_unlock(&lock);
	}
	return 0;
}
SEC("tp/syscalls/sys_enter_getpid") int kptr_in_tracepoint(void *ctx)
{
	FROM(kept_hash, struct kept);
	struct bpf_cpumask *m = bpf_kptr_xchg(&v->mask, 0);
	PUT_BACK(&v->mask, m);
	return 0;
}
SEC("kprobe/x") int kptr_in_kprobe(void *ctx)
{
	FROM(kept_hash, struct kept);
	struct task_struct *t = v->task;
	return t ? t->pid : 0;
}
SEC("socket") int kptr_in_socket_filter(struct __sk_buff *ctx)
{
	FROM(kept_hash, struct kept);
	struct task_struct *t = v->task;
	return t ? t->pid : 0;
}
