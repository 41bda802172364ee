// Second half of linked.o.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int shared = 11;
static int same_name = 2;

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} shared_map SEC(".maps");

static __noinline int same_static(int a)
{
	return a * same_name++;
}

__noinline int helper_b(int a)
{
	return same_static(a) ^ shared;
}

__weak __noinline int overridden(int a)
{
	volatile int x = same_static(a);

	return x - 2;
}

SEC("xdp") int prog_b(struct xdp_md *ctx)
{
	__u32 one = 1;
	__u64 *v = bpf_map_lookup_elem(&shared_map, &one);

	return v ? overridden(*v) : helper_b(shared);
}

SEC("tc") int prog_tc(struct __sk_buff *skb)
{
	return same_static(skb->len);
}

char LICENSE[] SEC("license") = "GPL";
