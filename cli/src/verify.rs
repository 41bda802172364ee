//! `ubpf verify`: the verdict on every program of every object, one row each, whatever becomes of
//! the others.

use crate::args::{VerdictFormat, VerifyArgs};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::host;
use crate::listing::Listing;
use crate::object;
use crate::style::{self, BAD, DIM, GOOD, HEADING, NOTE, OTHER};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ubpf::abi::prog_type::ProgType;
use ubpf::isa::cbpf::ClassicErrorKind;
use ubpf::loader::{LoadError, LoadErrorKind};
use ubpf::verifier::{Class, Options, Privilege, Rejection, Stats};
use ubpf::{Engine, Kernel, Module, Object};

/// The bit of `--log` that asks for statistics only, and those that ask for the walk.
const LOG_STATS: u8 = 4;
const LOG_WALK: u8 = 3;

/// Runs the command.
///
/// # Errors
/// The command line cannot be used, or the output cannot be written. What is wrong with an object
/// is a row of the output.
pub fn run(args: &VerifyArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let prog_type = args.prog_type.as_deref().map(object::prog_type).transpose()?;
    let builder = object::engine(args.btf.as_deref())?;
    let engines: Vec<Engine> =
        args.kernel.iter().map(|&kernel| builder.clone().kernel(kernel).build()).collect();
    if args.format == VerdictFormat::Csv {
        writeln!(out, "{CSV_HEAD}")?;
    }
    let mut exit = Exit::Done;
    for path in &args.objects {
        for row in rows(args, &engines, path, prog_type) {
            exit = exit.max(row.exit());
            row.print(out, args)?;
        }
    }
    Ok(exit)
}

/// The verdicts on the programs of one file, for each kernel.
fn rows(
    args: &VerifyArgs,
    engines: &[Engine],
    path: &Path,
    prog_type: Option<ProgType>,
) -> Vec<Row> {
    let file = files::name(path);
    let bytes = match files::read(path, files::MAX_OBJECT_BYTES) {
        Ok(bytes) => bytes,
        Err(failure) => return vec![Row::unreadable(&file, &failure)],
    };
    let mut rows = Vec::new();
    for engine in engines {
        match engine.load(&bytes) {
            Ok(object) => rows.extend(verdicts(args, engine, &file, &object, prog_type)),
            Err(error) => {
                let refusal = Refusal::malformed(&error);
                rows.push(Row::new(&file, "", engine.kernel(), Err(refusal)));
            }
        }
    }
    rows
}

fn verdicts(
    args: &VerifyArgs,
    engine: &Engine,
    file: &str,
    object: &Arc<Object>,
    prog_type: Option<ProgType>,
) -> Vec<Row> {
    let wanted = |name: &str| args.prog.as_deref().is_none_or(|wanted| wanted == name);
    let names: Vec<&str> = object.programs().map(|(_, f)| f.name.as_str()).collect();
    let chosen: Vec<&str> = names.iter().copied().filter(|name| wanted(name)).collect();
    if chosen.is_empty() {
        let reason = match &args.prog {
            Some(name) => format!("no program called {name}; there are {}", names.join(", ")),
            None => "the object holds no program".to_owned(),
        };
        let refusal =
            Refusal { class: Class::Malformed, errno: None, reason, insn: None, source: None };
        let name = args.prog.as_deref().unwrap_or_default();
        return vec![Row::new(file, name, engine.kernel(), Err(refusal))];
    }
    let ready = engine.check_setup(object);
    let judge = |name| match engine.prepare_as(object, Some(name), prog_type) {
        Ok(module) => match &ready {
            Ok(()) => judged(args, engine, file, name, &module),
            Err(error) => Row::new(file, name, engine.kernel(), Err(Refusal::malformed(error))),
        },
        Err(error) => Row::new(file, name, engine.kernel(), Err(Refusal::of_linking(&error))),
    };
    chosen.into_iter().map(judge).collect()
}

