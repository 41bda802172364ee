// Global variables in every kind of data section.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int counter = 7;
static long hits[4] = { 1, 2, 3, 4 };
static volatile int quiet;
__u64 table[16];
const volatile int limit = 100;
static const volatile __u16 ports[3] = { 80, 443, 8080 };
int named SEC(".data.named") = 5;
static int named_static SEC(".data.named") = 6;
const volatile int fixed SEC(".rodata.fixed") = 9;
int later SEC(".bss.later");
__hidden int hidden SEC(".data.hidden") = 1;

SEC("socket") int use(struct __sk_buff *skb)
{
	static int calls;
	const char text[] = "global data at work";

	calls++;
	quiet = skb->len;
	counter += hits[skb->mark & 3] + ports[1] + limit;
	__sync_fetch_and_add(&table[skb->protocol & 15], quiet);
	hits[2]++;
	named += named_static++ + fixed;
	later = hidden++;
	bpf_printk("calls %d", calls);
	bpf_trace_printk(text, sizeof(text));
	return bpf_strncmp(text, 5, "glob") + counter;
}

char LICENSE[] SEC("license") = "GPL";
