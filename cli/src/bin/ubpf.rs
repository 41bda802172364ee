//! `ubpf`: load, look into and run BPF objects off-box.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    ubpf_cli::main(ubpf_cli::args::Ubpf::try_parse().map(ubpf_cli::args::Command::from))
}
