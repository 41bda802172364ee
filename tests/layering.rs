//! Which crate may use which: the drawing in `docs/src/architecture.md`, as a test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate with the crates of this workspace that it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("ubpf-isa", &[]),
    ("ubpf-abi", &["ubpf-isa"]),
    ("ubpf-loader", &["ubpf-isa", "ubpf-abi"]),
    ("ubpf-verifier", &["ubpf-isa", "ubpf-abi"]),
    ("ubpf-vm", &["ubpf-isa", "ubpf-abi"]),
    ("ubpf-jit", &["ubpf-isa", "ubpf-abi", "ubpf-vm"]),
    ("ubpf-helpers", &["ubpf-isa", "ubpf-abi", "ubpf-vm"]),
    (
        "ubpf",
        &[
            "ubpf-isa",
            "ubpf-abi",
            "ubpf-loader",
            "ubpf-verifier",
            "ubpf-vm",
            "ubpf-jit",
            "ubpf-helpers",
        ],
    ),
    ("ubpf-cli", &["ubpf"]),
    // Compares the parts with the kernel, so it may use them one by one.
    (
        "ubpf-conformance",
        &[
            "ubpf",
            "ubpf-isa",
            "ubpf-abi",
            "ubpf-loader",
            "ubpf-verifier",
            "ubpf-vm",
            "ubpf-jit",
            "ubpf-helpers",
        ],
    ),
];

/// The workspace's crates with those of its crates that each uses, tests aside.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, since it runs this test");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");
    let packages = metadata["packages"].as_array().expect("packages are a list");
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap_or("").to_owned();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            let used = dependencies
                .filter(|dependency| dependency["kind"] != "dev")
                .map(name)
                .filter(|used| members.contains(used));
            (name(package), used.collect())
        })
        .collect()
}

#[test]
fn no_crate_uses_what_lies_above_it() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (name, used) in uses() {
        let allowed = allowed.get(name.as_str()).unwrap_or_else(|| {
            panic!("{name} is new: say in this test what it may use, and in the book why")
        });
        for used in used {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} must not use {used}; see docs/src/architecture.md"
            );
        }
    }
}

#[test]
fn all_crates_of_the_drawing_exist() {
    let uses = uses();
    for (name, _) in ARROWS {
        assert!(uses.contains_key(*name), "{name} is in the drawing only");
    }
}
