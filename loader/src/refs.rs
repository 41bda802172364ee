//! What each relocation of code means, in libbpf's terms.
//!
//! ```text
//!   instruction      symbol                  its place           meaning
//!   call src=1       function                value               Call      (imm is -1)
//!                    section                 8 * (imm + 1)       Call      (local functions)
//!                    undefined               —                   Extern
//!   ld_imm64         map                     value               Map
//!                    variable or section     value + imm         MapValue  (data sections)
//!                    function                value               FuncAddr  (imm is 0)
//!                    section                 imm                 FuncAddr
//!                    undefined               —                   Extern, MapValue (.kconfig)
//! ```
//!
//! Calls within a section may come without a relocation; they become references here as well,
//! since linking moves functions apart.

use crate::elf::{Elf, Place, Reloc, SectionId, Symbol, SymbolKind};
use crate::error::{LoadError, LoadErrorKind as Kind};
use crate::externs::{ExternPlace, Externs};
use crate::functions::{CodePlace, Functions};
use crate::maps::{MapPlace, Maps};
use ubpf_abi::object::{Function, Ref, RefTarget};
use ubpf_isa::Slot;

/// `call`, all sources.
pub(crate) const CALL: u8 = 0x85;
/// First slot of a wide load.
pub(crate) const LD_IMM64: u8 = 0x18;
/// `src` of a call of a subprogram.
pub(crate) const PSEUDO_CALL: u8 = 1;

/// Relocation types of LLVM and binutils that code may have; the remaining types belong to data
/// and debug information.
mod r_bpf {
    pub(super) const NONE: u32 = 0;
    /// Wide load.
    pub(super) const R64_64: u32 = 1;
    /// Call.
    pub(super) const R64_32: u32 = 10;
}

/// Everything a reference can lead to.
pub(crate) struct Targets<'a> {
    pub(crate) elf: &'a Elf<'a>,
    pub(crate) maps: &'a Maps,
    pub(crate) externs: &'a Externs,
}

/// Finds the references of all functions.
pub(crate) fn resolve(functions: &mut Functions, targets: &Targets<'_>) -> Result<(), LoadError> {
    let places = functions.places().to_vec();
    let mut found = Vec::with_capacity(places.len());
    for same_section in places.chunk_by(|a, b| a.section == b.section) {
        let Some(section) = same_section.first().map(|p| p.section) else {
            continue;
        };
        let in_section = |e: LoadError| e.in_section(targets.elf.section_name(section));
        let mut relocs = targets.elf.relocs_of(section).map_err(in_section)?;
        relocs.retain(|r| r.kind != r_bpf::NONE);
        relocs.sort_by_key(|r| r.offset);
        for &place in same_section {
            let at = found.len();
            let Some(function) = functions.list.get(at) else {
                continue;
            };
            let refs = function_refs(function, place, &relocs, functions, targets)
                .map_err(|e| in_section(e).of_symbol(&function.name))?;
            found.push(refs);
        }
    }
    for (function, refs) in functions.list.iter_mut().zip(found) {
        function.refs = refs;
    }
    Ok(())
}

/// The references of one function, out of its section's relocations.
fn function_refs(
    function: &Function,
    place: CodePlace,
    relocs: &[Reloc],
    functions: &Functions,
    targets: &Targets<'_>,
) -> Result<Vec<Ref>, LoadError> {
    let range = place.bytes();
    let first = relocs.partition_point(|r| r.offset < range.start);
    let relocs = relocs.get(first..).unwrap_or(&[]);
    let mut relocs = relocs.iter().take_while(|r| r.offset < range.end).peekable();
    let mut refs = Vec::new();
    let mut second_half = false;
    for (slot, index) in function.slots.iter().zip(0u32..) {
        let offset = range.start + u64::from(index) * Slot::BYTES as u64;
        let at = |e: LoadError| e.at_offset(offset);
        // Of several relocations of one instruction the last counts, as in libbpf; there
        // is never more than one.
        let mut reloc = None;
        while let Some(next) = relocs.next_if(|r| r.offset < offset + Slot::BYTES as u64) {
            if next.offset != offset || second_half {
                return Err(LoadError::from(Kind::RelocOffset).at_offset(next.offset));
            }
            reloc = Some(next);
        }
        let target = match reloc {
            Some(reloc) => Some(relocated(*slot, reloc, functions, targets).map_err(at)?),
            None if is_subprog_call(*slot) && !second_half => {
                let offset = call_target(range.start, index, slot.imm);
                let target = function_at(functions, targets, place.section, offset);
                Some(RefTarget::Call(target.map_err(at)?))
            }
            None => None,
        };
        if let Some(target) = target {
            refs.push(Ref { slot: index, target });
        }
        second_half = slot.opcode == LD_IMM64 && !second_half;
    }
    Ok(refs)
}

