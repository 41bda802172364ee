// SPDX-License-Identifier: MIT OR Apache-2.0
/* String functions and open-coded iterators. */
#include "kfunc.h"

extern int bpf_strcmp(const char *a, const char *b) __ksym;
extern int bpf_strcasecmp(const char *a, const char *b) __ksym;
extern int bpf_strchr(const char *s, char c) __ksym;
extern int bpf_strchrnul(const char *s, char c) __ksym;
extern int bpf_strnchr(const char *s, unsigned long count, char c) __ksym;
extern int bpf_strrchr(const char *s, int c) __ksym;
extern int bpf_strlen(const char *s) __ksym;
extern int bpf_strnlen(const char *s, unsigned long count) __ksym;
extern int bpf_strspn(const char *s, const char *accept) __ksym;
extern int bpf_strcspn(const char *s, const char *reject) __ksym;
extern int bpf_strstr(const char *a, const char *b) __ksym;
extern int bpf_strnstr(const char *a, const char *b, unsigned long len) __ksym;

struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));

struct bpf_iter_bits {
	__u64 opaque[2];
} __attribute__((aligned(8)));

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *ptr, __u32 words) __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;

char words[8][16] = { "", "a", "hello world", "World", "lo w", "HELLO WORLD", "xyz\xe9", "xyz\xc9" };
char endless[70000];

SEC("xdp")
int texts(struct xdp_md *ctx)
{
	int at = 0;

	for (int i = 0; i < 8; i++) {
		for (int j = 0; j < 8; j++) {
			char *a = words[i], *b = words[j];

			if (at > 500)
				break;
			seen[at++] = bpf_strcmp(a, b);
			seen[at++] = bpf_strcasecmp(a, b);
			seen[at++] = bpf_strspn(a, b);
			seen[at++] = bpf_strcspn(a, b);
			seen[at++] = bpf_strstr(a, b);
			seen[at++] = bpf_strnstr(a, b, 8);
			seen[at++] = bpf_strnstr(a, b, 11);
		}
	}
	return 0;
}

SEC("xdp")
int characters(struct xdp_md *ctx)
{
	char *s = words[2];

	SEE(bpf_strlen(s));
	SEE(bpf_strlen(words[0]));
	SEE(bpf_strnlen(s, 5));
	SEE(bpf_strnlen(s, 11));
	SEE(bpf_strnlen(s, 0));
	SEE(bpf_strnlen(s, 1ull << 40));
	SEE(bpf_strchr(s, 'o'));
	SEE(bpf_strchr(s, 'z'));
	SEE(bpf_strchr(s, 0));
	SEE(bpf_strchrnul(s, 'o'));
	SEE(bpf_strchrnul(s, 'z'));
	SEE(bpf_strnchr(s, 4, 'o'));
	SEE(bpf_strnchr(s, 5, 'o'));
	SEE(bpf_strnchr(s, 0, 'h'));
	SEE(bpf_strnchr(s, 12, 0));
	SEE(bpf_strnchr(s, 11, 0));
	SEE(bpf_strrchr(s, 'o'));
	SEE(bpf_strrchr(s, 'z'));
	SEE(bpf_strrchr(s, 0));
	SEE(bpf_strchr(words[6], '\xe9'));
	SEE(bpf_strrchr(words[6], 0xe9));
	SEE(bpf_strrchr(words[6], '\xe9'));
	/* Once is enough: it takes its time. */
	if (ctx->data_end - ctx->data != 60)
		return 0;
	for (int i = 0; i < 69999; i++)
		*(volatile char *)&endless[i] = 'e';
	SEE(bpf_strlen(endless));
	SEE(bpf_strnlen(endless, 65535));
	SEE(bpf_strnlen(endless, 65536));
	SEE(bpf_strnlen(endless, 65537));
	SEE(bpf_strchr(endless, 'x'));
	SEE(bpf_strrchr(endless, 'e'));
	SEE(bpf_strcmp(endless, endless));
	SEE(bpf_strcspn(s, endless));
	SEE(bpf_strnstr(endless, "x", 65535));
	SEE(bpf_strnstr(endless, "x", 65536));
	SEE(bpf_strlen((void *)8));
	SEE(bpf_strcmp(s, (void *)8));
	SEE(bpf_strcmp((void *)8, s));
	SEE(bpf_strstr(s, (void *)8));
	SEE(bpf_strlen((void *)-4096));
	return 0;
}

#define COUNT(n, start, end) ({ \
	struct bpf_iter_num it; \
	int *value, rounds = 0; \
	seen[4 * (n)] = bpf_iter_num_new(&it, start, end); \
	while ((value = bpf_iter_num_next(&it)) && rounds < 50) \
		seen[4 * (n) + 1] += *value, rounds++; \
	seen[4 * (n) + 2] = rounds; \
	seen[4 * (n) + 3] = bpf_iter_num_next(&it) != NULL; \
	bpf_iter_num_destroy(&it); })

SEC("xdp")
int numbers(struct xdp_md *ctx)
{
	COUNT(0, 0, 10);
	COUNT(1, 5, 5);
	COUNT(2, 6, 5);
	COUNT(3, -10, 10);
	COUNT(4, 0, 8 << 20);
	COUNT(5, 0, (8 << 20) + 1);
	COUNT(6, -2147483648, 2147483647);
	COUNT(7, -2147483648, -2147483646);
	COUNT(8, 2147483646, 2147483647);
	return 0;
}

__u64 set[600] = { 0x8000000000000101ull, 0, 3, [511] = 1 };

#define BITS(n, from, count) ({ \
	struct bpf_iter_bits it; \
	int *bit, rounds = 0; \
	seen[4 * (n)] = bpf_iter_bits_new(&it, from, count); \
	while ((bit = bpf_iter_bits_next(&it)) && rounds < 50) \
		seen[4 * (n) + 1] += *bit + 1, rounds++; \
	seen[4 * (n) + 2] = rounds; \
	bpf_iter_bits_destroy(&it); })

SEC("xdp")
int bits(struct xdp_md *ctx)
{
	BITS(0, set, 1);
	BITS(1, set, 2);
	BITS(2, set, 3);
	BITS(3, set, 0);
	BITS(4, set, 511);
	BITS(5, set, 512);
	BITS(6, set + 1, 1);
	BITS(7, NULL, 1);
	BITS(8, (void *)8, 1);
	BITS(9, (void *)8, 2);
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_preempt_disable();
	bpf_preempt_enable();
	return 0;
}
