//! The object file as sections, symbols and relocations, with every bound checked once.
//!
//! goblin decodes the headers; this module decides which files are acceptable and hands out
//! slices that cannot be out of range. Two rules keep memory in proportion to the file however
//! it was forged: sections together may not claim more bytes than the file has, and nothing is
//! allocated by a count that was not first compared with the bytes it must occupy.

use crate::error::{LoadError, LoadErrorKind as Kind};
use goblin::container::{Container, Ctx, Endian};
use goblin::elf::{Elf as Goblin, Reloc as GoblinReloc, SectionHeader, Sym, Symtab};
use goblin::elf::{header, reloc::RelocSection, section_header as sh, sym};

/// Every BPF object that is accepted has this layout.
const LAYOUT: Ctx = Ctx { container: Container::Big, le: Endian::Little };
/// BPF's machine number, and the zero that compilers wrote before it had one; libbpf takes both.
const MACHINES: [u16; 2] = [header::EM_BPF, header::EM_NONE];

/// Longest name that is looked at, so that many names on one endless string stay cheap.
const MAX_NAME_BYTES: usize = 4096;

/// A checked object file.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    bytes: &'a [u8],
    sections: Vec<Section<'a>>,
    symbols: Vec<Symbol<'a>>,
    /// Relocation sections by what they apply to.
    reloc_tables: Vec<(SectionId, SectionId)>,
}

/// Index of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SectionId(pub(crate) u32);

/// One section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) id: SectionId,
    pub(crate) name: &'a str,
    pub(crate) kind: SectionKind,
    /// Holds instructions.
    pub(crate) executable: bool,
    /// Bytes in memory; [`SectionKind::Zeroed`] sections have no `data`.
    pub(crate) size: u64,
    pub(crate) data: &'a [u8],
    file_offset: u64,
    entry_size: u64,
}

/// What a section's contents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// Bytes of the program.
    Data,
    /// Zeroes that the file leaves out.
    Zeroed,
    /// Relocations of this section.
    Relocs { of: SectionId, addends: bool },
    /// Anything else.
    Other,
}

/// One symbol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: SymbolKind,
    pub(crate) binding: Binding,
    /// Visible in its own object only although it is not local.
    pub(crate) hidden: bool,
    pub(crate) place: Place,
    /// Byte offset in its section.
    pub(crate) value: u64,
    pub(crate) size: u64,
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    NoType,
    Object,
    Func,
    Section,
    Other,
}

/// Who sees a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    Local,
    Global,
    Weak,
}

/// Where a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Undefined,
    In(SectionId),
    /// Absolute, common and other reserved indices.
    Special(u16),
}

/// One relocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reloc {
    /// Byte offset in the section it applies to.
    pub(crate) offset: u64,
    /// Index of the symbol.
    pub(crate) symbol: u32,
    /// `R_BPF_*`.
    pub(crate) kind: u32,
    /// Explicit addend; without one it is in the instruction.
    pub(crate) addend: Option<i64>,
}

impl<'a> Elf<'a> {
    /// Checks and indexes an object file.
    /// Whether these are the bytes of an ELF file, of whatever kind.
    pub(crate) fn recognises(bytes: &[u8]) -> bool {
        bytes.starts_with(header::ELFMAG)
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, LoadError> {
        let header = parse_header(bytes)?;
        let headers = parse_section_headers(bytes, &header)?;
        let sections = parse_sections(bytes, &header, &headers)?;
        let symbols = parse_symbols(bytes, &headers, &sections)?;
        let mut reloc_tables: Vec<_> = sections
            .iter()
            .filter_map(|s| match s.kind {
                SectionKind::Relocs { of, .. } => Some((of, s.id)),
                _ => None,
            })
            .collect();
        reloc_tables.sort_unstable();
        Ok(Self { bytes, sections, symbols, reloc_tables })
    }

    pub(crate) fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    pub(crate) fn section(&self, id: SectionId) -> Option<&Section<'a>> {
        self.sections.get(id.0 as usize)
    }

