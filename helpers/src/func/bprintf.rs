//! Formatting as the kernel does it for programs: a subset of `printk`'s conversions over 64-bit
//! arguments.
//!
//! ```text
//!  %[ 0+-…][width]  d i u x X, with l or ll   number of 32 or 64 bits
//!                   c s                       character; string in kernel memory
//!                   p px pK                   pointer, hashed or as it is
//!                   ps pS pB                  symbol; there are none, so the address
//!                   pks pus                   string in kernel or user memory
//!                   pi4 pI4 pi6 pI6           address of an IPv4 or IPv6 address
//! ```
//!
//! Strings and addresses are turned to text when the format is read, in a buffer whose room all
//! arguments share; what cannot be read becomes empty or zero. Of what was turned to text, only
//! `%s` obeys width and flags.

use super::memory;
use super::string::is_space;
use crate::env;
use ubpf_abi::Errno;
use ubpf_vm::call::{CallCx, MemReadOrEmpty};
use ubpf_vm::mem::Space;

/// Arguments that one call may format.
pub const MAX_ARGS: usize = 12;
/// Bytes in which arguments are kept between reading and formatting.
const MAX_ARG_BYTES: usize = 512;
/// Bytes of one string, its final zero included.
const MAX_STRING_BYTES: u32 = MAX_ARG_BYTES as u32;
/// Widths beyond this are cut.
const MAX_WIDTH: usize = (1 << 23) - 1;
/// Text beyond this is counted and not kept: no buffer of a program is larger.
const MAX_TEXT_BYTES: usize = 1 << 16;

/// Arguments of a call.
#[derive(Clone, Debug, Default)]
pub struct Args(Vec<u64>);

impl Args {
    /// These.
    #[must_use]
    pub fn new(args: &[u64]) -> Self {
        Self(args.to_vec())
    }

    /// Reads them from an array in guest memory.
    ///
    /// # Errors
    /// `EINVAL` for more than [`MAX_ARGS`], or a size that is no multiple of 8.
    pub fn read(cx: &CallCx<'_>, memory: Option<MemReadOrEmpty>) -> Result<Self, Errno> {
        let Some(memory) = memory else { return Ok(Self::default()) };
        if !memory.len().is_multiple_of(8) || memory.len() as usize > MAX_ARGS * 8 {
            return Err(Errno::EINVAL);
        }
        let bytes = memory.bytes(cx).map_err(|_| Errno::EFAULT)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(Self(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
    }
}

/// Text that was formatted: at most [`MAX_TEXT_BYTES`] of it, and how long all of it would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    bytes: Vec<u8>,
    len: usize,
}

impl Text {
    /// Length of the whole text.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The first bytes; `None` when fewer were kept.
    #[must_use]
    pub fn get(&self, range: core::ops::RangeTo<usize>) -> Option<&[u8]> {
        self.bytes.get(range)
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = MAX_TEXT_BYTES - self.bytes.len();
        self.bytes.extend(bytes.iter().take(room));
        self.len += bytes.len();
    }

