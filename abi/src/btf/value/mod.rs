//! Bytes as typed values, and typed values as bytes.
//!
//! [`decode`] turns the bytes of a map's value into a tree of [`Value`]s, which prints like a C
//! initialiser; [`encode`] writes such a tree, in which fields may be left out; [`Place`] finds
//! one field by its path. Everything is little-endian, as BPF objects are here.
//!
//! ```
//! use ubpf_abi::btf::{Builder, Int, IntEncoding, Member};
//! use ubpf_abi::btf::value::{decode, encode, Place, Value};
//!
//! let mut b = Builder::new();
//! let name = b.str("unsigned int");
//! let u32_ = b.int(name, Int { bytes: 4, bits: 32, bit_off: 0, encoding: IntEncoding::Unsigned });
//! let pkts = Member { name: b.str("pkts"), ty: u32_, bit_off: 0, bitfield_bits: 0 };
//! let bytes = Member { name: b.str("bytes"), ty: u32_, bit_off: 32, bitfield_bits: 0 };
//! let stats = b.str("stats");
//! let stats = b.structure(stats, 8, false, [pkts, bytes]);
//! let btf = b.finish();
//!
//! let mut data = [3, 0, 0, 0, 180, 0, 0, 0];
//! assert_eq!(decode(&btf, stats, &data)?.to_string(), "{ .pkts = 3, .bytes = 180 }");
//! encode(&btf, Place::find(&btf, stats, "bytes")?, &Value::UInt(7), &mut data)?;
//! assert_eq!(data, [3, 0, 0, 0, 7, 0, 0, 0]);
//! # Ok::<(), ubpf_abi::btf::value::ValueError>(())
//! ```

mod bits;
mod decode;
mod encode;
mod place;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub use place::Place;

use super::{BtfId, Kind, TypeError};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Signed integer.
    Int(i128),
    /// Unsigned integer.
    UInt(u128),
    /// Character.
    Char(u8),
    /// Truth value.
    Bool(bool),
    /// Floating-point number.
    Float(f64),
    /// Enumeration.
    Enum {
        /// Number.
        value: i64,
        /// The first enumerator with this number.
        name: Option<String>,
    },
    /// Pointer: a guest address.
    Ptr(u64),
    /// Array of characters that holds one printable string.
    Str(String),
    /// Array.
    Array(Vec<Value>),
    /// Structure, or all views of a union; members of anonymous members stand among the others.
    Struct(Vec<(String, Value)>),
}

/// A value cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// A type cannot answer.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The data ends before the value does.
    #[error("the value needs {needed} bytes, there are {have}")]
    TooShort {
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        have: usize,
    },
    /// The tree would have more parts than anybody can look at.
    #[error("the value has more than {0} parts")]
    TooManyParts(u32),
    /// A kind of type that has no values.
    #[error("a {0} has no values")]
    NoValue(Kind),
    /// A path that leads nowhere.
    #[error("{at} has no member {member:?}; it has {known}")]
    NoMember {
        /// Where on the path, as the type's name.
        at: String,
        /// What was looked for.
        member: String,
        /// What there is.
        known: String,
    },
    /// An index behind the end of an array, or of something else.
    #[error("index {index} is out of range, type {of} has {len} elements")]
    NoElement {
        /// The type indexed.
        of: BtfId,
        /// The index.
        index: u64,
        /// Its length, 0 if it is no array.
        len: u32,
    },
    /// A path that is not one.
    #[error("{0:?} is not a path such as a.b[3]")]
    Path(String),
    /// A value of the wrong sort.
    #[error("{value} cannot be written to a {kind}")]
    Mismatch {
        /// The value.
        value: String,
        /// What it should become.
        kind: Kind,
    },
    /// A number that does not fit.
    #[error("{value} does not fit into {bits} bits")]
    OutOfRange {
        /// The number.
        value: String,
        /// Width of the field.
        bits: u32,
    },
    /// A name that the enumeration does not have.
    #[error("{name:?} is not one of the enumeration's names: {known}")]
    NoEnumerator {
        /// What was looked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Like a C initialiser: `{ .pkts = 3, .proto = IPPROTO_TCP, .name = "eth0", .last = { 1, 2 } }`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::UInt(n) => write!(f, "{n}"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Char(c @ (b' '..=b'~')) => write!(f, "'{}'", c.escape_ascii()),
            Self::Char(c) => write!(f, "{c}"),
            Self::Enum { name: Some(name), .. } => f.write_str(name),
            Self::Enum { value, name: None } => write!(f, "{value}"),
            Self::Ptr(address) => write!(f, "{address:#x}"),
            Self::Str(s) => write!(f, "{s:?}"),
            Self::Array(items) => braced(f, items, |f, item| write!(f, "{item}")),
            Self::Struct(fields) => {
                braced(f, fields, |f, (name, value)| write!(f, ".{name} = {value}"))
            }
        }
    }
}

fn braced<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return f.write_str("{}");
    }
    for (i, it) in items.iter().enumerate() {
        f.write_str(if i == 0 { "{ " } else { ", " })?;
        item(f, it)?;
    }
    f.write_str(" }")
}
