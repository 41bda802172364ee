/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What every probe needs: a place to say what was seen, which the comparison reads. */
#ifndef PROBE_H
#define PROBE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

/* Flags that older headers lack. */
#define DECAP_L3_IPV4 (1ull << 7)
#define DECAP_L3_IPV6 (1ull << 8)

char LICENSE[] SEC("license") = "GPL";

__u64 seen[512];
char bytes[4096];

/* Each use in a file has a number of its own. */
#define SEE(value) (*(volatile __u64 *)&seen[__COUNTER__] = (__u64)(value))
/* Keeps the compiler from remembering what it stored to the context. */
#define FORGET() asm volatile("" ::: "memory")
/* A number that the verifier does not know. */
static __always_inline __u64 hidden(__u64 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

#endif
