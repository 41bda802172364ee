//! What `--data-out` and `--ctx-out` write.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate has a parent");
    root.to_owned()
}

/// A file of this test alone, which is not there yet.
fn scratch(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&file);
    file
}

fn run(args: &[&str], outputs: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ubpf"));
    command.arg("run").args(args).current_dir(workspace());
    for (option, file) in outputs {
        command.arg(option).arg(file);
    }
    command.output().expect("the command runs")
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = workspace().join(path);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_packet_afterwards_is_written() {
    let out = scratch("packet.bin");
    let status =
        run(&["examples/guard.bpf.o", "--ctx", "examples/dns.bin"], &[("--data-out", &out)]).status;
    assert!(status.success());
    let (before, after) = (read("examples/dns.bin"), read(out));
    let ttl = 14 + 8;
    assert_eq!(after[ttl], before[ttl] - 1);
    assert_eq!(after[ttl + 4..], before[ttl + 4..]);
}

#[test]
fn a_captures_packets_become_a_capture() {
    let (out, again) = (scratch("packets.pcap"), scratch("again.pcap"));
    let args = |ctx| ["examples/guard.bpf.o", "--ctx", ctx, "--json"];
    assert!(run(&args("examples/traffic.pcap"), &[("--data-out", &out)]).status.success());
    let out = out.to_str().expect("a plain path");
    let second = run(&args(out), &[("--data-out", &again)]);
    assert_eq!(String::from_utf8_lossy(&second.stdout).lines().count(), 6);
    assert_eq!(read(out).len(), read(again).len());
}

#[test]
fn the_context_afterwards_is_written() {
    let out = scratch("ctx.bin");
    let object = "conformance/suites/object/skb_fields.bpf.o";
    let args = [
        object,
        "--prog",
        "classifier_fields",
        "--ctx",
        "examples/dns.bin",
        "--ctx-field",
        "mark=7",
    ];
    assert!(run(&args, &[("--ctx-out", &out)]).status.success());
    let ctx = read(out);
    // `mark` is the third field of struct __sk_buff, and the program changes it.
    assert_eq!(ctx.len(), 192);
    assert_ne!(ctx[8..12], 7_u32.to_le_bytes());
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let args = ["examples/guard.bpf.o", "--ctx", "examples/dns.bin"];
    let output = run(&args, &[("--data-out", Path::new("/no/such/folder/x.bin"))]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write /no/such/folder/x.bin"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let script = format!("{} features | head -1", env!("CARGO_BIN_EXE_ubpf"));
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    assert_eq!(output.stderr, b"");
    assert_eq!(output.stdout, b"Linux 6.18 as it is emulated here\n");
}
