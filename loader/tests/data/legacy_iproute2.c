// `maps` section with iproute2's struct: ids, inner maps, tail calls by section name.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
static void *(*lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*tail_call)(void *ctx, void *map, __u32 i) = (void *)BPF_FUNC_tail_call;

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map SEC("maps") jmp = { BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0, 7, 0, 0, 0 };
struct bpf_elf_map SEC("maps") in0 = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, 42, 2, 0, 0 };
struct bpf_elf_map SEC("maps") in1 = { BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0, 42, 0, 0, 1 };
struct bpf_elf_map SEC("maps") out = { BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0, 42, 0 };

SEC("7/0x2") int tail(struct __sk_buff *skb)
{
	return 2;
}

SEC("classifier") int prog(struct __sk_buff *skb)
{
	__u32 key = 0;
	void *inner = lookup(&out, &key);

	if (inner && lookup(inner, &key))
		tail_call(skb, &jmp, 2);
	return lookup(&in0, &key) != 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
