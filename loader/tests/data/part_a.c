// First half of linked.o: uses what the second half defines.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int shared;
extern int helper_b(int a);
int own_a = 3;
static int same_name = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} shared_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} map_a SEC(".maps");

static __noinline int same_static(int a)
{
	return a + same_name++;
}

__weak __noinline int overridden(int a)
{
	volatile int x = same_static(a);

	return x - 1;
}

SEC("xdp") int prog_a(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *v = bpf_map_lookup_elem(&shared_map, &zero);

	if (!v || !bpf_map_lookup_elem(&map_a, &zero))
		return same_static(shared);
	shared += own_a;
	return helper_b(*v) + overridden(1);
}

char LICENSE[] SEC("license") = "GPL";
