//! Formatting as the kernel does it for programs; [`ubpf_abi::format`] has the format strings.
//!
//! Strings and addresses are turned to text when the format is read, in a buffer whose room all
//! arguments share; what cannot be read becomes empty or zero. Of what was turned to text, only
//! `%s` obeys width and flags.

use super::memory;
use crate::env;
use ubpf_abi::Errno;
use ubpf_abi::format::{Conversion, Kind, Piece, parse};
use ubpf_vm::call::{CallCx, MemReadOrEmpty};
use ubpf_vm::mem::Space;

/// Arguments that one call may format.
pub const MAX_ARGS: usize = 12;
/// Bytes in which arguments are kept between reading and formatting.
const MAX_ARG_BYTES: usize = 512;
/// Bytes of one string, its final zero included.
const MAX_STRING_BYTES: u32 = MAX_ARG_BYTES as u32;
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
    let pieces = parse(format, args.0.len()).map_err(|_| Errno::EINVAL)?;
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
            Ready::Value(conversion, value) => write(*conversion, value, &mut text),
        }
    }
    Ok(text)
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
        Kind::String | Kind::Copied { .. } => {
            let limit = u32::try_from(room.0).unwrap_or(MAX_STRING_BYTES);
            if limit == 0 {
                return Err(Errno::ENOSPC);
            }
            let space = match kind {
                Kind::Copied { user: false } => Space::Kernel,
                Kind::Copied { user: true } => Space::User,
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

fn write(conversion: Conversion, value: &Value, text: &mut Text) {
    match *value {
        Value::Char(c) => write_padded(conversion, &[c], text),
        Value::String(ref bytes) if conversion.kind == Kind::String => {
            write_padded(conversion, bytes, text);
        }
        Value::String(ref bytes) => text.push(bytes),
        Value::Number(number) => write_number(conversion, number, text),
    }
}

/// Characters and strings: spaces up to the width, whatever the other flags.
fn write_padded(conversion: Conversion, bytes: &[u8], text: &mut Text) {
    let padding = conversion.width.unwrap_or(0).saturating_sub(bytes.len());
    if !conversion.flags.left {
        text.pad(b' ', padding);
    }
    text.push(bytes);
    if conversion.flags.left {
        text.pad(b' ', padding);
    }
}

fn write_number(mut conversion: Conversion, number: u64, text: &mut Text) {
    let signed = number.cast_signed();
    let (sign, digits) = match conversion.kind {
        Kind::Signed { .. } if signed < 0 => ("-", signed.unsigned_abs().to_string()),
        Kind::Signed { .. } if conversion.flags.plus => ("+", number.to_string()),
        Kind::Signed { .. } if conversion.flags.space => (" ", number.to_string()),
        Kind::Hex { upper: true, .. } => ("", format!("{number:X}")),
        Kind::Hex { .. } => ("", format!("{number:x}")),
        Kind::Symbol => return write_padded(conversion, format!("{number:#x}").as_bytes(), text),
        Kind::Hashed | Kind::Pointer => {
            if conversion.width.is_none() {
                (conversion.width, conversion.flags.zero) = (Some(16), true);
            }
            ("", format!("{number:x}"))
        }
        _ => ("", number.to_string()),
    };
    let padding = conversion.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
    match (conversion.flags.left, conversion.flags.zero) {
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
