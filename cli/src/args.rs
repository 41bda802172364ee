//! The command line: what can be asked for, in clap's words.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use ubpf::Kernel;

/// The kernel's BPF, off-box: look into eBPF objects and run them in userspace
#[derive(Debug, Parser)]
#[command(name = "ubpf", version, propagate_version = true)]
pub struct Ubpf {
    #[command(subcommand)]
    command: Command,
}

/// Run a BPF program of an object file on an input (the same as `ubpf run`)
#[derive(Debug, Parser)]
#[command(name = "ubpf-run", version, after_help = RUN_HELP)]
pub struct UbpfRun {
    #[command(flatten)]
    run: RunArgs,
}

/// What `ubpf` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load a program and run it on an input
    #[command(after_help = RUN_HELP)]
    Run(Box<RunArgs>),
    /// Say what the kernel's verifier would say of every program
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Run unit tests for BPF programs, written in TOML
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
    /// Look inside an object
    Dump(DumpArgs),
    /// Show what is emulated
    Features(FeaturesArgs),
}

impl From<Ubpf> for Command {
    fn from(cli: Ubpf) -> Self {
        cli.command
    }
}

impl From<UbpfRun> for Command {
    fn from(cli: UbpfRun) -> Self {
        Self::Run(Box::new(cli.run))
    }
}

const RUN_HELP: &str = "\
Objects are what clang builds, or classic filters: what tcpdump -d, -dd or -ddd prints.

Inputs: packet programs take the packet, from its Ethernet header on, as raw bytes, as hex text \
(.hex), or every packet of a capture (.pcap, .pcapng), each a run of its own on the same maps. \
Other programs take their context struct's bytes, or its fields by name (.toml, .json).

Exit status: 0 ran, 1 rejected, trapped or input refused, 2 usage or malformed input.";

/// `ubpf run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Object file, as clang builds it, or a classic filter; `-` is standard input
    pub object: PathBuf,
    /// Program to run, by its function's name; needed where the object has several
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// Program type, where the section's name gives none
    #[arg(long = "type", value_name = "TYPE")]
    pub prog_type: Option<String>,
    /// Input: packet or context; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub ctx: Option<PathBuf>,
    /// Set one field of the context, such as mark=7
    #[arg(long = "ctx-field", value_name = "NAME=VALUE")]
    pub ctx_fields: Vec<CtxField>,
    /// Write the context struct as the program left it
    #[arg(long, value_name = "FILE")]
    pub ctx_out: Option<PathBuf>,
    /// Write the packet as the program left it; `.pcap` for captures
    #[arg(long, value_name = "FILE")]
    pub data_out: Option<PathBuf>,
    /// Write the packets that pass, as they go on
    #[arg(long, value_name = "PCAP")]
    pub out: Option<PathBuf>,
    /// Write the packets that are dropped
    #[arg(long, value_name = "PCAP")]
    pub dropped: Option<PathBuf>,
    /// Write the packets that are sent elsewhere, a capture for each destination
    #[arg(long, value_name = "DIR")]
    pub redirected: Option<PathBuf>,
    /// Of a capture, show the verdicts and the speed, not each packet
    #[arg(long, conflicts_with_all = ["json", "dump_maps"])]
    pub summary: bool,
    /// Engine to run on [default: jit where this machine has one]
    #[arg(long, value_enum)]
    pub engine: Option<EngineChoice>,
    /// Runs of each input; packet, context and maps keep what earlier ones changed
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// The world around the program (TOML): CPUs, clock, devices
    #[arg(long, value_name = "FILE")]
    pub env: Option<PathBuf>,
    /// Fill a map before the first run, from a JSON dump or typed TOML
    #[arg(long = "map", value_name = "NAME=FILE")]
    pub maps: Vec<MapFile>,
    /// Show all maps after every run
    #[arg(long)]
    pub dump_maps: bool,
    /// Run without asking the verifier; every access is checked instead
    #[arg(long, conflicts_with_all = ["caged", "check_facts"])]
    pub no_verify: bool,
    /// Confine the program to its world's memory even where the verifier should err
    #[arg(long)]
    pub caged: bool,
    /// Hold what the verifier proved against every register at every instruction (slow)
    #[arg(long, conflicts_with = "caged")]
    pub check_facts: bool,
    /// Instructions that one run may execute
    #[arg(long, value_name = "N")]
    pub budget: Option<u64>,
    /// Kernel whose rules hold
    #[arg(long, value_name = "VER", default_value_t)]
    pub kernel: Kernel,
    /// Target BTF for CO-RE: raw BTF or an ELF file with .BTF [default: the running kernel's]
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Print one JSON object a run
    #[arg(long)]
    pub json: bool,
}

const VERIFY_HELP: &str = "\
A program that is not accepted was refused for one of three reasons (class): rule, the kernel \
refuses it too; unsupported, ubpf does not model something it uses; malformed, it is no program.

Exit status: 0 all accepted, 1 some refused, 2 usage or unreadable input.";

