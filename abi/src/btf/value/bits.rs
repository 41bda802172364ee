//! Little-endian integers of any width at any bit offset.

/// Reads `bits` (at most 128) from bit `off` of `data`; `None` when they are not all there.
pub(super) fn read(data: &[u8], off: u64, bits: u32) -> Option<u128> {
    let mut value = 0_u128;
    for done in (0..bits).step_by(8) {
        let count = (bits - done).min(8);
        value |= u128::from(read_byte(data, off.checked_add(done.into())?, count)?) << done;
    }
    Some(value)
}

/// Up to 8 bits from any bit offset.
fn read_byte(data: &[u8], off: u64, bits: u32) -> Option<u8> {
    let (at, shift) = (usize::try_from(off / 8).ok()?, (off % 8) as u32);
    let low = u16::from(*data.get(at)?);
    let high = match shift + bits > 8 {
        true => u16::from(*data.get(at.checked_add(1)?)?),
        false => 0,
    };
    let mask = (1_u16 << bits) - 1;
    Some((((high << 8 | low) >> shift) & mask) as u8)
}

/// Writes the low `bits` (at most 128) of `value` at bit `off` of `data`, if they are all there.
pub(super) fn write(data: &mut [u8], off: u64, bits: u32, value: u128) -> Option<()> {
    let end = off.checked_add(bits.into())?;
    if end.div_ceil(8) > data.len() as u64 {
        return None;
    }
    for done in 0..bits {
        let at = off + u64::from(done);
        let byte = data.get_mut(usize::try_from(at / 8).ok()?)?;
        let mask = 1_u8 << (at % 8);
        match value >> done & 1 {
            0 => *byte &= !mask,
            _ => *byte |= mask,
        }
    }
    Some(())
}

/// Extends the sign of a value of `bits` (1 to 128).
pub(super) const fn sign_extend(value: u128, bits: u32) -> i128 {
    let unused = 128 - bits;
    (value << unused).cast_signed() >> unused
}
