// SPDX-License-Identifier: MIT OR Apache-2.0
/* SipHash-2-4 of the packet's first 64 bytes, and a sampling decision by it. */
#include "packet.h"

#define ROTL(x, b) ((x) << (b) | (x) >> (64 - (b)))
#define ROUND                                                      \
	do {                                                       \
		v0 += v1; v1 = ROTL(v1, 13); v1 ^= v0; v0 = ROTL(v0, 32); \
		v2 += v3; v3 = ROTL(v3, 16); v3 ^= v2;             \
		v0 += v3; v3 = ROTL(v3, 21); v3 ^= v0;             \
		v2 += v1; v1 = ROTL(v1, 17); v1 ^= v2; v2 = ROTL(v2, 32); \
	} while (0)

const volatile __u64 key[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
__u64 digest;

static __noinline __u64 siphash(const __u64 *words)
{
	__u64 v0 = 0x736f6d6570736575 ^ key[0], v1 = 0x646f72616e646f6d ^ key[1];
	__u64 v2 = 0x6c7967656e657261 ^ key[0], v3 = 0x7465646279746573 ^ key[1];

	for (int i = 0; i < 8; i++) {
		__u64 m = words[i];

		v3 ^= m;
		ROUND;
		ROUND;
		v0 ^= m;
	}
	__u64 tail = 64ull << 56;

	v3 ^= tail;
	ROUND;
	ROUND;
	v0 ^= tail;
	v2 ^= 0xff;
	ROUND;
	ROUND;
	ROUND;
	ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

SEC("xdp")
int sample(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 words[8] = {};

	if (data + sizeof(words) <= end)
		__builtin_memcpy(words, data, sizeof(words));
	digest = siphash(words);
	return digest % 10 == 0 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
