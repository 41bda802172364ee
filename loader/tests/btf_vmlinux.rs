//! The running kernel's BTF, compared with what bpftool says about it.

use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ubpf_abi::btf::{Btf, BtfId, Builder, Kind};
use ubpf_isa::Slot;
use ubpf_loader::btf::core_relo::{Applied, CoreReloError, CoreReloErrorKind, Relocator};
use ubpf_loader::btf::{CoreRelo, CoreReloKind, encode, parse};

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

/// Every field of every structure, relocated from the kernel to itself, stays where it is.
#[test]
fn relocating_the_kernel_to_itself_changes_nothing() {
    let Some(bytes) = vmlinux() else { return };
    let kernel = Arc::new(parse(&bytes).unwrap());
    let mut builder = Builder::split(Arc::clone(&kernel), Vec::new());
    let longest = kernel.types().map(|(id, _)| kernel.members(id).len()).max().unwrap_or(0);
    let accesses: Vec<_> = (0..longest).map(|at| builder.str(&format!("0:{at}"))).collect();
    let local = builder.finish();
    let mut relocator = Relocator::new(&local, &kernel);
    let (mut fields, mut ambiguous) = (0, 0);
    let start = Instant::now();
    for (ty, _) in kernel.types().filter(|(id, _)| !kernel.name_of(*id).is_empty()) {
        for (member, &access) in kernel.members(ty).iter().zip(&accesses) {
            if member.name.is_empty() || member.bitfield_bits != 0 {
                continue;
            }
            let expected = u64::from(member.bit_off / 8);
            let relo = CoreRelo { insn_off: 0, ty, access, kind: CoreReloKind::FieldByteOffset };
            let mov = Slot { opcode: 0xb7, imm: expected as i32, ..Slot::default() };
            match relocator.apply(&relo, &mut [mov]) {
                Ok(Applied::Patched { old, new }) => assert_eq!((old, new), (expected, expected)),
                // Different structures of one name.
                Err(CoreReloError { kind: CoreReloErrorKind::Ambiguous { .. }, .. }) => {
                    ambiguous += 1;
                }
                // Members of structures that are nothing but declared have no size.
                Err(CoreReloError { kind: CoreReloErrorKind::Type(_), .. }) => {}
                other => panic!("{}.{}: {other:?}", kernel.name_of(ty), kernel.name(member.name)),
            }
            fields += 1;
        }
    }
    let elapsed = start.elapsed();
    println!("{fields} fields relocated in {elapsed:?}, {ambiguous} of them ambiguous");
    assert!(fields > 10_000 && ambiguous * 50 < fields, "{ambiguous} of {fields} are ambiguous");
}
