//! Prints what ubpf's verifier says of a program, instruction by instruction, in the same form as
//! `kernel_log`: `cargo run -p ubpf-conformance --example ubpf_log -- OBJECT PROGRAM`.

use std::error::Error;
use std::sync::Arc;
use ubpf_loader::{LoadOptions, btf_source, find_program, link, load};
use ubpf_verifier::{Options, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let [object, entry] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: ubpf_log OBJECT PROGRAM".into());
    };
    let options =
        LoadOptions { target_btf: btf_source::target_btf(None)?, ..LoadOptions::default() };
    let object = load(&std::fs::read(object)?, &options)?;
    let program = link(&object, find_program(&object, Some(entry))?, None)?;
    let options = Options { log: true, ..Options::default() };
    let report = verify(&Arc::new(program), &ubpf_helpers::linux(), &options);
    println!("{}", report.log.unwrap_or_default());
    Ok(())
}
