// SPDX-License-Identifier: MIT OR Apache-2.0
/* DNS questions by name: the labels are read byte by byte into a key, in a bounded loop. */
#include "packet.h"

#define NAME_BYTES 64

struct dns_header {
	__be16 id, flags, questions, answers, authorities, additional;
};

struct question {
	char name[NAME_BYTES];
	__u16 type;
	__u16 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct question);
	__type(value, __u32);
} questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct question);
} scratch SEC(".maps");

static __always_inline __u8 lower(__u8 c)
{
	return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
}

SEC("xdp")
int questions_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct parsed p;
	__u32 zero = 0;

	if (parse(data, end, &p) < 0 || p.l4_proto != IPPROTO_UDP || p.fragment || !p.l4)
		return XDP_PASS;
	struct udphdr *udp = p.l4;
	struct dns_header *dns = (void *)(udp + 1);

	if (!INSIDE(dns, end) || udp->dest != bpf_htons(53))
		return XDP_PASS;
	if (dns->questions != bpf_htons(1) || dns->flags & bpf_htons(0x8000))
		return XDP_DROP;
	struct question *q = bpf_map_lookup_elem(&scratch, &zero);

	if (!q)
		return XDP_ABORTED;
	__builtin_memset(q, 0, sizeof(*q));

	__u8 *cursor = (void *)(dns + 1);
	__u8 left = 0;
	__u32 i;

	for (i = 0; i < NAME_BYTES - 1; i++) {
		if (cursor + 1 > (__u8 *)end)
			return XDP_DROP;
		__u8 c = *cursor++;

		if (left) {
			q->name[i] = lower(c);
			left--;
		} else if (c == 0) {
			break;
		} else if (c > 63) {
			return XDP_DROP;
		} else {
			q->name[i] = '.';
			left = c;
		}
	}
	q->bytes = i;
	if (cursor + 4 > (__u8 *)end)
		return XDP_DROP;
	q->type = bpf_ntohs(*(__be16 *)cursor);

	__u32 one = 1, *seen = bpf_map_lookup_elem(&questions, q);

	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&questions, q, &one, BPF_NOEXIST);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
