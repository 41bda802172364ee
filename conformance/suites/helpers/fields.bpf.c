// SPDX-License-Identifier: MIT OR Apache-2.0
/* Locks, timers and pointers to objects inside map values. */
#include "kfunc.h"

#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *obj, void *meta) __ksym;

#include <bpf/bpf_core_read.h>

#define owned __attribute__((btf_type_tag("kptr")))

struct guarded {
	__u64 before;
	struct bpf_spin_lock lock;
	__u32 middle;
	__u64 after;
};

struct timed {
	__u64 count;
	struct bpf_timer timer;
	__u64 after;
};

struct mine {
	__u64 number;
};

struct holder {
	__u64 before;
	struct mine owned *mine;
	__u64 after;
};

#define MAP(name, kind, entries, value_type) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, entries); \
		__type(key, __u32); \
		__type(value, value_type); \
	} name SEC(".maps")

MAP(guarded_array, BPF_MAP_TYPE_ARRAY, 2, struct guarded);
MAP(guarded_hash, BPF_MAP_TYPE_HASH, 4, struct guarded);
MAP(timed_array, BPF_MAP_TYPE_ARRAY, 2, struct timed);
MAP(timed_hash, BPF_MAP_TYPE_HASH, 4, struct timed);
MAP(timed_lru, BPF_MAP_TYPE_LRU_HASH, 4, struct timed);
MAP(holder_array, BPF_MAP_TYPE_ARRAY, 2, struct holder);
MAP(holder_hash, BPF_MAP_TYPE_HASH, 4, struct holder);
MAP(plain, BPF_MAP_TYPE_HASH, 4, __u64);

static __always_inline void under_lock(void *map, int at)
{
	struct guarded value = { 1, {}, 2, 3 }, *found;
	__u32 key = 1, missing = 9;

	seen[at++] = bpf_map_update_elem(map, &key, &value, BPF_F_LOCK);
	seen[at++] = bpf_map_update_elem(map, &key, &value, BPF_F_LOCK | BPF_EXIST);
	seen[at++] = bpf_map_update_elem(map, &key, &value, BPF_F_LOCK | BPF_NOEXIST);
	seen[at++] = bpf_map_update_elem(map, &missing, &value, BPF_F_LOCK | BPF_EXIST);
	seen[at++] = bpf_map_update_elem(map, &key, &value, BPF_F_LOCK | 3);
	found = bpf_map_lookup_elem(map, &key);
	if (!found)
		return;
	bpf_spin_lock(&found->lock);
	found->before += 10;
	found->middle += 20;
	found->after += 30;
	bpf_spin_unlock(&found->lock);
	seen[at++] = found->before + found->middle + found->after;
	value.before = 7;
	seen[at++] = bpf_map_update_elem(map, &key, &value, 0);
	seen[at++] = found->before;
}

SEC("tc")
int locks(struct __sk_buff *skb)
{
	__u64 value = 1;
	__u32 key = 0;

	under_lock(&guarded_array, 0);
	under_lock(&guarded_hash, 20);
	seen[40] = bpf_map_update_elem(&plain, &key, &value, BPF_F_LOCK);
	return 0;
}

static int expired(void *map, int *key, struct timed *value)
{
	value->count += 100 + *key;
	return 0;
}

/* The kernel allocates without waiting, and may fail to. */
static __always_inline long init(struct bpf_timer *timer, void *map, __u64 flags)
{
	long ret = -12;

	for (int i = 0; i < 1000 && ret == -12; i++)
		ret = bpf_timer_init(timer, map, flags);
	return ret;
}

/* What timers say; none is due while a program runs or soon after. */
static __always_inline void timers_of(void *map, int at)
{
	struct timed first = { 5, {}, 6 }, *value;
	__u32 key = 1;

	if (bpf_map_update_elem(map, &key, &first, 0))
		return;
	value = bpf_map_lookup_elem(map, &key);
	if (!value)
		return;
	seen[at++] = bpf_timer_start(&value->timer, 1, 0);
	seen[at++] = bpf_timer_set_callback(&value->timer, expired);
	seen[at++] = bpf_timer_cancel(&value->timer);
	seen[at++] = init(&value->timer, map, 3);
	seen[at++] = init(&value->timer, map, 16);
	seen[at++] = init(&value->timer, map, CLOCK_MONOTONIC);
	seen[at++] = init(&value->timer, map, CLOCK_MONOTONIC);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 50, 0);
	seen[at++] = bpf_timer_set_callback(&value->timer, expired);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 50, 4);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 50, 2);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 60, 1);
	seen[at++] = bpf_timer_cancel(&value->timer);
	seen[at++] = bpf_timer_cancel(&value->timer);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 50, 0);
	seen[at++] = bpf_timer_set_callback(&value->timer, expired);
	seen[at++] = bpf_timer_start(&value->timer, 1ull << 50, 0);
	seen[at++] = value->count;
	/* An update gives the timer up. */
	seen[at++] = bpf_map_update_elem(map, &key, &first, 0);
	value = bpf_map_lookup_elem(map, &key);
	if (!value)
		return;
	seen[at++] = bpf_timer_cancel(&value->timer);
	seen[at++] = init(&value->timer, map, CLOCK_BOOTTIME);
	seen[at++] = bpf_map_delete_elem(map, &key);
	value = bpf_map_lookup_elem(map, &key);
	seen[at++] = value != NULL;
}

SEC("tc")
int timers(struct __sk_buff *skb)
{
	if (seen[500]++ % 16)
		return 0;
	timers_of(&timed_array, 0);
	timers_of(&timed_hash, 40);
	timers_of(&timed_lru, 80);
	return 0;
}

static __always_inline void exchange(void *map, int at)
{
	struct holder first = { 5, NULL, 6 }, *value;
	struct mine *mine, *old;
	__u32 key = 1;

	if (bpf_map_update_elem(map, &key, &first, 0))
		return;
	value = bpf_map_lookup_elem(map, &key);
	if (!value)
		return;
	mine = bpf_obj_new_impl(bpf_core_type_id_local(struct mine), NULL);
	if (!mine)
		return;
	mine->number = 42;
	old = bpf_kptr_xchg(&value->mine, mine);
	seen[at++] = old != NULL;
	if (old)
		bpf_obj_drop_impl(old, NULL);
	seen[at++] = value->mine != NULL;
	old = bpf_kptr_xchg(&value->mine, NULL);
	seen[at++] = old ? old->number : -1;
	if (old)
		bpf_obj_drop_impl(old, NULL);
	mine = bpf_obj_new_impl(bpf_core_type_id_local(struct mine), NULL);
	if (!mine)
		return;
	old = bpf_kptr_xchg(&value->mine, mine);
	if (old)
		bpf_obj_drop_impl(old, NULL);
	seen[at++] = bpf_map_update_elem(map, &key, &first, 0);
	value = bpf_map_lookup_elem(map, &key);
	if (value)
		seen[at++] = value->mine != NULL;
}

SEC("tc")
int pointers(struct __sk_buff *skb)
{
	exchange(&holder_array, 0);
	exchange(&holder_hash, 20);
	return 0;
}
