// A congestion control algorithm, twice, and an extra map that is not created by default.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock;
struct tcp_congestion_ops___local {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/ssthresh") __u32 mine_ssthresh(__u64 *ctx)
{
	return 2;
}

SEC("struct_ops") void mine_cong_avoid(__u64 *ctx)
{
}

SEC("struct_ops/undo") __u32 mine_undo(__u64 *ctx)
{
	return 3;
}

SEC(".struct_ops") struct tcp_congestion_ops___local plain = {
	.ssthresh = (void *)mine_ssthresh,
	.cong_avoid = (void *)mine_cong_avoid,
	.undo_cwnd = (void *)mine_undo,
	.name = "bpf_plain",
};

SEC(".struct_ops.link") struct tcp_congestion_ops___local linked = {
	.cong_avoid = (void *)mine_cong_avoid,
	.undo_cwnd = (void *)mine_undo,
	.name = "bpf_linked",
	.ssthresh = (void *)mine_ssthresh,
};

char LICENSE[] SEC("license") = "GPL";
