// SPDX-License-Identifier: MIT OR Apache-2.0
/* Subprograms eight frames deep, with pointers into each other's stacks, and five arguments. */
#include "packet.h"

__u64 trail[8];

#define LEVEL(n, next)                                   \
	static __noinline __u64 level##n(__u64 *up, __u64 x) \
	{                                                \
		volatile __u64 mine = x + n;             \
		__u64 copy = mine;                       \
		__u64 below = next(&copy, x * 3 + 1);    \
		*up += copy + n;                         \
		trail[n] = below;                        \
		return below ^ mine;                     \
	}

static __noinline __u64 bottom(__u64 *up, __u64 x)
{
	*up = x << 7;
	return x;
}

LEVEL(6, bottom)
LEVEL(5, level6)
LEVEL(4, level5)
LEVEL(3, level4)
LEVEL(2, level3)
LEVEL(1, level2)

static __noinline __u64 five(__u64 a, __u32 b, __s16 c, __s8 d, __u64 *e)
{
	*e += a;
	return a - b * 2 + c * 3 - d * 5;
}

SEC("xdp")
int deep(struct xdp_md *ctx)
{
	__u64 top = 5, len = ctx->data_end - ctx->data;

	trail[0] = level1(&top, len) + top;
	trail[7] = five(len, 7, -300, -3, &top) + top;
	return trail[0] & 3;
}

char _license[] SEC("license") = "GPL";
