// SPDX-License-Identifier: MIT OR Apache-2.0
/* Text: formatting, numbers, comparison. */
#include "probe.h"

char word[16] = "snail";
__u8 address4[4] = {192, 0, 2, 1};
__u8 address6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd};
char long_word[600];

#define ROOM 64

/* Text number `n` goes to its own part of the buffer, its length beside it. */
#define FORMAT(n, size, format, ...) ({ \
	static const char fmt[] = format; \
	__u64 args[] = {__VA_ARGS__}; \
	seen[n] = bpf_snprintf(bytes + ROOM * (n), size, fmt, args, sizeof(args)); })
#define PLAIN(n, size, format) ({ \
	static const char fmt[] = format; \
	seen[n] = bpf_snprintf(bytes + ROOM * (n), size, fmt, NULL, 0); })

SEC("xdp")
int numbers(struct xdp_md *xdp)
{
	__u64 neg = hidden(-12345), big = hidden(0xfedcba9876543210ull);

	PLAIN(0, ROOM, "plain 100%%!");
	FORMAT(1, ROOM, "%d|%i|%u|%x|%X", neg, neg, neg, neg, neg);
	FORMAT(2, ROOM, "%ld|%lu|%lx", big, big, big);
	FORMAT(3, ROOM, "%lld|%llu|%llX", big, big, big);
	FORMAT(4, ROOM, "[%5d][%-5d][%05d][%+d][% d]", 42, 42, 42, 42, 42);
	FORMAT(5, ROOM, "[%+5d][%-+5d][%+05d][% 05d]", neg, 42, 42, 42);
	FORMAT(6, ROOM, "[%-05d][%0-5d][%8x][%08X]", 42, 42, big, big);
	FORMAT(7, ROOM, "[%3d][%20lld]", neg, big);
	FORMAT(8, ROOM, "%c%c[%5c][%-5c]", 'o', 'k', 'x', 'y');
	FORMAT(9, 8, "%d %d", 1234567, 89);
	FORMAT(10, 1, "%d", 1234567);
	FORMAT(11, 7, "%d", 1234567);
	FORMAT(12, ROOM, "[%px][%8px][%30px]", big, 0x1234, 0x1234);
	FORMAT(13, ROOM, "[%p][%p]", 0, -1);
	FORMAT(14, ROOM, "%d%%%d\n\t%u", 1, 2, 3);
	FORMAT(15, ROOM, "\xc3\xa9 %d \xff", 5);
	FORMAT(16, ROOM, "[%+u][% u][%+x]", 5, 5, 5);
	FORMAT(17, ROOM, "%d %d %d %d %d %d", 1, 2, 3, 4, 5, 6);
	FORMAT(18, ROOM, "%ps %pS %pB", 0x1234, 0x1234, 0x1234);
	FORMAT(19, ROOM, "[%20ps][%-20pB][%20pB]", 0x1234, 0x1234, 0x1234);
	return 2;
}

SEC("xdp")
int strings(struct xdp_md *xdp)
{
	__u64 w = (__u64)word, a4 = (__u64)address4, a6 = (__u64)address6;

	FORMAT(0, ROOM, "%s|%s", w, w);
	FORMAT(1, ROOM, "[%10s][%-10s][%010s][%2s]", w, w, w, w);
	FORMAT(2, ROOM, "%pks!", w);
	FORMAT(3, ROOM, "%pi4 %pI4", a4, a4);
	FORMAT(4, ROOM, "%pI6", a6);
	FORMAT(5, ROOM, "%pi6", a6);
	FORMAT(6, ROOM, "<%s> <%s> <%s>", 0, 1, -1);
	FORMAT(7, ROOM, "%pI4 %pI4", 0, -1);
	FORMAT(8, ROOM, "%pus|%pus", 0, -1);
	FORMAT(9, ROOM, "[%20pI4][%-20pI4]", a4, a4);
	FORMAT(10, ROOM, "%s,%s;%s.", w, w + 1, w + 5);
	FORMAT(11, 6, "%s%s", w, w);
	for (int i = 0; i < sizeof(long_word) - 1; i++)
		long_word[i] = 'a' + i % 26;
	FORMAT(12, ROOM, "%s", (__u64)long_word);
	FORMAT(13, ROOM, "%s%s", (__u64)long_word, (__u64)long_word);
	FORMAT(14, ROOM, "%s%d", (__u64)long_word, 1);
	FORMAT(15, ROOM, "%s%c", (__u64)long_word, 'x');
	FORMAT(16, ROOM, "%pi4%s", a4, (__u64)long_word);
	FORMAT(17, ROOM, "%s%pI4", (__u64)long_word + 90, a4);
	FORMAT(18, ROOM, "%s%d", (__u64)long_word + 91, 7);
	FORMAT(19, ROOM, "%s%d", (__u64)long_word + 92, 7);
	FORMAT(20, ROOM, "%c%d", 'x', 7);
	return 2;
}

/* The helper wants to see the end of the string only when it is used. */
#define SIGNED(n, text, flags) ({ \
	char buf[] = text; \
	long value = -1; \
	seen[2 * (n)] = bpf_strtol(buf, sizeof(buf) - 1 + !(sizeof(buf) - 1), flags, &value); \
	seen[2 * (n) + 1] = value; })
#define UNSIGNED(n, text, flags) ({ \
	char buf[] = text; \
	unsigned long value = -1; \
	seen[2 * (n)] = bpf_strtoul(buf, sizeof(buf) - 1 + !(sizeof(buf) - 1), flags, &value); \
	seen[2 * (n) + 1] = value; })

