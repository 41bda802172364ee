/* Arenas: memory that a program shares with user space. */
#include "kernel.h"
#define __arena __attribute__((address_space(1)))
extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt, int node_id, u64 flags) __ksym __weak;
extern void bpf_arena_free_pages(void *map, void __arena *ptr, u32 page_cnt) __ksym __weak;
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 10); } arena SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, u64);} arr SEC(".maps");
int x;
#define S SEC("syscall")

S int alloc(void *c)
{
	volatile int __arena *p = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	if (!p) return 1;
	*p = 1;
	int r = *p;
	bpf_arena_free_pages(&arena, (void __arena*)p, 1);
	return r;
}

SEC("socket")
int alloc_ns(void *c)
{
	volatile int __arena *p = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);
	return 0;
}

S int deref_null(void *c)
{
	volatile int __arena *p = 0;
	asm volatile("":"+r"(p));
	x = p[5];
	return (long)&arena;
}

S int any(u64 *c)
{
	volatile int __arena *p = (void __arena*)*c;
	asm volatile("":"+r"(p));
	x = p[100000];
	return (long)&arena;
}

S int nomap(u64 *c)
{
	volatile int __arena *p = (void __arena*)*c;
	asm volatile("":"+r"(p));
	x = p[100000];
	return 0;
}

S int arith(u64 *c)
{
	volatile char __arena *p = (void __arena*)*c;
	asm volatile("":"+r"(p));
	p = p+c[1];
	x = *p;
	p = (void __arena*)((long)p*3);
	x = *p;
	return (long)&arena;
}

S int exitp(u64 *c)
{
	void __arena *p = (void __arena*)*c;
	asm volatile("":"+r"(p));
	x = *(int __arena*)p;
	return (long)(void*)p + (long)&arena;
}

S int helper(u64 *c)
{
	char __arena *p = (void __arena*)*c;
	x = *(volatile int __arena*)p;
	return bpf_get_current_comm((void*)p, 8)+ (long)&arena;
}

S int wrongmap(u64 *c)
{
	volatile int __arena *p = bpf_arena_alloc_pages(&arr, 0, 1, -1, 0);
	return 0;
}

S int notmap(u64 *c)
{
	volatile int __arena *p = bpf_arena_alloc_pages(c, 0, 1, -1, 0);
	return 0;
}

S int nullmap(u64 *c)
{
	volatile int __arena *p = bpf_arena_alloc_pages(0, 0, 1, -1, 0);
	return 0;
}

S int lookup(u64 *c)
{
	int k = 0;
	return bpf_map_lookup_elem(&arena, &k) != 0;
}

S int cmp(u64 *c)
{
	int __arena *p = (void __arena*)*c;
	int __arena *q = (void __arena*)c[1];
	if (p == q) return 1;
	x = *(volatile int __arena*)p;
	return (long)&arena;
}

S int atomic(u64 *c)
{
	int __arena *p = (void __arena*)*c;
	__sync_fetch_and_add(p, 1);
	x = (long)&arena;
	return 0;
}

S int spill(u64 *c)
{
	int __arena * volatile p = (void __arena*)*c;
	x = *p;
	x = (long)&arena;
	return 0;
}

S int storeptr(u64 *c)
{
	u64 __arena *p = (void __arena*)*c;
	*p = (long)c;
	x = (long)&arena;
	return 0;
}

__noinline int gl(void __arena *p __attribute__((btf_decl_tag("arg:arena"))))
{
	x = *(int __arena*)p;
	return 0;
}

S int glob(u64 *c)
{
	int __arena *p = (void __arena*)*c;
	gl(p);
	x = (long)&arena;
	return 0;
}

S int glob2(u64 *c)
{
	gl((void __arena*)c);
	x = (long)&arena;
	return 0;
}

S int lds(u64 *c)
{
	signed char __arena *p = (void __arena*)*c;
	x = *p;
	return (long)&arena;
}
struct n { struct n __arena *next; int v; };

S int list(u64 *c)
{
	struct n __arena *p = (void __arena*)*c;
	int i, s = 0;
	bpf_for(i, 0, 100) {
		if (!p) break;
		s += p->v;
		p = p->next;
	}
	x = (long)&arena;
	return s;
}
