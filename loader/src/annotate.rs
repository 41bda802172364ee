//! What `.BTF.ext` says about instructions, brought to the functions they belong to: BTF
//! functions, source lines and CO-RE relocations.

use crate::btf::core_relo::{Applied, Relocator};
use crate::btf::{CoreRelo, FuncInfo, LineInfo as ExtLine, Section as ExtSection};
use crate::elf::Elf;
use crate::error::{LoadError, LoadErrorKind as Kind};
use crate::functions::{CodePlace, Functions};
use crate::types::Types;
use std::collections::HashMap;
use ubpf_abi::btf::{Btf, Kind as BtfKind};
use ubpf_abi::object::{FailedRelo, Function};
use ubpf_abi::program::LineInfo;
use ubpf_isa::Slot;

/// Records of `.BTF.ext`: what instruction they belong to.
trait Record: Copy {
    /// Byte offset in the section of code.
    fn insn_off(&self) -> u32;
}

impl Record for FuncInfo {
    fn insn_off(&self) -> u32 {
        self.insn_off
    }
}

impl Record for ExtLine {
    fn insn_off(&self) -> u32 {
        self.insn_off
    }
}

/// Attaches functions' types and source lines, and applies CO-RE relocations against `target`.
pub(crate) fn annotate(
    functions: &mut Functions,
    elf: &Elf<'_>,
    types: &Types,
    target: Option<&Btf>,
) -> Result<(), LoadError> {
    let Some(btf) = &types.btf else {
        return Ok(());
    };
    let infos = by_section(btf, &types.ext.func_info);
    let lines = by_section(btf, &types.ext.line_info);
    for (place, function) in functions.iter_mut() {
        let section = elf.section_name(place.section);
        let info = infos
            .get(section)
            .and_then(|found| within(found, place).first())
            .filter(|i| u64::from(i.insn_off) == place.bytes().start);
        function.btf_func = info.map(|i| i.ty).or_else(|| btf.find(BtfKind::Func, &function.name));
        if let Some(found) = lines.get(section) {
            function.lines = function_lines(within(found, place), place);
        }
    }
    let relos = &types.ext.core_relos;
    relocate(functions, elf, relos, btf, target.unwrap_or(btf))
}

/// The records of each section of code, by ascending offset.
fn by_section<'a, T: Record>(btf: &'a Btf, sections: &[ExtSection<T>]) -> HashMap<&'a str, Vec<T>> {
    let mut found: HashMap<_, Vec<T>> = HashMap::new();
    for section in sections {
        let records = found.entry(btf.name(section.name)).or_default();
        records.extend_from_slice(&section.records);
    }
    for records in found.values_mut() {
        records.sort_by_key(Record::insn_off);
    }
    found
}

/// The part of sorted records that lies in a function.
fn within<T: Record>(records: &[T], place: CodePlace) -> &[T] {
    let range = place.bytes();
    let from = records.partition_point(|r| u64::from(r.insn_off()) < range.start);
    let to = records.partition_point(|r| u64::from(r.insn_off()) < range.end);
    records.get(from..to).unwrap_or(&[])
}

fn function_lines(records: &[ExtLine], place: CodePlace) -> Vec<LineInfo> {
    let line = |r: &ExtLine| LineInfo {
        slot: (r.insn_off / Slot::BYTES as u32).saturating_sub(place.start),
        file_off: r.file.0,
        line_off: r.text.0,
        line: r.line,
        column: r.column,
    };
    records.iter().map(line).collect()
}

/// Applies the CO-RE relocations in the file's order, on which the choice between the target's
/// candidates depends.
fn relocate(
    functions: &mut Functions,
    elf: &Elf<'_>,
    relos: &[ExtSection<CoreRelo>],
    btf: &Btf,
    target: &Btf,
) -> Result<(), LoadError> {
    let mut relocator = Relocator::new(btf, target);
    for part in relos {
        let name = btf.name(part.name);
        let Some(section) = elf.data_section(name) else {
            continue;
        };
        for relo in &part.records {
            let slot = relo.insn_off / Slot::BYTES as u32;
            // No function is there when a weak one was overridden while linking.
            for (place, function) in functions.covering_mut(section.id, slot) {
                apply(&mut relocator, function, place, relo).map_err(|e| {
                    e.in_section(name).of_symbol(&function.name).at_offset(relo.insn_off.into())
                })?;
            }
        }
    }
    Ok(())
}

fn apply(
    relocator: &mut Relocator<'_>,
    function: &mut Function,
    place: CodePlace,
    relo: &CoreRelo,
) -> Result<(), LoadError> {
    if !relo.insn_off.is_multiple_of(Slot::BYTES as u32) {
        return Err(Kind::RelocOffset.into());
    }
    let slot = (relo.insn_off / Slot::BYTES as u32).saturating_sub(place.start);
    let insn = function.slots.get_mut(slot as usize..).unwrap_or(&mut []);
    match relocator.apply(relo, insn).map_err(Kind::CoreRelo)? {
        Applied::Patched { .. } => {}
        Applied::Poisoned { reason } => function.failed_relos.push(FailedRelo { slot, reason }),
    }
    Ok(())
}
