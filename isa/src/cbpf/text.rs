//! Filters as numbers in text.

use alloc::string::String;
use alloc::vec::Vec;

use super::SockFilter;

/// Reads a filter that is written as numbers, in either form:
///
/// - what `tcpdump -ddd` and `bpf_asm` print: the number of instructions, then `code jt jf k` of
///   each, separated by line ends or commas;
/// - what `tcpdump -dd` and `bpf_asm -c` print: the lines of an array in C,
///   `{ code, jt, jf, k },`.
///
/// ```
/// use ubpf_isa::cbpf::{Filter, parse_text};
/// let filter = Filter::check(&parse_text("1\n6 0 0 262144\n")?)?;
/// assert_eq!(filter.len(), 1);
/// assert_eq!(parse_text("{ 0x6, 0, 0, 0x00040000 },")?, parse_text("1,6 0 0 262144")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TextError`] names the record that is wrong.
pub fn parse_text(text: &str) -> Result<Vec<SockFilter>, TextError> {
    if text.trim_start().starts_with('{') { parse_array(text) } else { parse_decimal(text) }
}

fn parse_decimal(text: &str) -> Result<Vec<SockFilter>, TextError> {
    let mut records = (1..).zip(text.split(['\n', ','])).filter_map(|(number, record)| {
        let record = record.trim();
        (!record.is_empty()).then_some((number, record))
    });
    let (number, count) = records.next().ok_or(TextError::Empty)?;
    let expected: u32 = field(number, count)?;
    let insns: Result<Vec<SockFilter>, TextError> = records
        .map(|(number, record)| instruction(number, record.split_whitespace(), "code jt jf k"))
        .collect();
    let insns = insns?;
    if insns.len() != expected as usize {
        return Err(TextError::Count { expected: expected as usize, found: insns.len() });
    }
    Ok(insns)
}

fn parse_array(text: &str) -> Result<Vec<SockFilter>, TextError> {
    const SHAPE: &str = "{ code, jt, jf, k },";
    let blank = |text: &str| text.chars().all(|c| c.is_whitespace() || c == ',');
    let mut insns = Vec::new();
    for (record, part) in (1..).zip(text.split('}')) {
        match part.split_once('{') {
            Some((before, fields)) if blank(before) => {
                insns.push(instruction(record, fields.split(',').map(str::trim), SHAPE)?);
            }
            None if blank(part) => {}
            _ => return Err(TextError::Fields { record, shape: SHAPE }),
        }
    }
    Ok(insns)
}

fn instruction<'t>(
    record: usize,
    mut fields: impl Iterator<Item = &'t str>,
    shape: &'static str,
) -> Result<SockFilter, TextError> {
    let (Some(code), Some(jt), Some(jf), Some(k), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(TextError::Fields { record, shape });
    };
    Ok(SockFilter {
        code: field(record, code)?,
        jt: field(record, jt)?,
        jf: field(record, jf)?,
        k: field(record, k)?,
    })
}

/// A number, decimal or `0x`.
pub(super) fn field<T: TryFrom<u32>>(record: usize, text: &str) -> Result<T, TextError> {
    let number = match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16),
        _ => text.parse(),
    };
    let number = number.ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| TextError::Number { record, text: text.into() })
}

/// Why text is no filter. Records are lines, or what stands between commas or in braces, counted
/// from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing.
    #[error("no filter: the number of instructions is missing")]
    Empty,
    /// A record has more or fewer than four numbers.
    #[error("record {record}: expected `{shape}`")]
    Fields {
        /// The record.
        record: usize,
        /// What it should look like.
        shape: &'static str,
    },
    /// Not a number, or too large for its field.
    #[error("record {record}: `{text}` is no number that fits")]
    Number {
        /// The record.
        record: usize,
        /// As written.
        text: String,
    },
    /// The first number does not say how many instructions follow.
    #[error("{expected} instructions were announced, {found} are there")]
    Count {
        /// As announced.
        expected: usize,
        /// As counted.
        found: usize,
    },
    /// A line of a listing that is no instruction.
    #[error("record {record}: `{text}` is no instruction of a listing")]
    Line {
        /// The record.
        record: usize,
        /// As written.
        text: String,
    },
    /// A line of a listing has another number than its place.
    #[error("record {record}: expected instruction ({expected:03})")]
    Order {
        /// The record.
        record: usize,
        /// Its place.
        expected: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const RET: SockFilter = SockFilter::new(6, 0, 0, 65535);
    const LOAD: SockFilter = SockFilter::new(40, 0, 0, 12);

    #[test]
    fn all_layouts_are_read() {
        for text in [
            "2\n40 0 0 12\n6 0 0 65535\n",
            "2,40 0 0 12,6 0 0 65535,",
            "{ 0x28, 0, 0, 0x0000000c },\n{ 0x6, 0, 0, 0x0000ffff },\n",
            "{0x28,0,0,12},{6,0,0,65535}",
        ] {
            assert_eq!(parse_text(text), Ok([LOAD, RET].to_vec()), "{text}");
        }
    }

    #[test]
    fn errors_name_the_record() {
        assert_eq!(parse_text(" \n"), Err(TextError::Empty));
        let fields = |record, shape| Err(TextError::Fields { record, shape });
        assert_eq!(parse_text("1\n6 0 0"), fields(2, "code jt jf k"));
        assert_eq!(parse_text("{ 6, 0, 0, 1 },\n{ 6, 0 }"), fields(2, "{ code, jt, jf, k },"));
        assert_eq!(parse_text("{ 6, 0, 0, 1 }; x"), fields(2, "{ code, jt, jf, k },"));
        assert_eq!(parse_text("2\n6 0 0 0"), Err(TextError::Count { expected: 2, found: 1 }));
        let number = TextError::Number { record: 2, text: "256".into() };
        assert_eq!(parse_text("1\n6 256 0 0"), Err(number));
    }
}
