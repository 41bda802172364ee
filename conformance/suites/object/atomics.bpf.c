// SPDX-License-Identifier: MIT OR Apache-2.0
/* Atomic operations on map values and globals, with and without their results. Needs -mcpu=v3. */
#include "packet.h"

struct cell {
	__u64 wide;
	__u32 narrow, other;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct cell);
} cells SEC(".maps");

__u64 old[16];
__u32 lock;

SEC("tc")
int atomics(struct __sk_buff *skb)
{
	__u32 key = skb->len & 3;
	struct cell fresh = { 0xfffffffffffffff0, 0xfffffff0, 77 }, *cell = bpf_map_lookup_elem(&cells, &key);

	if (!cell) {
		bpf_map_update_elem(&cells, &key, &fresh, BPF_ANY);
		cell = bpf_map_lookup_elem(&cells, &key);
		if (!cell)
			return TC_ACT_SHOT;
	}
	__sync_fetch_and_add(&cell->wide, skb->len);
	__sync_fetch_and_add(&cell->narrow, skb->len);
	old[0] = __sync_fetch_and_add(&cell->wide, 1);
	old[1] = __sync_fetch_and_add(&cell->narrow, 1);
	old[2] = __sync_fetch_and_or(&cell->wide, 0xf0f0);
	old[3] = __sync_fetch_and_or(&cell->narrow, 0x80000000);
	old[4] = __sync_fetch_and_and(&cell->wide, 0xff00ff00ff00ff00);
	old[5] = __sync_fetch_and_and(&cell->narrow, 0x0fffffff);
	old[6] = __sync_fetch_and_xor(&cell->wide, -1ull);
	old[7] = __sync_fetch_and_xor(&cell->narrow, -1);
	old[8] = __sync_lock_test_and_set(&cell->other, skb->len);
	old[9] = __sync_val_compare_and_swap(&cell->other, skb->len, 1234);
	old[10] = __sync_val_compare_and_swap(&cell->other, 5, 6);
	old[11] = __sync_val_compare_and_swap(&cell->wide, old[6], 1);
	old[12] = __sync_lock_test_and_set(&lock, 1);
	old[13] = __sync_fetch_and_sub(&cell->narrow, 3);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
