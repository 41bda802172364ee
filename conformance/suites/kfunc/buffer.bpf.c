/* Buffers that tracepoints let programs write. */
#include "kernel.h"
#define S SEC("raw_tp.w/x")

S int rd(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	return p[0];
}

S int wr(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	p[3] = 1;
	return 0;
}

S int neg(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	p[-1] = 1;
	return 0;
}

S int var(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	p[c->args[1]&3] = 1;
	return 0;
}

S int half(struct bpf_raw_tracepoint_args *c)
{
	return *(volatile u32*)c;
}

S int a1(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[1];
	return *p;
}

S int hlp(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	return bpf_get_current_comm(p, 8);
}

S int add(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	asm volatile("%0 += 8":"+r"(p));
	return *p;
}

S int nul(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	if (!p) return 0;
	return *p;
}

S int ret(struct bpf_raw_tracepoint_args *c)
{
	return c->args[0];
}

S int big(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	return p[8000];
}

S int atm(struct bpf_raw_tracepoint_args *c)
{
	int *p = (void*)c->args[0];
	__sync_fetch_and_add(p, 1);
	return 0;
}
