//! The object's own type information, completed with what compilers leave to the loader.
//!
//! clang writes the `DATASEC` of a data section with size and offsets zero; the ELF symbols
//! say where the variables are. Objects linked by `bpftool gen object` are complete already.

use crate::btf::{self, BtfExt};
use crate::elf::{Binding, Elf, Place, SectionKind};
use crate::error::{LoadError, LoadErrorKind as Kind};
use std::collections::{HashMap, HashSet};
use ubpf_abi::btf::{Btf, BtfId, Def, Linkage};

/// Sections of the host's symbols, whose variables have no place in the object.
pub(crate) const KSYMS: &str = ".ksyms";
/// Section of kernel configuration values.
pub(crate) const KCONFIG: &str = ".kconfig";

/// `.BTF` and `.BTF.ext` of an object.
#[derive(Debug, Default)]
pub(crate) struct Types {
    pub(crate) btf: Option<Btf>,
    pub(crate) ext: BtfExt,
    /// Sections with a variable that other objects, and so user space, may see.
    exported: HashSet<BtfId>,
}

impl Types {
    /// Parses both sections; an object without them has no types.
    pub(crate) fn parse(elf: &Elf<'_>) -> Result<Self, LoadError> {
        let Some(section) = elf.data_section(".BTF") else {
            return Ok(Self::default());
        };
        let damaged = |name: &'static str| move |e| LoadError::from(Kind::Btf(e)).in_section(name);
        let mut btf = btf::parse(section.data).map_err(damaged(".BTF"))?;
        let ext = match elf.data_section(".BTF.ext") {
            Some(section) => btf::parse_ext(section.data).map_err(damaged(".BTF.ext"))?,
            None => BtfExt::default(),
        };
        let exported = place_variables(&mut btf, elf);
        Ok(Self { btf: Some(btf), ext, exported })
    }

    /// The types, for something that cannot do without.
    pub(crate) fn require(&self, who: &'static str) -> Result<&Btf, LoadError> {
        self.btf.as_ref().ok_or_else(|| Kind::NoBtf(who).into())
    }

    /// The `DATASEC` of an ELF section.
    pub(crate) fn datasec(&self, section: &str) -> Option<BtfId> {
        let btf = self.btf.as_ref()?;
        btf.find(ubpf_abi::btf::Kind::Datasec, section)
    }

    /// Whether user space may see one of the section's variables, so that its map is one that
    /// can be mapped.
    pub(crate) fn is_exported(&self, datasec: BtfId) -> bool {
        self.exported.contains(&datasec)
    }
}

/// Places the variables of all sections. Returns the sections with variables that are
/// neither static nor hidden.
fn place_variables(btf: &mut Btf, elf: &Elf<'_>) -> HashSet<BtfId> {
    let symbols: HashMap<_, _> = elf
        .symbols()
        .iter()
        .filter_map(|s| match s.place {
            Place::In(section) => Some(((elf.section_name(section), s.name), s)),
            _ => None,
        })
        .collect();
    let sizes: HashMap<_, _> = elf
        .sections()
        .iter()
        .filter(|s| matches!(s.kind, SectionKind::Data | SectionKind::Zeroed))
        .map(|s| (s.name, s.size))
        .collect();
    let mut exported = HashSet::new();
    let mut placements = Vec::new();
    for (id, ty) in btf.own_types() {
        let Def::Datasec(datasec) = ty.def else {
            continue;
        };
        let section = btf.name(ty.name);
        if section == KSYMS || section == KCONFIG {
            continue;
        }
        let complete = datasec.bytes != 0;
        let mut offs = Vec::with_capacity(datasec.vars.len());
        for var in btf.vars(id) {
            let symbol = symbols.get(&(section, btf.name_of(var.ty)));
            let linkage = match btf.ty(var.ty).map(|t| t.def) {
                Some(Def::Var(v)) => v.linkage,
                _ => Linkage::Static,
            };
            let hidden = symbol.is_some_and(|s| s.hidden);
            if linkage != Linkage::Static && !hidden {
                exported.insert(id);
            }
            // Names of static variables need not be unique in a linked object. Those of global
            // ones are, and bpftool has been seen to misplace maps that were `extern` once.
            let placed = symbol.filter(|s| !complete || s.binding != Binding::Local);
            let off = placed.and_then(|s| u32::try_from(s.value).ok());
            offs.push(off.unwrap_or(var.off));
        }
        let bytes = match sizes.get(section) {
            Some(&size) if !complete => u32::try_from(size).unwrap_or(u32::MAX),
            _ => datasec.bytes,
        };
        placements.push((id, bytes, offs));
    }
    for (id, bytes, offs) in placements {
        btf.place_vars(id, bytes, &offs);
    }
    exported
}
