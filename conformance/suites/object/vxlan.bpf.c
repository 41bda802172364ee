// SPDX-License-Identifier: MIT OR Apache-2.0
/* Unwraps VXLAN: the outer headers go, tunnels are counted by network identifier. */
#include "packet.h"

struct vxlanhdr {
	__be32 flags;
	__be32 vni;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} tunnels SEC(".maps");

SEC("xdp")
int unwrap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct parsed p;

	if (parse(data, end, &p) < 0 || p.l4_proto != IPPROTO_UDP || p.fragment || !p.l4)
		return XDP_PASS;
	struct udphdr *udp = p.l4;
	struct vxlanhdr *vxlan = (void *)(udp + 1);

	if (!INSIDE(vxlan, end) || udp->dest != bpf_htons(4789))
		return XDP_PASS;
	if (!(vxlan->flags & bpf_htonl(0x08000000)))
		return XDP_DROP;
	__u32 vni = bpf_ntohl(vxlan->vni) >> 8;
	__u64 one = 1, *count = bpf_map_lookup_elem(&tunnels, &vni);

	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&tunnels, &vni, &one, BPF_ANY);

	/* Only the usual outer headers: without VLAN tags and options their size is known. */
	if (p.l3_proto != ETH_P_IP || p.l4 != data + sizeof(struct ethhdr) + sizeof(struct iphdr))
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(*udp) + sizeof(*vxlan)))
		return XDP_ABORTED;
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
