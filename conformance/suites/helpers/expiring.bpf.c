// SPDX-License-Identifier: MIT OR Apache-2.0
/* Timers and work items that are due at once, and what they find when they are called. */
#include "kfunc.h"

#define CLOCK_MONOTONIC 1

struct bpf_wq {
	__u64 opaque[2];
} __attribute__((aligned(8)));

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq,
				    int (callback)(void *map, int *key, void *value),
				    unsigned int flags, void *aux) __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __ksym;

struct timed {
	__u64 count;
	struct bpf_timer timer;
	__u64 again;
};

struct working {
	__u64 count;
	struct bpf_wq work;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct timed);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct timed);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct working);
} work SEC(".maps");

static int expired(void *map, int *key, struct timed *value)
{
	value->count += 100 + *key;
	seen[50 + (*key & 7)] = bpf_timer_cancel(&value->timer);
	if (value->again) {
		value->again--;
		seen[60] += bpf_timer_start(&value->timer, 1000, 0);
	}
	return 0;
}

static int worked(void *map, int *key, void *value)
{
	struct working *item = value;

	item->count += 7 + *key;
	return 0;
}

static __always_inline int begin(void *map, __u32 key, __u64 again)
{
	struct timed first = { 5, {}, again }, *value;

	bpf_map_update_elem(map, &key, &first, 0);
	value = bpf_map_lookup_elem(map, &key);
	if (!value)
		return -1;
	if (bpf_timer_init(&value->timer, map, CLOCK_MONOTONIC))
		return -2;
	bpf_timer_set_callback(&value->timer, expired);
	return bpf_timer_start(&value->timer, 0, 0);
}

SEC("tc")
int timers(struct __sk_buff *skb)
{
	SEE(begin(&array, 1, 0));
	SEE(begin(&array, 2, 3));
	SEE(begin(&hash, 9, 1));
	return 0;
}

SEC("tc")
int items(struct __sk_buff *skb)
{
	__u32 key = 2;
	struct working *item = bpf_map_lookup_elem(&work, &key);

	if (!item)
		return 1;
	SEE(bpf_wq_start(&item->work, 0));
	SEE(bpf_wq_set_callback_impl(&item->work, worked, 0, NULL));
	SEE(bpf_wq_init(&item->work, &work, 1));
	SEE(bpf_wq_init(&item->work, &work, 0));
	SEE(bpf_wq_init(&item->work, &work, 0));
	SEE(bpf_wq_start(&item->work, 0));
	SEE(bpf_wq_set_callback_impl(&item->work, worked, 1, NULL));
	SEE(bpf_wq_set_callback_impl(&item->work, worked, 0, NULL));
	SEE(bpf_wq_start(&item->work, 1));
	SEE(bpf_wq_start(&item->work, 0));
	return 0;
}
