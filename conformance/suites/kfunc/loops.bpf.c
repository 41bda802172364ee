/* Loops over open-coded iterators, and the states that they go round with. */
#include "kernel.h"
#define ARRAY_SIZE(a) (int)(sizeof(a)/sizeof(a[0]))
#define barrier_var(v) asm volatile("":"+r"(v))
static volatile int zero = 0;
int my_pid; int arr[256]; int small_arr[16];
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, int); __type(value, u64[13]); } amap SEC(".maps");
#define T(n) SEC("raw_tp/sys_enter") int n(void *ctx)
extern struct task_struct *xx;

T(err_unsafe_c_loop)
{
	struct bpf_iter_num it;
	int *v, i = zero;
	bpf_iter_num_new(&it, 0, 1000);
	while ((v = bpf_iter_num_next(&it))) {
		i++;
	}
	bpf_iter_num_destroy(&it);
	small_arr[i] = 123;
	return 0;
}

T(while_loop)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 3);
	while ((v = bpf_iter_num_next(&it))) {
		my_pid++;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

T(while_auto_cleanup)
{
	__attribute__((cleanup(bpf_iter_num_destroy))) struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 0, 3);
	while ((v = bpf_iter_num_next(&it))) {
		my_pid++;
	}
	return 0;
}

T(for_loop)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 5, 10);
	for (v = bpf_iter_num_next(&it); v; v = bpf_iter_num_next(&it)) my_pid++;
	bpf_iter_num_destroy(&it);
	return 0;
}

T(each_macro)
{
	int i;
	bpf_for(i, 5, 10) my_pid++;
	return 0;
}

T(manual_unroll)
{
	struct bpf_iter_num it;
	int *v;
	bpf_iter_num_new(&it, 100, 200);
	v = bpf_iter_num_next(&it);
	v = bpf_iter_num_next(&it);
	v = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return 0;
}

T(multiple_seq)
{
	struct bpf_iter_num it;
	int *v, i;
	for (int k = 0; k<3; k++) {
		bpf_iter_num_new(&it, 0, k+3);
		while ((v = bpf_iter_num_next(&it))) my_pid+=*v;
		bpf_iter_num_destroy(&it);
	}
	return 0;
}

T(obfuscate_counter)
{
	struct bpf_iter_num it;
	int *v, sum = 0;
	int i = zero;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) {
		int x;
		i+=1;
		x = i*3;
		barrier_var(x);
		if (x==15) x = 1;
		sum+=x;
	}
	bpf_iter_num_destroy(&it);
	my_pid++;
	return 0;
}

T(search_loop)
{
	struct bpf_iter_num it;
	int *v, *elem = 0;
	bool found = false;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) {
		if (*v==4) {
			found = true;
			elem = v;
			break;
		}
	}
	if (found) my_pid++;
	bpf_iter_num_destroy(&it);
	return 0;
}

T(search_after)
{
	struct bpf_iter_num it;
	int *v, *elem = 0;
	bool found = false;
	bpf_iter_num_new(&it, 0, 10);
	while ((v = bpf_iter_num_next(&it))) {
		if (*v==4) {
			found = true;
			elem = v;
			break;
		}
	}
	bpf_iter_num_destroy(&it);
	if (found) my_pid++;
	return 0;
}

T(array_fill)
{
	int sum = 0, i;
	bpf_for(i, 0, ARRAY_SIZE(arr)) arr[i] = i*2;
	bpf_for(i, 0, ARRAY_SIZE(arr)) sum+=arr[i];
	return sum==0;
}
int arr2d[4][5]; int rows[4]; int cols[5];

T(nested_iters)
{
	int sum = 0, row, col;
	bpf_for(row, 0, 4) bpf_for(col, 0, 5) {
		arr2d[row][col] = row*col;
	}
	zero = zero;
	bpf_for(row, 0, 4) bpf_for(col, 0, 5) {
		sum+=arr2d[row][col];
		rows[row]+=sum;
		cols[col]+=sum;
	}
	return 0;
}

T(nested_deeply)
{
	int a, b, c, d, e, s = 0;
	bpf_for(a, 0, 10) bpf_for(b, 0, 10) bpf_for(c, 0, 10) bpf_for(d, 0, 10) bpf_for(e, 0, 10) s+=a+b+c+d+e;
	my_pid = s;
	return 0;
}

