// SPDX-License-Identifier: MIT OR Apache-2.0
/* Dynptrs of local memory and of ring buffer records. */
#include "probe.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[300]);
} memory SEC(".maps");

#define BIG (hidden(1) << 32)

SEC("tc")
int local(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u32 zero = 0;
	char *value = bpf_map_lookup_elem(&memory, &zero);
	char buf[16] = "0123456789abcde", out[16] = {};
	char *data;

	if (!value)
		return 1;
	SEE(bpf_dynptr_from_mem(value, 300, 0, &ptr));
	SEE(bpf_dynptr_write(&ptr, 0, buf, 16, 0));
	SEE(bpf_dynptr_write(&ptr, 284, buf, 16, 0));
	SEE(bpf_dynptr_write(&ptr, 285, buf, 16, 0));
	SEE(bpf_dynptr_write(&ptr, 300, buf, 0, 0));
	SEE(bpf_dynptr_write(&ptr, 301, buf, 0, 0));
	SEE(bpf_dynptr_write(&ptr, 0, buf, 16, 1));
	SEE(bpf_dynptr_write(&ptr, 400, buf, 16, 1));
	SEE(bpf_dynptr_write(&ptr, BIG, buf, 16, 0));
	SEE(bpf_dynptr_read(out, 16, &ptr, 4, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 8, &ptr, 290, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, &ptr, 290, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, &ptr, 0, 1));
	SEE(bpf_dynptr_read(out, 16, &ptr, BIG, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, &ptr, 0xfffffff8, 0));
	data = bpf_dynptr_data(&ptr, 10, 8);
	SEE(data ? *(volatile __u8 *)data : -1);
	data = bpf_dynptr_data(&ptr, 292, 8);
	SEE(data != NULL);
	data = bpf_dynptr_data(&ptr, 293, 8);
	SEE(data != NULL);
	data = bpf_dynptr_data(&ptr, BIG, 8);
	SEE(data != NULL);
	/* Whoever has memory twice sees what is written through either. */
	data = bpf_dynptr_data(&ptr, 100, 4);
	if (data)
		*(__u32 *)data = 0xabcdef01;
	SEE(value[100]);
	return 0;
}

SEC("tc")
int refused(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u32 zero = 0;
	char *value = bpf_map_lookup_elem(&memory, &zero);
	char out[8] = {};

	if (!value)
		return 1;
	SEE(bpf_dynptr_from_mem(value, 300, 1, &ptr));
	SEE(bpf_dynptr_read(out, 8, &ptr, 0, 0));
	SEE(bpf_dynptr_write(&ptr, 0, out, 8, 0));
	SEE(bpf_dynptr_data(&ptr, 0, 8) != NULL);
	SEE(bpf_dynptr_read(out, 0, &ptr, 0, 0));
	return 0;
}

SEC("xdp")
int records(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	__u64 word = 0x1122334455667788;
	__u64 *data;

	SEE(bpf_ringbuf_reserve_dynptr(&ring, 24, 0, &ptr));
	SEE(bpf_dynptr_write(&ptr, 0, &word, 8, 0));
	SEE(bpf_dynptr_write(&ptr, 16, &word, 8, 0));
	data = bpf_dynptr_data(&ptr, 8, 8);
	SEE(data != NULL);
	if (data)
		*data = 7;
	SEE(bpf_dynptr_write(&ptr, 17, &word, 8, 0));
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	SEE(bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr));
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	SEE(bpf_ringbuf_reserve_dynptr(&ring, 8, 1, &ptr));
	SEE(bpf_dynptr_write(&ptr, 0, &word, 8, 0));
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	SEE(bpf_ringbuf_reserve_dynptr(&ring, 5000, 0, &ptr));
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	SEE(bpf_ringbuf_reserve_dynptr(&ring, 0x1000000, 0, &ptr));
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	SEE(bpf_ringbuf_reserve_dynptr(&ring, hidden(ctx->data_end - ctx->data) & 0xff, 0, &ptr));
	/* What was in the ring before is not compared. */
	for (int i = 0; i < 256; i++)
		seen[200 + i] = bpf_dynptr_write(&ptr, i, &word, 1, 0);
	SEE(bpf_dynptr_write(&ptr, 0, &word, 8, 0));
	SEE(bpf_dynptr_read(&word, 8, &ptr, 4, 0));
	bpf_ringbuf_submit_dynptr(&ptr, BPF_RB_NO_WAKEUP);
	SEE(bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA));
	return 0;
}
