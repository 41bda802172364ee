// An exception callback, which no instruction refers to.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_throw(__u64 cookie) __ksym;

__noinline int callback_helper(int a)
{
	volatile int x = a;

	return x + 1;
}

__noinline int on_throw(__u64 cookie)
{
	return callback_helper(cookie);
}

static __noinline int may_throw(int a)
{
	if (a > 100)
		bpf_throw(a);
	return a;
}

SEC("tc") __attribute__((btf_decl_tag("exception_callback:on_throw")))
int with_callback(struct __sk_buff *skb)
{
	return may_throw(skb->len);
}

char LICENSE[] SEC("license") = "GPL";
