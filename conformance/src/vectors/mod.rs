//! Instruction vectors: short programs with the result that every engine must give.
//!
//! They live in `suites/isa`, one file a topic, in a format for reading and writing by hand:
//!
//! ```text
//! # Comment.
//! case add64 register
//!     r0 = *(u64 *)(r1 + 0)
//!     r2 = *(u64 *)(r1 + 8)
//!     r0 += r2
//!     exit
//! 0x1 0xffffffffffffffff => 0x0
//! ```
//!
//! A case is a name, a program in the assembler's syntax (indented), and rows. A row gives the
//! memory that `r1` points to, as 64-bit little-endian words, and `r0` at the end; ` | ` and
//! more words say what the memory holds afterwards, where it changes. A row of `=> 0x5` has no
//! memory. `r2` holds its length in bytes.
//!
//! A word can stand in the place of rows: `refused`, the verifier does not let the program run;
//! `undefined`, it holds what is no instruction, so that not even a decoder takes it.
//! `packet` in front of a row: its bytes, in hex, are a packet that legacy loads see, and the
//! result counts as 32 bits. Raw slots, `slots` with 16 hex digits each, can stand in
//! the place of assembler text, for what no assembler writes.
//!
//! Most files are written by [`generate`], which states the meaning of instructions once more,
//! in plain Rust; the kernel confirms both.

pub mod engine;
pub mod generate;
pub mod kernel;

use std::fmt;
use ubpf_isa::{AsmError, Slot, assemble};

/// A named program with its inputs and results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it tests.
    pub name: String,
    /// The program.
    pub code: Source,
    /// What must come of it.
    pub expect: Expect,
}

/// A program as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Assembler text, a line an instruction.
    Text(Vec<String>),
    /// Slots, as the eight bytes of each.
    Slots(Vec<[u8; 8]>),
}

impl Source {
    /// The program's slots.
    ///
    /// # Errors
    /// [`AsmError`] where the text makes no sense.
    pub fn slots(&self) -> Result<Vec<Slot>, AsmError> {
        match self {
            Self::Text(lines) => assemble(&lines.join("\n")),
            Self::Slots(slots) => Ok(slots.iter().map(|&b| Slot::from_le_bytes(b)).collect()),
        }
    }
}

/// What must come of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// These results.
    Rows(Vec<Row>),
    /// Nothing: the verifier refuses it.
    Refused,
    /// Nothing: it is no sequence of instructions.
    Undefined,
}

/// An input and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the program works on.
    pub input: Memory,
    /// `r0` at the end.
    pub result: u64,
    /// The memory at the end, where it differs.
    pub after: Option<Vec<u64>>,
}

/// What a program works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Words that `r1` points to.
    Words(Vec<u64>),
    /// A packet, for legacy loads.
    Packet(Vec<u8>),
}

impl Memory {
    /// The bytes in memory order.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Words(words) => words.iter().flat_map(|w| w.to_le_bytes()).collect(),
            Self::Packet(bytes) => bytes.clone(),
        }
    }
}

/// A line of a vector file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: &'static str,
}

/// Reads a vector file.
///
/// # Errors
/// [`ParseError`] at the first line that makes no sense.
pub fn parse(text: &str) -> Result<Vec<Case>, ParseError> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let fail = |message| ParseError { line: number, message };
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case {
                name: name.to_owned(),
                code: Source::Text(Vec::new()),
                expect: Expect::Rows(Vec::new()),
            });
            continue;
        }
        let case =
            cases.last_mut().ok_or_else(|| fail("nothing may stand before the first case"))?;
        if line.starts_with(char::is_whitespace) {
            parse_code(content, &mut case.code).map_err(fail)?;
        } else if content == "refused" {
            case.expect = Expect::Refused;
        } else if content == "undefined" {
            case.expect = Expect::Undefined;
        } else if let Expect::Rows(rows) = &mut case.expect {
            rows.push(parse_row(content).map_err(fail)?);
        } else {
            return Err(fail("a program that does not run has no rows"));
        }
    }
    Ok(cases)
}

