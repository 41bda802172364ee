//! BTF as C: what clang makes of it must have the layout that was recorded.
//!
//! The C is compiled again, and the types that come out are compared with those that went in:
//! sizes, and the offset and width of every member.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use ubpf_abi::btf::{Btf, BtfId, Kind, Member, c};
use ubpf_loader::btf::parse_file;

const CLANG: &str = "clang-19";

/// Compiles C to BTF; `None`, said aloud, without a compiler.
fn compile(source: &str, name: &str) -> Option<Btf> {
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("o");
    let clang = Command::new(CLANG)
        .args(["-target", "bpf", "-g", "-w", "-x", "c", "-c", "-", "-o"])
        .arg(&object)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut clang) = clang else {
        eprintln!("SKIPPED: there is no {CLANG}");
        return None;
    };
    clang.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let out = clang.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}", errors.lines().take(40).collect::<Vec<_>>().join("\n"));
    Some(parse_file(&std::fs::read(object).unwrap(), None).unwrap())
}

/// Compares structures and unions whose names are their own: all with bitfields, and of the
/// others every `nth`. Gives how many.
fn assert_same_layout(btf: &Btf, name: &str, nth: usize) -> Option<usize> {
    let mut source = c::dump(btf).unwrap();
    let has_bitfields = |id| btf.members(id).iter().any(|m| m.bitfield_bits != 0);
    let (mut wanted, others): (Vec<_>, Vec<_>) = btf
        .own_types()
        .filter(|&(id, _)| has_own_name(btf, id))
        .partition(|&(id, _)| has_bitfields(id));
    wanted.extend(others.into_iter().step_by(nth));
    // Only what is used gets types.
    for &(id, ty) in &wanted {
        let keyword = if ty.kind() == Kind::Struct { "struct" } else { "union" };
        source.push_str(&format!("{keyword} {} __use_{};\n", btf.name_of(id), id.0));
    }
    let compiled = compile(&source, name)?;
    for &(id, ty) in &wanted {
        let name = btf.name_of(id);
        let found = compiled.find(ty.kind(), name);
        let found = found.unwrap_or_else(|| panic!("{name} is missing"));
        assert_same_members((btf, id), (&compiled, found), name);
    }
    Some(wanted.len())
}

fn has_own_name(btf: &Btf, id: BtfId) -> bool {
    let is_tag = |id: &BtfId| {
        let kind = btf.ty(*id).map(|ty| ty.kind());
        matches!(kind, Some(Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64))
    };
    let name = btf.name_of(id);
    let is_composite = btf.ty(id).is_some_and(|ty| ty.def.composite().is_some());
    is_composite && !name.is_empty() && btf.find_all(name).filter(is_tag).count() == 1
}

fn assert_same_members((btf, id): (&Btf, BtfId), (other, other_id): (&Btf, BtfId), path: &str) {
    assert_eq!(btf.size_of(id), other.size_of(other_id), "size of {path}");
    let is_real = |m: &&Member| !other.name(m.name).starts_with("__btf_pad_");
    let others: Vec<_> = other.members(other_id).iter().filter(is_real).collect();
    assert_eq!(btf.members(id).len(), others.len(), "members of {path}");
    for (ours, theirs) in btf.members(id).iter().zip(others) {
        let path = format!("{path}.{}", btf.name(ours.name));
        assert_eq!(btf.name(ours.name), other.name(theirs.name), "{path}");
        assert_eq!(ours.bit_off, theirs.bit_off, "offset of {path}");
        assert_eq!(ours.bitfield_bits, theirs.bitfield_bits, "width of {path}");
        if let (Ok((inner, ty)), Ok((theirs, _))) = (btf.resolve(ours.ty), other.resolve(theirs.ty))
            && ty.def.composite().is_some()
            && ty.name.is_empty()
        {
            assert_same_members((btf, inner), (other, theirs), &path);
        }
    }
}

#[test]
fn objects_keep_their_layout() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/core_relo");
    for name in ["local", "target"] {
        let bytes = std::fs::read(data.join(name).with_extension("o")).unwrap();
        let btf = parse_file(&bytes, None).unwrap();
        if let Some(count) = assert_same_layout(&btf, name, 1) {
            assert!(count > 10, "{name} has only {count} structures");
        }
    }
}

#[test]
fn the_running_kernel_keeps_its_layout() {
    const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
    let Ok(bytes) = std::fs::read(VMLINUX) else {
        eprintln!("SKIPPED: {VMLINUX} cannot be read");
        return;
    };
    let btf = parse_file(&bytes, None).unwrap();
    // All of them would keep clang busy for half a minute.
    if let Some(count) = assert_same_layout(&btf, "vmlinux", 10) {
        println!("{count} structures and unions have the recorded layout");
        assert!(count > 1000, "a kernel has thousands of structures, not {count}");
    }
}
