/* Types that the kernel refuses: an owned pointer to a struct that the object does not have. What
 * is left of the program has no types. */
#include "fields.h"

struct plain {
	long a, b;
};

struct with_kptr {
	struct bpf_cpumask __kptr *mask;
	struct plain __kptr *own;
	long c;
};

struct value {
	struct with_kptr w;
	struct bpf_spin_lock lock;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct value);
} values SEC(".maps");

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)
#define VALUE                                                   \
	int key = 0;                                            \
	struct value *v = bpf_map_lookup_elem(&values, &key);   \
	if (!v)                                                 \
		return 0

TC(makes) { struct plain *p = bpf_obj_new(struct plain); if (p) bpf_obj_drop(p); return 0; }
TC(locks) { VALUE; bpf_spin_lock(&v->lock); bpf_spin_unlock(&v->lock); return 0; }
TC(exchanges) { VALUE; return !bpf_kptr_xchg(&v->w.own, 0); }
TC(reads) { VALUE; return v->lock.val + (long)v->w.own; }
static int each(u32 i, void *c) { return 0; }
TC(calls_back) { bpf_loop(3, each, 0, 0); return 0; }
__noinline int global(int x) { return x + 1; }
TC(calls_global) { return global(ctx->len); }
