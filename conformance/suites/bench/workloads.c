// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the interpreter benchmarks run: functions of plain memory, r1 = 4096 bytes, r2 = 4096, no
 * helpers and no maps, so that any engine can run them. Each lies in a section of its own name. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WORKLOAD(name) __attribute__((section("w_" #name), used)) u64 name(u8 *mem, u64 len)
#define LOOP _Pragma("clang loop unroll(disable) vectorize(disable)") for
#define HIDE(x) asm volatile("" : "+r"(x))

WORKLOAD(empty)
{
	return 0;
}

/* A linear congruential generator: a multiplication and an addition a step. */
WORKLOAD(lcg)
{
	u64 x = len;

	LOOP (u32 i = 0; i < 2000; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		HIDE(x);
	}
	return x;
}

WORKLOAD(divide)
{
	u64 sum = 0;

	LOOP (u64 i = 1; i < 1000; i++) {
		u64 n = i * 0x9e3779b97f4a7c15ull;

		sum += n / i + (u32)n % (u32)(i | 1);
	}
	return sum;
}

/* Population count and leading zeros, without instructions for them. */
WORKLOAD(bits)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < 128; i++) {
		u64 x = ((u64 *)mem)[i];
		u64 c = x - ((x >> 1) & 0x5555555555555555ull);

		c = (c & 0x3333333333333333ull) + ((c >> 2) & 0x3333333333333333ull);
		sum += (((c + (c >> 4)) & 0x0f0f0f0f0f0f0f0full) * 0x0101010101010101ull) >> 56;
		LOOP (int b = 0; b < 8 && !(x >> 63); b++)
			x <<= 1;
		sum ^= x;
	}
	return sum;
}

WORKLOAD(copy)
{
	LOOP (u32 i = 0; i < 2048; i++) {
		mem[2048 + i] = mem[i];
		HIDE(i);
	}
	return mem[4095];
}

/* The Internet checksum of 2 KiB, 16 bits at a time. */
WORKLOAD(checksum)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < 1024; i++)
		sum += ((u16 *)mem)[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

static inline __attribute__((always_inline)) u32 rol(u32 x, int n)
{
	return x << n | x >> (32 - n);
}

WORKLOAD(jhash)
{
	u32 a = 0xdeadbeef, b = a, c = a;

	LOOP (u32 i = 0; i < 300; i += 3) {
		a += ((u32 *)mem)[i];
		b += ((u32 *)mem)[i + 1];
		c += ((u32 *)mem)[i + 2];
		a -= c; a ^= rol(c, 4); c += b;
		b -= a; b ^= rol(a, 6); a += c;
		c -= b; c ^= rol(b, 8); b += a;
		a -= c; a ^= rol(c, 16); c += b;
		b -= a; b ^= rol(a, 19); a += c;
		c -= b; c ^= rol(b, 4); b += a;
	}
	return c;
}

#define ROL64(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND                                                              \
	do {                                                               \
		v0 += v1; v1 = ROL64(v1, 13); v1 ^= v0; v0 = ROL64(v0, 32); \
		v2 += v3; v3 = ROL64(v3, 16); v3 ^= v2;                    \
		v0 += v3; v3 = ROL64(v3, 21); v3 ^= v0;                    \
		v2 += v1; v1 = ROL64(v1, 17); v1 ^= v2; v2 = ROL64(v2, 32); \
	} while (0)

WORKLOAD(siphash)
{
	u64 v0 = 0x736f6d6570736575ull, v1 = 0x646f72616e646f6dull;
	u64 v2 = 0x6c7967656e657261ull, v3 = 0x7465646279746573ull;

	LOOP (u32 i = 0; i < 64; i++) {
		u64 m = ((u64 *)mem)[i];

		v3 ^= m;
		ROUND;
		ROUND;
		v0 ^= m;
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

/* 64 headers of 64 bytes: ethertype, header length, protocol, ports. */
WORKLOAD(parse)
{
	u64 found = 0;

	LOOP (u32 i = 0; i < 64; i++) {
		u8 *p = mem + i * 64;
		u32 ihl = (p[14] & 15) * 4;

		if (__builtin_bswap16(*(u16 *)(p + 12)) == 0x0800) {
			found += 1;
			continue;
		}
		if (ihl < 20)
			ihl = 20;
		if (ihl > 44)
			ihl = 44;
		u8 proto = p[23];

		if (proto == 6 || (proto & 1))
			found += __builtin_bswap16(*(u16 *)(p + 14 + ihl));
		else
			found ^= *(u32 *)(p + 26);
	}
	return found;
}

/* Behind the workload, which a file of bare instructions begins with. */
static u64 leaf(u64 x, u64 y);
static u64 middle(u64 x, u64 y);

WORKLOAD(calls)
{
	u64 x = len;

	LOOP (u32 i = 0; i < 250; i++)
		x = middle(x, i);
	return x;
}

static __attribute__((noinline, section("w_calls"))) u64 leaf(u64 x, u64 y)
{
	return x * 31 + y;
}

static __attribute__((noinline, section("w_calls"))) u64 middle(u64 x, u64 y)
{
	return leaf(x, y) ^ leaf(y, x);
}

/* Words, numbers and blanks in a text, by a state machine. */
WORKLOAD(machine)
{
	u32 state = 0, words = 0, numbers = 0;

	LOOP (u32 i = 0; i < 1500; i++) {
		u8 c = mem[i];

		switch (state) {
		case 0:
			if (c >= 0x80)
				state = 1, words++;
			else if (c >= 0x40)
				state = 2, numbers++;
			break;
		case 1:
			if (c < 0x20)
				state = 0;
			else if (c < 0x40)
				state = 2;
			break;
		default:
			if (c < 0x60)
				state = 0;
			break;
		}
	}
	return (u64)words << 32 | numbers;
}

WORKLOAD(swap)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < 400; i++) {
		u64 x = ((u64 *)mem)[i];

		((u64 *)mem)[i] = __builtin_bswap64(x) + i;
		sum ^= __builtin_bswap32(x) + __builtin_bswap16(x >> 32);
	}
	return sum;
}

WORKLOAD(atomics)
{
	LOOP (u32 i = 0; i < 800; i++)
		__sync_fetch_and_add((u64 *)mem + (i & 7), i);
	return *(u64 *)mem;
}

/* Binary search in 512 sorted numbers that the look-ups themselves make. */
WORKLOAD(search)
{
	u64 hits = 0;

	LOOP (u32 i = 0; i < 512; i++)
		((u64 *)mem)[i] = i * 3;
	LOOP (u32 k = 0; k < 200; k++) {
		u32 low = 0, high = 512;

		LOOP (; low < high;) {
			u32 mid = (low + high) / 2;

			if (((u64 *)mem)[mid] < k * 7)
				low = mid + 1;
			else
				high = mid;
		}
		hits += low;
	}
	return hits;
}
