//! `ubpf dump`: what an object holds, without running it.
//!
//! - `insns`: disassembly between the C lines it comes from
//! - `cfg`: control flow, for Graphviz
//! - `code`: what the engines execute
//! - `jited`: what the JIT makes of that, beside the instructions and C lines
//! - `maps`: maps and global data
//!
//! Types are written by `ubpf::abi::btf::c`.

mod cfg;
mod code;
mod insns;
mod jited;
mod maps;

use crate::args::{DumpArgs, What};
use crate::failure::{Exit, Failure};
use crate::object::{self, Source};
use crate::style::{self, DIM, HEADING};
use std::io::{self, Write};
use ubpf::abi::btf::c;
use ubpf::{Jit, Module};

/// Runs the command.
///
/// # Errors
/// The object or a program of it cannot be used, or the output cannot be written.
pub fn run(args: &DumpArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let engine = object::engine(args.btf.as_deref())?.build();
    let source = Source::load(&engine, &args.object)?;
    let prog_type = args.prog_type.as_deref().map(object::prog_type).transpose()?;
    match args.what {
        What::Maps => maps::print(out, source.object(), style::columns())?,
        What::Btf => {
            let btf = source.object().btf.as_deref().ok_or_else(|| {
                Failure::unusable(format!("{} has no BTF", source.name()))
                    .hint("compile it with -g")
            })?;
            let types = c::dump(btf).map_err(|e| {
                let name = source.name();
                Failure::unusable(format!("the BTF of {name} cannot be written as C")).because(e)
            })?;
            write!(out, "{types}")?;
        }
        What::Insns | What::Code | What::Jited | What::Cfg => {
            let modules = match &args.prog {
                Some(_) => vec![source.module(&engine, args.prog.as_deref(), prog_type)?],
                None => source.modules(&engine, prog_type)?,
            };
            for (i, module) in modules.iter().enumerate() {
                if i > 0 {
                    writeln!(out)?;
                }
                match args.what {
                    What::Cfg => cfg::print(out, module.program())?,
                    What::Code | What::Jited => {
                        // What no verifier accepts runs with checks.
                        let verified = engine.verify_module(module);
                        let instance = engine
                            .instantiate(verified.as_ref().unwrap_or(module))
                            .map_err(|e| object::cannot_run(&source, e))?;
                        let code = instance.image().code();
                        title(out, module)?;
                        if args.what == What::Code {
                            code::print(out, code)?;
                        } else {
                            let jit = Jit::new().map_err(|unsupported| {
                                Failure::unusable("there is no machine code").because(unsupported)
                            })?;
                            let listing = jit.listing(code).map_err(|e| {
                                Failure::unusable("the program cannot be compiled").because(e)
                            })?;
                            jited::print(out, code, &listing)?;
                        }
                    }
                    _ => {
                        title(out, module)?;
                        insns::print(out, module.program())?;
                    }
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn title(out: &mut dyn Write, module: &Module) -> io::Result<()> {
    let program = module.program();
    let slots = style::count(program.slots.len() as u64, "slot");
    let name = &program.name;
    writeln!(out, "{HEADING}{name}{HEADING:#} {DIM}{}, {slots}{DIM:#}", program.prog_type)
}
