//! The `ubpf` and `ubpf-run` commands, as a library of their own so that tests reach them.
//!
//! ```text
//!  args ─▶ run ──── input (packets, contexts) ─▶ ubpf ─▶ report (human, json)
//!       ├▶ verify ─ the kernel's verdict (human, json, csv)
//!       ├▶ test ─── tests in TOML, run and judged
//!       ├▶ dump ─── disassembly, graph, types, maps
//!       └▶ features
//! ```
//!
//! A command either ends with an [`Exit`] or with one [`Failure`], which is printed here and
//! nowhere else.
#![forbid(unsafe_code)]

pub mod args;
pub mod contents;
pub mod dump;
pub mod env;
pub mod failure;
pub mod features;
pub mod files;
pub mod fill;
pub mod host;
pub mod input;
pub mod listing;
pub mod object;
pub mod output;
pub mod progress;
pub mod report;
pub mod run;
pub mod style;
pub mod table;
pub mod test;
pub mod trust;
pub mod verify;

use args::Command;
use failure::{Exit, Failure};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

/// Runs what the command line asks for, or says what is wrong with it.
#[must_use]
pub fn main(command: Result<Command, clap::Error>) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    let command = match command {
        Ok(command) => command,
        Err(e) => {
            if json && e.use_stderr() {
                let text = e.to_string();
                let message = text.lines().next().unwrap_or_default();
                let message = message.strip_prefix("error: ").unwrap_or(message);
                println!("{}", Failure::unusable(message).to_json());
            }
            // Nothing is left to do when standard error is closed.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let mut out = BufWriter::new(anstream::AutoStream::auto(io::stdout()));
    let ended = dispatch(&command, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_closed_pipe() => Exit::Done.into(),
        Err(failure) => {
            if json {
                // As above.
                let _ = writeln!(out, "{}", failure.to_json());
            }
            let _ = out.flush();
            let _ = failure.print(&mut anstream::stderr());
            failure.exit().into()
        }
    }
}

fn dispatch(command: &Command, out: &mut dyn Write) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Test(args) => test::run(args, out),
        Command::Dump(args) => dump::run(args, out),
        Command::Features(args) => features::run(args, out),
    }
}
