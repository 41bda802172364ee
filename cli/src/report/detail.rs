//! One run in full: the verdict, what became of packet and context, what was printed and sent,
//! what the maps hold.

use super::packet::Change;
use super::values;
use super::{End, Report, Run, Subject};
use crate::input::fields;
use crate::style::{self, BAD, DIM, GOOD, HEADING, NAME, OTHER};
use anstyle::Style;
use std::io::{self, Write};
use ubpf::abi::ctx::CtxFieldKind;
use ubpf::abi::prog_type::Verdicts;
use ubpf::{Event, Outcome};

/// Writes runs in full.
#[derive(Debug, Default)]
pub struct Detail {
    runs: u64,
}

impl Report for Detail {
    fn begin(&mut self, out: &mut dyn Write, subject: &Subject<'_>) -> io::Result<()> {
        title(out, subject)
    }

    fn run(&mut self, out: &mut dyn Write, subject: &Subject<'_>, run: &Run<'_>) -> io::Result<()> {
        self.runs += 1;
        if self.runs > 1 {
            writeln!(out, "\n{HEADING}run {}{HEADING:#}", self.runs)?;
        }
        match run.end {
            End::Returned(outcome) => {
                verdict(out, subject, outcome)?;
                if let Some(data) = &outcome.output.data {
                    writeln!(out)?;
                    let before = subject.visible(&run.item.input.data);
                    Change::between(before, subject.visible(data)).print(out, style::columns())?;
                }
                context(out, subject, run, outcome)?;
            }
            End::Refused(e) => {
                writeln!(out, "{BAD}refused{BAD:#}  {e}")?;
                writeln!(out, "  test-run would fail with {}", e.errno)?;
            }
            End::Trapped(trap) => trap.print(out)?,
        }
        if !run.trace.is_empty() {
            writeln!(out, "\n{HEADING}trace{HEADING:#}")?;
            for line in run.trace {
                writeln!(out, "  {line}")?;
            }
        }
        if !run.events.is_empty() {
            writeln!(out, "\n{HEADING}events{HEADING:#}")?;
            for sent in run.events {
                event(out, "  ", subject, sent)?;
            }
        }
        match run.maps {
            Some(maps) => {
                writeln!(out, "\n{HEADING}maps{HEADING:#}")?;
                values::print_maps(out, subject.program, maps)
            }
            None => Ok(()),
        }
    }

    fn end(&mut self, _: &mut dyn Write, _: &Subject<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// What is run, and how.
pub(super) fn title(out: &mut dyn Write, subject: &Subject<'_>) -> io::Result<()> {
    let Subject { object, program, engine, trust, .. } = subject;
    let (name, prog_type) = (&program.name, program.prog_type);
    writeln!(
        out,
        "{HEADING}{name}{HEADING:#}  {DIM}{prog_type} program of {object}, {engine}, {trust}{DIM:#}"
    )
}

fn verdict(out: &mut dyn Write, subject: &Subject<'_>, outcome: &Outcome) -> io::Result<()> {
    let retval = outcome.output.retval;
    let name = subject.return_name(retval);
    let color = verdict_style(name.as_deref());
    match name {
        // Numbers of actions are known in hex.
        Some(name) if matches!(subject.decl.verdicts, Verdicts::Actions(_)) => {
            write!(out, "{color}{name}{color:#} ({retval:#010x})")?;
        }
        Some(name) => write!(out, "{color}{name}{color:#} ({retval})")?,
        None => write!(out, "{color}{retval}{color:#}")?,
    }
    if outcome.r0 != u64::from(retval) {
        write!(out, "  r0 = {:#x}", outcome.r0)?;
    }
    let insns = style::count(outcome.insns, "insn");
    let took = style::duration(outcome.mean_ns());
    write!(out, "  {DIM}{insns}, {took}")?;
    if subject.repeat > 1 {
        let runs = style::thousands(subject.repeat.into());
        write!(out, " (mean of {runs} runs)")?;
    }
    writeln!(out, "{DIM:#}")
}

/// The colour of a verdict: whether the packet goes on. Told by the words of its name, as program
/// types are free to name their verdicts.
pub(super) fn verdict_style(name: Option<&str>) -> Style {
    let words = name.unwrap_or("").split(|c: char| !c.is_ascii_alphanumeric());
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "pass" | "ok" | "tx" | "allow" | "log" | "accept" | "keep" => return GOOD,
            "drop" | "shot" | "aborted" | "deny" | "errno" | "kill" | "refused" | "trap" => {
                return BAD;
            }
            _ => {}
        }
    }
    OTHER
}

/// Context fields that are not as they were given.
fn context(
    out: &mut dyn Write,
    subject: &Subject<'_>,
    run: &Run<'_>,
    outcome: &Outcome,
) -> io::Result<()> {
    let Some(after) = &outcome.output.ctx else {
        return Ok(());
    };
    let before = fields::given(&run.item.input, subject.layout());
    let mut heading = true;
    for field in subject.layout().fields {
        let range = field.off as usize..(field.off + field.size) as usize;
        let (Some(old), Some(new)) = (before.get(range.clone()), after.get(range)) else {
            continue;
        };
        if old == new || field.kind != CtxFieldKind::Scalar {
            continue;
        }
        if std::mem::take(&mut heading) {
            writeln!(out, "\n{HEADING}context{HEADING:#}  struct {}", subject.layout().name)?;
        }
        let elements = field.size / field.elem_size.max(1);
        for i in 0..elements as usize {
            let elem = field.elem_size as usize;
            let part = |bytes: &[u8]| values::number(bytes.get(i * elem..(i + 1) * elem)?);
            let (old, new) = (part(old), part(new));
            if old != new {
                let index = if elements > 1 { format!("[{i}]") } else { String::new() };
                writeln!(
                    out,
                    "  {NAME}{}{index}{NAME:#}  {} → {}",
                    field.name,
                    old.unwrap_or(0),
                    new.unwrap_or(0)
                )?;
            }
        }
    }
    Ok(())
}

/// One event: typed where the object says what its records are, else as bytes.
pub(super) fn event(
    out: &mut dyn Write,
    indent: &str,
    subject: &Subject<'_>,
    event: &Event,
) -> io::Result<()> {
    let Event { map, cpu, data } = event;
    let bytes = style::count(data.len() as u64, "byte");
    write!(out, "{indent}{NAME}{map}{NAME:#} {DIM}cpu {cpu}, {bytes}{DIM:#}")?;
    match values::record(subject.program, map, data) {
        Some(text) => writeln!(out, "  {text}"),
        None => {
            writeln!(out)?;
            super::packet::print_bytes(out, indent, data, style::columns())
        }
    }
}
