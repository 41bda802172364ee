//! What the commands print, whole: documents with commands and their output, run as they stand.
//!
//! In a `console` block, a line with `$ ` is a command for the shell, `? N` after it the exit
//! status where it is not 0, and the rest what it prints on both streams. Times may differ. Set
//! `UBPF_BLESS=1` to rewrite what is not as it was, and read the difference.

use regex::Regex;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace, in which the commands run.
fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate has a parent");
    root.to_owned()
}

/// Runs a command line as a user would, with the commands of this package on the path.
fn run(command: &str) -> String {
    let commands = Path::new(env!("CARGO_BIN_EXE_ubpf")).parent().expect("a file has a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .env("PATH", format!("{}:{path}", commands.display()))
        .env_remove("COLUMNS")
        .current_dir(workspace())
        .output()
        .expect("there is a shell");
    let mut text = String::new();
    match output.status.code() {
        Some(0) => {}
        Some(status) => text.push_str(&format!("? {status}\n")),
        None => text.push_str("? killed\n"),
    }
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    text
}

/// The text without what differs from run to run.
fn normal(text: &str) -> String {
    let times = Regex::new(r" *[0-9.]+ (ns|µs|ms|s)\b").expect("a constant pattern");
    let text = times.replace_all(text, " [TIME]");
    let rates = Regex::new(r" *[0-9.]+( [kMG])? packets/s").expect("a constant pattern");
    let text = rates.replace_all(&text, " [RATE]");
    let nanoseconds = Regex::new(r#""duration_ns":\d+"#).expect("a constant pattern");
    nanoseconds.replace_all(&text, r#""duration_ns":[TIME]"#).into_owned()
}

/// The document with what its commands print now.
fn rerun(document: &str) -> String {
    let mut now = String::new();
    let mut lines = document.lines().peekable();
    let mut in_block = false;
    while let Some(line) = lines.next() {
        now.push_str(line);
        now.push('\n');
        match line.strip_prefix("$ ") {
            Some(command) if in_block => {
                let mut before = String::new();
                while let Some(line) = lines.next_if(|l| *l != "```" && !l.starts_with("$ ")) {
                    before.push_str(line);
                    before.push('\n');
                }
                let after = run(command);
                let blank =
                    if lines.peek().is_some_and(|l| l.starts_with("$ ")) { "\n" } else { "" };
                let same = normal(before.trim_end()) == normal(after.trim_end());
                now.push_str(&if same { before } else { format!("{}{blank}", after) });
            }
            _ if line.starts_with("```") => in_block = line == "```console",
            _ => {}
        }
    }
    now
}

fn check(file: &Path) {
    let document = std::fs::read_to_string(file).expect("the document is there");
    let now = rerun(&document);
    if std::env::var_os("UBPF_BLESS").is_some() {
        std::fs::write(file, now).expect("the document can be written");
    } else {
        snapbox::assert_data_eq!(now, snapbox::Data::text(document).raw());
    }
}

#[test]
fn run_shows_packets_maps_and_events() {
    check(&workspace().join("cli/tests/cmd/run.md"));
}

#[test]
fn captures_are_sorted_by_what_became_of_packets() {
    check(&workspace().join("cli/tests/cmd/captures.md"));
}

#[test]
fn classic_filters_run_like_programs() {
    check(&workspace().join("cli/tests/cmd/classic.md"));
}

#[test]
fn tests_of_programs_pass_or_say_how_they_fail() {
    check(&workspace().join("cli/tests/cmd/test.md"));
}

#[test]
fn traps_name_instruction_address_and_line() {
    check(&workspace().join("cli/tests/cmd/traps.md"));
}

#[test]
fn errors_are_one_message_with_its_cause() {
    check(&workspace().join("cli/tests/cmd/errors.md"));
}

#[test]
fn dump_shows_what_is_inside() {
    check(&workspace().join("cli/tests/cmd/dump.md"));
}

#[test]
fn verify_judges_every_program_of_every_file() {
    check(&workspace().join("cli/tests/cmd/verify.md"));
}

#[test]
fn the_readme_shows_what_happens() {
    check(&workspace().join("README.md"));
}

#[test]
fn the_book_shows_what_happens() {
    let pages = std::fs::read_dir(workspace().join("docs/src")).expect("the book is there");
    for page in pages {
        check(&page.expect("the book can be listed").path());
    }
}
