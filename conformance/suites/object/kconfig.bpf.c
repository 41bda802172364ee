// SPDX-License-Identifier: MIT OR Apache-2.0
/* Values of the kernel's configuration. Only what every machine agrees on is kept. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig __weak;
extern unsigned long CONFIG_NO_SUCH_OPTION_ANYWHERE __kconfig __weak;
extern const void no_such_symbol_anywhere __ksym __weak;

__u32 new_enough;
__u64 missing;
__u32 missing_symbol;

SEC("tc")
int configured(struct __sk_buff *skb)
{
	new_enough = LINUX_KERNEL_VERSION >= (4 << 16 | 19 << 8);
	missing = CONFIG_NO_SUCH_OPTION_ANYWHERE;
	missing_symbol = &no_such_symbol_anywhere == 0;
	return new_enough ? TC_ACT_OK : TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
