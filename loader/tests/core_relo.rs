//! CO-RE relocations, compared with what libbpf made of the same object and target.
//!
//! `data/core_relo/patched.txt` is libbpf's answer; the script beside it asks again.

use goblin::elf::Elf;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use ubpf_abi::btf::Btf;
use ubpf_isa::Slot;
use ubpf_loader::btf::core_relo::{Applied, POISON, Relocator};
use ubpf_loader::btf::{BtfExt, CoreReloKind, parse_ext, parse_file};

/// An object's code, types and relocations.
struct Object {
    btf: Btf,
    ext: BtfExt,
    sections: BTreeMap<String, Vec<Slot>>,
    /// Name, section, first slot and slots of each function.
    functions: Vec<(String, String, usize, usize)>,
}

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/core_relo").join(name);
    fs::read(path).unwrap()
}

fn object(name: &str) -> Object {
    let bytes = read(name);
    let elf = Elf::parse(&bytes).unwrap();
    let section_name =
        |at: usize| elf.shdr_strtab.get_at(elf.section_headers[at].sh_name).unwrap().to_owned();
    let contents = |at: usize| &bytes[elf.section_headers[at].file_range().unwrap()];
    let mut sections = BTreeMap::new();
    let mut ext = None;
    for (at, header) in elf.section_headers.iter().enumerate() {
        match section_name(at).as_str() {
            ".BTF.ext" => ext = Some(parse_ext(contents(at)).unwrap()),
            name if header.is_executable() => {
                let slots = contents(at).as_chunks().0.iter().map(|b| Slot::from_le_bytes(*b));
                sections.insert(name.to_owned(), slots.collect());
            }
            _ => {}
        }
    }
    let functions = elf
        .syms
        .iter()
        .filter(goblin::elf::Sym::is_function)
        .map(|sym| {
            let name = elf.strtab.get_at(sym.st_name).unwrap().to_owned();
            let section = section_name(sym.st_shndx);
            (name, section, sym.st_value as usize / 8, sym.st_size as usize / 8)
        })
        .collect();
    Object { btf: parse_file(&bytes, None).unwrap(), ext: ext.unwrap(), sections, functions }
}

#[test]
fn instructions_become_what_libbpf_makes_of_them() {
    let mut object = object("local.o");
    let target = parse_file(&read("target.o"), None).unwrap();
    let mut relocator = Relocator::new(&object.btf, &target);
    let mut kinds = BTreeMap::<&str, usize>::new();
    let (mut patched, mut poisoned) = (0, 0);
    for part in &object.ext.core_relos {
        let section = object.btf.string(part.name).unwrap();
        let slots = object.sections.get_mut(section).unwrap();
        for relo in &part.records {
            match relocator.apply(relo, &mut slots[relo.insn_off as usize / 8..]).unwrap() {
                Applied::Patched { .. } => patched += 1,
                Applied::Poisoned { .. } => poisoned += 1,
            }
            *kinds.entry(relo.kind.name()).or_default() += 1;
        }
    }
    println!("{patched} instructions patched, {poisoned} poisoned: {kinds:?}");
    assert_eq!(kinds.len(), CoreReloKind::ALL.len(), "every kind is tried");
    let mut functions = object.functions.clone();
    functions.sort_by_key(|&(_, _, start, _)| start);
    let mut ours = String::new();
    for (name, section, start, len) in functions {
        writeln!(ours, "{name}").unwrap();
        for slot in &object.sections[&section][start..start + len] {
            writeln!(ours, "{:016x}", u64::from_be_bytes(slot.to_le_bytes())).unwrap();
        }
    }
    let theirs = String::from_utf8(read("patched.txt")).unwrap();
    let mut function = "";
    for (at, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        if ours.len() != 16 {
            function = ours;
        }
        assert_eq!(ours, theirs, "line {at}, function {function}");
    }
    assert_eq!(ours, theirs);
    assert!(ours.contains(&format!("{:016x}", u64::from_be_bytes(POISON.to_le_bytes()))));
}
