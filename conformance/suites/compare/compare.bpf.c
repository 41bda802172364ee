// SPDX-License-Identifier: MIT OR Apache-2.0
/* What the engines are compared on: XDP programs that work on their packet, so that the kernel
 * takes them too. With -DNATIVE the same functions for the machine itself. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef NATIVE
struct packet {
	u8 *data, *data_end;
};
#define PROGRAM(name) u32 name(struct packet *ctx)
#else
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#define packet xdp_md
#define PROGRAM(name) SEC("xdp") int name(struct xdp_md *ctx)
#endif

/* Bytes of the packet that programs use. */
#define BYTES 1024
#define PACKET(mem)                                                                                \
	u8 *mem = (u8 *)(long)ctx->data;                                                           \
	if (mem + BYTES > (u8 *)(long)ctx->data_end)                                               \
		return 0

#define LOOP _Pragma("clang loop unroll(disable)") for
#define HIDE(x) asm volatile("" : "+r"(x))
#define noinline __attribute__((noinline))
#define inline inline __attribute__((always_inline))

PROGRAM(empty)
{
	return 0;
}

/* A linear congruential generator: a multiplication and an addition a step. */
PROGRAM(lcg)
{
	PACKET(mem);
	u64 x = *(u64 *)mem;

	LOOP (u32 i = 0; i < 500; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	return x >> 32;
}

/* Divisions by variables and by constants. */
PROGRAM(divide)
{
	PACKET(mem);
	u32 n = *(u32 *)mem | 1;
	u64 sum = 0;

	LOOP (u32 i = 0; i < 100; i++) {
		u32 d = mem[i] + 3;

		n = n * 1664525 + 1013904223;
		sum += n / d + n % d;
		sum += n / 10 + n % 1000;
	}
	return sum ^ sum >> 32;
}

/* Bits counted and found, shifts by variables. */
PROGRAM(bits)
{
	PACKET(mem);
	u64 sum = 0;

	LOOP (u32 i = 0; i < 64; i++) {
		u64 x = *(u64 *)(mem + i * 8);
		u64 c = x - ((x >> 1) & 0x5555555555555555ull);

		c = (c & 0x3333333333333333ull) + ((c >> 2) & 0x3333333333333333ull);
		sum += (((c + (c >> 4)) & 0x0f0f0f0f0f0f0f0full) * 0x0101010101010101ull) >> 56;
		sum ^= x << (i & 63) | x >> (c & 63);
	}
	return sum ^ sum >> 32;
}

/* Bytes copied one by one, and words. */
PROGRAM(copy)
{
	PACKET(mem);

	LOOP (u32 i = 0; i < 256; i++)
		mem[512 + i] = mem[i];
	LOOP (u32 i = 0; i < 256; i += 8)
		*(u64 *)(mem + 768 + i) = *(u64 *)(mem + 256 + i);
	return mem[600];
}

/* The Internet's checksum. */
PROGRAM(checksum)
{
	PACKET(mem);
	u32 sum = 0;

	LOOP (u32 i = 0; i < BYTES; i += 2)
		sum += *(u16 *)(mem + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)~sum;
}

static inline u32 rol32(u32 x, u32 by)
{
	return x << by | x >> (32 - by);
}

static inline u64 rol64(u64 x, u32 by)
{
	return x << by | x >> (64 - by);
}

/* Bob Jenkins's hash, as the kernel uses it. */
PROGRAM(jhash)
{
	PACKET(mem);
	u32 a = 0xdeadbeef, b = a, c = a;

	LOOP (u32 i = 0; i + 12 <= 960; i += 12) {
		u32 *key = (u32 *)(mem + i);

		a += key[0], b += key[1], c += key[2];
		a -= c, a ^= rol32(c, 4), c += b;
		b -= a, b ^= rol32(a, 6), a += c;
		c -= b, c ^= rol32(b, 8), b += a;
		a -= c, a ^= rol32(c, 16), c += b;
		b -= a, b ^= rol32(a, 19), a += c;
		c -= b, c ^= rol32(b, 4), b += a;
	}
	c ^= b, c -= rol32(b, 14);
	a ^= c, a -= rol32(c, 11);
	b ^= a, b -= rol32(a, 25);
	return c ^ b;
}

#define SIPROUND                                                                                   \
	(v0 += v1, v1 = rol64(v1, 13), v1 ^= v0, v0 = rol64(v0, 32), v2 += v3, v3 = rol64(v3, 16), \
	 v3 ^= v2, v0 += v3, v3 = rol64(v3, 21), v3 ^= v0, v2 += v1, v1 = rol64(v1, 17), v1 ^= v2, \
	 v2 = rol64(v2, 32))

PROGRAM(siphash)
{
	PACKET(mem);
	u64 v0 = 0x736f6d6570736575ull, v1 = 0x646f72616e646f6dull, v2 = 0x6c7967656e657261ull,
	    v3 = 0x7465646279746573ull;

	LOOP (u32 i = 0; i < 512; i += 8) {
		u64 m = *(u64 *)(mem + i);

		v3 ^= m;
		SIPROUND;
		SIPROUND;
		v0 ^= m;
	}
	v0 ^= v1 ^ v2 ^ v3;
	return v0 ^ v0 >> 32;
}

/* Type, length, value: options walked as in TCP, each checked against the packet's end. */
PROGRAM(parse)
{
	u8 *at = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u32 sum = 0;

	LOOP (u32 i = 0; i < 128; i++) {
		if (at + 8 > end)
			break;
		switch (at[0] & 7) {
		case 0: sum += 1; break;
		case 1: sum += at[1]; break;
		case 2: sum ^= *(u16 *)(at + 2); break;
		case 3: sum += __builtin_bswap16(*(u16 *)(at + 2)); break;
		case 4: sum += __builtin_bswap32(*(u32 *)(at + 4)); break;
		case 5: sum = sum << 1 | sum >> 31; break;
		default: sum -= at[0];
		}
		at += 1 + (at[1] & 7);
	}
	return sum;
}

/* Headers as they come: Ethernet, VLANs, IPv4, TCP or UDP; once round for each of 16 places. */
PROGRAM(headers)
{
	PACKET(mem);
	u8 *end = (u8 *)(long)ctx->data_end;
	u32 found = 0;

	LOOP (u32 n = 0; n < 16; n++) {
		u8 *at = mem + n * 32;
		u8 *next = at + 14;
		u16 proto = *(u16 *)(at + 12);

		if (proto == 0x0081 || (proto & 0x100)) {
			proto = *(u16 *)(at + 16);
			next = at + 18;
		}
		if ((proto & 0x0f) != 8) {
			u8 ihl = next[0] & 15, kind = next[9];

			if (ihl < 5)
				continue;
			next += ihl * 4;
			if (next + 8 > end)
				continue;
			if (kind == 6)
				found += *(u16 *)next ^ *(u16 *)(next + 2);
			else if (kind & 1)
				found ^= *(u32 *)(next + 4);
			else
				found += 1;
		} else {
			found += __builtin_bswap16(*(u16 *)next);
		}
	}
	return found;
}

static noinline u32 mix(u32 a, u32 b)
{
	HIDE(a);
	return (a ^ b) * 0x9e3779b1;
}

static noinline u32 fold(u32 a, u32 b, u32 c)
{
	HIDE(c);
	return mix(a, c) + (b >> 3);
}

/* Functions that call functions. */
PROGRAM(calls)
{
	PACKET(mem);
	u32 sum = 1;

	LOOP (u32 i = 0; i < 128; i++)
		sum = fold(sum, i, mem[i]);
	return sum;
}

/* A state machine: words, numbers and what lies between. */
PROGRAM(machine)
{
	PACKET(mem);
	u32 state = 0, words = 0, numbers = 0;

	LOOP (u32 i = 0; i < 512; i++) {
		u8 c = mem[i];
		u8 letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';

		switch (state) {
		case 0: state = letter ? 1 : digit ? 2 : 0; break;
		case 1:
			if (!letter)
				words++, state = digit ? 3 : 0;
			break;
		case 2:
			if (!digit)
				numbers++, state = letter ? 3 : 0;
			break;
		default:
			if (c < ' ')
				state = 0;
		}
	}
	return words << 16 | numbers;
}

/* A short string found in a long one. */
PROGRAM(find)
{
	PACKET(mem);
	u32 found = 0;

	LOOP (u32 i = 0; i < 256; i++) {
		u32 k = 0;

		LOOP (; k < 4; k++)
			if (mem[i + k] != mem[1000 + k])
				break;
		found += k == 4 ? i : k;
	}
	return found;
}

/* Numbers from the network. */
PROGRAM(swap)
{
	PACKET(mem);
	u64 sum = 0;

	LOOP (u32 i = 0; i < 512; i += 8) {
		sum += __builtin_bswap64(*(u64 *)(mem + i));
		sum ^= __builtin_bswap32(*(u32 *)(mem + i));
		sum += __builtin_bswap16(*(u16 *)(mem + i + 4));
	}
	return sum ^ sum >> 32;
}

/* Counters on the stack, atomically. */
PROGRAM(atomics)
{
	PACKET(mem);
	u64 counts[2] = { 0, 0 };

	LOOP (u32 i = 0; i < 64; i++) {
		__sync_fetch_and_add(&counts[0], mem[i]);
		counts[1] ^= __sync_fetch_and_add(&counts[1], i);
	}
	return counts[0] + counts[1];
}

#define QUARTER(a, b, c, d)                                                                        \
	(a += b, d = rol32(d ^ a, 16), c += d, b = rol32(b ^ c, 12), a += b, d = rol32(d ^ a, 8),  \
	 c += d, b = rol32(b ^ c, 7))

/* More values than registers: two blocks of ChaCha20. */
PROGRAM(chacha)
{
	PACKET(mem);
	u32 sum = 0;

	LOOP (u32 n = 0; n < 2; n++) {
		u32 *k = (u32 *)mem;
		u32 a = k[0], b = k[1], c = k[2], d = k[3], e = k[4], f = k[5], g = k[6], h = k[7],
		    i = k[8], j = k[9], l = k[10], m = k[11], o = n, p = k[13], q = k[14], r = k[15];

		LOOP (u32 round = 0; round < 10; round++) {
			QUARTER(a, e, i, o);
			QUARTER(b, f, j, p);
			QUARTER(c, g, l, q);
			QUARTER(d, h, m, r);
			QUARTER(a, f, l, r);
			QUARTER(b, g, m, o);
			QUARTER(c, h, i, p);
			QUARTER(d, e, j, q);
		}
		sum += a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ l ^ m ^ o ^ p ^ q ^ r;
	}
	return sum;
}

/* Binary search, 32 times in 128 numbers. */
PROGRAM(search)
{
	PACKET(mem);
	u32 sum = 0;

	LOOP (u32 n = 0; n < 32; n++) {
		u32 lo = 0, hi = 127, want = n * 0x08000000;

		LOOP (u32 step = 0; step < 7; step++) {
			u32 mid = (lo + hi) / 2 & 127;

			if (mid * 0x02000000 < want)
				lo = mid + 1;
			else
				hi = mid;
		}
		sum += *(u32 *)(mem + (lo & 127) * 4);
	}
	return sum;
}

/* CRC-32 bit by bit, and Adler-32. */
PROGRAM(crc)
{
	PACKET(mem);
	u32 crc = ~0u, a = 1, b = 0;

	LOOP (u32 i = 0; i < 64; i++) {
		crc ^= mem[i];
		LOOP (u32 bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		a = (a + mem[i]) % 65521;
		b = (b + a) % 65521;
	}
	return ~crc ^ (b << 16 | a);
}

/* A small sort on the stack. */
PROGRAM(sort)
{
	PACKET(mem);
	u32 v[16];

	LOOP (u32 i = 0; i < 16; i++)
		v[i] = *(u32 *)(mem + i * 4);
	LOOP (u32 i = 0; i < 15; i++)
		LOOP (u32 j = 0; j < 15; j++)
			if (v[j] > v[j + 1]) {
				u32 t = v[j];

				v[j] = v[j + 1];
				v[j + 1] = t;
			}
	return v[3] ^ v[12];
}

/* Products of two small matrices. */
PROGRAM(matrix)
{
	PACKET(mem);
	u32 sum = 0;

	LOOP (u32 i = 0; i < 8; i++)
		LOOP (u32 j = 0; j < 8; j++) {
			u32 dot = 0;

			LOOP (u32 k = 0; k < 8; k++)
				dot += *(u32 *)(mem + i * 32 + k * 4) *
				       *(u32 *)(mem + 256 + k * 32 + j * 4);
			sum ^= dot;
		}
	return sum;
}

#ifndef NATIVE
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} percpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} lru SEC(".maps");

