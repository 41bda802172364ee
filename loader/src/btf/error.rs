//! What can be wrong with BTF as bytes.

use core::fmt;
use ubpf_abi::btf::{BtfId, Kind};

/// BTF that cannot be read: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct BtfError {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// Where in the BTF something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file that should hold a `.BTF` section.
    File,
    /// Header of `.BTF`.
    Header,
    /// String section of `.BTF`.
    Strings,
    /// A type.
    Type {
        /// Its id.
        id: BtfId,
        /// Its byte offset in the type section.
        offset: usize,
    },
    /// Header of `.BTF.ext`.
    ExtHeader,
    /// Function information in `.BTF.ext`, at this byte offset of its part.
    FuncInfo(usize),
    /// Line information in `.BTF.ext`, at this byte offset of its part.
    LineInfo(usize),
    /// CO-RE relocations in `.BTF.ext`, at this byte offset of their part.
    CoreRelo(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("BTF file"),
            Self::Header => f.write_str(".BTF header"),
            Self::Strings => f.write_str(".BTF strings"),
            Self::Type { id, offset } => write!(f, ".BTF type {id} at offset {offset:#x}"),
            Self::ExtHeader => f.write_str(".BTF.ext header"),
            Self::FuncInfo(at) => write!(f, ".BTF.ext func_info at offset {at:#x}"),
            Self::LineInfo(at) => write!(f, ".BTF.ext line_info at offset {at:#x}"),
            Self::CoreRelo(at) => write!(f, ".BTF.ext core_relo at offset {at:#x}"),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes end too early.
    #[error("the data ends in the middle")]
    Truncated,
    /// Neither byte order's magic number.
    #[error("magic number is {0:#06x}, not 0xeb9f")]
    Magic(u16),
    /// Written for a big-endian machine.
    #[error("big-endian BTF; compile with -target bpfel")]
    BigEndian,
    /// An unknown version of the format.
    #[error("version {0} of the format, only 1 is known")]
    Version(u8),
    /// The header's own length makes no sense.
    #[error("header length {0} is too small or beyond the data")]
    HeaderLen(u32),
    /// A part lies outside the section, off its alignment or over another one.
    #[error("{what} at {off:#x} with {len} bytes do not fit into {have} bytes")]
    Extent {
        /// Which part.
        what: &'static str,
        /// Where it begins, after the header.
        off: u32,
        /// Its length in bytes.
        len: u32,
        /// What there is after the header, in bytes.
        have: usize,
    },
    /// The string section does not begin or end with a zero byte.
    #[error("the strings must begin and end with a zero byte")]
    Unterminated,
    /// A kind that Linux 6.18 does not have.
    #[error("unknown kind {0}; this ubpf knows BTF up to Linux 6.18")]
    UnknownKind(u32),
    /// A name that is not in the string section.
    #[error("name offset {0:#x} is beyond the strings")]
    Name(u32),
    /// A reference to a type that does not exist.
    #[error("refers to type [{0}], which does not exist")]
    Reference(u32),
    /// A field that holds none of its values.
    #[error("{what} of {kind} is {value:#x}")]
    Field {
        /// Which kind of type.
        kind: Kind,
        /// Which field.
        what: &'static str,
        /// What it holds.
        value: u32,
    },
    /// Records smaller than the format's, or not in words.
    #[error("record size {0} is below the format's minimum or not a multiple of 4")]
    RecordSize(u32),
    /// A list of records without records.
    #[error("a section without records")]
    NoRecords,
    /// A kind of CO-RE relocation that Linux 6.18 does not have.
    #[error("unknown kind {0} of CO-RE relocation")]
    UnknownRelo(u32),
    /// Not an ELF file that can be read, nor raw BTF.
    #[error("neither raw BTF nor a readable ELF file ({0})")]
    NotElf(String),
    /// An ELF file without types.
    #[error("the ELF file has no .BTF section; compile with -g")]
    NoBtf,
}
