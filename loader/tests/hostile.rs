//! Objects that are damaged on purpose: each gives a precise error or loads, none panics, hangs or
//! exhausts memory.

use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;
use ubpf_loader::{LoadError, LoadErrorKind as Kind, LoadOptions, link, load};

fn bytes(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Objects that together use every feature.
static OBJECTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        "maps.v3.o",
        "calls.v1.o",
        "data.v4.o",
        "externs.o",
        "core.o",
        "struct_ops.o",
        "linked.o",
        "arena.o",
        "exception.o",
        "legacy_libbpf.o",
        "legacy_iproute2.o",
    ]
    .map(bytes)
    .into()
});

fn options() -> LoadOptions {
    LoadOptions {
        kconfig: Some(
            "CONFIG_HZ=250\nCONFIG_NET=y\nCONFIG_INET=y\nCONFIG_BPF_SYSCALL=m\n\
                       CONFIG_DEFAULT_HOSTNAME=\"box\"\n"
                .to_owned(),
        ),
        ..LoadOptions::default()
    }
}

/// Loads and links everything; what comes out must at least be printable.
fn exercise(bytes: &[u8]) {
    match load(bytes, &options()) {
        Ok(object) => {
            for (at, _) in object.programs() {
                let type_ = Some(ubpf_abi::prog_type::ProgType::Xdp);
                if let Err(error) = link(&object, at, type_) {
                    assert!(!error.to_string().is_empty());
                }
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 2000, "{text}");
        }
    }
}

fn error_of(bytes: &[u8]) -> LoadError {
    load(bytes, &options()).expect_err("the object is damaged")
}

/// Where the section table begins, and the index and header of a named section.
fn section_header(bytes: &[u8], wanted: &str) -> usize {
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let table = u64_at(0x28) as usize;
    let names = table + 64 * usize::from(u16_at(0x3e));
    let names = u64_at(names + 0x18) as usize;
    (0..usize::from(u16_at(0x3c)))
        .map(|i| table + 64 * i)
        .find(|&h| {
            let name = names + u32_at(h) as usize;
            bytes[name..].starts_with(wanted.as_bytes()) && bytes[name + wanted.len()] == 0
        })
        .unwrap_or_else(|| panic!("no section {wanted}"))
}

fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn files_that_are_no_bpf_objects() {
    let good = bytes("calls.v3.o");
    assert!(matches!(error_of(b"").kind(), Kind::NeitherElfNorFilter));
    assert!(matches!(error_of(b"#!/bin/sh").kind(), Kind::NeitherElfNorFilter));
    assert!(matches!(error_of(&good[..40]).kind(), Kind::Truncated("ELF header")));
    assert!(matches!(error_of(&good[..4]).kind(), Kind::NotElf));
    assert!(matches!(error_of(&bytes("big_endian.o")).kind(), Kind::BigEndian));
    assert!(matches!(error_of(&with(good.clone(), 4, &[1])).kind(), Kind::Class32));
    let x86 = with(good.clone(), 0x12, &62u16.to_le_bytes());
    assert!(matches!(error_of(&x86).kind(), Kind::WrongMachine(62)));
    let exec = with(good, 0x10, &2u16.to_le_bytes());
    assert!(matches!(error_of(&exec).kind(), Kind::NotRelocatable(2)));
}

#[test]
fn absurd_sizes_and_counts() {
    let good = bytes("data.v3.o");
    let bss = section_header(&good, ".bss");
    let huge = with(good.clone(), bss + 0x20, &(1u64 << 60).to_le_bytes());
    assert!(matches!(error_of(&huge).kind(), Kind::BssTooLarge { .. }));
    let data = section_header(&good, ".data");
    let huge = with(good.clone(), data + 0x20, &u64::MAX.to_le_bytes());
    let error = error_of(&huge);
    assert!(matches!(error.kind(), Kind::SectionOutOfFile { .. }));
    assert_eq!(error.section(), Some(".data"));
    let many = with(good.clone(), 0x3c, &u16::MAX.to_le_bytes());
    assert!(matches!(error_of(&many).kind(), Kind::Truncated("section table")));
    // The count in the first header, which has a size of its own then.
    let extended = with(good.clone(), 0x3c, &0u16.to_le_bytes());
    let table = u64::from_le_bytes(good[0x28..0x30].try_into().unwrap()) as usize;
    let extended = with(extended, table + 0x20, &u64::MAX.to_le_bytes());
    assert!(matches!(error_of(&extended).kind(), Kind::Truncated("section table")));
    let outside = with(good, 0x28, &u64::MAX.to_le_bytes());
    assert!(matches!(error_of(&outside).kind(), Kind::Truncated("section table")));
}

