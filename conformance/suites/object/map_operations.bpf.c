// SPDX-License-Identifier: MIT OR Apache-2.0
/* What each kind of map answers to update, look-up and delete with every flag, full and empty. */
#include "packet.h"

#define MAP(name, kind, entries, ...)                \
	struct {                                 \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(max_entries, entries);      \
		__type(key, __u32);                \
		__type(value, __u64);              \
		__VA_ARGS__;                       \
	} name SEC(".maps")

MAP(array, ARRAY, 4);
MAP(percpu_array, PERCPU_ARRAY, 4);
MAP(hash, HASH, 4);
MAP(sparse, HASH, 4, __uint(map_flags, BPF_F_NO_PREALLOC));
MAP(percpu_hash, PERCPU_HASH, 4);
MAP(lru, LRU_HASH, 64);
MAP(lru_percpu, LRU_PERCPU_HASH, 64);

struct prefix {
	__u32 bits;
	__u8 data[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} trie SEC(".maps");

__s64 results[7][20];
__s64 trie_results[32];

static __always_inline __s64 value_of(void *map, __u32 key)
{
	__u64 *value = bpf_map_lookup_elem(map, &key);

	return value ? (__s64)*value : -1;
}

#define EXERCISE(row, map)                                                          \
	({                                                                          \
		__u32 zero = 0, one = 1, far = 100;                                 \
		__u64 v = 42, w = 43;                                               \
		__s64 *r = results[row];                                            \
		r[0] = value_of(&map, 0);                                           \
		r[1] = bpf_map_update_elem(&map, &zero, &v, BPF_EXIST);             \
		r[2] = bpf_map_update_elem(&map, &zero, &v, BPF_NOEXIST);           \
		r[3] = bpf_map_update_elem(&map, &zero, &w, BPF_NOEXIST);           \
		r[4] = bpf_map_update_elem(&map, &zero, &w, BPF_EXIST);             \
		r[5] = value_of(&map, 0);                                           \
		r[6] = bpf_map_update_elem(&map, &one, &v, BPF_F_LOCK);             \
		r[7] = bpf_map_update_elem(&map, &one, &v, 3);                      \
		r[8] = bpf_map_update_elem(&map, &one, &v, 99);                     \
		r[9] = bpf_map_delete_elem(&map, &far);                             \
		r[10] = value_of(&map, 100);                                        \
		for (__u32 i = 0; i < 4; i++) {                                     \
			__u32 key = 10 + i;                                         \
			r[11 + i] = bpf_map_update_elem(&map, &key, &v, BPF_ANY);   \
		}                                                                   \
		r[15] = bpf_map_delete_elem(&map, &zero);                           \
		r[16] = bpf_map_delete_elem(&map, &zero);                           \
		r[17] = bpf_map_update_elem(&map, &far, &w, BPF_ANY);               \
		r[18] = value_of(&map, 100);                                        \
		r[19] = value_of(&map, 0);                                          \
	})

SEC("tc")
int tables(struct __sk_buff *skb)
{
	EXERCISE(0, array);
	EXERCISE(1, percpu_array);
	EXERCISE(2, hash);
	EXERCISE(3, sparse);
	EXERCISE(4, percpu_hash);
	EXERCISE(5, lru);
	EXERCISE(6, lru_percpu);
	return TC_ACT_OK;
}

static __always_inline __s64 find(__u32 bits, __u32 addr)
{
	struct prefix key = { .bits = bits };

	__builtin_memcpy(key.data, &addr, 4);
	__u32 *value = bpf_map_lookup_elem(&trie, &key);

	return value ? *value : -1;
}

static __always_inline __s64 add(__u32 bits, __u32 addr, __u32 value, __u64 flags)
{
	struct prefix key = { .bits = bits };

	__builtin_memcpy(key.data, &addr, 4);
	return bpf_map_update_elem(&trie, &key, &value, flags);
}

static __always_inline __s64 drop(__u32 bits, __u32 addr)
{
	struct prefix key = { .bits = bits };

	__builtin_memcpy(key.data, &addr, 4);
	return bpf_map_delete_elem(&trie, &key);
}

SEC("tc")
int prefixes(struct __sk_buff *skb)
{
	__s64 *r = trie_results;
	__u32 net = bpf_htonl(0x0a010000), host = bpf_htonl(0x0a0102ff), other = bpf_htonl(0x0b000000);

	r[0] = find(32, host);
	r[1] = add(16, net, 16, BPF_ANY);
	r[2] = add(16, host, 17, BPF_NOEXIST);
	r[3] = add(16, host, 18, BPF_EXIST);
	r[4] = find(32, host);
	r[5] = find(8, host);
	r[6] = find(16, host);
	r[7] = add(32, host, 32, BPF_NOEXIST);
	r[8] = find(32, host);
	r[9] = find(31, host);
	r[10] = add(0, other, 1, BPF_ANY);
	r[11] = find(32, other);
	r[12] = add(33, other, 1, BPF_ANY);
	r[13] = find(33, host);
	r[14] = add(8, other, 8, BPF_EXIST);
	r[15] = add(8, other, 8, BPF_ANY);
	r[16] = add(9, other, 9, BPF_ANY);
	r[17] = add(8, other, 88, BPF_ANY);
	r[18] = find(32, other);
	r[19] = drop(16, other);
	r[20] = drop(16, host);
	r[21] = drop(33, host);
	r[22] = find(16, host);
	r[23] = add(16, host, 5, 4);
	r[24] = drop(0, host);
	r[25] = find(16, host);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