/// `ubpf verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Object files, as clang builds them
    #[arg(required = true)]
    pub objects: Vec<PathBuf>,
    /// Only this program, by its function's name
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// Program type, where the section's name gives none
    #[arg(long = "type", value_name = "TYPE")]
    pub prog_type: Option<String>,
    /// Kernel whose rules hold; several give a verdict each
    #[arg(long, value_name = "VER", default_values_t = [Kernel::default()])]
    pub kernel: Vec<Kernel>,
    /// Log in the kernel's form: 1 and 2 the walk over all paths, 4 the statistics
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub log: Option<u8>,
    /// Judge as for a loader without CAP_BPF and CAP_PERFMON
    #[arg(long)]
    pub unprivileged: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: VerdictFormat,
    /// Target BTF for CO-RE: raw BTF or an ELF file with .BTF [default: the running kernel's]
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

/// Output formats of `ubpf verify`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// A line a program, with the reason and the line of C where there is one
    #[default]
    Human,
    /// One JSON object a program
    Json,
    /// The columns of veristat
    Csv,
}

const TEST_HELP: &str = "\
A file names an object and says of each test what goes in and what shall come out:

  object = \"guard.bpf.o\"

  [[test]]
  name = \"blocked ports are dropped\"
  packet = \"dns.bin\"
  maps.blocked = [{ key = 53, value = 0 }]
  expect.return = \"XDP_DROP\"
  expect.maps.blocked = [{ key = 53, value = 1 }]

Exit status: 0 all passed, 1 some failed, 2 usage or unreadable input.";

/// `ubpf test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files with tests
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Only tests whose name has this in it
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Target BTF for CO-RE: raw BTF or an ELF file with .BTF [default: the running kernel's]
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Print one JSON object a test
    #[arg(long)]
    pub json: bool,
}

/// `ubpf dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// Object file, as clang builds it
    pub object: PathBuf,
    /// Only this program, by its function's name
    #[arg(long, value_name = "NAME")]
    pub prog: Option<String>,
    /// Program type, where the section's name gives none
    #[arg(long = "type", value_name = "TYPE")]
    pub prog_type: Option<String>,
    /// What to show
    #[arg(long, value_enum, default_value_t)]
    pub what: What,
    /// Target BTF for CO-RE: raw BTF or an ELF file with .BTF [default: the running kernel's]
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

/// What `ubpf dump` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Disassembly, with the C source between
    #[default]
    Insns,
    /// The executable form that engines run
    Code,
    /// Machine code, beside instructions and C source
    Jited,
    /// Control-flow graph, in Graphviz's language
    Cfg,
    /// Types, as C
    Btf,
    /// Maps and global data
    Maps,
}

/// `ubpf features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Kernel whose rules hold
    #[arg(long, value_name = "VER", default_value_t)]
    pub kernel: Kernel,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Human,
    /// JSON
    Json,
}

/// The engines that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// Native code where there is any, else the interpreter
    Jit,
    /// The interpreter
    Interp,
}

/// `NAME=VALUE`: a context field and the number it shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtxField {
    /// Field, such as `mark` or `cb[1]`.
    pub name: String,
    /// Value; negative numbers in two's complement.
    pub value: u64,
}

impl FromStr for CtxField {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (name, value) = name_and(s).ok_or("expected NAME=VALUE, such as mark=7")?;
        Ok(Self {
            name: name.to_owned(),
            value: parse_number(value)
                .ok_or("the value must be a number, such as 7, -1 or 0x2a")?,
        })
    }
}

/// `NAME=FILE`: a map and what to fill it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapFile {
    /// Map, by its name in the object.
    pub name: String,
    /// Contents, JSON or TOML.
    pub file: PathBuf,
}

impl FromStr for MapFile {
    type Err = &'static str;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (name, file) =
            name_and(s).ok_or("expected NAME=FILE, such as blocklist=blocked.toml")?;
        Ok(Self { name: name.to_owned(), file: file.into() })
    }
}

fn name_and(s: &str) -> Option<(&str, &str)> {
    s.split_once('=').filter(|(name, rest)| !name.is_empty() && !rest.is_empty())
}

/// A number in C's notation: decimal, `0x`, `0o` or `0b`, with an optional minus.
#[must_use]
pub fn parse_number(s: &str) -> Option<u64> {
    let (negative, digits) = match s.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, s),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        false => Some(value),
        true if value <= 1 << 63 => Some(value.wrapping_neg()),
        true => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Ubpf::command().debug_assert();
        UbpfRun::command().debug_assert();
    }

    #[test]
    fn numbers_are_read_as_in_c() {
        assert_eq!(parse_number("7"), Some(7));
        assert_eq!(parse_number("0x2A"), Some(42));
        assert_eq!(parse_number("-1"), Some(u64::MAX));
        assert_eq!(parse_number("-9223372036854775808"), Some(1 << 63));
        assert_eq!(parse_number("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "-", "0x", "--1", "-9223372036854775809", "7 ", "0x+1"] {
            assert_eq!(parse_number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn assignments_need_both_sides() {
        assert_eq!("mark=0x7".parse(), Ok(CtxField { name: "mark".into(), value: 7 }));
        assert!("mark".parse::<CtxField>().is_err());
        assert!("=1".parse::<CtxField>().is_err());
        assert!("m=".parse::<MapFile>().is_err());
    }
}
