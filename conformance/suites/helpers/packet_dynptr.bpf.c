// SPDX-License-Identifier: MIT OR Apache-2.0
/* Dynptrs of packets: what can be read, written, seen and moved through them. */
#include "kfunc.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, char[600]);
} memory SEC(".maps");

/* What every dynptr of a packet is asked. */
static __always_inline void common(struct bpf_dynptr *ptr)
{
	char out[16] = {}, buf[32] = {};
	struct bpf_dynptr other;
	__u32 zero = 0;
	char *value, *data;

	SEE(bpf_dynptr_size(ptr));
	SEE(bpf_dynptr_is_null(ptr));
	SEE(bpf_dynptr_is_rdonly(ptr));
	SEE(bpf_dynptr_read(out, 16, ptr, 0, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, ptr, 50, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, ptr, 4000, 0));
	SEE(bpf_dynptr_read(out, 16, ptr, 3512, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 16, ptr, 0, 1));
	SEE(bpf_dynptr_write(ptr, 2, "abcdefgh", 8, 0));
	SEE(bpf_dynptr_write(ptr, 60, "abcdefgh", 8, 0));
	SEE(bpf_dynptr_write(ptr, 3516, "abcdefgh", 8, 0));
	SEE(bpf_dynptr_write(ptr, 0xfff0, "abcdefgh", 8, 0));
	SEE(bpf_dynptr_data(ptr, 0, 8) != NULL);
	data = bpf_dynptr_slice(ptr, 12, buf, 8);
	SEE(data ? *(__u16 *)data : -1);
	data = bpf_dynptr_slice(ptr, 12, NULL, 8);
	SEE(data ? *(__u16 *)data : -1);
	data = bpf_dynptr_slice(ptr, 3512, buf, 32);
	SEE(data ? *(__u16 *)data : -1);
	SEE(*(__u64 *)buf);
	data = bpf_dynptr_slice(ptr, 3512, NULL, 32);
	SEE(data != NULL);
	data = bpf_dynptr_slice(ptr, 3600, NULL, 32);
	SEE(data ? *(__u16 *)data : -1);
	data = bpf_dynptr_slice(ptr, 0xffff0000, buf, 32);
	SEE(data != NULL);
	SEE(bpf_dynptr_clone(ptr, &other));
	SEE(bpf_dynptr_adjust(&other, 10, 30));
	SEE(bpf_dynptr_size(&other));
	SEE(bpf_dynptr_adjust(&other, 21, 21));
	SEE(bpf_dynptr_adjust(&other, 5, 4));
	SEE(bpf_dynptr_adjust(&other, 4, 21));
	SEE(bpf_dynptr_read(out, 8, &other, 4, 0));
	SEE(*(__u64 *)out);
	SEE(bpf_dynptr_read(out, 8, &other, 13, 0));
	SEE(bpf_dynptr_adjust(&other, 20, 20));
	SEE(bpf_dynptr_size(&other));
	value = bpf_map_lookup_elem(&memory, &zero);
	if (!value)
		return;
	SEE(bpf_dynptr_from_mem(value, 600, 0, &other));
	SEE(bpf_dynptr_copy(&other, 0, ptr, 0, 20));
	SEE(bpf_dynptr_copy(&other, 20, ptr, 3500, 60));
	SEE(bpf_dynptr_copy(&other, 590, ptr, 0, 20));
	SEE(bpf_dynptr_copy(&other, 0, ptr, 9000, 20));
	SEE(bpf_dynptr_copy(ptr, 30, &other, 0, 4));
	SEE(bpf_dynptr_copy(ptr, 3500, &other, 0, 60));
	SEE(bpf_dynptr_copy(ptr, 20, ptr, 22, 6));
	SEE(bpf_dynptr_memset(ptr, 40, 4, 0x5a));
	SEE(bpf_dynptr_memset(ptr, 3500, 300, 0x5b));
	SEE(bpf_dynptr_memset(ptr, 9000, 4, 0x5c));
	SEE(bpf_dynptr_memset(&other, 100, 4, 0x5d));
	SEE(bpf_dynptr_memset(&other, 598, 4, 0x5e));
}

SEC("tc")
int of_skb(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	char buf[8], *data;

	SEE(bpf_dynptr_from_skb(skb, 1, &ptr));
	SEE(bpf_dynptr_size(&ptr));
	SEE(bpf_dynptr_is_null(&ptr));
	SEE(bpf_dynptr_is_rdonly(&ptr));
	SEE(bpf_dynptr_from_skb(skb, 0, &ptr));
	common(&ptr);
	SEE(bpf_dynptr_write(&ptr, 0, "ab", 2, BPF_F_RECOMPUTE_CSUM));
	SEE(bpf_dynptr_write(&ptr, 0, "cd", 2, 4));
	data = bpf_dynptr_slice_rdwr(&ptr, 8, buf, 8);
	if (data)
		data[0] ^= 0xff;
	return 0;
}

SEC("tc")
int of_meta(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	char out[4] = { 1, 2, 3, 4 };

	SEE(bpf_dynptr_from_skb_meta(skb, 1, &ptr));
	SEE(bpf_dynptr_is_null(&ptr));
	SEE(bpf_dynptr_from_skb_meta(skb, 0, &ptr));
	SEE(bpf_dynptr_size(&ptr));
	SEE(bpf_dynptr_is_null(&ptr));
	SEE(bpf_dynptr_is_rdonly(&ptr));
	SEE(bpf_dynptr_read(out, 4, &ptr, 0, 0));
	SEE(*(__u32 *)out);
	SEE(bpf_dynptr_write(&ptr, 0, out, 4, 0));
	SEE(bpf_dynptr_slice(&ptr, 0, out, 4) != NULL);
	return 0;
}

SEC("cgroup_skb/egress")
int of_cgroup(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	SEE(bpf_dynptr_from_skb(skb, 0, &ptr));
	common(&ptr);
	return 1;
}

SEC("socket")
int of_socket(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	SEE(bpf_dynptr_from_skb(skb, 0, &ptr));
	common(&ptr);
	return 1;
}

SEC("lwt_xmit")
int of_lwt(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	SEE(bpf_dynptr_from_skb(skb, 0, &ptr));
	common(&ptr);
	return 0;
}

SEC("xdp")
int of_frame(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	char buf[8], *data;

	SEE(bpf_dynptr_from_xdp(ctx, 1, &ptr));
	SEE(bpf_dynptr_is_null(&ptr));
	SEE(bpf_dynptr_from_xdp(ctx, 0, &ptr));
	common(&ptr);
	SEE(bpf_dynptr_write(&ptr, 0, "ab", 2, 1));
	data = bpf_dynptr_slice_rdwr(&ptr, 8, buf, 8);
	if (data)
		data[0] ^= 0xff;
	return XDP_PASS;
}

SEC("xdp.frags")
int of_fragments(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	char buf[32] = {}, *data;

	SEE(bpf_dynptr_from_xdp(ctx, 0, &ptr));
	common(&ptr);
	data = bpf_dynptr_slice_rdwr(&ptr, 3600, buf, 8);
	if (data)
		data[0] ^= 0xff;
	data = bpf_dynptr_slice_rdwr(&ptr, 3516, buf, 8);
	SEE(data != NULL);
	if (data)
		data[0] ^= 0xff;
	return XDP_PASS;
}