    /// The name of a section, for messages.
    pub(crate) fn section_name(&self, id: SectionId) -> &'a str {
        self.section(id).map_or("", |s| s.name)
    }

    /// The first section with this name that has contents.
    pub(crate) fn data_section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name == name && s.kind == SectionKind::Data)
    }

    pub(crate) fn symbols(&self) -> &[Symbol<'a>] {
        &self.symbols
    }

    /// What a relocation refers to.
    pub(crate) fn symbol(&self, reloc: &Reloc) -> Result<&Symbol<'a>, LoadError> {
        self.symbols
            .get(reloc.symbol as usize)
            .ok_or_else(|| Kind::NoSuchSymbol(reloc.symbol).into())
    }

    /// The name of a symbol for messages: sections' symbols have none of their own.
    pub(crate) fn symbol_name(&self, symbol: &Symbol<'a>) -> &'a str {
        match symbol.place {
            Place::In(id) if symbol.name.is_empty() => self.section_name(id),
            _ => symbol.name,
        }
    }

    /// All relocations of one section, in the file's order.
    pub(crate) fn relocs_of(&self, section: SectionId) -> Result<Vec<Reloc>, LoadError> {
        let mut relocs = Vec::new();
        let first = self.reloc_tables.partition_point(|&(of, _)| of < section);
        let tables = self.reloc_tables.iter().skip(first);
        for &(_, table) in tables.take_while(|&&(of, _)| of == section) {
            let Some(table) = self.section(table) else {
                continue;
            };
            let addends = matches!(table.kind, SectionKind::Relocs { addends: true, .. });
            let entry_size = GoblinReloc::size(addends, LAYOUT);
            check_entry_size(table, entry_size)?;
            // The bounds were checked when the section was; goblin repeats the check.
            let (Ok(offset), Ok(size)) =
                (usize::try_from(table.file_offset), usize::try_from(table.size))
            else {
                return Err(Kind::Truncated("relocations").into());
            };
            let parsed = RelocSection::parse(self.bytes, offset, size, addends, LAYOUT)
                .map_err(|_| LoadError::from(Kind::Truncated("relocations")))?;
            relocs.reserve(parsed.len());
            relocs.extend(parsed.iter().map(|r| Reloc {
                offset: r.r_offset,
                symbol: u32::try_from(r.r_sym).unwrap_or(u32::MAX),
                kind: r.r_type,
                addend: r.r_addend,
            }));
        }
        Ok(relocs)
    }
}

fn parse_header(bytes: &[u8]) -> Result<header::Header, LoadError> {
    let magic = header::ELFMAG;
    if !bytes.starts_with(magic) {
        return Err(Kind::NotElf.into());
    }
    // The identification bytes first, for a better message than goblin's.
    match bytes.get(header::EI_CLASS) {
        Some(&header::ELFCLASS64) => {}
        Some(&header::ELFCLASS32) => return Err(Kind::Class32.into()),
        _ => return Err(Kind::NotElf.into()),
    }
    match bytes.get(header::EI_DATA) {
        Some(&header::ELFDATA2LSB) => {}
        Some(&header::ELFDATA2MSB) => return Err(Kind::BigEndian.into()),
        _ => return Err(Kind::NotElf.into()),
    }
    let header = Goblin::parse_header(bytes).map_err(|_| Kind::Truncated("ELF header"))?;
    if !MACHINES.contains(&header.e_machine) {
        return Err(Kind::WrongMachine(header.e_machine).into());
    }
    if header.e_type != header::ET_REL {
        return Err(Kind::NotRelocatable(header.e_type).into());
    }
    Ok(header)
}

fn parse_section_headers(
    bytes: &[u8],
    header: &header::Header,
) -> Result<Vec<SectionHeader>, LoadError> {
    let entry_size = SectionHeader::size(LAYOUT);
    if header.e_shoff == 0 {
        return Ok(Vec::new());
    }
    if usize::from(header.e_shentsize) != entry_size {
        return Err(Kind::EntrySize {
            found: header.e_shentsize.into(),
            expected: entry_size as u64,
        }
        .into());
    }
    let truncated = || LoadError::from(Kind::Truncated("section table"));
    let offset = usize::try_from(header.e_shoff).map_err(|_| truncated())?;
    let room = bytes.len().checked_sub(offset).ok_or_else(truncated)? / entry_size;
    let count = usize::from(header.e_shnum);
    // A count of zero means that the first header holds it; goblin compares that one with the
    // file's size before it allocates.
    if room == 0 || count > room {
        return Err(truncated());
    }
    SectionHeader::parse(bytes, offset, count, LAYOUT).map_err(|_| truncated())
}

fn parse_sections<'a>(
    bytes: &'a [u8],
    header: &header::Header,
    headers: &[SectionHeader],
) -> Result<Vec<Section<'a>>, LoadError> {
    /// The index of the section names is in the first header.
    const SHN_XINDEX: u16 = 0xffff;
    let names_index = match header.e_shstrndx {
        SHN_XINDEX => headers.first().map_or(0, |h| h.sh_link as usize),
        index => usize::from(index),
    };
    let names = match headers.get(names_index) {
        Some(names) => file_bytes(bytes, names).map_err(|e| e.in_section("section names"))?,
        None if headers.is_empty() => &[],
        None => {
            let index = u32::try_from(names_index).unwrap_or(u32::MAX);
            return Err(Kind::NoSuchSection(index).into());
        }
    };
    let mut claimed = 0u64;
    let mut sections = Vec::with_capacity(headers.len());
    for (index, header) in headers.iter().enumerate() {
        let name = string(names, header.sh_name).ok_or(Kind::BadName {
            what: "section",
            index,
            offset: header.sh_name as u64,
        })?;
        let in_section = |e: LoadError| e.in_section(name);
        let data = file_bytes(bytes, header).map_err(in_section)?;
        claimed = claimed.saturating_add(data.len() as u64);
        if claimed > bytes.len() as u64 {
            return Err(in_section(Kind::SectionsOverlap.into()));
        }
        let kind = match header.sh_type {
            sh::SHT_PROGBITS => SectionKind::Data,
            sh::SHT_NOBITS => SectionKind::Zeroed,
            sh::SHT_REL | sh::SHT_RELA => {
                if header.sh_info as usize >= headers.len() {
                    return Err(in_section(Kind::NoSuchSection(header.sh_info).into()));
                }
                SectionKind::Relocs {
                    of: SectionId(header.sh_info),
                    addends: header.sh_type == sh::SHT_RELA,
                }
            }
            _ => SectionKind::Other,
        };
        sections.push(Section {
            id: SectionId(u32::try_from(index).unwrap_or(u32::MAX)),
            name,
            kind,
            executable: header.sh_flags & u64::from(sh::SHF_EXECINSTR) != 0,
            size: header.sh_size,
            data,
            file_offset: header.sh_offset,
            entry_size: header.sh_entsize,
        });
    }
    Ok(sections)
}