fn judged(args: &VerifyArgs, engine: &Engine, file: &str, name: &str, module: &Module) -> Row {
    let privilege = if args.unprivileged { Privilege::Unprivileged } else { Privilege::Privileged };
    let log = args.log.is_some_and(|level| level & LOG_WALK != 0);
    let start = Instant::now();
    let cpus = host::cpus().unwrap_or(Options::default().cpus);
    let report = engine.judge(module, &Options { privilege, log, cpus, ..Options::default() });
    let duration = start.elapsed();
    let verdict = report.verdict.map(drop).map_err(|r| Refusal::of(module, &r));
    Row {
        duration,
        stats: report.stats,
        log: report.log,
        ..Row::new(file, name, engine.kernel(), verdict)
    }
}

/// Why a program was not accepted.
pub struct Refusal {
    class: Class,
    /// Name of the error that `BPF_PROG_LOAD` would return.
    errno: Option<String>,
    reason: String,
    insn: Option<u32>,
    /// The line of C.
    source: Option<String>,
}

impl Refusal {
    /// What the verifier says of a module.
    #[must_use]
    pub fn of(module: &Module, rejection: &Rejection) -> Self {
        let line = rejection.pc.and_then(|pc| Listing::new(module.program()).source_at(pc));
        let class = rejection.reason.class();
        let errno = rejection.reason.errno();
        Self {
            class,
            errno: (class == Class::Rule)
                .then(|| errno.name().map_or_else(|| errno.0.to_string(), str::to_owned)),
            reason: rejection.to_string(),
            insn: rejection.pc.map(|pc| pc.0),
            source: line.map(|line| format!("{}  {}", line.place(), line.text)),
        }
    }

    /// A program that cannot be linked. A classic filter is judged there.
    fn of_linking(error: &LoadError) -> Self {
        let refusal = Self::malformed(error);
        match error.kind() {
            LoadErrorKind::Classic(e) if !matches!(e.kind, ClassicErrorKind::NoEbpfForm(_)) => {
                Self { class: Class::Rule, errno: Some("EINVAL".to_owned()), ..refusal }
            }
            _ => refusal,
        }
    }

    /// Writes the reason, with where it is, for people.
    ///
    /// # Errors
    /// The stream's.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.insn {
            Some(insn) => writeln!(out, "  insn {insn}: {}", self.reason)?,
            None => writeln!(out, "  {}", self.reason)?,
        }
        if let Some(source) = &self.source {
            writeln!(out, "  {NOTE}source:{NOTE:#} {source}")?;
        }
        Ok(())
    }

    /// As the value of `"error"` in JSON output.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("message".into(), self.reason.clone().into());
        object.insert("class".into(), self.class.to_string().into());
        let mut add = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        add("errno", self.errno.clone().map(Into::into));
        add("insn", self.insn.map(Into::into));
        add("source", self.source.clone().map(Into::into));
        object.into()
    }

    fn malformed(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |e| e.source());
        let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self { class: Class::Malformed, errno: None, reason, insn: None, source: None }
    }
}

/// The verdict on one program by one kernel's rules.
struct Row {
    file: String,
    program: String,
    kernel: Option<Kernel>,
    verdict: Result<(), Refusal>,
    duration: Duration,
    stats: Stats,
    log: Option<String>,
}

const CSV_HEAD: &str = "file_name,prog_name,verdict,duration,total_insns,total_states,peak_states";

impl Row {
    fn new(file: &str, program: &str, kernel: Kernel, verdict: Result<(), Refusal>) -> Self {
        Self {
            file: file.to_owned(),
            program: program.to_owned(),
            kernel: Some(kernel),
            verdict,
            duration: Duration::ZERO,
            stats: Stats::default(),
            log: None,
        }
    }

    fn unreadable(file: &str, failure: &Failure) -> Self {
        let reason = failure.to_string();
        let refusal =
            Refusal { class: Class::Malformed, errno: None, reason, insn: None, source: None };
        Self { kernel: None, ..Self::new(file, "", Kernel::default(), Err(refusal)) }
    }

