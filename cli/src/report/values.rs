//! Bytes of maps and records as typed values, where the object says their types.

use crate::contents::{Entry, MapContents, Value};
use crate::input::hex;
use crate::style::{DIM, NAME, count};
use std::io::{self, Write};
use ubpf::abi::btf::value::{self, decode};
use ubpf::abi::btf::{Btf, BtfId, Def};
use ubpf::abi::map::MapInit;
use ubpf::abi::program::Program;

/// Elements of one map that are shown; `--json` gives all.
const MAX_ENTRIES: usize = 64;

/// Writes the contents of maps.
///
/// # Errors
/// The stream's.
pub fn print_maps(out: &mut dyn Write, program: &Program, maps: &[MapContents]) -> io::Result<()> {
    let btf = program.btf.as_deref();
    for map in maps {
        print_map(out, btf, map)?;
    }
    Ok(())
}

fn print_map(out: &mut dyn Write, btf: Option<&Btf>, map: &MapContents) -> io::Result<()> {
    let def = &map.def;
    let map_type = def.map_type.map_or("", |map_type| map_type.name());
    write!(out, "  {NAME}{}{NAME:#}", map.name())?;
    if matches!(def.init, MapInit::Data { .. }) {
        writeln!(out)?;
        return print_variables(out, btf, map);
    }
    let max = def.max_entries;
    let used = map.entries.iter().filter(|entry| !entry.is_zero());
    let shown: Vec<&Entry> =
        if is_array(map) { used.collect() } else { map.entries.iter().collect() };
    match (is_array(map), shown.len()) {
        (true, 0) => writeln!(out, "  {DIM}{map_type} of {max}, all zero{DIM:#}")?,
        (true, n) if n < map.entries.len() => {
            let zero = map.entries.len() - n;
            writeln!(out, "  {DIM}{map_type} of {max}, {zero} zero{DIM:#}")?;
        }
        (true, _) => writeln!(out, "  {DIM}{map_type} of {max}{DIM:#}")?,
        (false, n) => writeln!(out, "  {DIM}{map_type}, {n} of {max}{DIM:#}")?,
    }
    for entry in shown.iter().take(MAX_ENTRIES) {
        let key = typed(btf, def.key_type, &entry.key);
        let value = match (&entry.label, &entry.value) {
            (Some(label), _) => label.clone(),
            (None, Value::Shared(value)) => typed(btf, def.value_type, value),
            (None, Value::PerCpu(values)) => {
                let values: Vec<String> =
                    values.iter().map(|value| typed(btf, def.value_type, value)).collect();
                format!("[{}]", values.join(", "))
            }
        };
        writeln!(out, "    {key} → {value}")?;
    }
    let left = shown.len().saturating_sub(MAX_ENTRIES) as u64;
    if left > 0 {
        writeln!(out, "    {DIM}… and {} (--json shows all){DIM:#}", count(left, "more"))?;
    }
    Ok(())
}

/// Global variables, one a line.
fn print_variables(out: &mut dyn Write, btf: Option<&Btf>, map: &MapContents) -> io::Result<()> {
    for entry in &map.entries {
        let Value::Shared(bytes) = &entry.value else { continue };
        let types = btf.zip(map.def.value_type);
        match types.and_then(|(btf, ty)| decode(btf, ty, bytes).ok()) {
            Some(value::Value::Struct(vars)) => {
                for (name, value) in vars {
                    writeln!(out, "    {name} = {value}")?;
                }
            }
            _ => super::packet::print_bytes(out, "  ", bytes, crate::style::columns())?,
        }
    }
    Ok(())
}

/// A value by its type; where that is not known, as a number or as bytes.
fn typed(btf: Option<&Btf>, ty: Option<BtfId>, bytes: &[u8]) -> String {
    let known = btf.zip(ty.filter(|ty| !ty.is_void()));
    match known.and_then(|(btf, ty)| decode(btf, ty, bytes).ok()) {
        Some(value) => value.to_string(),
        None => number(bytes).map_or_else(|| hex::encode(bytes), |n| n.to_string()),
    }
}

/// A record as the type that the object gives for it.
///
/// Ring buffers have no types of their own. Programs name them by a pointer variable of that type
/// (`const struct event *unused __attribute__((unused))`), which is there for just this.
#[must_use]
pub fn record(program: &Program, map: &str, data: &[u8]) -> Option<String> {
    let btf = program.btf.as_deref()?;
    let def = program.maps.iter().find(|def| def.name == map)?;
    let of_map = def.value_type.filter(|&ty| fits(btf, ty, data));
    let mut named = btf.types().filter_map(|(_, ty)| match &ty.def {
        Def::Var(var) => pointee(btf, var.ty).filter(|&ty| fits(btf, ty, data)),
        _ => None,
    });
    let ty = match (of_map, named.next(), named.next()) {
        (Some(ty), ..) | (None, Some(ty), None) => ty,
        _ => return None,
    };
    let value = decode(btf, ty, data).ok()?;
    Some(format!("struct {} {value}", btf.name_of(ty)))
}

/// The structure that a pointer points to.
fn pointee(btf: &Btf, pointer: BtfId) -> Option<BtfId> {
    let (_, ty) = btf.resolve(pointer).ok()?;
    match ty.def {
        Def::Ptr(to) => btf.resolve(to).ok().map(|(id, _)| id),
        _ => None,
    }
}

fn fits(btf: &Btf, ty: BtfId, data: &[u8]) -> bool {
    let is_struct = btf.resolve(ty).is_ok_and(|(_, ty)| matches!(ty.def, Def::Struct(_)));
    is_struct && btf.size_of(ty).is_ok_and(|size| size as usize == data.len())
}

/// The little-endian number that 1, 2, 4 or 8 bytes are.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u64> {
    matches!(bytes.len(), 1 | 2 | 4 | 8)
        .then(|| bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte)))
}

/// Whether all elements are there from the start.
fn is_array(map: &MapContents) -> bool {
    use ubpf::abi::map::MapType;
    matches!(map.def.map_type, Ok(MapType::Array | MapType::PercpuArray))
}
