// SPDX-License-Identifier: MIT OR Apache-2.0
/* A guard at the edge: drops UDP to blocked ports, takes one hop off what goes on, and tells
 * user space about each IPv4 packet. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum outcome { PASSED, BLOCKED, EXPIRED, NOT_IPV4, OUTCOMES };

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct event {
	__u8 source[4];
	__u16 port;
	__u8 ttl;
	__u8 blocked;
};
/* Names the type of the records for tools; the compiler would leave it out otherwise. */
const struct event *unused __attribute__((unused));

/* Blocked UDP ports, with the number of packets that wanted to go there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u64);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, enum outcome);
	__type(value, struct counter);
} outcomes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

const volatile __u8 min_ttl = 2;

static int ends(struct xdp_md *ctx, enum outcome outcome, int verdict)
{
	struct counter *counter = bpf_map_lookup_elem(&outcomes, &outcome);

	if (counter) {
		counter->packets++;
		counter->bytes += ctx->data_end - ctx->data;
	}
	return verdict;
}

static void report(struct iphdr *ip, __u16 port, int is_blocked)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return;
	__builtin_memcpy(event->source, &ip->saddr, sizeof(event->source));
	event->port = port;
	event->ttl = ip->ttl;
	event->blocked = is_blocked;
	bpf_ringbuf_submit(event, 0);
}

/* Takes one off the time to live and adds it to the checksum (RFC 1141). */
static void forward(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

SEC("xdp")
int guard(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u16 port = 0;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return ends(ctx, NOT_IPV4, XDP_PASS);
	if (ip->ihl == 5 && ip->protocol == IPPROTO_UDP && (void *)(udp + 1) <= end) {
		port = bpf_ntohs(udp->dest);
		__u64 *hits = bpf_map_lookup_elem(&blocked, &port);

		if (hits) {
			__sync_fetch_and_add(hits, 1);
			bpf_printk("blocked port %d, %d bytes", port, (int)(end - data));
			report(ip, port, 1);
			return ends(ctx, BLOCKED, XDP_DROP);
		}
	}
	report(ip, port, 0);
	if (ip->ttl < min_ttl)
		return ends(ctx, EXPIRED, XDP_DROP);
	forward(ip);
	return ends(ctx, PASSED, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
