//! Filters as decimal text.

use alloc::string::String;
use alloc::vec::Vec;

use super::SockFilter;

/// Reads what `tcpdump -ddd` and `bpf_asm` print: the number of instructions, then
/// `code jt jf k` of each, separated by line ends or commas.
///
/// ```
/// use ubpf_isa::cbpf::{Filter, parse_text};
/// let filter = Filter::check(&parse_text("1\n6 0 0 262144\n")?)?;
/// assert_eq!(filter.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TextError`] names the record that is wrong.
pub fn parse_text(text: &str) -> Result<Vec<SockFilter>, TextError> {
    let mut records = (1..).zip(text.split(['\n', ','])).filter_map(|(number, record)| {
        let record = record.trim();
        (!record.is_empty()).then_some((number, record))
    });
    let (number, count) = records.next().ok_or(TextError::Empty)?;
    let expected: usize = field(number, count)?;
    let insns: Result<Vec<SockFilter>, TextError> =
        records.map(|(number, record)| instruction(number, record)).collect();
    let insns = insns?;
    if insns.len() != expected {
        return Err(TextError::Count { expected, found: insns.len() });
    }
    Ok(insns)
}

fn instruction(record: usize, text: &str) -> Result<SockFilter, TextError> {
    let mut fields = text.split_whitespace();
    let (Some(code), Some(jt), Some(jf), Some(k), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(TextError::Fields { record });
    };
    Ok(SockFilter {
        code: field(record, code)?,
        jt: field(record, jt)?,
        jf: field(record, jf)?,
        k: field(record, k)?,
    })
}

fn field<T: core::str::FromStr>(record: usize, text: &str) -> Result<T, TextError> {
    text.parse().map_err(|_| TextError::Number { record, text: text.into() })
}

/// Why text is no filter. Records are lines, or what stands between commas, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is nothing.
    #[error("no filter: the number of instructions is missing")]
    Empty,
    /// A record has more or fewer than four numbers.
    #[error("record {record}: expected `code jt jf k`")]
    Fields {
        /// The record.
        record: usize,
    },
    /// Not a decimal number, or too large for its field.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_are_read() {
        let ret = SockFilter { code: 6, jt: 0, jf: 0, k: 65535 };
        let load = SockFilter { code: 40, jt: 0, jf: 0, k: 12 };
        assert_eq!(parse_text("2\n40 0 0 12\n6 0 0 65535\n"), Ok([load, ret].to_vec()));
        assert_eq!(parse_text("2,40 0 0 12,6 0 0 65535,"), Ok([load, ret].to_vec()));
    }

    #[test]
    fn errors_name_the_record() {
        assert_eq!(parse_text(" \n"), Err(TextError::Empty));
        assert_eq!(parse_text("1\n6 0 0"), Err(TextError::Fields { record: 2 }));
        assert_eq!(parse_text("2\n6 0 0 0"), Err(TextError::Count { expected: 2, found: 1 }));
        let number = TextError::Number { record: 2, text: "256".into() };
        assert_eq!(parse_text("1\n6 256 0 0"), Err(number));
    }
}
