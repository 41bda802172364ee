// SPDX-License-Identifier: MIT OR Apache-2.0
/* CO-RE: sizes, offsets, existence, enumerators and bit fields of the kernel it is loaded on. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define KERNEL_TYPE __attribute__((preserve_access_index))

/* Only what is needed, in an order of our own: the loader looks the fields up by name. */
struct list_head {
	struct list_head *prev, *next;
} KERNEL_TYPE;

struct task_struct {
	int tgid;
	int pid;
	char comm[16];
	struct list_head tasks;
	int no_such_field;
} KERNEL_TYPE;

struct sk_buff___mine {
	unsigned int len;
	unsigned char cloned : 1;
	unsigned short mac_header;
} KERNEL_TYPE;

struct no_such_struct {
	int x;
} KERNEL_TYPE;

enum bpf_map_type___mine { BPF_MAP_TYPE_RINGBUF___mine = 1000, BPF_MAP_TYPE_NONE___mine = 2000 };

union bpf_attr___mine {
	unsigned int map_type;
} KERNEL_TYPE;

__u64 results[24];

SEC("tc")
int relocate(struct __sk_buff *skb)
{
	struct task_struct *task = 0;
	struct sk_buff___mine *kernel_skb = 0;

	results[0] = bpf_core_type_size(struct task_struct);
	results[1] = bpf_core_type_exists(struct task_struct);
	results[2] = bpf_core_type_exists(struct no_such_struct);
	results[3] = bpf_core_type_size(struct no_such_struct);
	results[4] = bpf_core_field_exists(task->pid);
	results[5] = bpf_core_field_exists(task->no_such_field);
	results[6] = bpf_core_field_size(task->comm);
	results[7] = __builtin_preserve_field_info(task->tgid, BPF_FIELD_BYTE_OFFSET);
	results[8] = __builtin_preserve_field_info(task->pid, BPF_FIELD_BYTE_OFFSET) - results[7];
	results[9] = __builtin_preserve_field_info(task->tasks.next, BPF_FIELD_BYTE_OFFSET);
	results[10] = __builtin_preserve_field_info(task->comm[3], BPF_FIELD_BYTE_OFFSET);
	results[11] = __builtin_preserve_field_info(kernel_skb->len, BPF_FIELD_BYTE_OFFSET);
	results[12] = __builtin_preserve_field_info(kernel_skb->cloned, BPF_FIELD_LSHIFT_U64);
	results[13] = __builtin_preserve_field_info(kernel_skb->cloned, BPF_FIELD_RSHIFT_U64);
	results[14] = __builtin_preserve_field_info(kernel_skb->cloned, BPF_FIELD_BYTE_SIZE);
	results[15] = __builtin_preserve_field_info(kernel_skb->cloned, BPF_FIELD_SIGNED);
	results[16] = __builtin_preserve_field_info(task->pid, BPF_FIELD_SIGNED);
	results[17] = bpf_core_enum_value(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine);
	results[18] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_RINGBUF___mine);
	results[19] = bpf_core_enum_value_exists(enum bpf_map_type___mine, BPF_MAP_TYPE_NONE___mine);
	results[20] = bpf_core_type_size(union bpf_attr___mine);
	results[21] = bpf_core_type_matches(struct list_head);
	results[22] = bpf_core_type_id_local(struct task_struct) != 0;
	/* A field that is missing may be read where its absence was tested before. */
	if (bpf_core_field_exists(task->no_such_field))
		results[23] = __builtin_preserve_field_info(task->no_such_field, BPF_FIELD_BYTE_OFFSET);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
