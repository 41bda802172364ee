// SPDX-License-Identifier: MIT OR Apache-2.0
/* Data of every kind: initialised, zero, constant, in sections of its own, with pointers into it,
 * and subprograms, static and global, that share it. */
#include "packet.h"

struct config {
	__u8 enabled;
	__u16 port;
	__u32 limits[4];
	char name[12];
};

const volatile struct config config = {
	.enabled = 1,
	.port = 8080,
	.limits = { 10, 20, 30, 40 },
	.name = "edge",
};
const volatile __u64 constants[3] SEC(".rodata.tuning") = { 3, 5, 7 };

__u64 packets = 1;
__s32 balance = -100;
__u8 flags[7] = { 1, 2, 3 };
__u32 custom SEC(".data.custom") = 0xc0ffee;
__u64 histogram[16];
static __u64 hidden;
__u32 sequence SEC(".bss.sequence");

static __noinline __u32 bucket(__u32 len)
{
	__u32 i = 0;

	while (len > 1 && i < 15) {
		len >>= 1;
		i++;
	}
	return i;
}

/* Global: verified on its own. */
__noinline int account(__u32 len, __u32 weight)
{
	__u32 i = bucket(len);

	if (i < 16)
		histogram[i] += weight;
	balance += config.limits[len & 3];
	return balance;
}

__noinline int checked(struct config *c)
{
	if (!c)
		return -1;
	return c->port + c->name[0];
}

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;
	struct config local = { .port = len, .name = "x" };

	packets++;
	hidden += len;
	custom ^= len;
	sequence = packets;
	__u32 slot = len % 7;

	OPAQUE(slot);
	if (slot < 7)
		flags[slot]++;
	if (!config.enabled)
		return XDP_ABORTED;
	__u32 weight = packets % 3;

	OPAQUE(weight);
	int result = account(len, weight < 3 ? constants[weight] : 0);

	result += checked(&local);
	return result & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
