// SPDX-License-Identifier: MIT OR Apache-2.0
/* Text: formatting, numbers, comparison, and the length that trace lines report. */
#include "packet.h"

/* bpf_helpers.h would define these as macros over the formats; called by hand to pass odd ones. */
static char out[32][40];
__s64 results[64];

#define FORMAT(slot, text, ...)                                                       \
	({                                                                            \
		static const char fmt_##slot[] = text;                                \
		__u64 args_##slot[] = { __VA_ARGS__ };                                \
		results[slot] = bpf_snprintf(out[slot], sizeof(out[slot]), fmt_##slot, \
					     args_##slot, sizeof(args_##slot));       \
	})

static const char word[] = "kernel";

SEC("tc")
int format(struct __sk_buff *skb)
{
	static const char addr4[4] = { 192, 0, 2, 1 };
	static const char addr6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };

	FORMAT(0, "%d %i", (__u64)-5, 7);
	FORMAT(1, "%u %x %X", 0xffffffffu, 0xbeef, 0xbeef);
	FORMAT(2, "%lld", (__u64)1 << 62);
	FORMAT(3, "%llx%%", 0x123456789abcdef0ull);
	FORMAT(4, "[%s]", (__u64)word);
	FORMAT(5, "[%5d|%-5d|%05d]", 42, 42, 42);
	FORMAT(6, "%c%c", 'o', 'k');
	FORMAT(7, "%pI4", (__u64)addr4);
	FORMAT(8, "%pi4", (__u64)addr4);
	FORMAT(9, "%pI6", (__u64)addr6);
	FORMAT(10, "%pi6", (__u64)addr6);
	FORMAT(11, "%ld %lu", (__u64)-1, (__u64)-1);
	FORMAT(12, "%020llu and more text than fits", skb->len);
	FORMAT(13, "plain");
	return TC_ACT_OK;
}

#define NUMBER(slot, text, base)                                                    \
	({                                                                          \
		char s[] = text;                                                    \
		long v = 77;                                                        \
		unsigned long u = 77;                                               \
		results[slot] = bpf_strtol(s, sizeof(s) - 1, base, &v);             \
		results[slot + 1] = v;                                              \
		results[slot + 2] = bpf_strtoul(s, sizeof(s) - 1, base, &u);        \
		results[slot + 3] = u;                                              \
	})

SEC("tc")
int numbers(struct __sk_buff *skb)
{
	NUMBER(0, "123", 10);
	NUMBER(4, "-45x", 0);
	NUMBER(8, "  0x1F ", 0);
	NUMBER(12, "0789", 0);
	NUMBER(16, "zzz", 10);
	NUMBER(20, "18446744073709551615", 10);
	NUMBER(24, "9223372036854775808", 10);
	NUMBER(28, "-9223372036854775808", 10);
	NUMBER(32, "777", 8);
	NUMBER(36, "12", 7);
	NUMBER(40, "+5", 10);
	NUMBER(44, "0x", 16);
	return TC_ACT_OK;
}

SEC("xdp")
int compare(struct xdp_md *ctx)
{
	static const char reference[] = "abcdef";
	char text[8] = "abcxyz";

	results[0] = bpf_strncmp(text, 3, reference) == 0;
	results[1] = bpf_strncmp(text, 4, reference) > 0;
	text[3] = 'A';
	results[2] = bpf_strncmp(text, 8, reference) < 0;
	text[3] = 0;
	results[3] = bpf_strncmp(text, 3, reference);
	results[4] = bpf_strncmp(text, 4, reference) < 0;
	return XDP_PASS;
}

SEC("xdp")
int trace(struct xdp_md *ctx)
{
	static const char plain[] = "nothing to convert";
	static const char three[] = "len %d proto %x text %s";
	static const char many[] = "%d %d %d %d %d %llx";
	static const char bad[] = "%d %!";
	__u32 len = ctx->data_end - ctx->data;
	__u64 args[] = { len, 2, 3, 4, 5, 0xabcdef0123456789 };

	results[0] = bpf_trace_printk(plain, sizeof(plain));
	results[1] = bpf_trace_printk(three, sizeof(three), len, 0x800, word);
	results[2] = bpf_trace_printk(bad, sizeof(bad), 1);
	results[3] = bpf_trace_printk(many, sizeof(many), 1, 2, 3);
	results[4] = bpf_trace_vprintk(many, sizeof(many), args, sizeof(args));
	results[5] = bpf_trace_vprintk(plain, sizeof(plain), NULL, 0);
	bpf_printk("macro: %d", len);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
