//! Format strings as the kernel takes them from programs: a subset of `printk`'s conversions over
//! 64-bit arguments.
//!
//! ```text
//!  %[ 0+-…][width]  d i u x X, with l or ll   number of 32 or 64 bits
//!                   c s                       character; string in kernel memory
//!                   p px pK                   pointer, hashed or as it is
//!                   ps pS pB                  symbol
//!                   pks pus                   string in kernel or user memory
//!                   pi4 pI4 pi6 pI6           address of an IPv4 or IPv6 address
//! ```

use alloc::vec::Vec;

/// Widths beyond this are cut.
const MAX_WIDTH: usize = (1 << 23) - 1;

/// The string is no format that the kernel takes, or asks for more arguments than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid format string")]
pub struct InvalidFormat;

/// A part of a format string.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'f> {
    /// Text as it is.
    Literal(&'f [u8]),
    /// An argument.
    Conversion(Conversion),
}

/// How a conversion fills its width and shows its sign.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// Zeroes in front of numbers.
    pub zero: bool,
    /// A plus in front of numbers that are not negative.
    pub plus: bool,
    /// Aligned to the left.
    pub left: bool,
    /// A space in front of numbers that are not negative.
    pub space: bool,
}

/// What becomes of an argument.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// How it fills its width.
    pub flags: Flags,
    /// Characters at least.
    pub width: Option<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A signed number.
    Signed {
        /// Of 64 bits.
        wide: bool,
    },
    /// An unsigned number.
    Unsigned {
        /// Of 64 bits.
        wide: bool,
    },
    /// A number in hexadecimal.
    Hex {
        /// Of 64 bits.
        wide: bool,
        /// With capital letters.
        upper: bool,
    },
    /// A character.
    Char,
    /// The address of a string, wherever it may lie.
    String,
    /// A string that takes no width, as all that is copied when the format is read.
    Copied {
        /// It lies in the memory of a process.
        user: bool,
    },
    /// A pointer that is not shown as it is.
    Hashed,
    /// A pointer.
    Pointer,
    /// A symbol's address.
    Symbol,
    /// A return address.
    Backtrace,
    /// The address of an IPv4 address.
    Ipv4 {
        /// With zeroes in front of each number.
        zeros: bool,
    },
    /// The address of an IPv6 address.
    Ipv6 {
        /// With colons.
        colons: bool,
    },
}

/// Reads a format string, without its final zero, that `args` arguments are for.
///
/// # Errors
/// A conversion that is not one of the above or lacks its argument, or a control character.
pub fn parse(format: &[u8], args: usize) -> Result<Vec<Piece<'_>>, InvalidFormat> {
    let mut pieces = Vec::new();
    let (mut literal, mut at, mut used) = (0, 0, 0);
    let peek = |at: usize| format.get(at).copied().unwrap_or(0);
    while let Some(&c) = format.get(at) {
        if c.is_ascii() && !c.is_ascii_graphic() && !is_space(c) {
            return Err(InvalidFormat);
        }
        if c != b'%' {
            at += 1;
            continue;
        }
        if peek(at + 1) == b'%' {
            pieces.push(Piece::Literal(format.get(literal..=at).unwrap_or_default()));
            at += 2;
            literal = at;
            continue;
        }
        if used >= args {
            return Err(InvalidFormat);
        }
        pieces.push(Piece::Literal(format.get(literal..at).unwrap_or_default()));
        let (conversion, len) = conversion(format.get(at + 1..).unwrap_or_default())?;
        pieces.push(Piece::Conversion(conversion));
        used += 1;
        at += 1 + len;
        literal = at;
    }
    pieces.push(Piece::Literal(format.get(literal..).unwrap_or_default()));
    Ok(pieces)
}

/// The conversion that `spec`, which follows a percent sign, begins with, and its length.
fn conversion(spec: &[u8]) -> Result<(Conversion, usize), InvalidFormat> {
    let peek = |at: usize| spec.get(at).copied().unwrap_or(0);
    let mut flags = Flags::default();
    let mut at = 0;
    loop {
        match peek(at) {
            b'0' => flags.zero = true,
            b'+' => flags.plus = true,
            b'-' => flags.left = true,
            b' ' => flags.space = true,
            _ => break,
        }
        at += 1;
    }
    let mut width = None;
    while peek(at).is_ascii_digit() {
        let digit = usize::from(peek(at) - b'0');
        width = Some((width.unwrap_or(0) * 10 + digit).min(MAX_WIDTH));
        at += 1;
    }
    let ends = |at: usize| peek(at) == 0 || is_space(peek(at)) || is_punct(peek(at));
    let (kind, len) = match (peek(at), peek(at + 1), peek(at + 2)) {
        (b'p', _, _) if ends(at + 1) => (Kind::Hashed, 1),
        (b'p', b'k', b's') if ends(at + 3) => (Kind::Copied { user: false }, 3),
        (b'p', b'u', b's') if ends(at + 3) => (Kind::Copied { user: true }, 3),
        (b'p', b'K', _) => (Kind::Hashed, 2),
        (b'p', b'x', _) => (Kind::Pointer, 2),
        (b'p', b's' | b'S', _) => (Kind::Symbol, 2),
        (b'p', b'B', _) => (Kind::Backtrace, 2),
        (b'p', case @ (b'i' | b'I'), b'4') => (Kind::Ipv4 { zeros: case == b'i' }, 3),
        (b'p', case @ (b'i' | b'I'), b'6') => (Kind::Ipv6 { colons: case == b'I' }, 3),
        (b's', _, _) if ends(at + 1) => (Kind::String, 1),
        (b'c', _, _) => (Kind::Char, 1),
        (b'l', b'l', c) => (number(c, true)?, 3),
        (b'l', c, _) => (number(c, true)?, 2),
        (c, _, _) => (number(c, false)?, 1),
    };
    // Letters and digits behind a pointer belong to it, whether they mean anything or not.
    let letters = match peek(at) {
        b'p' => spec.iter().skip(at + len).take_while(|&&c| is_alnum(c)).count(),
        _ => 0,
    };
    Ok((Conversion { flags, width, kind }, at + len + letters))
}

/// The kernel's letters and digits, which are Latin-1's.
const fn is_alnum(c: u8) -> bool {
    c.is_ascii_alphanumeric() || (c >= 0xc0 && !matches!(c, 0xd7 | 0xf7))
}

/// The kernel's punctuation, which is Latin-1's.
const fn is_punct(c: u8) -> bool {
    c.is_ascii_punctuation() || matches!(c, 0xa1..=0xbf | 0xd7 | 0xf7)
}

const fn number(c: u8, wide: bool) -> Result<Kind, InvalidFormat> {
    match c {
        b'd' | b'i' => Ok(Kind::Signed { wide }),
        b'u' => Ok(Kind::Unsigned { wide }),
        b'x' => Ok(Kind::Hex { wide, upper: false }),
        b'X' => Ok(Kind::Hex { wide, upper: true }),
        _ => Err(InvalidFormat),
    }
}

/// The kernel's white space, which has the no-break space of Latin-1.
const fn is_space(c: u8) -> bool {
    matches!(c, b'\t'..=b'\r' | b' ' | 0xa0)
}
