//! What is wrong with an object, and where.

use crate::btf;
use std::fmt;
use ubpf_abi::prog_type::ProgType;
use ubpf_isa::cbpf::{ClassicError, ReadError};

/// An object that could not be loaded or linked: where ([`section`](Self::section),
/// [`symbol`](Self::symbol), [`offset`](Self::offset)) and what ([`kind`](Self::kind)).
#[derive(Debug)]
pub struct LoadError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: LoadErrorKind,
    section: Option<String>,
    symbol: Option<String>,
    offset: Option<u64>,
}

impl LoadError {
    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &LoadErrorKind {
        &self.0.kind
    }

    /// The ELF section it is in.
    #[must_use]
    pub fn section(&self) -> Option<&str> {
        self.0.section.as_deref()
    }

    /// The function, map or variable it concerns.
    #[must_use]
    pub fn symbol(&self) -> Option<&str> {
        self.0.symbol.as_deref()
    }

    /// Byte offset within the section.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// The same error with its section, unless it knows a closer one.
    pub(crate) fn in_section(mut self, name: &str) -> Self {
        self.0.section.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same error with its symbol, unless it knows a closer one.
    pub(crate) fn of_symbol(mut self, name: &str) -> Self {
        self.0.symbol.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same error with its offset in the section, unless it knows a closer one.
    pub(crate) fn at_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }
}

impl From<LoadErrorKind> for LoadError {
    fn from(kind: LoadErrorKind) -> Self {
        Self(Box::new(Inner { kind, section: None, symbol: None, offset: None }))
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, section, symbol, offset } = &*self.0;
        if let Some(section) = section {
            write!(f, "section `{}`", Printable(section))?;
            if let Some(offset) = offset {
                write!(f, " at {offset:#x}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(symbol) = symbol {
            write!(f, "`{}`: ", Printable(symbol))?;
        }
        kind.fmt(f)
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.kind)
    }
}

/// A name out of an object, which can be anything: escaped, and cut at 80 characters.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(80) {
            write!(f, "{}", c.escape_debug())?;
        }
        if chars.next().is_some() {
            f.write_str("…")?;
        }
        Ok(())
    }
}

