//! Strings: numbers in text, comparison, formatting.

use super::bprintf::{self, Args};
use super::group::BASE;
use ubpf_abi::Errno;
use ubpf_vm::call::arg::Writes;
use ubpf_vm::call::{
    Aligned, CallCx, ConstStr, FixedMem, MemRead, MemReadOrEmpty, MemReadWriteOrEmpty,
};
use ubpf_vm::helper;
use ubpf_vm::registry::HelperDef;

/// Helpers of this topic.
pub const ALL: &[HelperDef] = &[
    helper!(105 strtol, since 5.2,
        "Reads a signed number from text; gives the bytes consumed.", groups: &[BASE]),
    helper!(106 strtoul, since 5.2,
        "Reads an unsigned number from text; gives the bytes consumed.", groups: &[BASE]),
    helper!(165 snprintf, since 5.13,
        "Formats numbers and strings; gives the length of the whole text, final zero included.",
        groups: &[BASE], gpl_only: true),
    helper!(182 strncmp, since 5.17,
        "Compares a buffer with a constant string.", groups: &[BASE]),
];

type Number = FixedMem<Writes, 8, Aligned>;

fn strtol(cx: &mut CallCx<'_>, text: MemRead, flags: u64, to: Number) -> Result<u32, Errno> {
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    let text = text.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let parsed = parse(&text, flags)?;
    let value = if parsed.negative {
        0i64.checked_sub_unsigned(parsed.magnitude)
    } else {
        i64::try_from(parsed.magnitude).ok()
    };
    let value = value.ok_or(Errno::ERANGE)?;
    to.write(cx, &value.to_le_bytes()).map_err(|_| Errno::EFAULT)?;
    Ok(parsed.consumed)
}

fn strtoul(cx: &mut CallCx<'_>, text: MemRead, flags: u64, to: Number) -> Result<u32, Errno> {
    to.clear(cx).map_err(|_| Errno::EFAULT)?;
    let text = text.bytes(cx).map_err(|_| Errno::EFAULT)?;
    let parsed = parse(&text, flags)?;
    if parsed.negative {
        return Err(Errno::EINVAL);
    }
    to.write(cx, &parsed.magnitude.to_le_bytes()).map_err(|_| Errno::EFAULT)?;
    Ok(parsed.consumed)
}

/// A number read from text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parsed {
    negative: bool,
    magnitude: u64,
    /// Bytes up to the first that does not belong to it.
    consumed: u32,
}

/// Reads a number in base 8, 10 or 16, or in the one that its prefix says.
fn parse(text: &[u8], flags: u64) -> Result<Parsed, Errno> {
    /// What is looked at behind spaces and sign.
    const MAX_BYTES: usize = 63;
    let blank = text.iter().take_while(|&&c| is_space(c)).count();
    let rest = text.get(blank..).unwrap_or_default();
    let (negative, digits) = match rest.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, rest),
    };
    let before = text.len() - digits.len();
    let digits = digits.get(..digits.len().min(MAX_BYTES)).unwrap_or_default();
    let is_hex = matches!(digits, [b'0', b'x' | b'X', ..]);
    let (base, prefix) = match flags {
        0 if is_hex && digits.get(2).is_some_and(u8::is_ascii_hexdigit) => (16, 2),
        0 if digits.first() == Some(&b'0') => (8, 0),
        0 => (10, 0),
        16 if is_hex => (16, 2),
        8 | 10 | 16 => (flags as u32, 0),
        _ => return Err(Errno::EINVAL),
    };
    let values = digits.iter().skip(prefix).map_while(|&c| char::from(c).to_digit(base));
    let (mut magnitude, mut overflow, mut count) = (0u64, false, 0);
    for value in values {
        let next = magnitude.checked_mul(base.into()).and_then(|m| m.checked_add(value.into()));
        overflow |= next.is_none();
        magnitude = next.unwrap_or(magnitude);
        count += 1;
    }
    if overflow {
        return Err(Errno::ERANGE);
    }
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Parsed { negative, magnitude, consumed: (before + prefix + count) as u32 })
}

/// The kernel's white space, which has the no-break space of Latin-1.
pub(super) const fn is_space(c: u8) -> bool {
    matches!(c, b'\t'..=b'\r' | b' ' | 0xa0)
}

fn strncmp(cx: &mut CallCx<'_>, text: MemRead, other: ConstStr) -> Result<i64, Errno> {
    let text = text.bytes(cx).map_err(|_| Errno::EFAULT)?;
    for (at, &a) in text.iter().enumerate() {
        let b = other.get(at).copied().unwrap_or(0);
        if a != b {
            return Ok(if a < b { -1 } else { 1 });
        }
        if a == 0 {
            break;
        }
    }
    Ok(0)
}

fn snprintf(
    cx: &mut CallCx<'_>,
    to: Option<MemReadWriteOrEmpty>,
    format: ConstStr,
    args: Option<MemReadOrEmpty>,
) -> Result<u32, Errno> {
    let args = Args::read(cx, args)?;
    let text = bprintf::format(cx, &format, &args)?;
    if let Some(to) = to.filter(|to| !to.is_empty()) {
        let fits = text.len().min(to.len() as usize - 1);
        let mut bytes = text.get(..fits).unwrap_or_default().to_vec();
        bytes.push(0);
        to.write(cx, &bytes).map_err(|_| Errno::EFAULT)?;
    }
    Ok((text.len() as u32).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, flags: u64) -> Result<(bool, u64, u32), Errno> {
        parse(text.as_bytes(), flags).map(|p| (p.negative, p.magnitude, p.consumed))
    }

    #[test]
    fn the_prefix_chooses_the_base() {
        assert_eq!(number("0789", 0), Ok((false, 7, 2)));
        assert_eq!(number("0x", 0), Ok((false, 0, 1)));
        assert_eq!(number("0x", 16), Err(Errno::EINVAL));
        assert_eq!(number(" \t-0x1F g", 0), Ok((true, 31, 7)));
        assert_eq!(number("12", 0), Ok((false, 12, 2)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for (text, flags) in [("+1", 0), ("", 0), ("-", 10), ("  ", 10), ("8", 8), ("1", 2)] {
            assert_eq!(number(text, flags), Err(Errno::EINVAL), "{text:?} {flags}");
        }
        assert_eq!(number("1", 1 << 40 | 10), Err(Errno::EINVAL));
    }

    #[test]
    fn numbers_past_64_bits_are_out_of_range() {
        assert_eq!(number("18446744073709551615", 10), Ok((false, u64::MAX, 20)));
        assert_eq!(number("18446744073709551616", 10), Err(Errno::ERANGE));
    }
}
