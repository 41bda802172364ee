// SPDX-License-Identifier: MIT OR Apache-2.0
/* Arithmetic that compiles differently for each -mcpu: signed division, sign extension, byte
 * order, 32-bit compares, long jumps. */
#include "packet.h"

__s64 results[24];

static __always_inline __u64 load(const __u8 *p, int bytes)
{
	__u64 v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

SEC("xdp")
int compute(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 48 > end)
		return XDP_ABORTED;
	__u64 a = load(data, 8), b = load(data + 8, 8), c = load(data + 30, 4);
	__s32 narrow = a;
	__s16 half = b;
	__s8 byte = c;

	results[0] = b ? a / b : 0;
	results[1] = c ? a % c : 0;
	results[2] = narrow;
	results[3] = half;
	results[4] = byte;
	results[5] = (__s64)byte * half;
	results[6] = __builtin_bswap16(half);
	results[7] = __builtin_bswap32(narrow);
	results[8] = __builtin_bswap64(a);
	results[9] = bpf_ntohs(half) + bpf_ntohl(narrow);
	results[10] = (__s64)a >> (c & 63);
	results[11] = narrow >> (c & 31);
	results[12] = (__u32)narrow >> (c & 31);
	results[13] = a << (b & 63);
	results[14] = narrow < half ? byte : -byte;
	results[15] = (__u32)a > (__u32)b;
	results[16] = (__s32)a > (__s32)b;
	results[17] = (__u64)(__u32)(a + b);
#if __BPF_CPU_VERSION__ >= 4
	results[18] = half ? (__s64)a / half : 0;
	results[19] = byte ? narrow % byte : 0;
#else
	results[18] = half ? (half < 0) == ((__s64)a < 0)
			? (__s64)(((__s64)a < 0 ? -a : a) / (half < 0 ? -(__s64)half : half))
			: -(__s64)(((__s64)a < 0 ? -a : a) / (half < 0 ? -(__s64)half : half))
		: 0;
	results[19] = 0;
#endif
	switch (c & 7) {
	case 0: results[20] += a; break;
	case 1: results[20] ^= b; break;
	case 2: results[20] -= narrow; break;
	case 3: results[20] |= half; break;
	case 4: results[20] &= ~byte; break;
	case 5: results[20] *= 3; break;
	case 6: results[20] = ~results[20]; break;
	default: results[20]++;
	}
	return (a ^ b ^ c) & 3;
}

char _license[] SEC("license") = "GPL";