/// Kinds of errors, with their data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadErrorKind {
    // The file.
    /// The magic number is missing.
    #[error("not an ELF file; build objects with `clang -target bpf -c`")]
    NotElf,
    /// Neither an object nor a classic filter in any of its forms.
    #[error(
        "neither an ELF object, as `clang -target bpf -c` builds it, nor a classic filter, as `tcpdump -ddd` prints it"
    )]
    NeitherElfNorFilter,
    /// What looks like a classic filter and cannot be read as one.
    #[error("a classic filter that cannot be read: {0}")]
    FilterText(ReadError),
    /// A classic filter that the kernel refuses, or that cannot run as this type.
    #[error(transparent)]
    Classic(ClassicError),
    /// Classic filters read packets through instructions that this type does not have.
    #[error("a classic filter cannot run as {0}")]
    ClassicType(ProgType),
    /// The ELF header or the section table lies past the end.
    #[error("the file ends inside its {0}; it seems to be truncated")]
    Truncated(&'static str),
    /// A 32-bit file.
    #[error("a 32-bit ELF file; BPF objects are 64-bit")]
    Class32,
    /// A big-endian object.
    #[error(
        "a big-endian object; rebuild it with `-target bpfel` (or `-target bpf` on a little-endian host)"
    )]
    BigEndian,
    /// Code for another machine.
    #[error("ELF machine {0} is not BPF (247); rebuild it with `-target bpf`")]
    WrongMachine(u16),
    /// An executable or shared object.
    #[error(
        "ELF type {0} is not a relocatable object (1); compile with `-c` and do not link with a native linker"
    )]
    NotRelocatable(u16),
    /// A section reaches past the end of the file.
    #[error("it spans {size:#x} bytes at file offset {offset:#x}, but the file has {file_len:#x}")]
    SectionOutOfFile {
        /// Its offset in the file.
        offset: u64,
        /// Its size.
        size: u64,
        /// The size of the file.
        file_len: u64,
    },
    /// Sections overlap so much that together they are larger than the file.
    #[error("sections claim more bytes than the file holds")]
    SectionsOverlap,
    /// A section without contents asks for too much memory.
    #[error(
        "zero-initialised data of {bytes} bytes; at most {limit} bytes are supported in one object"
    )]
    BssTooLarge {
        /// Bytes wanted.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A name lies outside the string table or is not UTF-8.
    #[error(
        "the name of {what} {index} (offset {offset:#x}) is not in the string table or is not UTF-8"
    )]
    BadName {
        /// "section" or "symbol".
        what: &'static str,
        /// Which one.
        index: usize,
        /// Offset in the string table.
        offset: u64,
    },
    /// No `.symtab`.
    #[error("no symbol table; was the object stripped? `llvm-strip -g` keeps what is needed")]
    NoSymbols,
    /// More than one `.symtab`.
    #[error("more than one symbol table")]
    SeveralSymbolTables,
    /// A table's entries are of the wrong size.
    #[error("entries of {found} bytes where the format has {expected}")]
    EntrySize {
        /// What the header says.
        found: u64,
        /// What the format says.
        expected: u64,
    },
    /// A relocation or header names a section that does not exist.
    #[error("it refers to section {0}, which does not exist")]
    NoSuchSection(u32),
    /// A relocation names a symbol that does not exist.
    #[error("a relocation refers to symbol {0}, which does not exist")]
    NoSuchSymbol(u32),

    /// A `version` section that is not one number.
    #[error("a `version` section of {0} bytes; it must be a 32-bit number")]
    Version(u64),

    // Code.
    /// A function lies outside its section or off the grid of instructions.
    #[error(
        "the function spans {size:#x} bytes at {offset:#x}, which is not a whole number of instructions inside its section of {section_size:#x} bytes"
    )]
    FunctionOutOfSection {
        /// Byte offset in the section.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Bytes of the section.
        section_size: u64,
    },
    /// Functions overlap so much that together they are far larger than the file.
    #[error("functions overlap: together they claim more than {limit} bytes of code")]
    FunctionsOverlap {
        /// Bytes allowed.
        limit: usize,
    },
    /// A relocation of a type that has no meaning in code.
    #[error("relocation type {0} is not one that BPF code can have")]
    RelocType(u32),
    /// A relocation whose offset is not at an instruction of its section.
    #[error("a relocation that is not at an instruction")]
    RelocOffset,
    /// A relocation of an instruction that holds no reference.
    #[error(
        "a relocation against `{symbol}` of an instruction (opcode {opcode:#04x}) that is neither a call nor a wide load"
    )]
    RelocInsn {
        /// What it refers to.
        symbol: String,
        /// The instruction.
        opcode: u8,
    },
    /// A call with a relocation, but not to a subprogram.
    #[error(
        "a relocated call of `{symbol}` with source register {src}, where 1 means a call of a subprogram"
    )]
    RelocCall {
        /// What it refers to.
        symbol: String,
        /// The register field.
        src: u8,
    },
    /// A symbol that nobody defines.
    #[error(
        "`{0}` is not defined in this object; define it, link the object that does with `bpftool gen object`, or declare it `extern … __ksym` or `__kconfig` and compile with `-g`"
    )]
    Undefined(String),
    /// A common or absolute symbol.
    #[error(
        "`{symbol}` is in no section (index {index:#x}); give the variable an initial value or compile with `-fno-common`"
    )]
    SpecialSection {
        /// What is referred to.
        symbol: String,
        /// ELF section index.
        index: u16,
    },
    /// A reference into a section that is neither code, maps nor data.
    #[error(
        "a reference to `{symbol}` in section `{target}`, which holds neither code nor maps nor data"
    )]
    BadTarget {
        /// What is referred to.
        symbol: String,
        /// Its section.
        target: String,
    },
    /// No function starts where a call or function address leads.
    #[error(
        "no function starts at {offset:#x} of section `{target}`, where this call or function address leads"
    )]
    NoFunctionAt {
        /// The section.
        target: String,
        /// Byte offset there, negative for a jump off the section's start.
        offset: i64,
    },
    /// No map starts where a reference leads.
    #[error("no map starts at {offset:#x} of section `{target}`")]
    NoMapAt {
        /// The section.
        target: String,
        /// Byte offset there.
        offset: i64,
    },
    /// Jump tables, which clang emits for indirect jumps from version 22 on.
    #[error(
        "indirect jumps through a jump table are not supported; compile with `-fno-jump-tables`"
    )]
    JumpTable,
    /// An address in a data section past 4 GiB.
    #[error("offset {offset} in `{target}` does not fit an instruction")]
    DataOffset {
        /// The section.
        target: String,
        /// Byte offset there.
        offset: i64,
    },

    // BTF.
    /// The type information does not parse.
    #[error("type information is damaged")]
    Btf(#[source] btf::BtfError),
    /// A CO-RE relocation that makes no sense or fits several types of the target.
    #[error("a CO-RE relocation cannot be applied")]
    CoreRelo(#[source] btf::core_relo::CoreReloError),
    /// Something needs type information and there is none.
    #[error("{0} needs type information; compile with `-g`")]
    NoBtf(&'static str),

    // Maps.
    /// A map definition that libbpf would refuse.
    #[error("{0}")]
    Map(MapError),
    /// A `.kconfig` extern.
    #[error("{0}")]
    Kconfig(KconfigError),
    /// A `.struct_ops` variable.
    #[error("{0}")]
    StructOps(StructOpsError),

    /// Bare code that is not a whole number of instructions.
    #[error("{0} bytes are not a program of 8-byte instructions")]
    RawLength(usize),

    // Choosing and linking a program.
    /// The object has no entry program.
    #[error("the object holds no program")]
    NoProgram,
    /// No program has this name.
    #[error("no program is called `{name}`; the object has {}", Names(.have))]
    UnknownProgram {
        /// What was asked for.
        name: String,
        /// The object's programs.
        have: Vec<String>,
    },
    /// Several programs and none chosen.
    #[error("the object has several programs: {}; choose one with `--prog NAME`", Names(.0))]
    AmbiguousProgram(Vec<String>),
    /// The section name gives no program type.
    #[error("the section's name gives no program type; choose one with `--type {}`", Advice(*.resembles))]
    UnknownType {
        /// What the name looks like.
        resembles: Option<ProgType>,
    },
    /// Linked code would exceed what offsets can span.
    #[error("the linked program would have more than {limit} instructions")]
    ProgramTooLarge {
        /// Slots allowed.
        limit: usize,
    },
    /// An object put together by hand holds a reference that leads nowhere.
    #[error("a reference of slot {0} leads nowhere")]
    BadRef(u32),
    /// `exception_callback` names a function that cannot be one.
    #[error("the exception callback `{0}` must be a global function in `.text`")]
    ExceptionCallback(String),
}

/// What is wrong with a map's definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// `.maps` without its `DATASEC`.
    #[error("the object's BTF has no `DATASEC` for its maps")]
    NoDatasec,
    /// A variable without name.
    #[error("map number {0} has no name")]
    NoName(usize),
    /// A variable outside the section.
    #[error("the definition lies outside the section")]
    OutOfSection,
    /// A map that is `static` or `extern`.
    #[error("a map must be a global variable, not static or extern")]
    Linkage,
    /// A map that is no struct.
    #[error("the definition is a {0}, not a STRUCT")]
    NotStruct(String),
    /// A field that is not written with the macro meant for it.
    #[error("field `{field}` must be written with {expected}")]
    Field {
        /// Its name.
        field: String,
        /// The macro.
        expected: &'static str,
    },
    /// A field that libbpf does not know.
    #[error("unknown field `{0}`")]
    UnknownField(String),
    /// Two fields that contradict each other.
    #[error("`{field}` says {first} bytes and {second} bytes")]
    Conflict {
        /// `key` or `value`.
        field: &'static str,
        /// The first size.
        first: u32,
        /// The second size.
        second: u32,
    },
    /// A type without a size.
    #[error("the type of `{0}` has no size")]
    NoSize(&'static str),
    /// `type` is missing.
    #[error("no `type` is given")]
    NoType,
    /// `values` with a type of map that takes none.
    #[error("`values` is for prog arrays and maps of maps")]
    ValuesForeign,
    /// `values` not at the end.
    #[error("`values` must be the last field")]
    ValuesNotLast,
    /// An inner map that holds maps or is pinned.
    #[error("an inner map can neither hold maps nor be pinned")]
    Inner,
    /// `pinning` that is neither 0 nor 1.
    #[error("`pinning` is {0}, which is neither LIBBPF_PIN_NONE (0) nor LIBBPF_PIN_BY_NAME (1)")]
    Pinning(u32),
    /// An initial value that names nothing suitable.
    #[error("slot {slot} is initialised with `{symbol}`, which is not {expected}")]
    Slot {
        /// Which slot.
        slot: u64,
        /// What it names.
        symbol: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A relocation of a map definition that is not in `values`.
    #[error("only `values` can be initialised with references")]
    StrayReloc,
    /// Too many slots.
    #[error("slot {0} lies beyond what a map can have")]
    SlotRange(u64),
    /// A legacy definition of a size that no loader uses.
    #[error(
        "a definition of {0} bytes; `struct bpf_map_def` has 20 or 28, `struct bpf_elf_map` 36"
    )]
    LegacySize(u64),
    /// Too many legacy maps.
    #[error("more than {0} maps in legacy sections")]
    TooMany(usize),
    /// A second arena.
    #[error("an object can have only one arena")]
    SecondArena,
    /// Arena variables without an arena.
    #[error("`__arena` variables need a map of type BPF_MAP_TYPE_ARENA")]
    NoArena,
    /// Two maps of the same name.
    #[error("two maps are called `{0}`")]
    Duplicate(String),
}

/// What is wrong with a `.kconfig` extern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KconfigError {
    /// Not in the configuration, and not weak.
    #[error("the kernel configuration does not set it; give one that does, or declare it `__weak`")]
    Missing,
    /// Not a `CONFIG_` option and not a variable that libbpf provides.
    #[error(
        "neither a CONFIG_ option nor one of LINUX_KERNEL_VERSION, LINUX_HAS_BPF_COOKIE, LINUX_HAS_SYSCALL_WRAPPER"
    )]
    Unknown,
    /// A function.
    #[error("a function cannot be in .kconfig")]
    Function,
    /// A type that cannot hold a configuration value.
    #[error("its type must be an integer, bool, enum libbpf_tristate, char or char array")]
    Type,
    /// A value that its type cannot hold.
    #[error("value `{0}` does not fit its type")]
    Value(String),
}

