//! The running kernel's BTF, compared with what bpftool and clang make of it.

use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use ubpf_abi::btf::{Btf, BtfId, Kind, c};
use ubpf_loader::btf::{encode, parse};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's BTF; `None`, said aloud, where it cannot be read.
fn vmlinux() -> Option<Vec<u8>> {
    let bytes = std::fs::read(VMLINUX);
    if bytes.is_err() {
        eprintln!("SKIPPED: {VMLINUX} cannot be read");
    }
    bytes.ok()
}

/// Whether a program is there; said aloud when not.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: there is no {program}");
    }
    found
}

#[test]
fn encoding_gives_the_kernels_bytes_back() {
    let Some(bytes) = vmlinux() else { return };
    let btf = parse(&bytes).unwrap();
    assert!(encode(&btf).unwrap() == bytes, "parse and encode are not inverse");
}

/// Prints figures; what it asserts is only that they stay sane in an unoptimised build.
#[test]
fn parsing_and_indexing_are_fast() {
    let Some(bytes) = vmlinux() else { return };
    let (mut parsing, mut indexing) = (Duration::MAX, Duration::MAX);
    for _ in 0..10 {
        let start = Instant::now();
        let btf = parse(&bytes).unwrap();
        parsing = parsing.min(start.elapsed());
        let start = Instant::now();
        assert!(btf.find(Kind::Struct, "task_struct").is_some());
        indexing = indexing.min(start.elapsed());
    }
    println!("parsed in {parsing:?}, indexed by name in {indexing:?}");
    assert!(parsing < Duration::from_secs(2), "parsing took {parsing:?}");
}

#[test]
fn types_are_what_bpftool_says() {
    let Some(bytes) = vmlinux() else { return };
    if !have("bpftool") {
        return;
    }
    let args = ["btf", "dump", "file", VMLINUX, "format", "raw", "-j"];
    let out = Command::new("bpftool").args(args).output().unwrap();
    let raw: Value = serde_json::from_slice(&out.stdout).unwrap();
    let theirs = raw["types"].as_array().unwrap();
    let btf = parse(&bytes).unwrap();
    assert_eq!(btf.end_id().0 as usize - 1, theirs.len());
    let (mut sizes, mut members) = (0, 0);
    for ((id, ty), theirs) in btf.types().zip(theirs) {
        assert_eq!(theirs["id"], id.0);
        assert_eq!(theirs["kind"], ty.kind().name(), "{id}");
        assert_eq!(theirs["name"].as_str().unwrap_or(""), bpftool_name(&btf, id), "{id}");
        let Some(composite) = ty.def.composite() else { continue };
        assert_eq!(theirs["size"], composite.bytes, "{id}");
        sizes += 1;
        for (ours, theirs) in btf.members(id).iter().zip(theirs["members"].as_array().unwrap()) {
            assert_eq!(theirs["type_id"], ours.ty.0, "{id}");
            assert_eq!(theirs["bits_offset"], ours.bit_off, "{id}");
            assert_eq!(theirs["bitfield_size"].as_u64().unwrap_or(0) as u8, ours.bitfield_bits);
            members += 1;
        }
    }
    println!("{} types, {sizes} sizes and {members} members compared", theirs.len());
    assert!(sizes > 1000, "a kernel has thousands of structures, not {sizes}");
}

fn bpftool_name(btf: &Btf, id: BtfId) -> &str {
    match btf.name_of(id) {
        "" => "(anon)",
        name => name,
    }
}

#[test]
fn clang_lays_out_the_dumped_types_the_same() {
    let Some(bytes) = vmlinux() else { return };
    if !have("clang-19") {
        return;
    }
    let btf = parse(&bytes).unwrap();
    let start = Instant::now();
    let mut source = c::dump(&btf).unwrap();
    println!("{} bytes of C in {:?}", source.len(), start.elapsed());
    let (checks, structures) = layout_checks(&btf);
    source.push_str(&checks);
    let args = ["-target", "bpf", "-fsyntax-only", "-x", "c", "-w", "-"];
    let mut clang = Command::new("clang-19")
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    clang.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let out = clang.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}", errors.lines().take(40).collect::<Vec<_>>().join("\n"));
    println!("{structures} structures have the recorded sizes and offsets");
    assert!(structures > 1000, "a kernel has thousands of structures, not {structures}");
}

/// Assertions about every structure whose name is its own.
fn layout_checks(btf: &Btf) -> (String, usize) {
    let mut text = String::new();
    let mut structures = 0;
    for (id, ty) in btf.types() {
        let (Some(composite), name) = (ty.def.composite(), btf.name(ty.name)) else { continue };
        let is_tag = |id: &BtfId| {
            let kind = btf.ty(*id).map(|ty| ty.kind());
            matches!(kind, Some(Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64))
        };
        if name.is_empty() || btf.find_all(name).filter(is_tag).count() != 1 {
            continue;
        }
        let keyword = if ty.kind() == Kind::Struct { "struct" } else { "union" };
        let bytes = composite.bytes;
        writeln!(text, "_Static_assert(sizeof({keyword} {name}) == {bytes}, \"{id}\");").unwrap();
        structures += 1;
        for member in btf.members(id) {
            let (field, at) = (btf.name(member.name), member.bit_off / 8);
            if field.is_empty() || member.bitfield_bits != 0 {
                continue;
            }
            writeln!(
                text,
                "_Static_assert(__builtin_offsetof({keyword} {name}, {field}) == {at}, \"{id}\");"
            )
            .unwrap();
        }
    }
    (text, structures)
}
