//! struct_ops maps: variables of kernel structs whose function pointers are programs.

use crate::elf::{Elf, Place, Section, SectionId, SectionKind};
use crate::error::{LoadError, LoadErrorKind as Kind, StructOpsError};
use crate::functions::Functions;
use crate::maps::{Maps, blank};
use crate::types::Types;
use ubpf_abi::btf::{Btf, BtfId, Def, Kind as BtfKind, essential_name};
use ubpf_abi::map::{DataSection, MapDef, MapFlags, MapId, MapInit, MapType};
use ubpf_abi::object::StructOpsMember;
use ubpf_abi::prog_type::{AttachType, ProgType};
use ubpf_isa::Slot;

/// Bytes of a function pointer.
const PTR_BYTES: u64 = 8;

/// One struct_ops variable.
struct Variable {
    map: MapId,
    /// Byte offset in the section.
    start: u64,
    ty: BtfId,
    bytes: u32,
}

/// Adds the struct_ops maps and tells their programs which member they fill.
pub(crate) fn collect(
    maps: &mut Maps,
    elf: &Elf<'_>,
    types: &Types,
    functions: &mut Functions,
    target: Option<&Btf>,
) -> Result<(), LoadError> {
    for section in elf.sections() {
        let name = section.name.strip_prefix('?').unwrap_or(section.name);
        let flags = match name {
            ".struct_ops" => 0,
            ".struct_ops.link" => MapFlags::LINK,
            _ => continue,
        };
        if section.kind != SectionKind::Data || section.size == 0 {
            continue;
        }
        let in_section = |e: LoadError| e.in_section(section.name);
        let btf = types.require("a struct_ops map").map_err(in_section)?;
        let variables =
            collect_section(maps, section, types, btf, MapFlags(flags)).map_err(in_section)?;
        let fill = Fill { elf, btf, target, section: section.id, variables: &variables };
        fill.apply(functions).map_err(in_section)?;
    }
    Ok(())
}

/// Adds the variables of one section.
fn collect_section(
    maps: &mut Maps,
    section: &Section<'_>,
    types: &Types,
    btf: &Btf,
    flags: MapFlags,
) -> Result<Vec<Variable>, LoadError> {
    let datasec = types.datasec(section.name).ok_or(Kind::StructOps(StructOpsError::NoDatasec))?;
    let mut variables = Vec::new();
    for var in btf.vars(datasec) {
        let name = btf.name_of(var.ty);
        let fail = |e| LoadError::from(Kind::StructOps(e)).of_symbol(name);
        let not_struct = || fail(StructOpsError::NotStruct);
        let Some(Def::Var(v)) = btf.ty(var.ty).map(|t| t.def) else {
            return Err(not_struct());
        };
        let (ty, def) = btf.resolve(v.ty).map_err(|_| not_struct())?;
        let Def::Struct(composite) = def.def else {
            return Err(not_struct());
        };
        if btf.name_of(ty).is_empty() {
            return Err(not_struct());
        }
        let start = var.off as usize;
        let bytes = section
            .data
            .get(start..start.saturating_add(composite.bytes as usize))
            .ok_or_else(|| fail(StructOpsError::OutOfSection))?;
        let map = maps.add(MapDef {
            map_type: Ok(MapType::StructOps),
            key_size: 4,
            value_size: composite.bytes,
            max_entries: 1,
            flags,
            value_type: Some(ty),
            init: MapInit::Data { section: DataSection::StructOps, bytes: bytes.to_vec() },
            ..blank(name)
        });
        variables.push(Variable { map, start: var.off.into(), ty, bytes: composite.bytes });
    }
    Ok(variables)
}

/// What is needed to read a section's relocations.
struct Fill<'a> {
    elf: &'a Elf<'a>,
    btf: &'a Btf,
    target: Option<&'a Btf>,
    section: SectionId,
    /// By ascending start.
    variables: &'a [Variable],
}

impl Fill<'_> {
    /// Follows every function pointer to its program.
    fn apply(&self, functions: &mut Functions) -> Result<(), LoadError> {
        for reloc in self.elf.relocs_of(self.section)? {
            let at = |e| LoadError::from(Kind::StructOps(e)).at_offset(reloc.offset);
            let not_pointer = || at(StructOpsError::NotFunctionPointer(reloc.offset));
            let after = self.variables.partition_point(|v| v.start <= reloc.offset);
            let variable = after
                .checked_sub(1)
                .and_then(|i| self.variables.get(i))
                .filter(|v| {
                    let end = v.start.saturating_add(v.bytes.into());
                    reloc.offset.saturating_add(PTR_BYTES) <= end
                })
                .ok_or_else(not_pointer)?;
            let off = reloc.offset.saturating_sub(variable.start);
            let member = self.member_at(variable, off).ok_or_else(not_pointer)?;
            let symbol = self.elf.symbol(&reloc)?;
            let not_program =
                || at(StructOpsError::NotProgram(self.elf.symbol_name(symbol).to_owned()));
            let Place::In(section) = symbol.place else {
                return Err(not_program());
            };
            let slot = u32::try_from(symbol.value / Slot::BYTES as u64).unwrap_or(u32::MAX);
            let entry = functions
                .starting_at(section, slot)
                .and_then(|i| functions.list.get_mut(i))
                .and_then(|f| f.entry.as_mut())
                .filter(|e| e.prog_type == Some(ProgType::StructOps))
                .ok_or_else(not_program)?;
            if entry.struct_ops.is_none() {
                entry.attach_type = AttachType(member.index);
                entry.struct_ops = Some(member);
            }
        }
        Ok(())
    }

    /// The function pointer at a byte offset of a variable.
    fn member_at(&self, variable: &Variable, off: u64) -> Option<StructOpsMember> {
        let bits = u32::try_from(off.checked_mul(8)?).ok()?;
        let members = self.btf.members(variable.ty);
        let (local, member) = members
            .iter()
            .zip(0u32..)
            .find_map(|(m, i)| (m.bit_off == bits && m.bitfield_bits == 0).then_some((i, m)))?;
        let Def::Ptr(to) = self.btf.resolve(member.ty).ok()?.1.def else {
            return None;
        };
        if !matches!(self.btf.resolve(to).ok()?.1.def, Def::FuncProto(_)) {
            return None;
        }
        let full = self.btf.name_of(variable.ty);
        let struct_name = std::str::from_utf8(essential_name(full.as_bytes())).ok()?;
        let name = self.btf.name(member.name);
        let target = self.target.and_then(|t| Some((t, t.find(BtfKind::Struct, struct_name)?)));
        let index = target.and_then(|(t, id)| {
            let mut members = t.members(id).iter().zip(0u32..);
            members.find_map(|(m, i)| (t.name(m.name) == name).then_some(i))
        });
        Some(StructOpsMember {
            map: variable.map,
            struct_name: struct_name.to_owned(),
            target: target.map(|(_, id)| id),
            member: name.to_owned(),
            index: index.unwrap_or(local),
        })
    }
}