SEC("xdp")
int signed_numbers(struct xdp_md *xdp)
{
	SIGNED(0, "0", 0);
	SIGNED(1, "42 more", 0);
	SIGNED(2, "-42", 10);
	SIGNED(3, "+42", 10);
	SIGNED(4, "  \t\n\v\f\r-7", 0);
	SIGNED(5, "0x1f", 0);
	SIGNED(6, "0X1F", 16);
	SIGNED(7, "1F", 16);
	SIGNED(8, "0x", 0);
	SIGNED(9, "0x", 16);
	SIGNED(10, "0xg", 0);
	SIGNED(11, "0789", 0);
	SIGNED(12, "0789", 10);
	SIGNED(13, "8", 8);
	SIGNED(14, "-", 10);
	SIGNED(15, "- 1", 10);
	SIGNED(16, "--1", 10);
	SIGNED(17, "", 10);
	SIGNED(18, "9223372036854775807", 10);
	SIGNED(19, "9223372036854775808", 10);
	SIGNED(20, "-9223372036854775808", 10);
	SIGNED(21, "-9223372036854775809", 10);
	SIGNED(22, "99999999999999999999", 10);
	SIGNED(23, "1", 2);
	SIGNED(24, "1", 32);
	SIGNED(25, "1", 10 | 1ull << 40);
	SIGNED(26, "-0", 0);
	SIGNED(27, "1\0002", 10);
	SIGNED(28, "\xa0" "5", 10);
	SIGNED(29, "0000000000000000000000000000000000000000000000000000000000000000001", 10);
	SIGNED(30, "         0000000000000000000000000000000000000000000000000000000000012", 10);
	SIGNED(31, "-18446744073709551615", 10);
	SIGNED(32, "0x-1", 0);
	SIGNED(33, "ff", 16);
	SIGNED(34, "777", 8);
	SIGNED(35, "-0x10", 16);
	return 2;
}

SEC("xdp")
int unsigned_numbers(struct xdp_md *xdp)
{
	UNSIGNED(0, "0", 0);
	UNSIGNED(1, "18446744073709551615", 10);
	UNSIGNED(2, "18446744073709551616", 10);
	UNSIGNED(3, "-1", 10);
	UNSIGNED(4, "-0", 10);
	UNSIGNED(5, "0xffffffffffffffff", 0);
	UNSIGNED(6, "0x1ffffffffffffffff", 0);
	UNSIGNED(7, "017", 0);
	UNSIGNED(8, "+1", 0);
	UNSIGNED(9, " 12x", 0);
	UNSIGNED(10, "x", 0);
	UNSIGNED(11, "1777777777777777777777", 8);
	UNSIGNED(12, "2000000000000000000000", 8);
	return 2;
}

#define COMPARE(n, text, size, constant) ({ \
	char buf[] = text; \
	static const char other[] = constant; \
	seen[n] = bpf_strncmp(buf, size, other); })

SEC("xdp")
int comparisons(struct xdp_md *xdp)
{
	COMPARE(0, "equal", 6, "equal");
	COMPARE(1, "equal", 5, "equal");
	COMPARE(2, "equal", 3, "equinox");
	COMPARE(3, "equal", 4, "equinox");
	COMPARE(4, "equinox", 4, "equal");
	COMPARE(5, "abc", 4, "abcdef");
	COMPARE(6, "abc\0x", 6, "abc");
	COMPARE(7, "abcdef", 6, "abc");
	COMPARE(8, "\xff", 1, "a");
	COMPARE(9, "a", 1, "\xff");
	COMPARE(10, "", 1, "");
	COMPARE(11, "x", 2, "");
	return 2;
}

#define PRINT(n, format, ...) ({ \
	static const char fmt[] = format; \
	seen[n] = bpf_trace_printk(fmt, sizeof(fmt), ##__VA_ARGS__); })

SEC("xdp")
int prints(struct xdp_md *xdp)
{
	char open[] = {'n', 'o', ' ', 'e', 'n', 'd'};
	char format[] = "%d %d %d %d";
	__u64 args[] = {1, 2, 3, 4, 5};

	PRINT(0, "plain");
	PRINT(1, "%d %s %x\n", 7, word, 255);
	PRINT(2, "");
	seen[3] = bpf_trace_printk(open, sizeof(open));
	seen[4] = bpf_trace_printk(format, sizeof(format), 1, 2, 3);
	seen[5] = bpf_trace_vprintk(format, sizeof(format), args, 32);
	seen[6] = bpf_trace_vprintk(format, sizeof(format), args, 40);
	seen[7] = bpf_trace_vprintk(format, sizeof(format), args, 24);
	seen[8] = bpf_trace_vprintk(format, sizeof(format), args, 31);
	seen[9] = bpf_trace_vprintk(format, sizeof(format), NULL, 0);
	seen[10] = bpf_trace_vprintk(format, sizeof(format), bytes, 104);
	PRINT(11, "%h", 1);
	PRINT(12, "%#x", 1);
	PRINT(13, "%.3s", word);
	PRINT(14, "%5", 1);
	PRINT(15, "%", 1);
	PRINT(16, "\x01 control");
	PRINT(17, "%lls", 1);
	PRINT(18, "%pI4x %pI5", address4, 1);
	PRINT(19, "%sx", word);
	PRINT(20, "%pz", 1);
	PRINT(21, "%pks%puz", word, 1);
	PRINT(22, "%p4", 1);
	PRINT(23, "%ld%", 1);
	PRINT(24, "%*d", 5, 1);
	PRINT(25, "%pI4x", address4);
	PRINT(26, "%px9 %pKa", 1, 2);
	PRINT(27, "\x7f");
	PRINT(28, "%lc", 1);
	PRINT(29, "%llld", 1);
	PRINT(30, "%-+ 05i", 7);
	PRINT(31, "%1000d", 7);
	PRINT(32, "%05-3d", 7);
	PRINT(33, "%s\x80", word);
	return 2;
}
