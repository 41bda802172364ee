/* Operations of the kernel's structs: what programs in their place may write and call. */
#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct inet_connection_sock___c {
	struct {
		u8 pending;
	} icsk_ack;
	u64 icsk_ca_priv[13];
};
struct tcp_sock {
	struct inet_connection_sock___c inet_conn;
	u32 snd_cwnd;
	u32 snd_cwnd_cnt;
	u32 snd_cwnd_stamp;
	u32 snd_ssthresh;
	u8 ecn_flags;
	u32 app_limited;
	u32 rcv_nxt;
};
struct ack_sample {
	u32 pkts_acked;
};
struct rate_sample {
	s32 delivered;
};
struct bpf_dummy_ops_state {
	int val;
};
#pragma clang attribute pop

struct tcp_congestion_ops {
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
	u32 (*undo_cwnd)(struct sock *sk);
	void (*pkts_acked)(struct sock *sk, const struct ack_sample *sample);
	u32 (*min_tso_segs)(struct sock *sk);
	u32 (*sndbuf_expand)(struct sock *sk);
	void (*cong_control)(struct sock *sk, u32 ack, int flag, const struct rate_sample *rs);
	void (*init)(struct sock *sk);
	char name[16];
};
struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *cb);
	int (*test_2)(struct bpf_dummy_ops_state *cb, int a1, unsigned short a2, char a3,
		      unsigned long a4);
	int (*test_sleepable)(struct bpf_dummy_ops_state *cb);
};

extern void tcp_cong_avoid_ai(struct tcp_sock *tp, u32 w, u32 acked) __ksym;
extern u32 tcp_reno_ssthresh(struct sock *sk) __ksym;
extern u32 tcp_reno_undo_cwnd(struct sock *sk) __ksym;
extern u32 tcp_slow_start(struct tcp_sock *tp, u32 acked) __ksym;
extern void bbr_init(struct sock *sk) __ksym;

#define OP(n,body) SEC("struct_ops") void BPF_PROG(n, struct sock *sk) { struct tcp_sock*tp=(void*)sk; body; } \
 SEC(".struct_ops") struct tcp_congestion_ops ops_##n = { .init=(void*)n, .name="x" #n };
OP(cwnd, tp->snd_cwnd=1)
OP(cwnd_cnt, tp->snd_cwnd_cnt=1)
OP(stamp, tp->snd_cwnd_stamp=1)
OP(ssth, tp->snd_ssthresh=1)
OP(ecn, tp->ecn_flags=1)
OP(app, tp->app_limited=1)
OP(pacing, sk->sk_pacing_rate=1)
OP(pacing4, *(u32*)&sk->sk_pacing_rate=1)
OP(pstat, sk->sk_pacing_status=1)
OP(pend, tp->inet_conn.icsk_ack.pending=1)
OP(priv, tp->inet_conn.icsk_ca_priv[3]=1)
OP(priv0, *(u32*)((void*)tp->inet_conn.icsk_ca_priv+4)=1)
OP(privx, *(u64*)((void*)tp->inet_conn.icsk_ca_priv+100)=1)
OP(mark, sk->sk_mark=1)
OP(rcv, tp->rcv_nxt=1)
OP(beyond, *(u64*)&tp->snd_cwnd=1)
OP(half, *((u8*)&tp->snd_cwnd+1)=1)
OP(callk, tcp_cong_avoid_ai(tp,1,2))
OP(callk2, tcp_reno_ssthresh(sk))
OP(callbbr, bbr_init(sk))
OP(callslow, tp->snd_cwnd=tcp_slow_start(tp,2))
OP(walk, tp->snd_cwnd=sk->__sk_common.skc_prot->max_header)
OP(wother, sk->__sk_common.skc_prot->max_header=1)
OP(sksk, struct tcp_sock*t=bpf_tcp_sock((void*)sk))
OP(rel, bpf_rcu_read_lock(); bpf_rcu_read_unlock())

SEC("struct_ops")
u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return tcp_reno_ssthresh(sk);
}

SEC("struct_ops")
void BPF_PROG(cong, struct sock *sk, u32 ack, u32 acked)
{
	struct tcp_sock*tp=(void*)sk;
	tcp_cong_avoid_ai(tp, tp->snd_cwnd, acked);
}

SEC("struct_ops")
u32 BPF_PROG(undo, struct sock *sk)
{
	return tcp_reno_undo_cwnd(sk);
}

SEC("struct_ops")
void BPF_PROG(acked, struct sock *sk, const struct ack_sample*s)
{
	struct tcp_sock*tp=(void*)sk;
	tp->snd_cwnd=s->pkts_acked;
}

SEC("struct_ops")
void BPF_PROG(control, struct sock *sk, u32 ack, int flag, const struct rate_sample*rs)
{
	struct tcp_sock*tp=(void*)sk;
	tp->snd_cwnd=rs->delivered;
}

SEC("struct_ops")
u64 BPF_PROG(minseg, struct sock *sk)
{
	return 1;
}

SEC("struct_ops")
u64 BPF_PROG(ssret, struct sock *sk)
{
	return (u64)sk;
}
SEC(".struct_ops") struct tcp_congestion_ops allops = { .ssthresh=(void*)ssthresh, .cong_avoid=(void*)cong, .undo_cwnd=(void*)undo, .pkts_acked=(void*)acked, .cong_control=(void*)control, .min_tso_segs=(void*)minseg, .sndbuf_expand=(void*)ssret, .name="all"};

SEC("struct_ops")
int BPF_PROG(d1, struct bpf_dummy_ops_state*st)
{
	st->val=1;
	return 0;
}

SEC("struct_ops")
int BPF_PROG(d2, struct bpf_dummy_ops_state*st, int a1, unsigned short a2, char a3, unsigned long a4)
{
	st->val=1;
	return a1+a2+a3+a4;
}

SEC("struct_ops.s")
int BPF_PROG(ds, struct bpf_dummy_ops_state*st)
{
	st->val=1;
	return 0;
}
SEC(".struct_ops") struct bpf_dummy_ops dum={ .test_1=(void*)d1, .test_2=(void*)d2, .test_sleepable=(void*)ds };

SEC("struct_ops")
int BPF_PROG(d1n, struct bpf_dummy_ops_state*st)
{
	if (!st) return 1;
	st->val=1;
	return st->val;
}

SEC("struct_ops")
int BPF_PROG(d2b, struct bpf_dummy_ops_state*st)
{
	*(u64*)st=1;
	return 0;
}
SEC(".struct_ops") struct bpf_dummy_ops dum2={ .test_1=(void*)d1n, .test_2=(void*)d2b };

SEC("struct_ops")
int BPF_PROG(d1c, struct bpf_dummy_ops_state*st)
{
	*((char*)st+1)=1;
	return 0;
}

SEC("struct_ops")
int BPF_PROG(d2c, struct bpf_dummy_ops_state*st)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}
SEC(".struct_ops") struct bpf_dummy_ops dum3={ .test_1=(void*)d1c, .test_2=(void*)d2c };