    fn pad(&mut self, byte: u8, count: usize) {
        let room = MAX_TEXT_BYTES - self.bytes.len();
        self.bytes.resize(self.bytes.len() + count.min(room), byte);
        self.len += count;
    }
}

/// Formats `args` by `format`, which has no zero byte.
///
/// # Errors
/// `EINVAL` for a conversion that is not one of the above or lacks its argument, or a control
/// character; `ENOSPC` when the arguments' texts exceed the room they share.
pub fn format(cx: &CallCx<'_>, format: &[u8], args: &Args) -> Result<Text, Errno> {
    let pieces = parse(format, args.0.len())?;
    let mut room = Room(MAX_ARG_BYTES);
    let mut args = args.0.iter();
    let mut ready = Vec::with_capacity(pieces.len());
    for piece in pieces {
        ready.push(match piece {
            Piece::Literal(bytes) => Ready::Literal(bytes),
            Piece::Conversion(conversion) => {
                let arg = args.next().copied().unwrap_or(0);
                Ready::Value(conversion, fetch(cx, conversion.kind, arg, &mut room)?)
            }
        });
    }
    let mut text = Text::default();
    for piece in &ready {
        match piece {
            Ready::Literal(bytes) => text.push(bytes),
            Ready::Value(conversion, value) => conversion.write(value, &mut text),
        }
    }
    Ok(text)
}

enum Piece<'f> {
    Literal(&'f [u8]),
    Conversion(Conversion),
}

enum Ready<'f> {
    Literal(&'f [u8]),
    Value(Conversion, Value),
}

/// An argument as it is kept until the text is written.
enum Value {
    Number(u64),
    Char(u8),
    String(Vec<u8>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    zero: bool,
    plus: bool,
    left: bool,
    space: bool,
}

#[derive(Clone, Copy, Debug)]
struct Conversion {
    flags: Flags,
    width: Option<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Signed {
        wide: bool,
    },
    Unsigned {
        wide: bool,
    },
    Hex {
        wide: bool,
        upper: bool,
    },
    Char,
    String,
    /// A string that takes no width, as all that was copied when the format was read.
    Copied(Space),
    Hashed,
    Pointer,
    Symbol,
    Backtrace,
    Ipv4 {
        zeros: bool,
    },
    Ipv6 {
        colons: bool,
    },
}

fn parse(format: &[u8], args: usize) -> Result<Vec<Piece<'_>>, Errno> {
    let mut pieces = Vec::new();
    let (mut literal, mut at, mut used) = (0, 0, 0);
    let peek = |at: usize| format.get(at).copied().unwrap_or(0);
    while let Some(&c) = format.get(at) {
        if c.is_ascii() && !c.is_ascii_graphic() && !is_space(c) {
            return Err(Errno::EINVAL);
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
            return Err(Errno::EINVAL);
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
fn conversion(spec: &[u8]) -> Result<(Conversion, usize), Errno> {
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
        (b'p', b'k', b's') if ends(at + 3) => (Kind::Copied(Space::Kernel), 3),
        (b'p', b'u', b's') if ends(at + 3) => (Kind::Copied(Space::User), 3),
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

const fn number(c: u8, wide: bool) -> Result<Kind, Errno> {
    match c {
        b'd' | b'i' => Ok(Kind::Signed { wide }),
        b'u' => Ok(Kind::Unsigned { wide }),
        b'x' => Ok(Kind::Hex { wide, upper: false }),
        b'X' => Ok(Kind::Hex { wide, upper: true }),
        _ => Err(Errno::EINVAL),
    }
}

/// Room that is left for arguments.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), Errno> {
        self.0 = self.0.checked_sub(bytes).ok_or(Errno::ENOSPC)?;
        Ok(())
    }

    /// Numbers begin at multiples of four.
    fn take_number(&mut self, bytes: usize) -> Result<(), Errno> {
        self.0 -= self.0 % 4;
        self.take(bytes)
    }

    /// Takes what `text` and its zero need, or cuts it to what there is.
    fn take_text(&mut self, text: &mut Vec<u8>) {
        text.truncate(self.0.saturating_sub(1));
        self.0 = self.0.saturating_sub(text.len() + 1);
    }
}

fn fetch(cx: &CallCx<'_>, kind: Kind, arg: u64, room: &mut Room) -> Result<Value, Errno> {
    match kind {
        Kind::Signed { wide } | Kind::Unsigned { wide } | Kind::Hex { wide, .. } => {
            room.take_number(if wide { 8 } else { 4 })?;
            Ok(Value::Number(match kind {
                Kind::Signed { wide: false } => i64::from(arg as i32).cast_unsigned(),
                _ if wide => arg,
                _ => u64::from(arg as u32),
            }))
        }
        Kind::Hashed => {
            room.take_number(8)?;
            Ok(Value::Number(hashed(cx, arg)))
        }
        Kind::Pointer | Kind::Symbol => {
            room.take_number(8)?;
            Ok(Value::Number(arg))
        }
        Kind::Backtrace => {
            let mut text = format!("{arg:#x}").into_bytes();
            room.take_text(&mut text);
            Ok(Value::String(text))
        }
        Kind::Char => {
            room.take(1)?;
            Ok(Value::Char(arg as u8))
        }
        Kind::String | Kind::Copied(_) => {
            let limit = u32::try_from(room.0).unwrap_or(MAX_STRING_BYTES);
            if limit == 0 {
                return Err(Errno::ENOSPC);
            }
            let space = match kind {
                Kind::Copied(space) => space,
                _ => memory::space_of(arg),
            };
            let mut text = memory::string(cx, space, arg, limit).unwrap_or_default();
            if text.last() == Some(&0) {
                text.pop();
            }
            room.take_text(&mut text);
            Ok(Value::String(text))
        }
        Kind::Ipv4 { .. } => {
            let address = address::<4>(cx, arg, room)?;
            let mut text = ipv4(address, kind == Kind::Ipv4 { zeros: true });
            room.take_text(&mut text);
            Ok(Value::String(text))
        }
        Kind::Ipv6 { colons } => {
            let address = address::<16>(cx, arg, room)?;
            let mut text = ipv6(address, colons);
            room.take_text(&mut text);
            Ok(Value::String(text))
        }
    }
}

fn address<const N: usize>(cx: &CallCx<'_>, arg: u64, room: &Room) -> Result<[u8; N], Errno> {
    if room.0 < N {
        return Err(Errno::ENOSPC);
    }
    let mut bytes = [0; N];
    if memory::read(cx, Space::Kernel, arg, &mut bytes).is_err() {
        bytes = [0; N];
    }
    Ok(bytes)
}

/// What is printed for a pointer that shall not be shown: 32 bits that are its own in this world.
fn hashed(cx: &CallCx<'_>, pointer: u64) -> u64 {
    /// Null and error numbers are shown as they are.
    const FIRST_ERROR: u64 = -4095i64 as u64;
    if pointer == 0 || pointer >= FIRST_ERROR {
        return pointer;
    }
    let seed = env::of(cx.world).hash_seed();
    u64::from(env::mix(pointer ^ seed) as u32)
}

fn ipv4(address: [u8; 4], zeros: bool) -> Vec<u8> {
    let [a, b, c, d] = address;
    let text =
        if zeros { format!("{a:03}.{b:03}.{c:03}.{d:03}") } else { format!("{a}.{b}.{c}.{d}") };
    text.into_bytes()
}

fn ipv6(address: [u8; 16], colons: bool) -> Vec<u8> {
    let (groups, _) = address.as_chunks::<2>();
    let groups = groups.iter().map(|g| format!("{:04x}", u16::from_be_bytes(*g)));
    let groups: Vec<_> = groups.collect();
    groups.join(if colons { ":" } else { "" }).into_bytes()
}

impl Conversion {
    fn write(self, value: &Value, text: &mut Text) {
        match *value {
            Value::Char(c) => self.write_padded(&[c], text),
            Value::String(ref bytes) if self.kind == Kind::String => {
                self.write_padded(bytes, text);
            }
            Value::String(ref bytes) => text.push(bytes),
            Value::Number(number) => self.write_number(number, text),
        }
    }

    /// Characters and strings: spaces up to the width, whatever the other flags.
    fn write_padded(self, bytes: &[u8], text: &mut Text) {
        let padding = self.width.unwrap_or(0).saturating_sub(bytes.len());
        if !self.flags.left {
            text.pad(b' ', padding);
        }
        text.push(bytes);
        if self.flags.left {
            text.pad(b' ', padding);
        }
    }

    fn write_number(mut self, number: u64, text: &mut Text) {
        let signed = number.cast_signed();
        let (sign, digits) = match self.kind {
            Kind::Signed { .. } if signed < 0 => ("-", signed.unsigned_abs().to_string()),
            Kind::Signed { .. } if self.flags.plus => ("+", number.to_string()),
            Kind::Signed { .. } if self.flags.space => (" ", number.to_string()),
            Kind::Hex { upper: true, .. } => ("", format!("{number:X}")),
            Kind::Hex { .. } => ("", format!("{number:x}")),
            Kind::Symbol => return self.write_padded(format!("{number:#x}").as_bytes(), text),
            Kind::Hashed | Kind::Pointer => {
                if self.width.is_none() {
                    (self.width, self.flags.zero) = (Some(16), true);
                }
                ("", format!("{number:x}"))
            }
            _ => ("", number.to_string()),
        };
        let padding = self.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
        match (self.flags.left, self.flags.zero) {
            (true, _) => {
                text.push(sign.as_bytes());
                text.push(digits.as_bytes());
                text.pad(b' ', padding);
            }
            (false, true) => {
                text.push(sign.as_bytes());
                text.pad(b'0', padding);
                text.push(digits.as_bytes());
            }
            (false, false) => {
                text.pad(b' ', padding);
                text.push(sign.as_bytes());
                text.push(digits.as_bytes());
            }
        }
    }
}
