//! Functions: which code belongs to which symbol, and which of them are entry programs.
//!
//! As in libbpf every function outside `.text` is an entry program, named by its section, and
//! those in `.text` are subprograms. Beyond libbpf, local functions may be in any section, and
//! the global functions of an object that has nothing but `.text` are entry programs without a
//! type.

use crate::elf::{Binding, Elf, Place, Section, SectionId, SymbolKind};
use crate::error::{LoadError, LoadErrorKind as Kind};
use crate::sections::section_info;
use std::ops::Range;
use ubpf_abi::object::{Function, SectionInfo};
use ubpf_isa::Slot;

/// The section of subprograms.
const TEXT: &str = ".text";
/// Functions may overlap (aliases share their code), but only so much: their code together is
/// at most this many times the size of the file.
const MAX_OVERLAP: usize = 8;

/// The functions of an object, by section and offset, with their places in the file.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) list: Vec<Function>,
    places: Vec<CodePlace>,
}

/// Where a function's code lies in the file. Ordered by section, then start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CodePlace {
    pub(crate) section: SectionId,
    /// First slot in the section.
    pub(crate) start: u32,
    /// Slots.
    pub(crate) len: u32,
}

impl CodePlace {
    /// Byte offsets in the section.
    pub(crate) fn bytes(&self) -> Range<u64> {
        let start = u64::from(self.start) * Slot::BYTES as u64;
        start..start + u64::from(self.len) * Slot::BYTES as u64
    }
}

impl Functions {
    /// Collects all functions.
    pub(crate) fn collect(elf: &Elf<'_>, file_len: usize) -> Result<Self, LoadError> {
        let limit = file_len.saturating_mul(MAX_OVERLAP);
        let mut claimed = 0usize;
        let mut drafts = Vec::new();
        for symbol in elf.symbols() {
            let Place::In(section) = symbol.place else {
                continue;
            };
            let Some(section) = elf.section(section).filter(|s| s.executable) else {
                continue;
            };
            if symbol.kind != SymbolKind::Func {
                continue;
            }
            let locate = |e: LoadError| e.in_section(section.name).of_symbol(symbol.name);
            let code = code_of(section, symbol.value, symbol.size).map_err(locate)?;
            claimed = claimed.saturating_add(code.len());
            if claimed > limit {
                return Err(locate(Kind::FunctionsOverlap { limit }.into()));
            }
            let (slots, _) = code.as_chunks::<{ Slot::BYTES }>();
            let place = CodePlace {
                section: section.id,
                start: slot_number(symbol.value),
                len: slot_number(symbol.size),
            };
            let is_entry = section.name != TEXT && symbol.binding != Binding::Local;
            drafts.push((
                place,
                Function {
                    name: symbol.name.to_owned(),
                    section: section.name.to_owned(),
                    entry: is_entry.then(|| section_info(section.name)),
                    global: symbol.binding != Binding::Local && !symbol.hidden,
                    slots: slots.iter().map(|&b| Slot::from_le_bytes(b)).collect(),
                    classic: None,
                    refs: Vec::new(),
                    lines: Vec::new(),
                    btf_func: None,
                    failed_relos: Vec::new(),
                },
            ));
        }
        drafts.sort_by_key(|(place, _)| *place);
        let (places, mut list): (Vec<_>, Vec<_>) = drafts.into_iter().unzip();
        if list.iter().all(|f| f.entry.is_none()) {
            for function in list.iter_mut().filter(|f| f.global) {
                function.entry = Some(SectionInfo::default());
            }
        }
        Ok(Self { list, places })
    }

    /// Every function with its place.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (CodePlace, &mut Function)> {
        self.places.iter().copied().zip(&mut self.list)
    }

    /// The function that covers a slot of a section, with its aliases.
    pub(crate) fn covering_mut(
        &mut self,
        section: SectionId,
        slot: u32,
    ) -> impl Iterator<Item = (CodePlace, &mut Function)> {
        let places = self.places.as_slice();
        let after = places.partition_point(|p| (p.section, p.start) <= (section, slot));
        let last = after.checked_sub(1).and_then(|at| places.get(at).copied());
        let start = last.map_or(after, |last| {
            places.partition_point(|p| (p.section, p.start) < (last.section, last.start))
        });
        let functions = self.list.get_mut(start..after).unwrap_or(&mut []);
        let places = places.iter().copied().skip(start);
        places.zip(functions).filter(move |(p, _)| {
            let end = p.start.saturating_add(p.len);
            p.section == section && slot < end
        })
    }

    /// Where every function lies, in the order of the list.
    pub(crate) fn places(&self) -> &[CodePlace] {
        &self.places
    }

    /// The function that begins at this slot of a section.
    pub(crate) fn starting_at(&self, section: SectionId, slot: u32) -> Option<usize> {
        let at = self.places.partition_point(|p| (p.section, p.start) < (section, slot));
        let place = self.places.get(at)?;
        (place.section == section && place.start == slot).then_some(at)
    }
}

/// The bytes of a function.
fn code_of<'a>(section: &Section<'a>, offset: u64, size: u64) -> Result<&'a [u8], LoadError> {
    let grid = Slot::BYTES as u64;
    let range = || {
        let start = usize::try_from(offset).ok()?;
        let size = usize::try_from(size).ok()?;
        section.data.get(start..start.checked_add(size)?)
    };
    range().filter(|_| offset.is_multiple_of(grid) && size.is_multiple_of(grid)).ok_or_else(|| {
        Kind::FunctionOutOfSection { offset, size, section_size: section.size }.into()
    })
}

/// Bytes as slots; whoever calls has compared them with the size of a section.
fn slot_number(bytes: u64) -> u32 {
    u32::try_from(bytes / Slot::BYTES as u64).unwrap_or(u32::MAX)
}
