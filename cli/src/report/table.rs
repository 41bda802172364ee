//! A capture's packets, a line each, and what they came to.

use super::{End, Report, Run, Subject};
use crate::style::{self, BAD, DIM, HEADING};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use ubpf::abi::prog_type::Verdicts;

/// Writes a line a packet, and a summary.
#[derive(Debug)]
pub struct PacketTable {
    /// No line a packet.
    summary: bool,
    begun: Instant,
    verdicts: BTreeMap<String, u64>,
    packets: u64,
    returned: u64,
    insns: u64,
    ns: u64,
    cut: u64,
}

impl PacketTable {
    /// A table with a line a packet, or only its summary.
    #[must_use]
    pub fn new(summary: bool) -> Self {
        Self {
            summary,
            begun: Instant::now(),
            verdicts: BTreeMap::new(),
            packets: 0,
            returned: 0,
            insns: 0,
            ns: 0,
            cut: 0,
        }
    }

    fn count(&mut self, verdict: &str) {
        match self.verdicts.get_mut(verdict) {
            Some(n) => *n += 1,
            None => {
                self.verdicts.insert(verdict.to_owned(), 1);
            }
        }
    }
}

impl Report for PacketTable {
    fn begin(&mut self, out: &mut dyn Write, subject: &Subject<'_>) -> io::Result<()> {
        super::detail::title(out, subject)?;
        self.begun = Instant::now();
        if self.summary {
            return Ok(());
        }
        writeln!(
            out,
            "{HEADING}{:>6}  {:>12}  {:>5}  {:>5}  {:16}  {:>7}  {:>8}{HEADING:#}",
            "packet", "time", "in", "out", "verdict", "insns", "took"
        )
    }

    fn run(&mut self, out: &mut dyn Write, subject: &Subject<'_>, run: &Run<'_>) -> io::Result<()> {
        self.packets += 1;
        let captured = run.item.captured;
        let number = captured.map_or(self.packets, |c| c.number);
        let time = captured.map_or(0.0, |c| c.since_first.as_secs_f64());
        self.cut += u64::from(captured.is_some_and(|c| c.cut_bytes > 0));
        if self.summary {
            let verdict = match run.end {
                End::Returned(outcome) => {
                    self.returned += 1;
                    self.insns += outcome.insns;
                    self.ns = self.ns.saturating_add(outcome.mean_ns());
                    let retval = outcome.output.retval;
                    subject.return_name(retval).unwrap_or_else(|| retval.to_string().into())
                }
                End::Refused(_) => "refused".into(),
                End::Trapped(_) => "trap".into(),
            };
            self.count(&verdict);
            return Ok(());
        }
        let bytes = run.item.input.data.len();
        write!(out, "{number:6}  {time:12.6}  {bytes:5}  ")?;
        let verdict = match run.end {
            End::Returned(outcome) => {
                let retval = outcome.output.retval;
                let name = subject.return_name(retval);
                let verdict = name.map_or_else(|| retval.to_string(), Cow::into_owned);
                let color = super::detail::verdict_style(Some(&verdict));
                let data = outcome.output.data.as_ref();
                let bytes = data.map_or_else(|| "-".to_owned(), |data| data.len().to_string());
                let took = style::duration(outcome.mean_ns());
                let insns = outcome.insns;
                self.returned += 1;
                self.insns += insns;
                self.ns = self.ns.saturating_add(outcome.mean_ns());
                // Of filters that keep part of a packet, how much.
                let shown = match subject.decl.verdicts {
                    Verdicts::Length if retval != 0 => format!("{verdict} {retval}"),
                    _ => verdict.clone(),
                };
                writeln!(out, "{bytes:>5}  {color}{shown:16}{color:#}  {insns:7}  {took:>8}")?;
                verdict
            }
            End::Refused(e) => {
                writeln!(out, "{:>5}  {BAD}refused{BAD:#}: {e}", "-")?;
                "refused".to_owned()
            }
            End::Trapped(trap) => {
                writeln!(out, "{:>5}  {BAD}trap{BAD:#}: {}", "-", trap.message())?;
                "trap".to_owned()
            }
        };
        self.count(&verdict);
        for line in run.trace {
            writeln!(out, "        {DIM}trace{DIM:#}  {line}")?;
        }
        for event in run.events {
            super::detail::event(out, "        ", subject, event)?;
        }
        match run.maps {
            Some(maps) => super::values::print_maps(out, subject.program, maps),
            None => Ok(()),
        }
    }

    fn end(&mut self, out: &mut dyn Write, _: &Subject<'_>) -> io::Result<()> {
        if self.packets == 0 {
            let blank = if self.summary { "" } else { "\n" };
            return writeln!(out, "{blank}no packets");
        }
        if self.summary {
            let elapsed = self.begun.elapsed();
            let (packets, took) = (style::count(self.packets, "packet"), nanos(elapsed));
            let rate = style::rate(self.packets as f64 / elapsed.as_secs_f64());
            let took = style::duration(took);
            writeln!(out, "{HEADING}{packets}{HEADING:#} in {took}, {rate} packets/s")?;
        } else {
            writeln!(out, "\n{HEADING}{}{HEADING:#}", style::count(self.packets, "packet"))?;
        }
        for (verdict, &n) in &self.verdicts {
            let percent = n as f64 * 100.0 / self.packets as f64;
            let color = super::detail::verdict_style(Some(verdict));
            writeln!(
                out,
                "  {color}{verdict:16}{color:#}  {:>9}  {percent:5.1} %",
                style::thousands(n)
            )?;
        }
        if let Some(returned) = std::num::NonZeroU64::new(self.returned) {
            let insns = style::thousands(self.insns / returned);
            let took = style::duration(self.ns / returned);
            writeln!(out, "  {insns} insns and {took} a packet")?;
        }
        if self.cut > 0 {
            writeln!(
                out,
                "  {} cut short by the capture ran as they are",
                style::count(self.cut, "packet")
            )?;
        }
        Ok(())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
