//! Machine code beside the instructions and the C lines it comes from.
//!
//! The compiler puts computations off until somebody wants their result, so what an instruction
//! computes may stand below a later one.

use crate::listing::Listing as Source;
use crate::style::{DIM, HEADING, SOURCE};
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use std::io::{self, Write};
use std::ops::Range;
use ubpf::isa::Pc;
use ubpf::jit::Listing;
use ubpf::vm::code::{Code, OpIndex};

/// Writes the machine code of one program.
///
/// # Errors
/// The stream's.
pub fn print(out: &mut dyn Write, code: &Code, listing: &Listing) -> io::Result<()> {
    let source = Source::new(code.program());
    let mut lines = source.sources();
    let bytes = listing.code.len();
    writeln!(out, "{DIM}{:?} memory accesses, {bytes} bytes{DIM:#}", code.mode())?;
    let mut printer = Printer { code: &listing.code, formatter: IntelFormatter::new() };
    printer.formatter.options_mut().set_hex_prefix("0x");
    printer.formatter.options_mut().set_hex_suffix("");
    let first = listing.ops.first().map_or(bytes, |&(at, _)| at);
    writeln!(out, "{DIM}{first} bytes of ways out to helpers and checks{DIM:#}")?;
    let ends = listing.ops.iter().skip(1).map(|&(at, _)| at).chain([bytes]);
    for (&(start, op), end) in listing.ops.iter().zip(ends) {
        if code.ops().get(op.index()).is_none() {
            writeln!(out, "\n{HEADING}out of line, and the way in:{HEADING:#}")?;
            printer.print(out, start..end)?;
            break;
        }
        let pc = code.pc(op);
        if let Some(subprog) = starting(code, op) {
            writeln!(out, "\n{HEADING}{subprog}:{HEADING:#}")?;
        }
        if let Some(line) = lines.above(pc) {
            let place = line.place();
            writeln!(out, "{SOURCE}; {}{SOURCE:#} {DIM}@ {place}{DIM:#}", line.text)?;
        }
        writeln!(out, "{DIM}{pc:4}:{DIM:#} {}", text(source, pc))?;
        printer.print(out, start..end)?;
    }
    Ok(())
}

fn starting(code: &Code, op: OpIndex) -> Option<&str> {
    let number = code.subprogs().iter().position(|subprog| subprog.start == op)?;
    code.program().subprogs.get(number).map(|subprog| subprog.name.as_str())
}

fn text(source: Source<'_>, pc: Pc) -> String {
    source.insn_at(pc).map_or_else(String::new, |insn| source.text(pc, &insn))
}

struct Printer<'a> {
    code: &'a [u8],
    formatter: IntelFormatter,
}

impl Printer<'_> {
    fn print(&mut self, out: &mut dyn Write, range: Range<usize>) -> io::Result<()> {
        let code = self.code.get(range.clone()).unwrap_or_default();
        let decoder = Decoder::with_ip(64, code, range.start as u64, DecoderOptions::NONE);
        for insn in decoder {
            let mut text = String::new();
            self.formatter.format(&insn, &mut text);
            writeln!(out, "      {DIM}{:6x}{DIM:#}  {text}", insn.ip())?;
        }
        Ok(())
    }
}
