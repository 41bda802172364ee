//! The Internet checksum's arithmetic: ones' complement sums, kept unfolded in 32 bits as the
//! kernel keeps them. Values are those of a little-endian machine, whose words are the packet's
//! bytes in memory order.

/// Sum with the carry added back in.
#[must_use]
pub const fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u32
}

/// Difference: the sum with the complement.
#[must_use]
pub const fn sub(a: u32, b: u32) -> u32 {
    add(a, !b)
}

/// `start` with the sum of `bytes` added. The last odd byte counts as a word's low byte.
#[must_use]
pub fn partial(bytes: &[u8], start: u32) -> u32 {
    let (words, odd) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(u64::from(start), |sum, word| {
        // At most 2^20 words of helpers' copies: 64 bits do not overflow.
        sum.wrapping_add(u32::from_le_bytes(*word).into())
    });
    let mut last = [0; 4];
    last.iter_mut().zip(odd).for_each(|(to, from)| *to = *from);
    let sum = sum.wrapping_add(u32::from_le_bytes(last).into());
    let sum = (sum & u64::from(u32::MAX)) + (sum >> 32);
    add(sum as u32, (sum >> 32) as u32)
}

/// The sum in 16 bits, without the final complement.
#[must_use]
pub const fn to_16(sum: u32) -> u16 {
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

/// The checksum: the sum in 16 bits, complemented.
#[must_use]
pub const fn fold(sum: u32) -> u16 {
    !to_16(sum)
}

/// Adds the sum of a block that begins at `off`: at odd offsets its bytes change places.
#[must_use]
pub const fn block_add(sum: u32, block: u32, off: u32) -> u32 {
    add(sum, if off % 2 == 1 { block.rotate_right(8) } else { block })
}

/// Takes the sum of a block away again.
#[must_use]
pub const fn block_sub(sum: u32, block: u32, off: u32) -> u32 {
    block_add(sum, !block, off)
}

/// The 16-bit field `field` after a value that it covers changed from `from` to `to`.
#[must_use]
pub const fn replace_u32(field: u16, from: u32, to: u32) -> u16 {
    fold(add(sub(!(field as u32), from), to))
}

/// The same for a 16-bit value.
#[must_use]
pub const fn replace_u16(field: u16, from: u16, to: u16) -> u16 {
    let less = add_u16(!field, !from);
    !add_u16(less, to)
}

/// The field after the sum of what it covers changed by `diff`.
#[must_use]
pub const fn replace_by_diff(field: u16, diff: u32) -> u16 {
    fold(add(diff, !(field as u32)))
}

/// Sum in 16 bits with the carry added back in.
#[must_use]
pub const fn add_u16(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071's example, in network order.
    #[test]
    fn the_rfc_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(to_16(partial(&bytes, 0)).to_be(), 0xddf2);
    }

    proptest! {
        #[test]
        fn blocks_add_up_to_the_whole(bytes: Vec<u8>, cut: prop::sample::Index) {
            let cut = cut.index(bytes.len() + 1);
            let (a, b) = bytes.split_at(cut);
            let joined = block_add(partial(a, 0), partial(b, 0), cut as u32);
            prop_assert_eq!(to_16(joined), to_16(partial(&bytes, 0)));
        }

        #[test]
        fn a_replaced_value_gives_the_sum_of_the_new_bytes(
            mut bytes: [u8; 12], new: [u8; 4], first in 1u8..,
        ) {
            bytes[0] = first;
            let before = fold(partial(&bytes, 0));
            let old: [u8; 4] = bytes[4..8].try_into().unwrap();
            bytes[4..8].copy_from_slice(&new);
            let after = fold(partial(&bytes, 0));
            let (from, to) = (u32::from_le_bytes(old), u32::from_le_bytes(new));
            prop_assert_eq!(replace_u32(before, from, to), after);
            let diff = sub(partial(&new, 0), partial(&old, 0));
            prop_assert_eq!(replace_by_diff(before, diff), after);
        }
    }
}
