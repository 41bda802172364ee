// SPDX-License-Identifier: MIT OR Apache-2.0
/* Socket filters in the classic manner: legacy packet loads, and how much to keep as the result. */
#include "packet.h"

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");

#define SKF_NET_OFF (-0x100000)
#define SKF_LL_OFF (-0x200000)

__u64 seen[8];

SEC("socket")
int udp_only(struct __sk_buff *skb)
{
	if (load_half(skb, 12) != ETH_P_IP)
		return 0;
	__u32 header = (load_byte(skb, 14) & 0xf) * 4;

	if (load_byte(skb, 14 + 9) != IPPROTO_UDP)
		return 0;
	seen[0] = load_word(skb, 14 + 12);
	seen[1] = load_half(skb, 14 + header + 2);
	seen[2] = load_word(skb, 14 + header);
	return 14 + header + 8;
}

/* The packet as the kernel shows it to a socket begins at the network header. */
SEC("socket")
int from_network(struct __sk_buff *skb)
{
	seen[3] = load_byte(skb, 0);
	seen[4] = load_half(skb, 2);
	seen[5] = load_word(skb, 12);
	seen[6] = load_half(skb, SKF_NET_OFF + 2);
	seen[7] = load_word(skb, skb->len - 4);
	return -1;
}

/* A load past the end ends the program with 0. */
SEC("socket")
int too_far(struct __sk_buff *skb)
{
	seen[0]++;
	seen[1] = load_word(skb, skb->len - 2);
	seen[2]++;
	return 1;
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	seen[3] = load_half(skb, 12);
	seen[4] = load_word(skb, SKF_LL_OFF + 6);
	seen[5] = load_word(skb, SKF_NET_OFF);
	return load_byte(skb, 23) == IPPROTO_TCP ? TC_ACT_OK : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
