//! The plugin for the public `bpf_conformance` runner.
//!
//! `ubpf-conformance-plugin [MEMORY_HEX] [--engine jit|interp]` reads a program's bytes in hex from
//! standard input, separated by blanks or not, runs it with `r1` = memory and `r2` = its length,
//! and prints `r0` in hex.
#![forbid(unsafe_code)]

use std::io::Read;
use std::process::ExitCode;
use ubpf::Jit;
use ubpf::vm::engine::Engine;
use ubpf::vm::interp::Interp;
use ubpf_conformance::bare::Bare;
use ubpf_isa::parse_slots;

fn main() -> ExitCode {
    match run() {
        Ok(r0) => {
            println!("{r0:x}");
            ExitCode::SUCCESS
        }
        Err(Failure { code, message }) => {
            eprintln!("ubpf-conformance-plugin: {message}");
            code
        }
    }
}

/// A message and the exit status that goes with it: 1 the program did not run to its end, 2 usage.
struct Failure {
    code: ExitCode,
    message: String,
}

impl Failure {
    fn run(error: &dyn std::error::Error) -> Self {
        Self { code: ExitCode::from(1), message: error.to_string() }
    }

    fn usage(message: impl Into<String>) -> Self {
        Self { code: ExitCode::from(2), message: message.into() }
    }
}

fn run() -> Result<u64, Failure> {
    let (memory, engine) = arguments(std::env::args().skip(1))?;
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::usage(format!("cannot read the program: {e}")))?;
    let bytes = hex(&text).map_err(|e| Failure::usage(format!("the program: {e}")))?;
    let slots = parse_slots(&bytes).map_err(|e| Failure::run(&e))?;
    let mut bare = Bare::on(&*engine, slots, &memory).map_err(|e| Failure::run(&e))?;
    bare.run().result.map_err(|e| Failure::run(&e))
}

/// The memory's bytes, and the engine.
fn arguments(
    mut args: impl Iterator<Item = String>,
) -> Result<(Vec<u8>, Box<dyn Engine>), Failure> {
    let mut memory = None;
    let mut engine: Box<dyn Engine> = Box::new(Interp);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--engine" => match args.next().as_deref() {
                Some("interp") => engine = Box::new(Interp),
                Some("jit") => {
                    engine = Box::new(Jit::new().map_err(|e| Failure::usage(e.to_string()))?);
                }
                _ => return Err(Failure::usage("--engine takes interp or jit")),
            },
            hexadecimal if memory.is_none() => {
                let bytes = hex(hexadecimal);
                memory = Some(bytes.map_err(|e| Failure::usage(format!("the memory: {e}")))?);
            }
            other => {
                return Err(Failure::usage(format!(
                    "unexpected argument `{other}`; usage: ubpf-conformance-plugin [MEMORY_HEX] \
                     [--engine jit|interp]"
                )));
            }
        }
    }
    Ok((memory.unwrap_or_default(), engine))
}

/// Pairs of hexadecimal digits, with blanks anywhere between them.
fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |c: char| {
        let value = c.to_digit(16).and_then(|d| u8::try_from(d).ok());
        value.ok_or_else(|| format!("`{c}` is no hexadecimal digit"))
    };
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(digit).collect::<Result<_, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(String::from("the number of hexadecimal digits is odd"));
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_may_hold_blanks_but_nothing_else() {
        assert_eq!(hex("b7 00\n0 0 ff"), Ok(vec![0xb7, 0, 0, 0xff]));
        assert!(hex("0").is_err());
        assert!(hex("0g").is_err());
    }

    #[test]
    fn memory_and_engine_come_in_any_order() {
        let parse = |args: &[&str]| arguments(args.iter().map(ToString::to_string));
        let memory = |args: &[&str]| parse(args).ok().map(|(memory, _)| memory);
        assert_eq!(memory(&["--engine", "interp", "0102"]), Some(vec![1, 2]));
        assert_eq!(memory(&["0102", "--engine", "interp"]), Some(vec![1, 2]));
        assert_eq!(memory(&[]), Some(vec![]));
        assert!(parse(&["--engine", "other"]).is_err());
        assert!(parse(&["01", "02"]).is_err());
    }
}