/// Where a call without relocation leads, as byte offset in its section.
fn call_target(start: u64, index: u32, imm: i32) -> i64 {
    let from = i64::try_from(start).unwrap_or(i64::MAX);
    let slots = i64::from(index) + 1 + i64::from(imm);
    from.saturating_add(slots * Slot::BYTES as i64)
}

/// What the relocation of an instruction refers to.
fn relocated(
    slot: Slot,
    reloc: &Reloc,
    functions: &Functions,
    targets: &Targets<'_>,
) -> Result<RefTarget, LoadError> {
    let elf = targets.elf;
    let symbol = elf.symbol(reloc)?;
    let name = || elf.symbol_name(symbol).to_owned();
    if !matches!(reloc.kind, r_bpf::R64_64 | r_bpf::R64_32) {
        return Err(Kind::RelocType(reloc.kind).into());
    }
    let is_call = slot.opcode == CALL;
    if !is_call && slot.opcode != LD_IMM64 {
        let opcode = slot.opcode;
        return Err(Kind::RelocInsn { symbol: name(), opcode }.into());
    }
    let section = match symbol.place {
        Place::Undefined => return extern_target(reloc, is_call, &name(), targets),
        Place::Special(index) => {
            return Err(Kind::SpecialSection { symbol: name(), index }.into());
        }
        Place::In(section) => section,
    };
    let value = i64::try_from(symbol.value).unwrap_or(i64::MAX);
    let imm = match symbol.kind {
        // With a function's own symbol the instruction adds nothing: clang writes -1 in calls
        // and 0 in wide loads, but binutils 2.40 repeats the function's offset there.
        SymbolKind::Func => -i64::from(is_call),
        _ => reloc.addend.unwrap_or(i64::from(slot.imm)),
    };
    if is_call {
        if slot.src != PSEUDO_CALL {
            let src = slot.src;
            return Err(Kind::RelocCall { symbol: name(), src }.into());
        }
        let slots = imm.saturating_add(1);
        let offset = value.saturating_add(slots.saturating_mul(Slot::BYTES as i64));
        return function_at(functions, targets, section, offset).map(RefTarget::Call);
    }
    let offset = value.saturating_add(imm);
    let is_code = elf.section(section).is_some_and(|s| s.executable);
    if is_code && matches!(symbol.kind, SymbolKind::Func | SymbolKind::Section) {
        return function_at(functions, targets, section, offset).map(RefTarget::FuncAddr);
    }
    data_target(section, offset, symbol, targets)
}

/// A wide load of something in a section of maps or data.
fn data_target(
    section: SectionId,
    offset: i64,
    symbol: &Symbol<'_>,
    targets: &Targets<'_>,
) -> Result<RefTarget, LoadError> {
    let target = targets.elf.section_name(section).to_owned();
    match targets.maps.at(section, offset) {
        MapPlace::Map(id) => Ok(RefTarget::Map(id)),
        MapPlace::NoMap => Err(Kind::NoMapAt { target, offset }.into()),
        MapPlace::Value(map) => {
            // Whether the offset lies inside the value is the verifier's question. Optimised
            // loops can begin in front of an array, so it can be negative.
            let wrapped = || i32::try_from(offset).map(i32::cast_unsigned);
            match u32::try_from(offset).or_else(|_| wrapped()) {
                Ok(off) => Ok(RefTarget::MapValue { map, off }),
                Err(_) => Err(Kind::DataOffset { target, offset }.into()),
            }
        }
        MapPlace::Elsewhere if target == ".jumptables" => Err(Kind::JumpTable.into()),
        MapPlace::Elsewhere => {
            let symbol = targets.elf.symbol_name(symbol).to_owned();
            Err(Kind::BadTarget { symbol, target }.into())
        }
    }
}

/// A reference to an undefined symbol.
fn extern_target(
    reloc: &Reloc,
    is_call: bool,
    name: &str,
    targets: &Targets<'_>,
) -> Result<RefTarget, LoadError> {
    match targets.externs.place(reloc.symbol) {
        Some(ExternPlace::Ksym(id)) => Ok(RefTarget::Extern(id)),
        Some(ExternPlace::Kconfig { map, off }) if !is_call => Ok(RefTarget::MapValue { map, off }),
        _ => Err(Kind::Undefined(name.to_owned()).into()),
    }
}

/// The function at a byte offset.
fn function_at(
    functions: &Functions,
    targets: &Targets<'_>,
    section: SectionId,
    offset: i64,
) -> Result<usize, LoadError> {
    let grid = Slot::BYTES as i64;
    let slot = (offset % grid == 0).then_some(offset / grid);
    slot.and_then(|slot| u32::try_from(slot).ok())
        .and_then(|slot| functions.starting_at(section, slot))
        .ok_or_else(|| {
            let target = targets.elf.section_name(section).to_owned();
            Kind::NoFunctionAt { target, offset }.into()
        })
}

fn is_subprog_call(slot: Slot) -> bool {
    slot.opcode == CALL && slot.src == PSEUDO_CALL
}
