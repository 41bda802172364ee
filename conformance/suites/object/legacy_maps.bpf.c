// SPDX-License-Identifier: MIT OR Apache-2.0
/* Map definitions from before BTF: an array of plain structs in the section "maps". */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def {
	unsigned int type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") lengths = {
	.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4,
};
struct bpf_map_def SEC("maps") seen = {
	.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 4, .max_entries = 16, .map_flags = 1,
};

SEC("socket")
int measure(struct __sk_buff *skb)
{
	__u32 len = skb->len, index = (len >> 6) & 3, one = 1;
	__u64 *sum = bpf_map_lookup_elem(&lengths, &index);

	if (sum)
		__sync_fetch_and_add(sum, len);
	bpf_map_update_elem(&seen, &len, &one, 0);
	return len;
}

char _license[] SEC("license") = "GPL";
