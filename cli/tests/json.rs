//! JSON output as programs read it: the keys that are promised, and no others.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs `ubpf` in the workspace and reads what it prints, one value a line.
fn ubpf(args: &[&str]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate has a parent");
    let output = Command::new(env!("CARGO_BIN_EXE_ubpf"))
        .args(args)
        .current_dir(root)
        .output()
        .expect("the command runs");
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|e| panic!("{args:?}: {e}"))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn a_run_has_the_keys_that_are_promised() {
    let blocked = "blocked=examples/blocked.toml";
    let packet = ["run", "examples/guard.bpf.o", "--ctx", "examples/dns.bin", "--json"];
    let all = ubpf(&[&packet[..], &["--dump-maps", "--map", blocked]].concat());
    assert_eq!(all.len(), 1);
    assert_eq!(
        keys(&all[0]),
        [
            "object",
            "program",
            "type",
            "engine",
            "return",
            "return_name",
            "r0",
            "duration_ns",
            "insns",
            "data_out",
            "maps",
            "events",
            "trace",
        ]
    );
    // Nothing is blocked, so nothing is printed; and maps were not asked for.
    let fewer = ubpf(&packet);
    let absent = |key: &str| fewer[0].get(key).is_none();
    assert!(absent("trace") && absent("maps") && absent("ctx_out"));
}

#[test]
fn a_context_that_was_given_comes_back() {
    let object = "conformance/suites/object/skb_fields.bpf.o";
    let ctx = ["--ctx", "examples/dns.bin", "--ctx-field", "mark=7", "--json"];
    let runs = ubpf(&[&["run", object, "--prog", "classifier_fields"], &ctx[..]].concat());
    let bytes = runs[0]["ctx_out"].as_str().expect("hex");
    assert_eq!(bytes.len(), 2 * 192);
}

#[test]
fn every_packet_is_a_line_and_refused_ones_keep_their_place() {
    let object = "conformance/suites/object/perf_events.bpf.o";
    let capture = ["--ctx", "examples/traffic.pcap", "--json"];
    // A socket filter's packet needs a whole IPv4 header where its type says IPv4.
    let runs = ubpf(&[&["run", object, "--prog", "sample_socket"], &capture[..]].concat());
    assert_eq!(runs.len(), 6);
    assert!(runs.iter().all(|run| run.get("return").is_some() || run.get("error").is_some()));

    let refused = ubpf(&["run", "examples/guard.bpf.o", "--ctx", "/dev/null", "--json"]);
    assert_eq!(keys(&refused[0]["error"]), ["errno", "message"]);
    assert_eq!(refused[0]["error"]["errno"], 22);
}

#[test]
fn a_section_without_type_runs_as_the_type_that_is_given() {
    let object = "cli/tests/objects/unsupported.bpf.o";
    let args = ["run", object, "--prog", "section", "--type", "xdp", "--json"];
    let runs = ubpf(&[&args[..], &["--ctx", "examples/dns.bin"]].concat());
    assert_eq!((&runs[0]["type"], &runs[0]["return"]), (&"xdp".into(), &0.into()));
}

#[test]
fn features_of_older_kernels_are_fewer() {
    let names = |version: &str, what: &str| -> Vec<String> {
        let features = ubpf(&["features", "--kernel", version, "--format", "json"]);
        let rows = features[0][what].as_array().expect("a list");
        rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
    };
    let ringbuf = String::from("ringbuf");
    assert!(names("6.18", "map_types").contains(&ringbuf));
    assert!(!names("5.4", "map_types").contains(&ringbuf));
    assert!(names("4.19", "prog_types").contains(&String::from("xdp")));
    assert!(names("4.19", "helpers").len() < names("6.18", "helpers").len());
}
