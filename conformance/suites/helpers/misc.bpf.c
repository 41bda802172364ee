// SPDX-License-Identifier: MIT OR Apache-2.0
/* Tasks and what belongs to them, counters, types, other CPUs' values, sockets' cgroups. */
#include "kfunc.h"

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

SEC("raw_tracepoint/sys_enter")
int reads(void *ctx)
{
	char buf[8] = "abcdefg";
	__u64 *stored, first = 9;
	__u64 counter[3] = { 1, 2, 3 };
	struct task_struct *task;

	SEE(bpf_probe_read(buf, 8, seen));
	SEE(bpf_probe_read(buf, 8, (void *)8));
	SEE(*(__u64 *)buf);
	SEE(bpf_probe_read_str(buf, 8, bytes));
	SEE(bpf_probe_read_str(buf, 8, (void *)8));
	SEE(bpf_get_current_task() != 0);
	task = bpf_get_current_task_btf();
	SEE(task->tgid == bpf_get_current_pid_tgid() >> 32);
	SEE(task->pid == (__u32)bpf_get_current_pid_tgid());
	SEE(bpf_task_storage_delete(&tasks, task));
	SEE(bpf_task_storage_get(&tasks, task, NULL, 0) != NULL);
	SEE(bpf_task_storage_get(&tasks, task, &first, 2) != NULL);
	stored = bpf_task_storage_get(&tasks, task, &first, BPF_LOCAL_STORAGE_GET_F_CREATE);
	SEE(stored ? (*stored)++ : -1);
	stored = bpf_task_storage_get(&tasks, task, NULL, 0);
	SEE(stored ? *stored : -1);
	SEE(bpf_task_storage_delete(&tasks, task));
	SEE(bpf_task_storage_delete(&tasks, task));
	SEE(bpf_perf_event_read(&events, 0));
	SEE(bpf_perf_event_read(&events, 1ull << 32));
	SEE(bpf_perf_event_read(&events, 9999));
	SEE(bpf_perf_event_read(&events, BPF_F_CURRENT_CPU));
	SEE(bpf_perf_event_read_value(&events, 9999, (void *)counter, 24));
	SEE(counter[0] | counter[1]);
	counter[0] = 5;
	SEE(bpf_perf_event_read_value(&events, 0, (void *)counter, 16));
	SEE(counter[0]);
	return 0;
}

SEC("tc")
int others(struct __sk_buff *skb)
{
	__u32 key = 1, missing = 2;
	__u64 *value = bpf_map_lookup_percpu_elem(&percpu, &key, 0);

	if (value)
		SEE(++*value);
	SEE(bpf_map_lookup_percpu_elem(&percpu, &key, 100000) != NULL);
	SEE(bpf_map_lookup_percpu_elem(&percpu, &missing, 0) != NULL);
	SEE(bpf_jiffies64() > 1000);
	SEE(bpf_ktime_get_coarse_ns() <= bpf_ktime_get_ns());
	SEE(bpf_ktime_get_tai_ns() > bpf_ktime_get_ns());
	return 0;
}

SEC("cgroup_skb/egress")
int cgroups(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return 1;
	SEE(bpf_sk_cgroup_id(sk));
	SEE(bpf_sk_ancestor_cgroup_id(sk, 0));
	SEE(bpf_sk_ancestor_cgroup_id(sk, 1));
	SEE(bpf_sk_ancestor_cgroup_id(sk, 99));
	SEE(bpf_sk_ancestor_cgroup_id(sk, -1));
	return 1;
}

SEC("syscall")
int types(void *ctx)
{
	char buf[8] = "abcdefg";

	SEE(bpf_btf_find_by_name_kind("task_struct", 12, 4, 0));
	SEE(bpf_btf_find_by_name_kind("task_struct", 12, 5, 0));
	SEE(bpf_btf_find_by_name_kind("bpf_ringbuf_output", 19, 12, 0));
	SEE(bpf_btf_find_by_name_kind("no such type", 13, 4, 0));
	SEE(bpf_btf_find_by_name_kind("task_struct", 12, 4, 1));
	SEE(bpf_btf_find_by_name_kind("task_struct", 11, 4, 0));
	SEE(bpf_btf_find_by_name_kind("", 1, 4, 0));
	SEE(bpf_copy_from_user(buf, 8, (void *)8));
	SEE(*(__u64 *)buf);
	SEE(bpf_copy_from_user(buf, 0, (void *)8));
	return 0;
}
