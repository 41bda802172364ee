// SPDX-License-Identifier: MIT OR Apache-2.0
/* Packet samples to a ring buffer, by every way there is: copied, reserved, discarded, too large. */
#include "packet.h"

#define SNAP 32

struct sample {
	__u32 len;
	__u16 l3_proto;
	__u8 l4_proto, vlans;
	__u8 head[SNAP];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __s64);
} results SEC(".maps");

static __always_inline void result(__u32 index, __s64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

static __always_inline int sample(void *data, void *end)
{
	struct parsed p;
	int parsed = parse(data, end, &p);
	struct sample *s = bpf_ringbuf_reserve(&samples, sizeof(*s), 0);

	if (!s)
		return 0;
	__builtin_memset(s, 0, sizeof(*s));
	s->len = end - data;
	s->l3_proto = p.l3_proto;
	s->l4_proto = p.l4_proto;
	s->vlans = p.vlans;
	if (data + SNAP <= end)
		__builtin_memcpy(s->head, data, SNAP);
	if (parsed < 0) {
		bpf_ringbuf_discard(s, BPF_RB_NO_WAKEUP);
		return -1;
	}
	bpf_ringbuf_submit(s, BPF_RB_FORCE_WAKEUP);
	return 1;
}

SEC("xdp")
int sample_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	int taken = sample(data, end);

	result(0, taken);
	result(1, bpf_ringbuf_query(&samples, BPF_RB_RING_SIZE));
	result(2, bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA));
	result(3, bpf_ringbuf_query(&samples, BPF_RB_PROD_POS));
	result(4, bpf_ringbuf_query(&samples, BPF_RB_CONS_POS));
	result(5, bpf_ringbuf_query(&samples, 99));
	return taken < 0 ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int sample_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;
	__u32 words[3] = { skb->len, skb->protocol, 0x5a5a5a5a };

	result(0, bpf_ringbuf_output(&samples, words, sizeof(words), 0));
	result(1, bpf_ringbuf_output(&samples, words, 1, BPF_RB_NO_WAKEUP));
	result(2, bpf_ringbuf_output(&samples, words, 8, 1 << 7));
	result(3, bpf_ringbuf_output(&samples, words, 8, BPF_RB_FORCE_WAKEUP));
	if (data + 14 <= end) {
		__u8 header[14];

		__builtin_memcpy(header, data, sizeof(header));
		result(4, bpf_ringbuf_output(&samples, header, sizeof(header), 0));
	}
	result(5, bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA));
	return TC_ACT_OK;
}

/* Fills the ring until it refuses. */
SEC("socket")
int overflow(struct __sk_buff *skb)
{
	static char block[256] = { 1, 2, 3, 4 };
	int sent = 0;

	for (int i = 0; i < 32; i++) {
		long err = bpf_ringbuf_output(&samples, block, sizeof(block), 0);

		if (err) {
			result(6, err);
			break;
		}
		sent++;
	}
	void *too_large = bpf_ringbuf_reserve(&samples, 8192, 0);

	if (too_large)
		bpf_ringbuf_discard(too_large, 0);
	result(7, !!too_large);
	result(8, bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA));
	return sent;
}

char _license[] SEC("license") = "GPL";
