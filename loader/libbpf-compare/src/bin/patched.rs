//! Prints the instructions of an object's programs after libbpf relocated them for a target:
//!
//! ```text
//! cargo run --manifest-path loader/libbpf-compare/Cargo.toml --bin patched -- OBJECT TARGET
//! ```
//!
//! Each program is its name on a line and then one line of hex bytes for each slot. This is what
//! `loader/tests/data/core_relo/rebuild` records.

#[path = "../libbpf.rs"]
#[allow(dead_code, reason = "only programs are printed, not maps")]
mod libbpf;

use libbpf::Prepared;
use std::ffi::CString;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(object), Some(target), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: patched OBJECT TARGET".into());
    };
    let (prepared, _) =
        Prepared::for_target(&std::fs::read(object)?, Some(&CString::new(target)?), false)?;
    for program in prepared.programs() {
        println!("{}", program.name);
        for slot in program.slots {
            println!("{:016x}", u64::from_be_bytes(slot.to_le_bytes()));
        }
    }
    Ok(())
}