#[test]
fn sections_that_all_claim_the_whole_file() {
    let mut forged = bytes("maps.v3.o");
    let size = forged.len() as u64;
    let code = section_header(&forged, "xdp");
    let data = section_header(&forged, ".maps");
    for header in [code, data] {
        forged = with(forged, header + 0x18, &0u64.to_le_bytes());
        forged = with(forged, header + 0x20, &size.to_le_bytes());
    }
    assert!(matches!(error_of(&forged).kind(), Kind::SectionsOverlap));
}

#[test]
fn relocations_that_lead_nowhere() {
    let good = bytes("calls.v3.o");
    let table = section_header(&good, ".relxdp");
    let first = u64::from_le_bytes(good[table + 0x18..][..8].try_into().unwrap()) as usize;
    let symbol = with(good.clone(), first + 12, &0x00ff_ffffu32.to_le_bytes());
    let error = error_of(&symbol);
    assert!(matches!(error.kind(), Kind::NoSuchSymbol(0x00ff_ffff)), "{error}");
    assert_eq!(error.section(), Some("xdp"));
    let kind = with(good.clone(), first + 8, &99u32.to_le_bytes());
    assert!(matches!(error_of(&kind).kind(), Kind::RelocType(99)));
    let offset = with(good.clone(), first, &u64::from(good[first] | 4).to_le_bytes());
    assert!(matches!(error_of(&offset).kind(), Kind::RelocOffset));
    let entry = with(good.clone(), table + 0x38, &8u64.to_le_bytes());
    assert!(matches!(error_of(&entry).kind(), Kind::EntrySize { found: 8, .. }));
    let target = with(good, table + 0x2c, &0xffffu32.to_le_bytes());
    assert!(matches!(error_of(&target).kind(), Kind::NoSuchSection(0xffff)));
}

#[test]
fn every_truncation_of_every_object() {
    for object in OBJECTS.iter() {
        for len in (0..object.len()).step_by(37) {
            exercise(&object[..len]);
        }
    }
}

/// Headers matter most: offsets near the section table are hit as often as all others.
fn mutations() -> impl Strategy<Value = (usize, Vec<(prop::sample::Index, bool, u64, u8)>)> {
    let value = prop_oneof![
        any::<u64>(),
        0u64..64,
        Just(u64::MAX),
        Just(u64::from(u32::MAX)),
        Just(1 << 31),
        Just(1 << 62),
    ];
    let change = (any::<prop::sample::Index>(), any::<bool>(), value, 1u8..=8);
    (0usize..11, prop::collection::vec(change, 1..8))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damaged_objects_neither_panic_nor_hang((which, changes) in mutations()) {
        let mut object = OBJECTS[which].clone();
        let table = u64::from_le_bytes(object[0x28..0x30].try_into().unwrap()) as usize;
        for (index, in_table, value, width) in changes {
            let at = if in_table {
                table + index.index(object.len() - table)
            } else {
                index.index(object.len())
            };
            let width = usize::from(width).min(object.len() - at);
            object[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        exercise(&object);
    }

    #[test]
    fn noise_behind_a_good_header_is_refused_or_loads(noise in prop::collection::vec(any::<u8>(), 0..2048)) {
        let mut object = OBJECTS[0][..64].to_vec();
        object.extend(noise);
        exercise(&object);
    }
}
