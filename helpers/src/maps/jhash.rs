//! Bob Jenkins' lookup3 as the kernel uses it for hash tables and Bloom filters.
//!
//! Only maps created with `BPF_F_ZERO_SEED` depend on the function itself: their order of
//! iteration can be reproduced.

/// What the three lanes begin with, before length and seed are added.
const INITIAL: u32 = 0xdead_beef;

/// Hash of `bytes` under `seed`. For lengths that are multiples of 4 it equals the kernel's
/// word-wise `jhash2`.
#[must_use]
pub(super) fn jhash(bytes: &[u8], seed: u32) -> u32 {
    let start = INITIAL.wrapping_add(bytes.len() as u32).wrapping_add(seed);
    let mut lanes = [start; 3];
    let mut rest = bytes;
    while rest.len() > 12 {
        let (block, tail) = rest.split_at(12);
        add(&mut lanes, block);
        mix(&mut lanes);
        rest = tail;
    }
    if !rest.is_empty() {
        add(&mut lanes, rest);
        finish(&mut lanes);
    }
    lanes[2]
}

/// Adds up to 12 bytes to the lanes, as little-endian words with zeros behind.
fn add(lanes: &mut [u32; 3], block: &[u8]) {
    for (lane, chunk) in lanes.iter_mut().zip(block.chunks(4)) {
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        *lane = lane.wrapping_add(u32::from_le_bytes(word));
    }
}

/// Reversible mixing between blocks: lane `i` loses lane `i + 2`, which is rotated into it.
fn mix(lanes: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *lanes;
    for [first, second, third] in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(second);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(third);
        b = b.wrapping_add(a);
    }
    *lanes = [a, b, c];
}

/// Irreversible mixing after the last block.
fn finish(lanes: &mut [u32; 3]) {
    let [mut a, mut b, mut c] = *lanes;
    let step = |into: u32, from: u32, by| (into ^ from).wrapping_sub(from.rotate_left(by));
    c = step(c, b, 14);
    a = step(a, c, 11);
    b = step(b, a, 25);
    c = step(c, b, 16);
    a = step(a, c, 4);
    b = step(b, a, 14);
    c = step(c, b, 24);
    *lanes = [a, b, c];
}

#[cfg(test)]
mod tests {
    use super::jhash;

    /// Vectors from the author's own self-test of `hashlittle`, whose start value differs from
    /// the kernel's by nothing but its name.
    #[test]
    fn agrees_with_published_vectors() {
        assert_eq!(jhash(b"", 0), 0xdead_beef);
        assert_eq!(jhash(b"", 0xdead_beef), 0xbd5b_7dde);
        assert_eq!(jhash(b"Four score and seven years ago", 0), 0x1777_0551);
        assert_eq!(jhash(b"Four score and seven years ago", 1), 0xcd62_8161);
    }
}