static __noinline void fill(struct bpf_iter_num *it, int *a, int n, int mul)
{
	int *t, i;
	while ((t = bpf_iter_num_next(it))) {
		i = *t;
		if (i<0||i>=n) break;
		a[i] = i*mul;
	}
}

static __noinline int sumf(struct bpf_iter_num *it, int *a, int n)
{
	int *t, i, s = 0;
	while ((t = bpf_iter_num_next(it))) {
		i = *t;
		if (i<0||i>=n) break;
		s+=a[i];
	}
	return s;
}

T(pass_iter_ptr)
{
	int n = ARRAY_SIZE(arr);
	struct bpf_iter_num it;
	int s;
	bpf_iter_num_new(&it, 0, n);
	fill(&it, arr, n, 2);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_new(&it, 0, n);
	s = sumf(&it, arr, n);
	bpf_iter_num_destroy(&it);
	my_pid = s;
	return 0;
}
int dyn_sz; int loop_data[256];

T(arr_dyn)
{
	int i, n = dyn_sz, s = 0;
	if (n>ARRAY_SIZE(loop_data)) return 0;
	bpf_for(i, 0, n) {
		if (i>=n) break;
		s+=loop_data[i];
	}
	return s==1;
}

T(arr_dyn2)
{
	int i, n = dyn_sz, s = 0;
	bpf_for(i, 0, n) {
		if (i>=ARRAY_SIZE(loop_data)) break;
		s+=loop_data[i];
	}
	return s==1;
}

T(stack_arr)
{
	long a[16];
	int i;
	long s = 0;
	bpf_for(i, 0, 16) a[i] = 1;
	bpf_for(i, 0, 16) s+=a[i];
	return s==1;
}

T(stack_arr_bad)
{
	long a[16];
	int i;
	long s = 0;
	bpf_for(i, 0, 17) a[i] = 1;
	return a[zero&15]==1;
}

T(triple_continue)
{
	int i;
	bpf_for(i, 0, 10) {
		if ((my_pid&i)==1) continue;
		if ((my_pid&i)==2) continue;
		if ((my_pid&i)==3) continue;
		my_pid+=i;
	}
	return 0;
}

T(limits)
{
	int i = 0;
	bpf_repeat(1000000) {
		i++;
		if (i>500) break;
		small_arr[i&15] = i;
	}
	return i==0;
}

T(spillcnt)
{
	volatile int i = 0;
	bpf_repeat(10) {
		i++;
		if (i>=10) break;
		arr[i&255] = 1;
	}
	return 0;
}

T(ptrwalk)
{
	char *p = (char*)arr;
	bpf_repeat(100) {
		if (p>=(char*)arr+sizeof(arr)) break;
		*p = 1;
		p++;
	}
	return 0;
}

T(ptrwalk2)
{
	int off = 0;
	bpf_repeat(100) {
		if (off>=(int)sizeof(arr)) break;
		((char*)arr)[off] = 1;
		off++;
	}
	return 0;
}

T(ref_in_loop)
{
	int i;
	struct task_struct *t;
	bpf_for(i, 0, 10) {
		t = bpf_task_from_pid(i);
		if (!t) continue;
		my_pid+=t->pid;
		bpf_task_release(t);
	}
	return 0;
}

