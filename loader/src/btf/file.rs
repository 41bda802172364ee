//! Files that hold BTF: the kernel's raw ones, and ELF files with a `.BTF` section.

use super::error::{BtfError, Fault, Place};
use super::parse::{parse, parse_split};
use super::wire::MAGIC;
use goblin::elf::Elf;
use std::sync::Arc;
use ubpf_abi::btf::Btf;

/// Parses the contents of a BTF file: raw BTF such as `/sys/kernel/btf/vmlinux`, or an ELF file
/// (a kernel image, a module, a BPF object) with a `.BTF` section. With a `base` the BTF
/// is split, as modules' are.
///
/// # Errors
/// [`BtfError`] when it is neither, has no BTF, or the BTF is malformed.
pub fn parse_file(bytes: &[u8], base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
    let is_raw = bytes
        .first_chunk::<2>()
        .map(|b| u16::from_le_bytes(*b))
        .is_some_and(|magic| magic == MAGIC || magic.swap_bytes() == MAGIC);
    let section = if is_raw { bytes } else { elf_section(bytes)? };
    match base {
        Some(base) => parse_split(section, base),
        None => parse(section),
    }
}

/// The `.BTF` section of an ELF file.
fn elf_section(bytes: &[u8]) -> Result<&[u8], BtfError> {
    let error = |fault| BtfError { place: Place::File, fault };
    let elf = Elf::parse(bytes).map_err(|e| error(Fault::NotElf(e.to_string())))?;
    let header = elf
        .section_headers
        .iter()
        .find(|h| elf.shdr_strtab.get_at(h.sh_name) == Some(".BTF"))
        .ok_or(error(Fault::NoBtf))?;
    header.file_range().and_then(|range| bytes.get(range)).ok_or(error(Fault::Truncated))
}
