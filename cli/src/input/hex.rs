//! Bytes as text: pairs of hex digits, with whatever people put between them.

use thiserror::Error;

/// Why a text is not hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HexError {
    /// Something else than a digit or separator.
    #[error("line {line}: {found:?} is not a hex digit")]
    NotADigit {
        /// Line, from 1.
        line: usize,
        /// What is there.
        found: char,
    },
    /// Half a byte.
    #[error("line {line}: a byte has two digits, here is one alone")]
    HalfAByte {
        /// Line, from 1.
        line: usize,
    },
}

/// Reads bytes: digits in pairs, optionally separated by blanks, `:`, `,` or `-`, optionally
/// with `0x` in front of a group; `#` begins a comment.
///
/// # Errors
/// The first thing that is not a byte.
pub fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::with_capacity(text.len() / 3);
    for (index, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or("");
        let separators = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-');
        for group in code.split(separators) {
            let digits =
                group.strip_prefix("0x").or_else(|| group.strip_prefix("0X")).unwrap_or(group);
            parse_group(digits, index + 1, &mut bytes)?;
        }
    }
    Ok(bytes)
}

fn parse_group(digits: &str, line: usize, bytes: &mut Vec<u8>) -> Result<(), HexError> {
    let mut high = None;
    for found in digits.chars() {
        let digit = found
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
            .ok_or(HexError::NotADigit { line, found })?;
        high = match high {
            None => Some(digit << 4),
            Some(high) => {
                bytes.push(high | digit);
                None
            }
        };
    }
    match high {
        None => Ok(()),
        Some(_) => Err(HexError::HalfAByte { line }),
    }
}

/// Bytes as lower-case digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn separators_prefixes_and_comments_are_skipped() {
        let text = "de:ad be,ef # a comment\n0x0102 0x03\n\n04-05";
        assert_eq!(parse(text), Ok(vec![0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5]));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("00\n0g"), Err(HexError::NotADigit { line: 2, found: 'g' }));
        assert_eq!(parse("00 1"), Err(HexError::HalfAByte { line: 1 }));
        assert_eq!(parse("123"), Err(HexError::HalfAByte { line: 1 }));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(parse(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
