//! Prints what the running kernel's verifier says of a program, instruction by instruction:
//! `cargo run -p ubpf-conformance --example kernel_log -- OBJECT PROGRAM`.

use std::error::Error;
use ubpf_conformance::kernel::{KernelWorld, LogLevel, WorldError};
use ubpf_loader::{LoadOptions, btf, btf_source, find_program, link, load};

fn main() -> Result<(), Box<dyn Error>> {
    let [object, entry] = &std::env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("usage: kernel_log OBJECT PROGRAM".into());
    };
    let options =
        LoadOptions { target_btf: btf_source::target_btf(None)?, ..LoadOptions::default() };
    let object = load(&std::fs::read(object)?, &options)?;
    let program = link(&object, find_program(&object, Some(entry))?, None)?;
    let types = object.btf.as_deref().map(btf::encode).transpose()?;
    let world = KernelWorld::create(&object.maps, types.as_deref())
        .or_else(|_| KernelWorld::create(&object.maps, None))?;
    match world.load(&program, LogLevel::Full) {
        Ok(loaded) => println!("{}", loaded.log()),
        Err(WorldError::Prog(refused)) => println!("{}", refused.log),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