/* Operations in each of the programs on maps. */
#define OPERATIONS 64

PROGRAM(map_array)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < OPERATIONS; i++) {
		u32 key = i;
		u64 *value = bpf_map_lookup_elem(&array, &key);

		if (value)
			sum += ++*value;
	}
	return sum;
}

PROGRAM(map_percpu)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < OPERATIONS; i++) {
		u32 key = i;
		u64 *value = bpf_map_lookup_elem(&percpu, &key);

		if (value)
			sum += ++*value;
	}
	return sum;
}

PROGRAM(map_hash)
{
	u64 sum = 0;

	LOOP (u32 i = 0; i < OPERATIONS; i++) {
		u32 key = i;
		u64 *value = bpf_map_lookup_elem(&hash, &key);

		if (value)
			sum += ++*value;
	}
	return sum;
}

PROGRAM(map_update)
{
	LOOP (u32 i = 0; i < OPERATIONS; i++) {
		u32 key = i;
		u64 value = i;

		bpf_map_update_elem(&hash, &key, &value, BPF_ANY);
	}
	return 0;
}

PROGRAM(map_lru)
{
	LOOP (u32 i = 0; i < OPERATIONS; i++) {
		u32 key = i;
		u64 value = i;

		bpf_map_update_elem(&lru, &key, &value, BPF_ANY);
	}
	return 0;
}

/* A helper that the kernel and the JIT inline. */
PROGRAM(helper_inlined)
{
	u32 sum = 0;

	LOOP (u32 i = 0; i < OPERATIONS; i++)
		sum |= bpf_get_smp_processor_id();
	return sum & 0;
}

/* One that is called. */
PROGRAM(helper_called)
{
	LOOP (u32 i = 0; i < OPERATIONS; i++)
		bpf_get_prandom_u32();
	return 0;
}

static long add_index(u32 index, u64 *sum)
{
	*sum += index;
	return 0;
}

/* A loop that is a callback. */
PROGRAM(helper_loop)
{
	u64 sum = 0;

	bpf_loop(OPERATIONS, add_index, &sum, 0);
	return sum;
}

char _license[] SEC("license") = "GPL";
#endif
