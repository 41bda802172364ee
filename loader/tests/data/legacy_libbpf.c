// `maps` section with libbpf's old struct; built without BTF.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;

struct bpf_map_def {
	unsigned type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") counts = { BPF_MAP_TYPE_ARRAY, 4, 8, 16, 0 };
struct bpf_map_def SEC("maps") flows = { BPF_MAP_TYPE_HASH, 12, 4, 100, BPF_F_NO_PREALLOC };

SEC("socket") int prog(struct __sk_buff *skb)
{
	__u32 key[3] = {};
	__u64 *a = lookup(&counts, key), *b = lookup(&flows, key);

	return a && b;
}

char license_text[] SEC("license") = "GPL";
