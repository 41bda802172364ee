//! The book keeps up with the code: its table of what is emulated is generated from the registry,
//! and every file that prose names exists. `UBPF_BLESS=1` rewrites the table.

use regex::Regex;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use ubpf::abi::helper::{HelperDecl, HelperId};
use ubpf::abi::map::MapType;
use ubpf::abi::prog_type::{ProgType, ProgTypeDecl};

fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate has a parent");
    root.to_owned()
}

/// The page that lists program types, map types and helpers.
fn features() -> String {
    let registry = ubpf::linux();
    let prog_types: Vec<&ProgTypeDecl> = registry.prog_types().map(|def| &def.decl).collect();
    // Some helpers are no helpers to the kernel: classic filters alone get to them.
    let listed = registry.helpers().filter(|def| def.decl.id.name().is_some());
    let emulated = listed.filter(|def| def.is_emulated());
    let helpers: Vec<&HelperDecl> = emulated.map(|def| &def.decl).collect();
    let admits = |prog_type: &ProgTypeDecl, helper: &HelperDecl| {
        helper.args_for(|group| prog_type.helpers.contains(group)).is_some()
    };
    let mut page = String::from(
        "# What is emulated\n\nGenerated from the registry; `ubpf features` prints the same. The \
         versions are those of the\nkernels that brought each of them.\n",
    );
    let mut line = |text: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{text}");
    };
    line(format!("\n## Program types: {} of {}\n", prog_types.len(), ProgType::ALL.len()));
    line("| type | since | helpers | |\n| --- | --- | ---: | --- |".to_owned());
    for decl in &prog_types {
        let (name, since) = (decl.prog_type.name(), decl.prog_type.since());
        let callable = helpers.iter().filter(|helper| admits(decl, helper)).count();
        line(format!("| `{name}` | {since} | {callable} | {} |", decl.doc));
    }
    let map_types: Vec<_> = registry.map_types().map(|def| &def.decl).collect();
    line(format!("\n## Map types: {} of {}\n", map_types.len(), MapType::ALL.len()));
    line("| type | since | |\n| --- | --- | --- |".to_owned());
    for decl in &map_types {
        let (name, since) = (decl.map_type.name(), decl.map_type.since());
        line(format!("| `{name}` | {since} | {} |", decl.doc));
    }
    line(format!("\n## Helpers: {} of {}\n", helpers.len(), HelperId::ALL.len()));
    line("| helper | since | GPL | for | |\n| --- | --- | --- | --- | --- |".to_owned());
    for decl in &helpers {
        let callers = prog_types.iter().filter(|prog_type| admits(prog_type, decl));
        let callers: Vec<&str> = callers.map(|prog_type| prog_type.prog_type.name()).collect();
        let callers =
            if callers.len() == prog_types.len() { "all".to_owned() } else { callers.join(", ") };
        let gpl = if decl.gpl_only { "yes" } else { "" };
        let HelperDecl { name, since, doc, .. } = decl;
        line(format!("| `bpf_{name}` | {since} | {gpl} | {callers} | {doc} |"));
    }
    page
}

#[test]
fn the_table_of_features_is_up_to_date() {
    let file = workspace().join("docs/src/features.md");
    let page = features();
    if std::env::var_os("UBPF_BLESS").is_some() {
        std::fs::write(file, page).expect("the page can be written");
    } else {
        let written = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            written == page,
            "docs/src/features.md is stale: run UBPF_BLESS=1 cargo test -p ubpf-cli --test book"
        );
    }
}

#[test]
fn names_and_ages_of_helpers_agree_with_the_kernels_list() {
    let registry = ubpf::linux();
    let differ = registry
        .helpers()
        .map(|def| def.decl)
        .filter(|decl| !decl.groups.contains(&ubpf::platform::func::group::CLASSIC))
        .filter(|decl| (decl.id.name(), decl.id.since()) != (Some(decl.name), Some(decl.since)));
    let differ: Vec<String> =
        differ.map(|decl| format!("{} {} {}", decl.id, decl.name, decl.since)).collect();
    assert_eq!(differ, [""; 0]);
}

/// Files of this repository that a page names: targets of links, and paths in backticks.
fn paths(page: &str) -> Vec<String> {
    let links = Regex::new(r"\]\(([^)#:]+)\)").expect("a constant pattern");
    let folders = "isa|abi|loader|verifier|vm|jit|helpers|src|cli|conformance|fuzz|docs|examples";
    let quoted = format!(r"`((?:{folders}|tests|\.ci)/[A-Za-z0-9_./-]*)`");
    let quoted = Regex::new(&quoted).expect("a constant pattern");
    let links = links.captures_iter(page).map(|found| format!("./{}", &found[1]));
    links.chain(quoted.captures_iter(page).map(|found| found[1].to_owned())).collect()
}

#[test]
fn every_file_that_prose_names_exists() {
    let root = workspace();
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let book = std::fs::read_dir(root.join("docs/src")).expect("the book is there");
    pages.extend(book.map(|page| page.expect("the book can be listed").path()));
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page is text");
        for path in paths(&text) {
            // Links are relative to the page, other paths to the repository.
            let target = match path.strip_prefix("./") {
                Some(link) => page.parent().unwrap_or(&root).join(link),
                None => root.join(&path),
            };
            assert!(target.exists(), "{} names {path}, which does not exist", page.display());
        }
    }
}
