//! The `.BTF.ext` section: which function, source line or CO-RE relocation belongs to which
//! instruction, section by section.
//!
//! Records of newer compilers may be longer than what is known here; the rest is skipped.

use super::error::{BtfError, Fault, Place};
use super::parse::Header;
use super::wire::{Cursor, EXT_HEADER_BYTES, EXT_HEADER_CORE_BYTES};
use ubpf_abi::btf::{BtfId, StrOff};

/// A `.BTF.ext` section. Strings and types lie in the object's `.BTF`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BtfExt {
    /// Functions.
    pub func_info: Vec<Section<FuncInfo>>,
    /// Source lines.
    pub line_info: Vec<Section<LineInfo>>,
    /// CO-RE relocations.
    pub core_relos: Vec<Section<CoreRelo>>,
}

/// The records of one ELF section of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<T> {
    /// The section's name.
    pub name: StrOff,
    /// Records, in the file's order.
    pub records: Vec<T>,
}

/// Where a function begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// Byte offset in the section.
    pub insn_off: u32,
    /// Its `FUNC`.
    pub ty: BtfId,
}

/// Where the instructions of a source line begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// Byte offset in the section.
    pub insn_off: u32,
    /// The file's name.
    pub file: StrOff,
    /// The line's text.
    pub text: StrOff,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 where unknown.
    pub column: u32,
}

/// An instruction to be adapted to the target's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// Byte offset of the instruction in the section.
    pub insn_off: u32,
    /// The local type that the access starts from.
    pub ty: BtfId,
    /// The access: `0:1:2`, or an enumerator's index.
    pub access: StrOff,
    /// What is asked about it.
    pub kind: CoreReloKind,
}

macro_rules! relo_kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What a CO-RE relocation asks (`enum bpf_core_relo_kind`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CoreReloKind { $($(#[$doc])* $variant,)* }

        impl CoreReloKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The kind with this number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The name libbpf prints.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

relo_kinds! {
    /// Byte offset of a field.
    FieldByteOffset = 0, "byte_off";
    /// Size of a field in bytes.
    FieldByteSize = 1, "byte_sz";
    /// Whether a field exists.
    FieldExists = 2, "field_exists";
    /// Whether a field is signed.
    FieldSigned = 3, "signed";
    /// Left shift that brings a bitfield to the top of 64 bits.
    FieldLshiftU64 = 4, "lshift_u64";
    /// Right shift that brings it back down.
    FieldRshiftU64 = 5, "rshift_u64";
    /// Id of a type in the object's own BTF.
    TypeIdLocal = 6, "local_type_id";
    /// Id of a type in the target's BTF.
    TypeIdTarget = 7, "target_type_id";
    /// Whether a type exists.
    TypeExists = 8, "type_exists";
    /// Size of a type in bytes.
    TypeSize = 9, "type_size";
    /// Whether an enumerator exists.
    EnumvalExists = 10, "enumval_exists";
    /// Value of an enumerator.
    EnumvalValue = 11, "enumval_value";
    /// Whether a type exists and matches.
    TypeMatches = 12, "type_matches";
}

/// Parses a `.BTF.ext` section.
///
/// # Errors
/// [`BtfError`] says which part is malformed, and how.
pub fn parse_ext(bytes: &[u8]) -> Result<BtfExt, BtfError> {
    let error = |fault| BtfError { place: Place::ExtHeader, fault };
    let header = Header::read(bytes).map_err(error)?;
    let mut cursor = Cursor::new(bytes.get(8..header.len).unwrap_or(&[]));
    let mut part = |what| {
        let (off, len) = cursor.u32().zip(cursor.u32()).ok_or(error(Fault::Truncated))?;
        header.part(what, off, len).map_err(error)
    };
    debug_assert!(header.len >= EXT_HEADER_BYTES, "Header::read checks the same minimum");
    let (funcs, lines) = (part("function infos")?, part("line infos")?);
    let relos = match header.len >= EXT_HEADER_CORE_BYTES {
        true => part("CO-RE relocations")?,
        false => &[],
    };
    Ok(BtfExt {
        func_info: records(funcs, Place::FuncInfo, |[insn_off, ty]| {
            Ok(FuncInfo { insn_off, ty: BtfId(ty) })
        })?,
        line_info: records(lines, Place::LineInfo, |[insn_off, file, text, line_col]| {
            let (file, text) = (StrOff(file), StrOff(text));
            Ok(LineInfo { insn_off, file, text, line: line_col >> 10, column: line_col & 0x3ff })
        })?,
        core_relos: records(relos, Place::CoreRelo, |[insn_off, ty, access, kind]| {
            let kind = CoreReloKind::from_number(kind).ok_or(Fault::UnknownRelo(kind))?;
            Ok(CoreRelo { insn_off, ty: BtfId(ty), access: StrOff(access), kind })
        })?,
    })
}

/// Reads the sections of one part, whose records begin with `N` known words.
fn records<T, const N: usize>(
    part: &[u8],
    place: fn(usize) -> Place,
    read: impl Fn([u32; N]) -> Result<T, Fault>,
) -> Result<Vec<Section<T>>, BtfError> {
    let mut cursor = Cursor::new(part);
    let mut sections = Vec::new();
    if cursor.is_empty() {
        return Ok(sections);
    }
    let error = |at: usize, fault| BtfError { place: place(at), fault };
    let record_bytes = cursor.u32().ok_or(error(0, Fault::Truncated))?;
    let stride = record_bytes as usize;
    if stride < N * 4 || !stride.is_multiple_of(4) {
        return Err(error(0, Fault::RecordSize(record_bytes)));
    }
    while !cursor.is_empty() {
        let at = cursor.offset();
        let truncated = || error(at, Fault::Truncated);
        let (name, count) = cursor.u32().zip(cursor.u32()).ok_or_else(truncated)?;
        if count == 0 {
            return Err(error(at, Fault::NoRecords));
        }
        let first = cursor.offset();
        let bytes = (count as usize).checked_mul(stride).ok_or_else(truncated)?;
        let bytes = cursor.take(bytes).ok_or_else(truncated)?;
        let records = bytes.chunks_exact(stride).enumerate().map(|(i, record)| {
            let mut words = [0; N];
            for (word, bytes) in words.iter_mut().zip(record.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            read(words).map_err(|fault| error(first + i * stride, fault))
        });
        let records = records.collect::<Result<_, _>>()?;
        sections.push(Section { name: StrOff(name), records });
    }
    Ok(sections)
}