fn parse_code(content: &str, code: &mut Source) -> Result<(), &'static str> {
    match (content.strip_prefix("slots "), code) {
        (Some(hex), code) => {
            let slots = hex.split_whitespace().map(parse_slot).collect::<Option<Vec<_>>>();
            *code = Source::Slots(slots.ok_or("a slot is 16 hex digits")?);
        }
        (None, Source::Text(lines)) => lines.push(content.to_owned()),
        (None, Source::Slots(_)) => return Err("slots and text do not mix"),
    }
    Ok(())
}

fn parse_slot(hex: &str) -> Option<[u8; 8]> {
    parse_hex(hex)?.try_into().ok()
}

fn parse_hex(hex: &str) -> Option<Vec<u8>> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let digit = |d: u8| char::from(d).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()).collect()
}

fn parse_row(content: &str) -> Result<Row, &'static str> {
    let (input, output) = content.split_once("=>").ok_or("a row has `=>` before its result")?;
    let (result, after) = match output.split_once('|') {
        Some((result, after)) => (result, Some(parse_words(after)?)),
        None => (output, None),
    };
    let input = match input.trim().strip_prefix("packet") {
        Some(hex) => {
            Memory::Packet(parse_hex(hex.trim()).ok_or("a packet is pairs of hex digits")?)
        }
        None => Memory::Words(parse_words(input)?),
    };
    let [result] = parse_words(result)?[..] else { return Err("a row has one result") };
    Ok(Row { input, result, after })
}

fn parse_words(text: &str) -> Result<Vec<u64>, &'static str> {
    let word = |w: &str| u64::from_str_radix(w.strip_prefix("0x")?, 16).ok();
    let words: Option<Vec<_>> = text.split_whitespace().map(word).collect();
    words.ok_or("words are hexadecimal, with 0x in front")
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {}", self.name)?;
        match &self.code {
            Source::Text(lines) => lines.iter().try_for_each(|l| writeln!(f, "    {l}"))?,
            Source::Slots(slots) => {
                let hex = slots.iter().map(|s| hex(s)).collect::<Vec<_>>().join(" ");
                writeln!(f, "    slots {hex}")?;
            }
        }
        match &self.expect {
            Expect::Refused => writeln!(f, "refused"),
            Expect::Undefined => writeln!(f, "undefined"),
            Expect::Rows(rows) => rows.iter().try_for_each(|r| writeln!(f, "{r}")),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.input {
            Memory::Words(words) => words.iter().try_for_each(|w| write!(f, "{w:#x} "))?,
            Memory::Packet(bytes) => write!(f, "packet {} ", hex(bytes))?,
        }
        write!(f, "=> {:#x}", self.result)?;
        if let Some(after) = &self.after {
            write!(f, " |")?;
            after.iter().try_for_each(|w| write!(f, " {w:#x}"))?;
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
case add
    r0 = *(u64 *)(r1 + 0)
    exit
0x1 0x2 => 0x3 | 0x4 0x5
=> 0xffffffffffffffff
case bad
    slots ff00000000000000 9500000000000000
refused
case legacy
    r0 = *(u8 *)skb[0]
    exit
packet 0a0b => 0xa
";

    #[test]
    fn what_is_parsed_prints_as_it_was() {
        let cases = parse(TEXT).expect("well formed");
        let printed: String = cases.iter().map(ToString::to_string).collect();
        assert_eq!(printed, TEXT);
        assert_eq!(cases[1].expect, Expect::Refused);
    }

    #[test]
    fn errors_name_their_line() {
        let error = parse("case x\n    exit\n5 => 0x1\n").expect_err("a word without 0x");
        assert_eq!(error.line, 3);
        assert_eq!(parse("=> 0x1").expect_err("no case").line, 1);
    }
}
