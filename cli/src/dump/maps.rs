//! Maps and global data of an object, as a table.

use crate::style::count;
use crate::table::{Align, Table};
use std::io::{self, Write};
use ubpf::abi::btf::Btf;
use ubpf::abi::map::{MapDef, MapFlags, MapInit, SlotTarget};
use ubpf::abi::object::Object;

/// Names of the creation flags, in the order of their bits.
const FLAGS: [(u32, &str); 13] = [
    (MapFlags::NO_PREALLOC, "no_prealloc"),
    (MapFlags::NO_COMMON_LRU, "no_common_lru"),
    (MapFlags::NUMA_NODE, "numa_node"),
    (MapFlags::RDONLY, "rdonly"),
    (MapFlags::WRONLY, "wronly"),
    (MapFlags::STACK_BUILD_ID, "stack_build_id"),
    (MapFlags::ZERO_SEED, "zero_seed"),
    (MapFlags::RDONLY_PROG, "rdonly_prog"),
    (MapFlags::WRONLY_PROG, "wronly_prog"),
    (MapFlags::CLONE, "clone"),
    (MapFlags::MMAPABLE, "mmapable"),
    (MapFlags::PRESERVE_ELEMS, "preserve_elems"),
    (MapFlags::INNER_MAP, "inner_map"),
];

/// Writes the table of an object's maps.
///
/// # Errors
/// The stream's.
pub fn print(out: &mut dyn Write, object: &Object, columns: Option<usize>) -> io::Result<()> {
    if object.maps.is_empty() {
        return writeln!(out, "no maps");
    }
    let mut table = Table::new([
        ("name", Align::Left),
        ("type", Align::Left),
        ("key", Align::Right),
        ("value", Align::Right),
        ("entries", Align::Right),
        ("", Align::Left),
    ]);
    for map in object.maps.iter() {
        table.row(row(map, object, ""));
        if let Some(inner) = &map.inner {
            table.row(row(inner, object, "└ "));
        }
    }
    table.print(out, columns)
}

fn row(map: &MapDef, object: &Object, indent: &str) -> [String; 6] {
    [
        format!("{indent}{}", map.name),
        match map.map_type {
            Ok(map_type) => map_type.to_string(),
            Err(id) => format!("type {id}?"),
        },
        map.key_size.to_string(),
        map.value_size.to_string(),
        map.max_entries.to_string(),
        notes(map, object).join(", "),
    ]
}

/// What there is to say about a map beside its numbers.
fn notes(map: &MapDef, object: &Object) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(btf) = object.btf.as_deref() {
        notes.extend(types(map, btf));
    }
    let known = FLAGS.iter().fold(0, |bits, (bit, _)| bits | bit);
    let set = FLAGS.iter().filter(|(bit, _)| map.flags.has(*bit));
    notes.extend(set.map(|(_, name)| (*name).to_owned()));
    if map.flags.0 & !known != 0 {
        notes.push(format!("flags {:#x}", map.flags.0 & !known));
    }
    if map.pin_by_name {
        notes.push("pinned by name".to_owned());
    }
    if let MapInit::Slots(slots) = &map.init {
        notes.extend(slots.iter().map(|(index, target)| match target {
            SlotTarget::Prog(name) => format!("[{index}] = {name}"),
            SlotTarget::Map(id) => {
                let name = object.maps.get(id.index()).map_or("?", |m| m.name.as_str());
                format!("[{index}] = {name}")
            }
        }));
    }
    notes
}

/// Types of key and value, or of the variables of a data section.
fn types(map: &MapDef, btf: &Btf) -> Option<String> {
    let name = |id| {
        let name = btf.name_of(id);
        if name.is_empty() { "?" } else { name }.to_owned()
    };
    match (map.key_type, map.value_type) {
        (Some(key), Some(value)) if !key.is_void() => {
            Some(format!("{} → {}", name(key), name(value)))
        }
        (_, Some(value)) => {
            let vars = btf.vars(value).len() as u64;
            (vars > 0).then(|| count(vars, "variable"))
        }
        _ => None,
    }
}