    fn exit(&self) -> Exit {
        match &self.verdict {
            Ok(()) => Exit::Done,
            Err(_) if self.program.is_empty() => Exit::Unusable,
            Err(_) => Exit::Failed,
        }
    }

    fn print(&self, out: &mut dyn Write, args: &VerifyArgs) -> io::Result<()> {
        match args.format {
            VerdictFormat::Human => self.print_human(out, args),
            VerdictFormat::Json => {
                let json = serde_json::to_string(&JsonRow::of(self)).map_err(io::Error::other)?;
                writeln!(out, "{json}")
            }
            VerdictFormat::Csv => self.print_csv(out),
        }
    }

    fn verdict_name(&self) -> &'static str {
        if self.verdict.is_ok() { "success" } else { "failure" }
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX)
    }

    fn print_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let Stats { insns, states, peak_states, .. } = self.stats;
        writeln!(
            out,
            "{},{},{},{},{insns},{states},{peak_states}",
            csv_field(&self.file),
            csv_field(&self.program),
            self.verdict_name(),
            self.micros(),
        )
    }

    fn print_human(&self, out: &mut dyn Write, args: &VerifyArgs) -> io::Result<()> {
        if let Some(log) = &self.log {
            write!(out, "{DIM}{log}{DIM:#}")?;
        }
        let (word, colour) = match &self.verdict {
            Ok(()) => ("accepted", GOOD),
            Err(Refusal { class: Class::Rule, .. }) => ("rejected", BAD),
            Err(Refusal { class: Class::Unsupported, .. }) => ("not modelled", OTHER),
            Err(Refusal { class: Class::Malformed, .. }) => ("malformed", BAD),
        };
        write!(out, "{colour}{word}{colour:#}  {HEADING}{}{HEADING:#}", self.program)?;
        write!(out, "{}{}", if self.program.is_empty() { "" } else { "  " }, self.file)?;
        if let Some(kernel) = self.kernel.filter(|_| args.kernel.len() > 1) {
            write!(out, "  Linux {kernel}")?;
        }
        if self.stats.insns > 0 {
            let (insns, states) = (u64::from(self.stats.insns), u64::from(self.stats.states));
            let took = u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX);
            write!(out, "  {DIM}{}, ", style::count(insns, "insn"))?;
            write!(out, "{}, {}{DIM:#}", style::count(states, "state"), style::duration(took))?;
        }
        writeln!(out)?;
        if args.log.is_some_and(|level| level & LOG_STATS != 0) {
            writeln!(out, "  {}", self.stats)?;
        }
        self.verdict.as_ref().err().map_or(Ok(()), |refusal| refusal.print(out))
    }
}

/// A field of a CSV line, quoted where it must be.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A row as JSON.
#[derive(Serialize)]
struct JsonRow<'a> {
    file_name: &'a str,
    prog_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    verdict: &'static str,
    duration: u64,
    total_insns: u32,
    total_states: u32,
    peak_states: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    insn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

impl<'a> JsonRow<'a> {
    fn of(row: &'a Row) -> Self {
        let refusal = row.verdict.as_ref().err();
        Self {
            file_name: &row.file,
            prog_name: &row.program,
            kernel: row.kernel.map(|k| k.to_string()),
            verdict: row.verdict_name(),
            duration: row.micros(),
            total_insns: row.stats.insns,
            total_states: row.stats.states,
            peak_states: row.stats.peak_states,
            class: refusal.map(|r| r.class.to_string()),
            errno: refusal.and_then(|r| r.errno.as_deref()),
            reason: refusal.map(|r| r.reason.as_str()),
            insn: refusal.and_then(|r| r.insn),
            source: refusal.and_then(|r| r.source.as_deref()),
            log: row.log.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_they_must_be() {
        assert_eq!(csv_field("guard.bpf.o"), "guard.bpf.o");
        assert_eq!(csv_field("a,\"b\".o"), "\"a,\"\"b\"\".o\"");
    }
}