T(bpf_loop_in)
{
	int i;
	bpf_for(i, 0, 10) {
		int k = i;
		void *v = bpf_map_lookup_elem(&amap, &k);
		if (v) *(int*)v = i;
	}
	return 0;
}
__attribute__((naked)) SEC("raw_tp/sys_enter")
int delayed_read_mark(void) { asm volatile("r1 = r10; r1 += -24; r2 = 0; r3 = 10; call %[n];" "r6 = 0; r7 = 0; 1: r1 = r10; r1 += -24; call %[x]; if r0 == 0 goto 2f; r6 += 1; r1 = r7; r7 = r6; if r1 > 100 goto 1b; goto 1b; 2: r1 = r10; r1 += -24; call %[d]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new), [x]"i"(bpf_iter_num_next), [d]"i"(bpf_iter_num_destroy):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int state_deps(void) { asm volatile(
"r1 = r10; r1 += -16; r2 = 0; r3 = 10; call %[n]; r6 = r10; r7 = 0; r8 = -16;"
"1: r1 = r10; r1 += -16; call %[x]; if r0 == 0 goto 4f; r0 = *(u32*)(r0+0);"
"if r0 == 3 goto 2f; if r0 == 5 goto 3f; goto 1b;"
"2: r7 = 1; goto 1b; 3: if r7 != 1 goto 1b; r1 = r10; r1 += r8; r1 = *(u8*)(r1+8); r8 = 17; goto 1b;"
"4: r1 = r10; r1 += -16; call %[d]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new), [x]"i"(bpf_iter_num_next), [d]"i"(bpf_iter_num_destroy):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int precision(void) { asm volatile(
"r1 = r10; r1 += -8; r2 = 0; r3 = 10; call %[n]; r6 = 0; r7 = -16; r8 = 0; *(u64*)(r10-16) = r6;"
"1: r1 = r10; r1 += -8; call %[x]; if r0 == 0 goto 4f; if r6 != 42 goto 2f; r7 = -33; call 7; r6 = r0; goto 1b;"
"2: r0 = r10; r0 += r7; r8 = *(u64*)(r0+0); r6 = 42; goto 1b;"
"4: r1 = r10; r1 += -8; call %[d]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new), [x]"i"(bpf_iter_num_next), [d]"i"(bpf_iter_num_destroy):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int leak_iter_from_subprog(void) { asm volatile("r1 = r10; r1 += -8; r2 = 0; r3 = 1; call %[n]; *(u8*)(r10-8) = 0; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int create_create(void) { asm volatile("r1 = r10; r1 += -8; r2 = 0; r3 = 1; call %[n]; r1 = r10; r1 += -8; r2 = 0; r3 = 1; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int create_bad_off(void) { asm volatile("r1 = r10; r1 += -9; r2 = 0; r3 = 1; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int create_off0(void) { asm volatile("r1 = r10; r2 = 0; r3 = 1; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int create_deep(void) { asm volatile("r1 = r10; r1 += -520; r2 = 0; r3 = 1; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int next_fp_deep(void) { asm volatile("r1 = r10; r1 += -520; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_next):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int valid_stack_reuse(void) { asm volatile("r6 = r10; r6 += -8; r1 = r6; r2 = 0; r3 = 1; call %[n]; r1 = r6; call %[d]; r1 = r6; r2 = 0; r3 = 1; call %[n]; r1 = r6; call %[d]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new), [d]"i"(bpf_iter_num_destroy):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int uninit_num(void) { asm volatile("r1 = r10; r1 += -8; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_next):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int newuninit_args(void) { asm volatile("r1 = r10; r1 += -8; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_new):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int uninit_r1(void) { asm volatile("r0 = 0; r1 = r0; r1 = r10; r1 = 0; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_next):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int uninit_all(void) { asm volatile("r1 = 0; r2 = 0; r3 = 0; call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_iter_num_next):"memory");
}

__attribute__((naked)) SEC("raw_tp/sys_enter")
int uninit_obj(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_cgroup_from_id):"memory");
}

__attribute__((naked)) SEC("syscall") int uninit_obj2(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_task_acquire):"memory");
}

__attribute__((naked)) SEC("syscall") int uninit_rel(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_task_release):"memory");
}

__attribute__((naked)) SEC("syscall") int uninit_mem(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_lookup_user_key):"memory");
}

__attribute__((naked)) SEC("syscall") int uninit_mem2(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_copy_from_user_str):"memory");
}

__attribute__((naked)) SEC("syscall") int uninit_map(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_map_sum_elem_count):"memory");
}

__attribute__((naked)) SEC("tc") int uninit_ctx(void) { asm volatile("call 7; call %[n]; r0 = 0; exit;" ::[n]"i"(bpf_cast_to_kern_ctx):"memory");
}

__attribute__((naked)) SEC("tc") int r0_after(void) { asm volatile("call %[n]; exit;" ::[n]"i"(bpf_rcu_read_lock):"memory");
}

void __kfunc_btf_root(void) { bpf_cgroup_from_id(0); bpf_task_acquire(0); bpf_task_release(0); bpf_lookup_user_key(0, 0); bpf_copy_from_user_str(0, 0, 0, 0); bpf_map_sum_elem_count(0); bpf_cast_to_kern_ctx(0); bpf_rcu_read_lock(); }
