/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the example programs share: headers, and a parser up to the transport header. */
#ifndef PACKET_H
#define PACKET_H

#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLANS 2
#define MAX_EXT_HEADERS 4

/* The kernel's own layout of an 802.1Q tag, which is not in the UAPI headers. */
struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* The transport header's place and what leads there. */
struct parsed {
	void *l3;
	void *l4;
	__u16 l3_proto; /* host order */
	__u8 l4_proto;
	__u8 vlans;
	__u8 fragment; /* not the first of a fragmented packet */
};

struct ports {
	__be16 src, dst;
};

/* Hides a value from the optimiser: what is tested stays in the register that is used after. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

#define INSIDE(ptr, end) ((void *)((ptr) + 1) <= (end))

static __always_inline int parse(void *data, void *end, struct parsed *out)
{
	struct ethhdr *eth = data;

	__builtin_memset(out, 0, sizeof(*out));
	if (!INSIDE(eth, end))
		return -1;
	__be16 proto = eth->h_proto;
	void *next = eth + 1;

#pragma unroll
	for (int i = 0; i < MAX_VLANS; i++) {
		struct vlan_tag *tag = next;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if (!INSIDE(tag, end))
			return -1;
		proto = tag->proto;
		next = tag + 1;
		out->vlans++;
	}
	out->l3 = next;
	out->l3_proto = bpf_ntohs(proto);

	if (out->l3_proto == ETH_P_IP) {
		struct iphdr *ip = next;

		if (!INSIDE(ip, end) || ip->ihl < 5)
			return -1;
		out->l4 = next + ip->ihl * 4;
		out->l4_proto = ip->protocol;
		out->fragment = !!(ip->frag_off & bpf_htons(0x1fff));
		return 0;
	}
	if (out->l3_proto == ETH_P_IPV6) {
		struct ipv6hdr *ip6 = next;

		if (!INSIDE(ip6, end))
			return -1;
		__u8 header = ip6->nexthdr;

		next = ip6 + 1;
#pragma unroll
		for (int i = 0; i < MAX_EXT_HEADERS; i++) {
			__u8 *ext = next;

			OPAQUE(ext);
			if (header != IPPROTO_HOPOPTS && header != IPPROTO_ROUTING &&
			    header != IPPROTO_DSTOPTS && header != IPPROTO_FRAGMENT)
				break;
			if (ext + 8 > (__u8 *)end)
				return -1;
			if (header == IPPROTO_FRAGMENT) {
				out->fragment = !!(*(__be16 *)(ext + 2) & bpf_htons(0xfff8));
				next = ext + 8;
			} else {
				next = ext + 8 + ext[1] * 8;
			}
			header = ext[0];
		}
		out->l4 = next;
		out->l4_proto = header;
		return 0;
	}
	return 0;
}

#endif
