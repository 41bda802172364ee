r1 = r2
w1 = w2
r1 = 5
w1 = -5
r1 += r2
r1 -= 7
w1 *= w2
r1 /= r2
r1 s/= r2
w1 s/= 3
r1 %= 5
w1 s%= w2
r1 |= 0x7fffffff
r1 &= r2
r1 ^= r2
r1 <<= 63
w1 >>= w2
r1 s>>= 3
r1 = -r1
w1 = -w1
r1 = (s8)r2
r1 = (s16)r2
r1 = (s32)r2
w1 = (s8)w2
w1 = (s16)w2
r1 = be16 r1
r1 = be32 r1
r1 = be64 r1
r1 = le16 r1
r1 = le32 r1
r1 = le64 r1
r1 = bswap16 r1
r1 = bswap32 r1
r1 = bswap64 r1
r1 = *(u8 *)(r2 + 1)
r1 = *(u16 *)(r2 - 2)
r1 = *(u32 *)(r2 + 4)
r1 = *(u64 *)(r2 + 8)
w1 = *(u8 *)(r2 + 1)
r1 = *(s8 *)(r2 + 1)
r1 = *(s16 *)(r2 + 2)
r1 = *(s32 *)(r2 + 32767)
*(u8 *)(r1 + 1) = r2
*(u16 *)(r1 + 2) = w2
*(u32 *)(r1 - 32768) = r2
*(u64 *)(r1 + 8) = r2
*(u8 *)(r1 + 1) = 5
*(u16 *)(r1 + 2) = -5
*(u32 *)(r1 + 4) = 6
*(u64 *)(r1 + 8) = -6
lock *(u64 *)(r1 + 8) += r2
lock *(u32 *)(r1 + 4) += w2
lock *(u64 *)(r1 + 8) |= r2
lock *(u64 *)(r1 + 8) &= r2
lock *(u64 *)(r1 + 8) ^= r2
r2 = atomic_fetch_add((u64 *)(r1 + 8), r2)
r2 = atomic_fetch_or((u64 *)(r1 + 8), r2)
r2 = atomic_fetch_and((u64 *)(r1 + 8), r2)
r2 = atomic_fetch_xor((u64 *)(r1 + 8), r2)
w2 = atomic_fetch_add((u32 *)(r1 + 4), w2)
r2 = xchg_64(r1 + 8, r2)
w2 = xchg32_32(r1 + 8, w2)
r0 = cmpxchg_64(r1 + 8, r0, r2)
w0 = cmpxchg32_32(r1 + 8, w0, w2)
r1 = 0x1122334455667788 ll
r1 = -1 ll
if r1 == r2 goto +1
if r1 != 5 goto -1
if r1 > r2 goto +1
if r1 >= -5 goto +1
if r1 < r2 goto +1
if r1 <= r2 goto +1
if r1 s> r2 goto +1
if r1 s>= r2 goto +1
if r1 s< r2 goto +1
if r1 s<= r2 goto +1
if r1 & r2 goto +1
if w1 & 7 goto +1
if w1 s< w2 goto +1
if w1 == 5 goto +1
goto -3
gotol +700
call 5
callx r3
r1 = addr_space_cast(r2, 0, 1)
r1 = addr_space_cast(r2, 1, 0)
r0 = *(u8 *)skb[5]
r0 = *(u32 *)skb[r3]
exit
