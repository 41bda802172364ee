//! Filters as listings: what `tcpdump -d` prints, and how instructions are shown.
//!
//! ```text
//! (000) ldh      [12]
//! (001) jeq      #0x800           jt 2 jf 3
//! ```
//!
//! Targets of jumps are instructions, not distances.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

use super::{Acc, Extension, Insn, SockFilter, Src, TextError};
use crate::insn::{AluOp, CmpOp, Size};

/// Reads what `tcpdump -d` prints.
///
/// # Errors
/// [`TextError`] names the line that is wrong.
pub fn parse_listing(text: &str) -> Result<Vec<SockFilter>, TextError> {
    let mut insns = Vec::new();
    for (record, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let bad = || TextError::Line { record, text: line.into() };
        let (number, insn) =
            line.strip_prefix('(').and_then(|line| line.split_once(')')).ok_or_else(bad)?;
        if number.parse() != Ok(insns.len()) {
            return Err(TextError::Order { record, expected: insns.len() });
        }
        let insn = instruction(insns.len(), insn.trim()).ok_or_else(bad)?;
        insns.push(insn);
    }
    Ok(insns)
}

/// One line, behind its number.
fn instruction(at: usize, text: &str) -> Option<SockFilter> {
    let (mnemonic, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    let plain = |code: u16, k| Some(SockFilter::new(code, 0, 0, k));
    match mnemonic {
        "ld" => load(rest, 0x00, Some(0x60), Some(0x80)),
        "ldh" => load(rest, 0x08, None, None),
        "ldb" => load(rest, 0x10, None, None),
        "ldx" => match rest {
            "#pktlen" => plain(0x81, 0),
            _ => match word(rest) {
                Some(k) => plain(0x61, k),
                None => plain(0x01, constant(rest)?),
            },
        },
        "ldxb" => plain(0xb1, number(rest.strip_prefix("4*([")?.strip_suffix("]&0xf)")?)?),
        "st" => plain(0x02, word(rest)?),
        "stx" => plain(0x03, word(rest)?),
        "ret" if rest.is_empty() => plain(0x16, 0),
        "ret" => plain(0x06, constant(rest)?),
        "tax" => plain(0x07, 0),
        "txa" => plain(0x87, 0),
        "neg" => plain(0x84, 0),
        "ja" => plain(0x05, distance(at, rest)?),
        _ => {
            if let Some((.., code)) = JUMPS.iter().find(|row| row.0 == mnemonic) {
                let (operand, targets) = rest.split_once(char::is_whitespace)?;
                let (jt, jf) = targets.trim().strip_prefix("jt ")?.split_once("jf ")?;
                let skip = |target: &str| u8::try_from(distance(at, target.trim())?).ok();
                let (source, k) = operand_of(operand)?;
                return Some(SockFilter::new(code | source, skip(jt)?, skip(jf)?, k));
            }
            let (.., code) = ARITHMETIC.iter().find(|row| row.0 == mnemonic)?;
            let (source, k) = operand_of(rest)?;
            plain(code | source, k)
        }
    }
}

/// Conditions with their names and codes, those with a constant.
const JUMPS: [(&str, CmpOp, u16); 4] = [
    ("jeq", CmpOp::Eq, 0x15),
    ("jgt", CmpOp::Gt, 0x25),
    ("jge", CmpOp::Ge, 0x35),
    ("jset", CmpOp::Set, 0x45),
];
/// Arithmetic likewise.
const ARITHMETIC: [(&str, AluOp, u16); 10] = [
    ("add", AluOp::Add, 0x04),
    ("sub", AluOp::Sub, 0x14),
    ("mul", AluOp::Mul, 0x24),
    ("div", AluOp::Div, 0x34),
    ("or", AluOp::Or, 0x44),
    ("and", AluOp::And, 0x54),
    ("lsh", AluOp::Lsh, 0x64),
    ("rsh", AluOp::Rsh, 0x74),
    ("mod", AluOp::Mod, 0x94),
    ("xor", AluOp::Xor, 0xa4),
];

/// The name that a table has for an operation. Valid filters have no others.
fn name_of<T: PartialEq>(table: &[(&'static str, T, u16)], op: T) -> &'static str {
    table.iter().find(|row| row.1 == op).map_or("?", |row| row.0)
}

/// A load into `A`: from the packet, from elsewhere, or a constant where `memory` has a code.
fn load(operand: &str, size: u16, memory: Option<u16>, len: Option<u16>) -> Option<SockFilter> {
    const ABS: u16 = 0x20;
    const IND: u16 = 0x40;
    let plain = |code, k| Some(SockFilter::new(code, 0, 0, k));
    if let Some(place) = operand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match (place.strip_prefix("x + "), Extension::from_name(place)) {
            (Some(off), _) => plain(IND | size, number(off)?),
            (None, Some(extension)) => plain(ABS | size, Extension::BASE + extension.offset()),
            (None, None) => plain(ABS | size, number(place)?),
        };
    }
    match (operand, word(operand)) {
        ("#pktlen", _) => plain(len?, 0),
        (_, Some(k)) => plain(memory?, k),
        _ => memory.and_then(|_| plain(0x00, constant(operand)?)),
    }
}

/// `x`, or a constant.
fn operand_of(text: &str) -> Option<(u16, u32)> {
    if text == "x" { Some((0x08, 0)) } else { Some((0, constant(text)?)) }
}

/// Instructions between one and its target; backward, which no valid filter has, as the machine
/// counts it.
fn distance(at: usize, target: &str) -> Option<u32> {
    let (at, target) = (u32::try_from(at).ok()?, target.parse::<u32>().ok()?);
    Some(target.wrapping_sub(at).wrapping_sub(1))
}

fn constant(text: &str) -> Option<u32> {
    number(text.strip_prefix('#')?)
}

fn word(text: &str) -> Option<u32> {
    number(text.strip_prefix("M[")?.strip_suffix(']')?)
}

/// Hexadecimal, or decimal with a sign.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => {
            let signed = text.parse::<i32>().ok().map(i32::cast_unsigned);
            signed.or_else(|| text.parse().ok())
        }
    }
}

