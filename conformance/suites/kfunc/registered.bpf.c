/* What the running kernel has its kernel functions registered with: read out of its memory by a
 * program that user space runs. The way there: a descriptor of this process, the program behind
 * it, the kernel's types that the program is attached by. */
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct fdtable { void **fd; };
struct files_struct { struct fdtable *fdt; };
struct task_struct { struct files_struct *files; };
struct file { void *private_data; };
struct btf_id_set8 { __u32 cnt; __u32 flags; };
struct btf_kfunc_set_tab { struct btf_id_set8 *sets[14]; };
struct btf { struct btf_kfunc_set_tab *kfunc_set_tab; };
struct bpf_prog_aux { struct btf *attach_btf; };
struct bpf_prog { struct bpf_prog_aux *aux; };
#pragma clang attribute pop

/* Pairs of BTF id and flags. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32[512]);
} pairs SEC(".maps");

struct question {
	__u32 fd;
	__u32 set;
};

SEC("tp_btf/sched_switch")
int anchor(void *ctx)
{
	return 0;
}

SEC("syscall")
int read_set(struct question *question)
{
	__u32 fd = question->fd, at = question->set, zero = 0, bytes;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct btf_kfunc_set_tab *tab;
	struct btf_id_set8 *set = NULL;
	struct file *file = NULL;
	void **files, *value;
	struct bpf_prog *prog;

	value = bpf_map_lookup_elem(&pairs, &zero);
	if (!value || at >= 14)
		return -1;
	files = BPF_CORE_READ(task, files, fdt, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	prog = BPF_CORE_READ(file, private_data);
	tab = BPF_CORE_READ(prog, aux, attach_btf, kfunc_set_tab);
	bpf_probe_read_kernel(&set, sizeof(set), &tab->sets[at]);
	if (!set)
		return 0;
	bytes = BPF_CORE_READ(set, cnt) * 8;
	if (bytes > 2048)
		return -1;
	bpf_probe_read_kernel(value, bytes, (void *)set + 8);
	return bytes / 8;
}

char _license[] SEC("license") = "GPL";
