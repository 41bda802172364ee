//! Filters in whatever form they come.

use alloc::vec::Vec;

use super::{SockFilter, TextError, parse_bytes, parse_listing, parse_text};
use crate::slot::SlotsError;

/// Reads a filter in any of its forms: what `tcpdump -d`, `-dd` and `-ddd` print, or the bytes of
/// little-endian `struct sock_filter`s. Text is told by having nothing but text in it.
///
/// ```
/// use ubpf_isa::cbpf::{SockFilter, parse};
/// let all = [SockFilter::new(6, 0, 0, 262_144)];
/// assert_eq!(parse(b"1\n6 0 0 262144\n")?, all);
/// assert_eq!(parse(b"{ 0x6, 0, 0, 0x00040000 },\n")?, all);
/// assert_eq!(parse(b"(000) ret      #262144\n")?, all);
/// assert_eq!(parse(&[6, 0, 0, 0, 0, 0, 4, 0])?, all);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ReadError`] says in which form, and where, there is something else.
pub fn parse(bytes: &[u8]) -> Result<Vec<SockFilter>, ReadError> {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    match core::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(is_text) => Ok(match text.trim_start().chars().next() {
            Some('(') => parse_listing(text)?,
            _ => parse_text(text)?,
        }),
        _ => Ok(parse_bytes(bytes)?),
    }
}

/// Why bytes are no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// They are text, but not of a filter.
    #[error(transparent)]
    Text(#[from] TextError),
    /// They are not a whole number of instructions.
    #[error(transparent)]
    Bytes(#[from] SlotsError),
}
