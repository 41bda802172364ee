// Subprograms: static, global, weak, hidden; calls and addresses; an order that is not the
// file's.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int leaf(int a)
{
	return a * 3 + bpf_get_smp_processor_id();
}

__noinline int global_last(int a)
{
	return leaf(a) ^ 5;
}

static __noinline int middle(int a)
{
	return leaf(a + 1) + global_last(a);
}

__weak __noinline int weak_one(int a)
{
	volatile int x = middle(a);

	return x;
}

__hidden __noinline int hidden_one(int a)
{
	volatile int x = a;

	return weak_one(x) + leaf(x);
}

static int on_iteration(__u32 index, void *ctx)
{
	*(int *)ctx += leaf(index);
	return 0;
}

int global_iteration(__u32 index, void *ctx)
{
	return index > 3;
}

SEC("xdp") int deep(struct xdp_md *ctx)
{
	int sum = hidden_one(ctx->ingress_ifindex);

	bpf_loop(10, on_iteration, &sum, 0);
	return sum + middle(sum);
}

SEC("xdp") int shallow(struct xdp_md *ctx)
{
	int sum = global_last(ctx->rx_queue_index);

	bpf_loop(5, global_iteration, 0, 0);
	return sum + leaf(sum);
}

SEC("?tc") int optional(struct __sk_buff *skb)
{
	int sum = 0;

	bpf_loop(skb->len, on_iteration, &sum, 0);
	return leaf(sum);
}

SEC("tc") int alone(struct __sk_buff *skb)
{
	return skb->len;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
__u32 VERSION SEC("version") = 0x060c00;
