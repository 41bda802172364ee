//! `ubpf-run`: `ubpf run` under a name of its own.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    ubpf_cli::main(ubpf_cli::args::UbpfRun::try_parse().map(ubpf_cli::args::Command::from))
}
