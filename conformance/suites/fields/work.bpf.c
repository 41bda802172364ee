/* Work items in map values: of work queues, of tasks; and areas of a task's memory. */
#include "fields.h"

struct value {
	long data;
	struct bpf_wq wq;
	long after;
};

struct task_value {
	long data;
	struct bpf_task_work tw;
};

#define MAP(name, type_, val)                  \
	struct {                               \
		__uint(type, type_);           \
		__uint(max_entries, 2);        \
		__type(key, int);              \
		__type(value, val);            \
	} name SEC(".maps")

MAP(array, BPF_MAP_TYPE_ARRAY, struct value);
MAP(hash, BPF_MAP_TYPE_HASH, struct value);
MAP(tasks, BPF_MAP_TYPE_HASH, struct task_value);
MAP(other_tasks, BPF_MAP_TYPE_ARRAY, struct task_value);

#define TC(name) SEC("tc") int name(struct __sk_buff *ctx)
#define VALUE(n, map)                                         \
	int key_##n = 0;                                      \
	struct value *n = bpf_map_lookup_elem(&map, &key_##n); \
	if (!n)                                               \
		return 0

static int nothing(void *map, int *key, void *v) { return 0; }
static int uses(void *map, int *key, void *v) { ((struct value *)v)->data = *key; return 0; }
static int touches(void *map, int *key, void *v) { return ((struct value *)v)->wq.opaque[0]; }
static int returns_one(void *map, int *key, void *v) { return 1; }
static int restarts(void *map, int *key, void *v) { bpf_wq_start(&((struct value *)v)->wq, 0); return 0; }
static int sets_itself(void *map, int *key, void *v) { bpf_wq_set_callback_impl(&((struct value *)v)->wq, sets_itself, 0, 0); return 0; }
static int sleeps(void *map, int *key, void *v) { char b[8]; bpf_copy_from_user(b, 8, 0); return 0; }

#define WQ(name, callback)                                             \
	TC(name)                                                       \
	{                                                              \
		VALUE(v, array);                                       \
		bpf_wq_init(&v->wq, &array, 0);                        \
		bpf_wq_set_callback_impl(&v->wq, callback, 0, 0);      \
		bpf_wq_start(&v->wq, 0);                               \
		return 0;                                              \
	}
WQ(calls_nothing, nothing)
WQ(calls_uses, uses)
WQ(calls_touches, touches)
WQ(calls_returns_one, returns_one)
WQ(calls_restarts, restarts)
WQ(calls_sets_itself, sets_itself)
WQ(calls_sleeps, sleeps)
WQ(calls_number, (void *)(long)ctx->len)
TC(init_other_map) { VALUE(v, array); bpf_wq_init(&v->wq, &hash, 0); return 0; }
TC(init_hash) { VALUE(v, hash); return bpf_wq_init(&v->wq, &hash, 0); }
TC(not_the_wq) { VALUE(v, array); return bpf_wq_start((void *)&v->after, 0); }
TC(variable) { VALUE(v, array); u64 n = ctx->len & 8; keep(n); return bpf_wq_start((void *)v + n, 0); }
TC(on_stack) { struct bpf_wq w = {}; return bpf_wq_start(&w, 0); }
TC(number) { return bpf_wq_start((void *)(long)ctx->len, 0); }
TC(maybe_null) { int key = 0; struct value *v = bpf_map_lookup_elem(&hash, &key); return bpf_wq_start((void *)v, 0); }
TC(read_wq) { VALUE(v, array); return v->wq.opaque[1]; }
SEC("kprobe/x") int in_kprobe(void *ctx) { VALUE(v, array); return v->data; }
SEC("syscall") int in_syscall(void *ctx) { VALUE(v, array); bpf_wq_set_callback_impl(&v->wq, sleeps, 0, 0); return 0; }

#define TASK(n, map)                                               \
	int key_##n = 0;                                           \
	struct task_value *n = bpf_map_lookup_elem(&map, &key_##n); \
	if (!n)                                                    \
		return 0
static int task_nothing(struct bpf_map *map, void *key, void *v) { return 0; }
static int task_any(struct bpf_map *map, void *key, void *v) { return ((struct task_value *)v)->data; }
static int task_touches(struct bpf_map *map, void *key, void *v) { return ((struct task_value *)v)->tw.opaque; }
static int task_sleeps(struct bpf_map *map, void *key, void *v) { char b[8]; bpf_copy_from_user(b, 8, 0); return 0; }
#define TW(name, callback)                                                                   \
	SEC("tp_btf/sched_switch") int name(u64 *ctx)                                        \
	{                                                                                    \
		struct task_struct *t = bpf_get_current_task_btf();                          \
		TASK(v, tasks);                                                              \
		return bpf_task_work_schedule_signal_impl(t, &v->tw, &tasks, callback, 0);   \
	}
TW(schedules_nothing, task_nothing)
TW(schedules_any, task_any)
TW(schedules_touches, task_touches)
TW(schedules_sleeps, task_sleeps)
SEC("tp_btf/sched_switch") int schedules_resume(u64 *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	TASK(v, tasks);
	return bpf_task_work_schedule_resume_impl(t, &v->tw, &tasks, task_nothing, 0);
}
SEC("tp_btf/sched_switch") int schedules_other_map(u64 *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	TASK(v, tasks);
	return bpf_task_work_schedule_resume_impl(t, &v->tw, &other_tasks, task_nothing, 0);
}
SEC("tp_btf/sched_switch") int schedules_no_work(u64 *ctx)
{
	struct task_struct *t = bpf_get_current_task_btf();
	TASK(v, tasks);
	return bpf_task_work_schedule_resume_impl(t, (void *)&v->data, &tasks, task_nothing, 0);
}
SEC("tp_btf/sched_switch") int schedules_null_task(u64 *ctx)
{
	TASK(v, tasks);
	return bpf_task_work_schedule_resume_impl(0, &v->tw, &tasks, task_nothing, 0);
}
SEC("kprobe/x") int tasks_in_kprobe(void *ctx)
{
	TASK(v, tasks);
	return v->data;
}

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_flags;
} __core;

static long area(struct task_struct *t, struct vm_area_struct *vma, u64 *n)
{
	*n = vma->vm_start + t->pid;
	return 0;
}
static long area_written(struct task_struct *t, struct vm_area_struct *vma, u64 *n)
{
	vma->vm_start = 0;
	return 0;
}
static long area_two(struct task_struct *t, struct vm_area_struct *vma, u64 *n) { return 2; }
SEC("?tc") int uses_types(struct bpf_map *m) { return m->key_size; }
#define FIND(name, callback)                                                                          \
	SEC("tp_btf/sched_switch") int name(u64 *ctx)                                                 \
	{                                                                                             \
		u64 n = 0;                                                                            \
		return bpf_find_vma(bpf_get_current_task_btf(), 0x1000, callback, &n, 0) + n;         \
	}
FIND(finds, area)
FIND(finds_written, area_written)
FIND(finds_two, area_two)
