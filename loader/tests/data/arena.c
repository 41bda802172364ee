// Variables in an arena.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, 33); // BPF_MAP_TYPE_ARENA, which old headers lack
	__uint(map_flags, 1 << 10); // BPF_F_MMAPABLE
	__uint(max_entries, 10);
} arena SEC(".maps");

int __arena SEC(".addr_space.1") in_arena = 5;
int __arena SEC(".addr_space.1") also[3] = { 1, 2, 3 };

SEC("syscall") int use(void *ctx)
{
	in_arena += also[1];
	also[2] = bpf_map_lookup_elem(&arena, ctx) != 0;
	return in_arena;
}

char LICENSE[] SEC("license") = "GPL";
