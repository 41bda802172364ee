//! Loads objects with ubpf's loader and with libbpf, and compares what comes out: programs with
//! their types and every instruction, maps with their definitions and contents.
//!
//! ```text
//! loader/libbpf-compare/run                     # all committed objects
//! cargo run --manifest-path loader/libbpf-compare/Cargo.toml -- [-v] OBJECT…
//! ```
//!
//! Needs root, since libbpf creates the maps in order to relocate instructions. File descriptors
//! and BTF ids are mapped back to the ids that ubpf uses in their place. Exit status 1 when
//! anything differs.

mod libbpf;

use libbpf::{Map, Prepared};
use std::ops::Range;
use std::process::ExitCode;
use ubpf_abi::map::{DataSection, MapDef, MapInit};
use ubpf_abi::object::{ExternKind, Object};
use ubpf_abi::prog_type::ProgType;
use ubpf_abi::program::Program;
use ubpf_isa::Slot;
use ubpf_loader::{LoadOptions, btf_source, kconfig_source, link, load};

/// What was compared.
#[derive(Default)]
struct Totals {
    objects: usize,
    programs: usize,
    slots: usize,
    maps: usize,
}

fn main() -> ExitCode {
    let (flags, files): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let quiet = !flags.iter().any(|f| f == "-v");
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut totals = Totals::default();
    let mut failures = 0;
    for file in &files {
        let outcome = std::fs::read(file)
            .map_err(|e| vec![e.to_string()])
            .and_then(|bytes| compare(&bytes, &options, quiet, &mut totals));
        if let Err(differences) = outcome {
            failures += 1;
            for difference in differences {
                println!("{file}: {difference}");
            }
        }
    }
    println!(
        "{} objects, {} programs, {} slots, {} maps compared; {failures} objects differ",
        totals.objects, totals.programs, totals.slots, totals.maps
    );
    ExitCode::from(u8::from(failures > 0))
}

/// The running kernel, as libbpf sees it.
fn options() -> Result<LoadOptions, Box<dyn std::error::Error>> {
    Ok(LoadOptions {
        target_btf: btf_source::target_btf(None)?,
        kconfig: kconfig_source::kernel_config(),
        ..LoadOptions::default()
    })
}