/// As in a listing, but for the targets of jumps, which depend on where the instruction is: they
/// are shown as distances, `+2`. The alternate form has no columns.
impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_insn(f, self, |f, skip| write!(f, "+{skip}"))
    }
}

/// An instruction with its place.
pub(super) struct Placed(pub usize, pub Insn);

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:03}) ", self.0)?;
        write_insn(f, &self.1, |f, skip| write!(f, "{}", self.0 as u64 + 1 + u64::from(skip)))
    }
}

fn write_insn(
    f: &mut fmt::Formatter<'_>,
    insn: &Insn,
    target: impl Fn(&mut fmt::Formatter<'_>, u32) -> fmt::Result,
) -> fmt::Result {
    // The columns of a listing, or one blank.
    let (width, operand_width) = if f.alternate() { (0, 0) } else { (8, 16) };
    let load = |size: &Size| match size {
        Size::B => "ldb",
        Size::H => "ldh",
        Size::W | Size::Dw => "ld",
    };
    let acc = |acc: &Acc, a, x| match acc {
        Acc::A => a,
        Acc::X => x,
    };
    match insn {
        Insn::LdAbs { size, k } => write!(f, "{:width$} [{}]", load(size), k.cast_signed()),
        Insn::LdInd { size, k } => write!(f, "{:width$} [x + {}]", load(size), k.cast_signed()),
        Insn::LdExtension(extension) => write!(f, "{:width$} [{}]", "ld", extension.name()),
        Insn::LdxMsh { k } => write!(f, "{:width$} 4*([{}]&0xf)", "ldxb", k.cast_signed()),
        Insn::Len(to) => write!(f, "{:width$} #pktlen", acc(to, "ld", "ldx")),
        Insn::Imm(to, k) => write!(f, "{:width$} #{k:#x}", acc(to, "ld", "ldx")),
        Insn::Load(to, word) => write!(f, "{:width$} M[{}]", acc(to, "ld", "ldx"), word.number()),
        Insn::Store(from, word) => {
            write!(f, "{:width$} M[{}]", acc(from, "st", "stx"), word.number())
        }
        Insn::Alu { op, src } => {
            let bits = matches!(op, AluOp::And | AluOp::Or | AluOp::Xor);
            match src {
                Src::X => write!(f, "{:width$} x", name_of(&ARITHMETIC, *op)),
                Src::K(k) if bits => write!(f, "{:width$} #{k:#x}", name_of(&ARITHMETIC, *op)),
                Src::K(k) => write!(f, "{:width$} #{}", name_of(&ARITHMETIC, *op), k.cast_signed()),
            }
        }
        Insn::Neg => f.write_str("neg"),
        Insn::Tax => f.write_str("tax"),
        Insn::Txa => f.write_str("txa"),
        Insn::Jump(skip) => {
            write!(f, "{:width$} ", "ja")?;
            target(f, *skip)
        }
        Insn::Branch { op, src, jt, jf } => {
            let operand = match src {
                Src::X => "x".to_string(),
                Src::K(k) => alloc::format!("#{k:#x}"),
            };
            write!(f, "{:width$} {operand:operand_width$} jt ", name_of(&JUMPS, *op))?;
            target(f, (*jt).into())?;
            f.write_str(" jf ")?;
            target(f, (*jf).into())
        }
        Insn::RetK(k) => write!(f, "{:width$} #{}", "ret", k.cast_signed()),
        Insn::RetA => f.write_str("ret"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;
    use alloc::string::String;

    /// As tcpdump prints it, but for the tab between targets.
    const LISTING: &str = "\
(000) ldh      [12]
(001) jeq      #0x800           jt 2 jf 16
(002) ldxb     4*([14]&0xf)
(003) ldh      [x + 14]
(004) ld       [type]
(005) st       M[0]
(006) ldx      M[0]
(007) add      #-1
(008) and      #0xff
(009) div      x
(010) jset     x                jt 11 jf 12
(011) neg
(012) ld       #pktlen
(013) ldx      #0x20
(014) ja       16
(015) ret
(016) ret      #262144
";

    #[test]
    fn listings_are_read_and_written_alike() {
        let filter = Filter::check(&parse_listing(LISTING).unwrap()).unwrap();
        let written: String = filter.listing().map(|line| line + "\n").collect();
        assert_eq!(written, LISTING);
        assert_eq!(parse_listing(&LISTING.replace(" jf", "\tjf")), parse_listing(LISTING));
    }

    #[test]
    fn errors_name_the_line() {
        let line = |record, text: &str| Err(TextError::Line { record, text: text.into() });
        assert_eq!(parse_listing("(000) ldq [1]"), line(1, "(000) ldq [1]"));
        assert_eq!(parse_listing("(000) ldh M[1]"), line(1, "(000) ldh M[1]"));
        assert_eq!(parse_listing("ret"), line(1, "ret"));
        assert_eq!(
            parse_listing("(000) ret #1\n(002) ret #1"),
            Err(TextError::Order { record: 2, expected: 1 })
        );
        assert_eq!(
            parse_listing("(000) jeq #1 jt 900 jf 1").unwrap_err(),
            line(1, "(000) jeq #1 jt 900 jf 1").unwrap_err()
        );
    }
}