fn parse_symbols<'a>(
    bytes: &'a [u8],
    headers: &[SectionHeader],
    sections: &[Section<'a>],
) -> Result<Vec<Symbol<'a>>, LoadError> {
    let mut tables = headers.iter().zip(sections).filter(|(h, _)| h.sh_type == sh::SHT_SYMTAB);
    let (header, table) = tables.next().ok_or(Kind::NoSymbols)?;
    if tables.next().is_some() {
        return Err(Kind::SeveralSymbolTables.into());
    }
    let in_table = |e: LoadError| e.in_section(table.name);
    let entry_size = Sym::size(Container::Big);
    check_entry_size(table, entry_size)?;
    let names = sections
        .get(header.sh_link as usize)
        .ok_or_else(|| in_table(Kind::NoSuchSection(header.sh_link).into()))?
        .data;
    let count = table.data.len() / entry_size;
    if count == 0 {
        return Ok(Vec::new());
    }
    let truncated = || in_table(Kind::Truncated("symbol table").into());
    let offset = usize::try_from(table.file_offset).map_err(|_| truncated())?;
    let parsed = Symtab::parse(bytes, offset, count, LAYOUT).map_err(|_| truncated())?;
    let mut symbols = Vec::with_capacity(count);
    for (index, symbol) in parsed.iter().enumerate() {
        let name = string(names, symbol.st_name).ok_or_else(|| {
            in_table(Kind::BadName { what: "symbol", index, offset: symbol.st_name as u64 }.into())
        })?;
        symbols.push(Symbol {
            name,
            kind: match symbol.st_type() {
                sym::STT_NOTYPE => SymbolKind::NoType,
                sym::STT_OBJECT => SymbolKind::Object,
                sym::STT_FUNC => SymbolKind::Func,
                sym::STT_SECTION => SymbolKind::Section,
                _ => SymbolKind::Other,
            },
            binding: match symbol.st_bind() {
                sym::STB_LOCAL => Binding::Local,
                sym::STB_WEAK => Binding::Weak,
                _ => Binding::Global,
            },
            hidden: matches!(symbol.st_visibility(), sym::STV_HIDDEN | sym::STV_INTERNAL),
            place: place(symbol.st_shndx, sections.len())
                .map_err(|e| in_table(e).of_symbol(name))?,
            value: symbol.st_value,
            size: symbol.st_size,
        });
    }
    Ok(symbols)
}

/// Where a section index of a symbol leads.
fn place(index: usize, sections: usize) -> Result<Place, LoadError> {
    let index = u16::try_from(index).unwrap_or(u16::MAX);
    if u32::from(index) == sh::SHN_UNDEF {
        Ok(Place::Undefined)
    } else if u32::from(index) >= sh::SHN_LORESERVE {
        Ok(Place::Special(index))
    } else if usize::from(index) < sections {
        Ok(Place::In(SectionId(index.into())))
    } else {
        Err(Kind::NoSuchSection(index.into()).into())
    }
}

fn check_entry_size(table: &Section<'_>, expected: usize) -> Result<(), LoadError> {
    if table.entry_size == expected as u64 {
        return Ok(());
    }
    let kind = Kind::EntrySize { found: table.entry_size, expected: expected as u64 };
    Err(LoadError::from(kind).in_section(table.name))
}

/// The bytes a section has in the file.
fn file_bytes<'a>(bytes: &'a [u8], header: &SectionHeader) -> Result<&'a [u8], LoadError> {
    if matches!(header.sh_type, sh::SHT_NOBITS | sh::SHT_NULL) {
        return Ok(&[]);
    }
    let range = || {
        let start = usize::try_from(header.sh_offset).ok()?;
        let size = usize::try_from(header.sh_size).ok()?;
        bytes.get(start..start.checked_add(size)?)
    };
    range().ok_or_else(|| {
        Kind::SectionOutOfFile {
            offset: header.sh_offset,
            size: header.sh_size,
            file_len: bytes.len() as u64,
        }
        .into()
    })
}

/// The zero-terminated string at `offset`.
fn string(table: &[u8], offset: usize) -> Option<&str> {
    if offset == 0 && table.is_empty() {
        return Some("");
    }
    let rest = table.get(offset..)?;
    let rest = rest.get(..MAX_NAME_BYTES).unwrap_or(rest);
    let end = rest.iter().position(|&b| b == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}
