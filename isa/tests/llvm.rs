//! Encoding and text against LLVM's assembler and disassembler, 19 or newer.
//!
//! Where `llvm-mc` is not installed these tests say so and pass.

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use ubpf_isa::{Kind, Pseudo, Slot, assemble, disassemble};

const NAMES: [&str; 4] = ["llvm-mc-21", "llvm-mc-20", "llvm-mc-19", "llvm-mc"];

/// The first `llvm-mc` that knows the instructions of `-mcpu=v4`.
fn llvm_mc() -> Option<&'static str> {
    let found = NAMES.into_iter().find(|name| {
        run(name, &["-show-encoding"], "gotol +1\n").is_some_and(|text| text.contains("encoding"))
    });
    if found.is_none() {
        eprintln!("SKIPPED: no llvm-mc with BPF v4 among {NAMES:?}");
    }
    found
}

fn run(program: &str, args: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(["-triple=bpfel", "-mcpu=v4"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The bytes in `# encoding: [0xbf,0x21,…]` comments.
fn encodings(listing: &str) -> Vec<Slot> {
    let bytes: Vec<u8> = listing
        .lines()
        .filter_map(|line| line.split_once("encoding: [")?.1.split_once(']'))
        .flat_map(|(bytes, _)| bytes.split(','))
        .map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).expect("a byte"))
        .collect();
    ubpf_isa::parse_slots(&bytes).expect("whole slots")
}

#[test]
fn llvm_encodes_the_same_text_to_the_same_slots() {
    let Some(mc) = llvm_mc() else { return };
    let program = include_str!("llvm.s");
    let theirs = encodings(&run(mc, &["-show-encoding"], program).expect("it ran before"));
    let ours = assemble(program).expect("the same syntax");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{:?}", disassemble(&[*ours]));
    }
    assert_eq!(ours.len(), theirs.len());
}

/// What LLVM 19 does not know, or prints in a form that says less than the slots.
fn beyond_llvm(kind: Kind) -> bool {
    match kind {
        Kind::LoadAcquire | Kind::StoreRelease | Kind::MayGoto | Kind::Call(_) => true,
        Kind::LdImm64(pseudo) => pseudo != Pseudo::Value,
        _ => false,
    }
}

#[test]
fn what_llvm_disassembles_assembles_to_the_same_slots() {
    let Some(mc) = llvm_mc() else { return };
    for form in common::forms() {
        if beyond_llvm(form.0.kind) {
            continue;
        }
        // LLVM knows indirect packet loads without an immediate only.
        let imm = if form.0.kind == Kind::LdInd { 0 } else { 0x1234 };
        let slots = common::fill(form, (3, 4), -7, (imm, 0x5678));
        let hex: Vec<String> = slots
            .iter()
            .flat_map(|slot| slot.to_le_bytes())
            .map(|byte| format!("{byte:#04x}"))
            .collect();
        let text = run(mc, &["--disassemble"], &hex.join(" ")).expect("it ran before");
        let text = text.trim().trim_start_matches(".text").trim();
        assert_eq!(assemble(text).as_ref(), Ok(&slots), "{:?}: `{text}`", form.0.kind);
    }
}
