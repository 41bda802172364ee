//! What a file with tests says.
//!
//! ```toml
//! object = "guard.bpf.o"          # beside this file, as all files that it names
//! program = "guard"               # where the object has several; a test may say its own
//!
//! [[test]]
//! name = "blocked ports are dropped"
//! packet = "dns.bin"              # or packet_hex; contexts: ctx = { field = value }
//! fields = { mark = 7 }           # of a packet program's context
//! maps.blocked = [{ key = 53, value = 0 }]
//!
//! [test.expect]
//! return = "XDP_DROP"             # or the number
//! unchanged = true                # the packet; or packet, packet_hex
//! trace = ["blocked port 53, 71 bytes"]
//! events = 1
//! maps.blocked = [{ key = 53, value = 1 }]    # these entries, among others
//! ```
//!
//! In place of a result a test may expect a `trap` or that the verifier has the program `rejected`,
//! by some of the words.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::path::PathBuf;

/// A file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    pub object: PathBuf,
    pub program: Option<String>,
    #[serde(rename = "type")]
    pub prog_type: Option<String>,
    pub env: Option<PathBuf>,
    pub budget: Option<u64>,
    /// The verifier is asked first, as for `ubpf run`.
    #[serde(default = "yes")]
    pub verify: bool,
    #[serde(rename = "test", default)]
    pub tests: Vec<Case>,
}

const fn yes() -> bool {
    true
}

/// A test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub name: String,
    pub program: Option<String>,
    pub packet: Option<PathBuf>,
    pub packet_hex: Option<String>,
    #[serde(default)]
    pub ctx: Option<Json>,
    #[serde(default)]
    pub fields: Map<String, Json>,
    #[serde(default = "once")]
    pub repeat: u32,
    #[serde(default)]
    pub maps: Map<String, Json>,
    #[serde(default)]
    pub expect: Expect,
}

const fn once() -> u32 {
    1
}

/// What shall come out. What it does not mention does not matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    #[serde(rename = "return")]
    pub retval: Option<Json>,
    pub trap: Option<String>,
    pub rejected: Option<String>,
    pub packet: Option<PathBuf>,
    pub packet_hex: Option<String>,
    pub unchanged: bool,
    pub trace: Option<Vec<String>>,
    pub events: Option<usize>,
    pub maps: Map<String, Json>,
}
