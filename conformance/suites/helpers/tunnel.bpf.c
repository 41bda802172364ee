// SPDX-License-Identifier: MIT OR Apache-2.0
/* Tunnel metadata: keys in all their forms, and options. */
#include "probe.h"

#define IPV6 BPF_F_TUNINFO_IPV6
#define WITH_FLAGS (1ull << 4)

static struct bpf_tunnel_key key4(void)
{
	struct bpf_tunnel_key key = {
		.tunnel_id = 0x12345, .remote_ipv4 = 0x0a000001,
		.tunnel_tos = 3, .tunnel_ttl = 64,
	};

	key.local_ipv6[0] = 0x0a000002;
	key.local_ipv6[3] = 0x11223344;
	key.remote_ipv6[2] = 0x55667788;
	return key;
}

static struct bpf_tunnel_key key6(void)
{
	struct bpf_tunnel_key key = key4();

	key.tunnel_label = 0x923456;
	return key;
}

/* Sets and reads back; a step takes eight places. */
#define STEP(n, key, set_size, set_flags, get_size, get_flags) ({ \
	struct bpf_tunnel_key in = key, out; \
	__builtin_memset(&out, 0xa5, sizeof(out)); \
	seen[8 * (n)] = bpf_skb_set_tunnel_key(skb, &in, set_size, set_flags); \
	seen[8 * (n) + 1] = bpf_skb_get_tunnel_key(skb, &out, get_size, get_flags); \
	__builtin_memcpy(&seen[8 * (n) + 2], &out, sizeof(out)); })
#define OPTIONS(n, set_size, get_size) ({ \
	__builtin_memset(buf, 0xa5, sizeof(buf)); \
	seen[8 * (n)] = bpf_skb_set_tunnel_opt(skb, bytes, set_size); \
	seen[8 * (n) + 1] = bpf_skb_get_tunnel_opt(skb, buf, get_size); \
	__builtin_memcpy(&seen[8 * (n) + 2], buf, sizeof(buf)); })

SEC("tc")
int keys4(struct __sk_buff *skb)
{
	struct bpf_tunnel_key out = {};

	seen[500] = bpf_skb_get_tunnel_key(skb, &out, sizeof(out), 0);
	STEP(0, key4(), 44, 0, 44, 0);
	STEP(1, key4(), 44, 0, 44, WITH_FLAGS);
	STEP(2, key4(), 44, 0, 44, IPV6);
	STEP(3, key4(), 44, 0, 44, 2);
	STEP(4, key4(), 44, 2, 44, WITH_FLAGS);
	STEP(5, key4(), 44, 4, 44, WITH_FLAGS);
	STEP(6, key4(), 44, 8, 44, WITH_FLAGS);
	STEP(7, key4(), 44, 16, 44, WITH_FLAGS);
	STEP(8, key4(), 44, 32, 44, 0);
	STEP(9, key4(), 28, 0, 28, 0);
	STEP(10, key4(), 24, 0, 24, WITH_FLAGS);
	STEP(11, key4(), 22, 0, 22, 0);
	STEP(12, key4(), 8, 0, 8, 0);
	STEP(13, key4(), 20, 0, 20, 0);
	STEP(14, key4(), 43, 0, 43, 0);
	STEP(15, key4(), 4, 0, 4, 0);
	STEP(16, key6(), 44, 0, 44, 0);
	return 0;
}

SEC("tc")
int keys6(struct __sk_buff *skb)
{
	STEP(0, key6(), 44, IPV6, 44, IPV6);
	STEP(1, key6(), 44, IPV6, 44, IPV6 | WITH_FLAGS);
	STEP(2, key6(), 44, IPV6, 44, 0);
	STEP(3, key6(), 28, IPV6, 28, IPV6);
	STEP(4, key6(), 24, IPV6, 24, IPV6);
	STEP(5, key6(), 22, IPV6, 22, IPV6);
	STEP(6, key6(), 8, IPV6, 8, IPV6);
	STEP(7, key6(), 44, IPV6 | 4, 40, IPV6);
	return 0;
}

SEC("tc")
int options(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = key4();
	char buf[16];

	for (int i = 0; i < 300; i++)
		bytes[i] = i;
	OPTIONS(0, 8, 16);
	seen[500] = bpf_skb_set_tunnel_key(skb, &key, sizeof(key), 0);
	OPTIONS(1, 8, 16);
	OPTIONS(2, 16, 16);
	OPTIONS(3, 16, 8);
	OPTIONS(4, 6, 16);
	OPTIONS(5, 256, 16);
	OPTIONS(6, 252, 16);
	seen[501] = bpf_skb_get_tunnel_key(skb, &key, sizeof(key), WITH_FLAGS);
	__builtin_memcpy(&seen[502], &key, 24);
	seen[506] = bpf_skb_set_tunnel_key(skb, &key, 22, 0);
	seen[507] = bpf_skb_get_tunnel_opt(skb, buf, sizeof(buf));
	return 0;
}