/// Compares one object.
fn compare(
    bytes: &[u8],
    options: &LoadOptions,
    quiet: bool,
    totals: &mut Totals,
) -> Result<(), Vec<String>> {
    let (prepared, definitions) = Prepared::new(bytes, quiet).map_err(|e| vec![e])?;
    let object = load(bytes, options).map_err(|e| vec![format!("ubpf fails: {e}")])?;
    let mut differences = Vec::new();
    totals.objects += 1;
    let fds = prepared.map_fds();
    if definitions.len() != object.maps.len() {
        differences.push(format!(
            "libbpf has {} maps, ubpf {}",
            definitions.len(),
            object.maps.len()
        ));
    }
    for (theirs, ours) in definitions.iter().zip(object.maps.iter()) {
        totals.maps += 1;
        compare_map(&prepared, theirs, &object, ours, &mut differences);
    }
    let theirs = prepared.programs();
    let ours: Vec<_> = object.programs().collect();
    if theirs.len() != ours.len() {
        differences.push(format!("libbpf has {} programs, ubpf {}", theirs.len(), ours.len()));
    }
    for (their, (at, function)) in theirs.iter().zip(ours) {
        totals.programs += 1;
        totals.slots += their.slots.len();
        let mut differ = |what: String| differences.push(format!("{}: {what}", their.name));
        // libbpf forgets the mark of programs that are not loaded by default.
        let section = function.section.trim_start_matches('?');
        if (their.name.as_str(), their.section.as_str()) != (&function.name, section) {
            differ(format!("is `{}` in ubpf", function.name));
            continue;
        }
        let info = function.entry.clone().unwrap_or_default();
        let prog_type = info.prog_type.map_or(0, |t| t.id());
        if (their.prog_type, their.attach_type) != (prog_type, info.attach_type.0) {
            differ(format!(
                "type {} attach {} is {prog_type} and {} in ubpf",
                their.prog_type, their.attach_type, info.attach_type.0
            ));
        }
        match link(&object, at, Some(info.prog_type.unwrap_or(ProgType::Xdp))) {
            Ok(linked) => compare_slots(&their.slots, &linked, &object, &fds, &mut differ),
            Err(error) => differ(format!("ubpf fails to link it: {error}")),
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn compare_map(
    prepared: &Prepared,
    theirs: &Map,
    object: &Object,
    ours: &MapDef,
    differences: &mut Vec<String>,
) {
    let mut differ = |what: &str, theirs: String, ours: String| {
        if theirs != ours {
            differences.push(format!("map: {what} {theirs} is {ours} in ubpf"));
        }
    };
    let number = |t: Result<ubpf_abi::map::MapType, u32>| t.map_or_else(|n| n, |t| t as u32);
    differ("name", theirs.name.clone(), ours.name.clone());
    let their_numbers = (
        theirs.map_type,
        theirs.key_size,
        theirs.value_size,
        theirs.max_entries,
        theirs.flags,
        theirs.extra,
        theirs.numa_node,
        theirs.pinned,
    );
    let our_numbers = (
        number(ours.map_type),
        ours.key_size,
        ours.value_size,
        ours.max_entries,
        ours.flags.0,
        ours.extra,
        ours.numa_node,
        ours.pin_by_name,
    );
    differ(&ours.name, format!("{their_numbers:?}"), format!("{our_numbers:?}"));
    let types = (ours.key_type.map_or(0, |t| t.0), ours.value_type.map_or(0, |t| t.0));
    let their_types = (theirs.key_type, theirs.value_type);
    differ("types", format!("{their_types:?}"), format!("{types:?}"));
    let inner =
        ours.inner.as_ref().map(|i| (number(i.map_type), i.key_size, i.value_size, i.max_entries));
    differ("inner", format!("{:?}", theirs.inner), format!("{inner:?}"));
    match &ours.init {
        // libbpf fills .kconfig while it prepares the object, from the running kernel.
        MapInit::Data { section: DataSection::Kconfig, bytes } => {
            let hide = |mut value: Vec<u8>| {
                for range in host_variables(object, ours) {
                    value.get_mut(range).unwrap_or(&mut []).fill(0);
                }
                value
            };
            let value = prepared.initial_value(&ours.name).map(hide);
            let bytes = Some(hide(bytes.clone()));
            differ("value", format!("{value:x?}"), format!("{bytes:x?}"));
        }
        // There libbpf keeps pointers to its own structs.
        MapInit::Data { section: DataSection::StructOps, .. } => {}
        MapInit::Data { bytes, .. } => {
            differ("value", format!("{:x?}", theirs.initial), format!("{:x?}", Some(bytes)));
        }
        MapInit::Empty | MapInit::Slots(_) => {}
    }
}

/// Where `.kconfig` holds what depends on the running kernel rather than its configuration: its
/// patch level, and whether this process may create kprobes.
fn host_variables(object: &Object, map: &MapDef) -> Vec<Range<usize>> {
    let Some((btf, datasec)) = object.btf.as_ref().zip(map.value_type) else {
        return Vec::new();
    };
    btf.vars(datasec)
        .iter()
        .filter(|v| btf.name_of(v.ty).starts_with("LINUX_"))
        .map(|v| v.off as usize..(v.off as usize).saturating_add(v.bytes as usize))
        .collect()
}

/// Compares instructions, after mapping ours to what they mean in this process.
fn compare_slots(
    theirs: &[Slot],
    ours: &Program,
    object: &Object,
    fds: &[i32],
    differ: &mut impl FnMut(String),
) {
    if theirs.len() != ours.slots.len() {
        differ(format!("{} slots are {} in ubpf", theirs.len(), ours.slots.len()));
    }
    let mut second_half = false;
    for (at, (&their, &our)) in theirs.iter().zip(&ours.slots).enumerate() {
        let wide = our.opcode == 0x18 && !second_half;
        let expected = if second_half { our } else { mapped(our, object, fds) };
        let symbol_address = match second_half.then(|| at.checked_sub(1)).flatten() {
            Some(first) => is_address(ours.slots[first], object),
            None => wide && is_address(our, object),
        };
        if their != expected && !is_poison(their, our) && !symbol_address {
            differ(format!("slot {at}: {their:x?} is {our:x?} ({expected:x?}) in ubpf"));
        }
        second_half = wide;
    }
}

/// Our slot with file descriptors and BTF ids as libbpf has them.
fn mapped(slot: Slot, object: &Object, fds: &[i32]) -> Slot {
    let imm = match (slot.opcode, slot.src) {
        (0x18, 1 | 2) => fds.get(slot.imm as usize).copied(),
        (0x18, 3) | (0x85, 2) => target_id(slot.imm, object),
        _ => None,
    };
    Slot { imm: imm.unwrap_or(slot.imm), ..slot }
}

/// The kernel's BTF id of an extern.
fn target_id(id: i32, object: &Object) -> Option<i32> {
    match object.externs.get(id as usize)?.kind {
        ExternKind::Kfunc { target, .. } | ExternKind::Var { target, .. } => {
            target.map(|t| t.0 as i32)
        }
        ExternKind::Address => None,
    }
}

/// An untyped symbol, where libbpf puts the running kernel's address.
fn is_address(slot: Slot, object: &Object) -> bool {
    let ext = object.externs.get(slot.imm as usize);
    slot.opcode == 0x18 && slot.src == 3 && ext.is_some_and(|e| e.kind == ExternKind::Address)
}

/// libbpf replaces calls of missing weak kernel functions by calls of no helper.
fn is_poison(their: Slot, our: Slot) -> bool {
    (our.opcode, our.src) == (0x85, 2) && their.src == 0 && their.imm >= 2_002_000_000
}
