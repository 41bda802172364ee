// SPDX-License-Identifier: MIT OR Apache-2.0
/* Storage of sockets, of cgroups, and what helpers say of sockets. */
#include "probe.h"

struct value {
	__u64 count;
	__u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct value);
} cgroup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, struct value);
} percpu_cgroup SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

SEC("cgroup_skb/egress")
int of_socket(struct __sk_buff *skb)
{
	struct value first = { 5, 6 }, *value;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	SEE(bpf_sk_storage_delete(&sockets, sk));
	SEE(bpf_sk_storage_get(&sockets, sk, NULL, 0) != NULL);
	SEE(bpf_sk_storage_get(&sockets, sk, &first, 0) != NULL);
	SEE(bpf_sk_storage_get(&sockets, sk, &first, 2) != NULL);
	value = bpf_sk_storage_get(&sockets, sk, &first, BPF_SK_STORAGE_GET_F_CREATE);
	if (!value)
		return 0;
	SEE(value->count + value->id);
	value->count++;
	value = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	SEE(value ? value->count : 0);
	SEE(bpf_sk_storage_delete(&sockets, sk));
	SEE(bpf_sk_storage_delete(&sockets, sk));
	value = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	SEE(value ? value->count : -1);
	return 1;
}

SEC("tc")
int lasting(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct value *value;

	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return 0;
	value = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!value)
		return 1;
	/* Repetitions share the socket, runs do not. */
	SEE(++value->count);
	return 0;
}

SEC("cgroup_skb/ingress")
int of_cgroup(struct __sk_buff *skb)
{
	struct value *value = bpf_get_local_storage(&cgroup, 0);
	struct value *percpu = bpf_get_local_storage(&percpu_cgroup, 0);

	SEE(value->count);
	SEE(percpu->count);
	value->count += 3;
	percpu->count += 5;
	percpu = bpf_get_local_storage(&percpu_cgroup, 0);
	SEE(percpu->count);
	return 1;
}

SEC("tc")
int casts(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = skb->sk, *found;
	struct bpf_xfrm_state state;
	char header[60] = { 0x45 };

	SEE(bpf_skb_under_cgroup(skb, &cgroups, 0));
	SEE(bpf_skb_under_cgroup(skb, &cgroups, 2));
	SEE(bpf_current_task_under_cgroup(&cgroups, 1));
	SEE(bpf_current_task_under_cgroup(&cgroups, 9));
	__builtin_memset(&state, 1, sizeof(state));
	SEE(bpf_skb_get_xfrm_state(skb, 0, &state, sizeof(state), 0));
	SEE(*(__u64 *)&state);
	if (!sk)
		return 0;
	SEE(bpf_skc_to_tcp_sock(sk) != NULL);
	SEE(bpf_skc_to_tcp6_sock(sk) != NULL);
	SEE(bpf_skc_to_tcp_timewait_sock(sk) != NULL);
	SEE(bpf_skc_to_tcp_request_sock(sk) != NULL);
	SEE(bpf_skc_to_udp6_sock(sk) != NULL);
	SEE(bpf_skc_to_unix_sock(sk) != NULL);
	SEE(bpf_skc_to_mptcp_sock(sk) != NULL);
	SEE(bpf_tcp_sock(sk) != NULL);
	SEE(bpf_get_listener_sock(sk) != NULL);
	SEE(bpf_tcp_check_syncookie(sk, header, 20, (void *)header, 20));
	SEE(bpf_tcp_check_syncookie(sk, header, 20, (void *)header, 19));
	SEE(bpf_tcp_gen_syncookie(sk, header, 20, (void *)header, 20));
	SEE(bpf_tcp_gen_syncookie(sk, header, 20, (void *)header, 19));
	tuple.ipv4.dport = bpf_htons(1);
	for (int flags = 0; flags < 2; flags++) {
		found = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, flags);
		seen[200 + flags] = found != NULL;
		if (found)
			bpf_sk_release(found);
		found = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv6), 5, flags);
		seen[202 + flags] = found != NULL;
		if (found)
			bpf_sk_release(found);
		found = bpf_skc_lookup_tcp(skb, &tuple, 7, BPF_F_CURRENT_NETNS, flags);
		seen[204 + flags] = found != NULL;
		if (found)
			bpf_sk_release(found);
	}
	return 0;
}

struct header {
	__be16 source, dest;
	__be32 seq, ack_seq;
	__u8 doff, flags;
	__be16 window, check, urgent;
	__u8 options[20];
};

SEC("xdp")
int cookies(struct xdp_md *ctx)
{
	struct header tcp = { 1, 2, bpf_htonl(100), 0, 5 << 4, 2 };
	char ip[40] = { 0x45, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	__s64 cookie;

	cookie = bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)&tcp, 20);
	SEE((__u64)cookie >> 32);
	SEE(bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)&tcp, 24));
	SEE(bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)&tcp, 0));
	SEE(bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)&tcp, 19));
	tcp.seq = bpf_htonl(101);
	tcp.ack_seq = bpf_htonl(cookie + 1);
	SEE(bpf_tcp_raw_check_syncookie_ipv4((void *)ip, (void *)&tcp));
	tcp.ack_seq = bpf_htonl(cookie + 0x40000001);
	SEE(bpf_tcp_raw_check_syncookie_ipv4((void *)ip, (void *)&tcp));
	tcp.seq = bpf_htonl(100);
	tcp.doff = 6 << 4;
	tcp.options[0] = 2, tcp.options[1] = 4, tcp.options[2] = 5, tcp.options[3] = 0xb4;
	cookie = bpf_tcp_raw_gen_syncookie_ipv6((void *)ip, (void *)&tcp, 24);
	SEE((__u64)cookie >> 32);
	SEE(bpf_tcp_raw_gen_syncookie_ipv6((void *)ip, (void *)&tcp, 20));
	tcp.seq = bpf_htonl(101);
	tcp.ack_seq = bpf_htonl(cookie + 1);
	SEE(bpf_tcp_raw_check_syncookie_ipv6((void *)ip, (void *)&tcp));
	for (int i = 0; i < 16; i++) {
		__u16 sizes[16] = { 0, 1, 535, 536, 537, 1219, 1220, 1221, 1299, 1300, 1379, 1420, 1440,
			1460, 8940, 65535 };
		__u16 size = sizes[i];

		tcp.options[2] = size >> 8, tcp.options[3] = size;
		cookie = bpf_tcp_raw_gen_syncookie_ipv4((void *)ip, (void *)&tcp, 24);
		seen[200 + i] = (__u64)cookie >> 32;
		cookie = bpf_tcp_raw_gen_syncookie_ipv6((void *)ip, (void *)&tcp, 24);
		seen[220 + i] = (__u64)cookie >> 32;
	}
	tcp.seq = bpf_htonl(0x10000101);
	SEE(bpf_tcp_raw_check_syncookie_ipv6((void *)ip, (void *)&tcp));
	return 0;
}
