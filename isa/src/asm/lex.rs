//! A line of text to tokens.

use alloc::vec::Vec;

use super::AsmErrorKind;
use crate::table::ROWS;

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    pub(super) fn error(self, kind: AsmErrorKind) -> super::AsmError {
        super::AsmError { line: self.line, column: self.column, kind }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Letters, digits, `_`, `.` and `$`, not beginning with a digit.
    Word,
    /// Digits and what follows them without a break.
    Number,
    /// An operator of the table, or any other single character.
    Punct,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    pub at: Position,
}

/// The tokens of a line, comments left out, and the position behind them.
pub(super) fn tokens(line: u32, text: &str) -> (Vec<Token<'_>>, Position) {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut column = 1;
    let mut attached = false;
    loop {
        let at = Position { line, column };
        let Some(first) = rest.chars().next() else {
            return (tokens, at);
        };
        let after_word = attached && tokens.last().is_some_and(is_word);
        if is_comment(rest, after_word) {
            return (tokens, at);
        }
        let (length, kind) = if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if let Some(operator) = operator(rest) {
            (operator.len(), Some(TokenKind::Punct))
        } else if first.is_ascii_digit() {
            (run(rest, is_word_char), Some(TokenKind::Number))
        } else if is_word_char(first) {
            (run(rest, is_word_char), Some(TokenKind::Word))
        } else {
            (first.len_utf8(), Some(TokenKind::Punct))
        };
        let (text, tail) = rest.split_at(length);
        if let Some(kind) = kind {
            tokens.push(Token { kind, text, at });
        }
        attached = kind.is_some();
        // A line of four billion characters saturates into imprecise columns only.
        column = column.saturating_add(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
        rest = tail;
    }
}

fn is_word(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word
}

/// `#` begins a comment unless it joins a name to its number, `bpf_map_lookup_elem#1`.
fn is_comment(rest: &str, after_word: bool) -> bool {
    let numbers = |tail: &str| tail.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    match rest.strip_prefix('#') {
        Some(tail) => !(after_word && numbers(tail)),
        None => rest.starts_with(';') || rest.starts_with("//"),
    }
}

/// The longest sign of the table that stands here, when it is an operator and not a word.
fn operator(rest: &str) -> Option<&'static str> {
    // Operators begin with punctuation, or with the `s` of signed ones: look no further for
    // most tokens.
    if !rest.starts_with(|c: char| c.is_ascii_punctuation() || c == 's') {
        return None;
    }
    ROWS.iter()
        .map(|row| row.sign)
        .filter(|sign| sign.contains(|c| !is_word_char(c)) && rest.starts_with(sign))
        .max_by_key(|sign| sign.len())
}

fn run(text: &str, belongs: fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}
