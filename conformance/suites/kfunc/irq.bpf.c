/* Interrupts that are disabled and enabled again. */
#include "kernel.h"
extern void bpf_local_irq_save(unsigned long *flags__irq_flag) __ksym;
extern void bpf_local_irq_restore(unsigned long *flags__irq_flag) __ksym;
unsigned long g;
int x;
#define T(n) SEC("tc") int n(struct __sk_buff *ctx)

T(ok)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	bpf_local_irq_restore(&f);
	return 0;
}

T(leak)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	return 0;
}

T(unm)
{
	unsigned long f;
	bpf_local_irq_restore(&f);
	return 0;
}

T(twice)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	bpf_local_irq_save(&f);
	bpf_local_irq_restore(&f);
	return 0;
}

T(two)
{
	unsigned long f, h;
	bpf_local_irq_save(&f);
	bpf_local_irq_save(&h);
	bpf_local_irq_restore(&h);
	bpf_local_irq_restore(&f);
	return 0;
}

T(ooo)
{
	unsigned long f, h;
	bpf_local_irq_save(&f);
	bpf_local_irq_save(&h);
	bpf_local_irq_restore(&f);
	bpf_local_irq_restore(&h);
	return 0;
}

T(rtwice)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	bpf_local_irq_restore(&f);
	bpf_local_irq_restore(&f);
	return 0;
}

T(map)
{
	bpf_local_irq_save(&g);
	return 0;
}

T(mapr)
{
	bpf_local_irq_restore(&g);
	return 0;
}

T(mis)
{
	unsigned long f[2];
	bpf_local_irq_save((void*)f+4);
	return 0;
}

T(var)
{
	unsigned long f[4];
	bpf_local_irq_save((void*)f+(ctx->len&8));
	return 0;
}

T(varr)
{
	unsigned long f[4];
	bpf_local_irq_save(f);
	bpf_local_irq_restore((void*)f+(ctx->len&8));
	return 0;
}

T(ow)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	*(volatile unsigned long*)&f = 0;
	bpf_local_irq_restore(&f);
	return 0;
}

T(owp)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	*(volatile char*)&f = 0;
	bpf_local_irq_restore(&f);
	return 0;
}

T(rd)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	x = *(volatile unsigned long*)&f;
	bpf_local_irq_restore(&f);
	return 0;
}

T(wrh)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	bpf_get_current_comm(&f, 8);
	bpf_local_irq_restore(&f);
	return 0;
}

T(null)
{
	bpf_local_irq_save(0);
	return 0;
}

T(scal)
{
	bpf_local_irq_save((void*)(long)ctx->len);
	return 0;
}

T(partial)
{
	unsigned long f = 0;
	bpf_local_irq_save(&f);
	bpf_local_irq_restore(&f);
	return f;
}

static __noinline void sv(unsigned long *f)
{
	bpf_local_irq_save(f);
}

static __noinline void rs(unsigned long *f)
{
	bpf_local_irq_restore(f);
}

T(sub)
{
	unsigned long f;
	sv(&f);
	rs(&f);
	return 0;
}

T(sub2)
{
	unsigned long f;
	sv(&f);
	return 0;
}

T(branch)
{
	unsigned long f;
	if (x) bpf_local_irq_save(&f);
	if (x) bpf_local_irq_restore(&f);
	return 0;
}

T(three)
{
	unsigned long a, b, c;
	bpf_local_irq_save(&a);
	bpf_local_irq_save(&b);
	bpf_local_irq_save(&c);
	bpf_local_irq_restore(&c);
	bpf_local_irq_restore(&b);
	bpf_local_irq_restore(&a);
	return 0;
}

T(three2)
{
	unsigned long a, b, c;
	bpf_local_irq_save(&a);
	bpf_local_irq_save(&b);
	bpf_local_irq_save(&c);
	bpf_local_irq_restore(&b);
	bpf_local_irq_restore(&c);
	bpf_local_irq_restore(&a);
	return 0;
}

T(itover)
{
	struct bpf_iter_num it;
	bpf_iter_num_new(&it, 0, 2);
	bpf_local_irq_save((void*)&it);
	bpf_iter_num_destroy(&it);
	return 0;
}

__noinline int gl(int a)
{
	return a;
}

T(glob)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	x = gl(x);
	bpf_local_irq_restore(&f);
	return 0;
}

SEC("syscall")
int slp(void *c)
{
	unsigned long f;
	char b[8];
	bpf_local_irq_save(&f);
	bpf_copy_from_user(b, 8, 0);
	bpf_local_irq_restore(&f);
	return 0;
}

SEC("syscall")
int slpk(void *c)
{
	unsigned long f;
	char b[8];
	bpf_local_irq_save(&f);
	bpf_copy_from_user_str(b, 8, 0, 0);
	bpf_local_irq_restore(&f);
	return 0;
}

__noinline int gls(void *c)
{
	char b[8];
	return bpf_copy_from_user(b, 8, c);
}

SEC("syscall")
int slpg(void *c)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	gls(0);
	bpf_local_irq_restore(&f);
	return 0;
}
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __type(key, int); __type(value, int);} pa SEC(".maps");

T(tail)
{
	unsigned long f;
	bpf_local_irq_save(&f);
	bpf_tail_call(ctx, &pa, 0);
	bpf_local_irq_restore(&f);
	return 0;
}

T(tailr)
{
	bpf_rcu_read_lock();
	bpf_tail_call(ctx, &pa, 0);
	bpf_rcu_read_unlock();
	return 0;
}