/// What is wrong with a `.struct_ops` variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StructOpsError {
    /// The section has no `DATASEC`.
    #[error("the object's BTF has no `DATASEC` for it")]
    NoDatasec,
    /// Not a variable of a named struct type.
    #[error("it must be a variable of a named struct type")]
    NotStruct,
    /// The variable lies outside its section.
    #[error("it lies outside its section")]
    OutOfSection,
    /// A reference that is not in a function pointer.
    #[error("offset {0} is not a function pointer")]
    NotFunctionPointer(u64),
    /// A function pointer to something that is no struct_ops program.
    #[error("`{0}` is not a program in a `struct_ops` section")]
    NotProgram(String),
}

/// A program type to try.
struct Advice(Option<ProgType>);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(prog_type) => write!(f, "{prog_type}"),
            None => f.write_str("TYPE"),
        }
    }
}

/// A list of names for a message, cut after 20.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (i, name) in self.0.iter().take(SHOWN).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", Printable(name))?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_before_what() {
        let error = LoadError::from(LoadErrorKind::RelocOffset)
            .of_symbol("filter")
            .in_section("xdp")
            .at_offset(0x18)
            .in_section("outer");
        assert_eq!(
            error.to_string(),
            "section `xdp` at 0x18: `filter`: a relocation that is not at an instruction"
        );
    }

    #[test]
    fn names_from_the_object_cannot_garble_the_message() {
        let error = LoadError::from(LoadErrorKind::NoProgram).in_section("a\u{1b}[31m\n");
        assert_eq!(error.to_string(), "section `a\\u{1b}[31m\\n`: the object holds no program");
        let many = LoadErrorKind::AmbiguousProgram((0..25).map(|i| format!("p{i}")).collect());
        assert!(many.to_string().contains("p19 and 5 more"));
    }
}
