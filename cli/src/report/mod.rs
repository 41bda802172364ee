//! What a run looks like: for people and for machines.
//!
//! - `detail`: one run in full; `table`: a capture's packets, a line each; `json`: for machines
//! - `packet`, `values`, `trap`: the parts that they share

mod detail;
mod json;
pub mod packet;
mod table;
mod trap;
pub mod values;

pub use detail::Detail;
pub use json::Json;
pub use table::PacketTable;
pub use trap::TrapReport;

use crate::contents::MapContents;
use crate::input::Item;
use std::borrow::Cow;
use std::io::{self, Write};
use ubpf::abi::ctx::CtxLayout;
use ubpf::abi::prog_type::{InputKind, PacketLayer, ProgTypeDecl};
use ubpf::abi::program::Program;
use ubpf::vm::run::InputError;
use ubpf::{Event, Outcome};

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;

/// What is being run.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The object's file.
    pub object: &'a str,
    /// The program.
    pub program: &'a Program,
    /// Its type.
    pub decl: &'a ProgTypeDecl,
    /// The engine it runs on.
    pub engine: &'static str,
    /// How far it is trusted.
    pub trust: &'static str,
    /// Runs of each input.
    pub repeat: u32,
}

impl Subject<'_> {
    /// What the program type calls this return value.
    #[must_use]
    pub fn return_name(&self, retval: u32) -> Option<Cow<'static, str>> {
        self.decl.verdicts.name(retval)
    }

    /// The part of a packet that programs of this type see. In front of it test-run has an
    /// Ethernet header, which it does not keep for programs that begin behind it.
    #[must_use]
    pub fn visible<'p>(&self, packet: &'p [u8]) -> &'p [u8] {
        match self.decl.input {
            InputKind::Packet { from: PacketLayer::Network } => {
                packet.get(ETH_HLEN..).unwrap_or_default()
            }
            _ => packet,
        }
    }

    const fn layout(&self) -> &CtxLayout {
        &self.decl.ctx
    }
}

/// One input's run, whatever came of it, with what it left behind.
pub struct Run<'a> {
    /// What the program was given.
    pub item: &'a Item,
    /// What came of it.
    pub end: End<'a>,
    /// What was sent through perf and ring buffers.
    pub events: &'a [Event],
    /// What was printed.
    pub trace: &'a [String],
    /// Maps afterwards, when they were asked for.
    pub maps: Option<&'a [MapContents]>,
}

/// How a run ended.
#[derive(Clone, Copy)]
pub enum End<'a> {
    /// It returned.
    Returned(&'a Outcome),
    /// The input was refused.
    Refused(&'a InputError),
    /// It trapped.
    Trapped(&'a TrapReport),
}

/// A way to show runs.
pub trait Report {
    /// Before the first run.
    ///
    /// # Errors
    /// The stream's.
    fn begin(&mut self, out: &mut dyn Write, subject: &Subject<'_>) -> io::Result<()>;

    /// After each run.
    ///
    /// # Errors
    /// The stream's.
    fn run(&mut self, out: &mut dyn Write, subject: &Subject<'_>, run: &Run<'_>) -> io::Result<()>;

    /// After the last run.
    ///
    /// # Errors
    /// The stream's.
    fn end(&mut self, out: &mut dyn Write, subject: &Subject<'_>) -> io::Result<()>;
}
