//! `ubpf run`: load, make a world, and run a program on its inputs.

use crate::args::{EngineChoice, RunArgs};
use crate::contents::MapContents;
use crate::env;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::fill;
use crate::input::capture::CaptureWriter;
use crate::input::{Inputs, Item};
use crate::object::{self, Source};
use crate::report::{Detail, End, Json, PacketTable, Report, Run, Subject, TrapReport};
use crate::trust;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ubpf::{Engine, Instance, Jit, Module, Outcome, RunError, Trust};

/// Runs the command.
///
/// # Errors
/// Something that the command line names cannot be used, or the program cannot be run here.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let engine = engine(args)?;
    let source = Source::load(&engine, &args.object)?;
    let prog_type = args.prog_type.as_deref().map(object::prog_type).transpose()?;
    let mut module = source.module(&engine, args.prog.as_deref(), prog_type)?;
    if !args.no_verify {
        match trust::establish(&engine, module, source.name(), args.json, out)? {
            Some(trusted) => module = trusted,
            None => return Ok(Exit::Failed),
        }
    }
    let mut instance = engine.instantiate(&module).map_err(|e| object::cannot_run(&source, e))?;
    fill::fill(&instance, &args.maps)?;
    let decl = instance.prog_type().decl;
    let mut inputs = Inputs::open(args.ctx.as_deref(), &decl)?;
    let mut saved = Saved::new(args, &inputs)?;
    let program = Arc::clone(instance.program());
    let subject = Subject {
        object: source.name(),
        program: &program,
        decl: &decl,
        engine: instance.engine_name(),
        trust: trust(args, &module),
        repeat: args.repeat,
    };
    let mut report: Box<dyn Report> = match (args.json, inputs.is_capture()) {
        (true, _) => Box::new(Json),
        (false, true) => Box::new(PacketTable::default()),
        (false, false) => Box::new(Detail::default()),
    };
    let mut exit = Exit::Done;
    report.begin(out, &subject)?;
    while let Some(item) = inputs.next_item(&args.ctx_fields)? {
        let result = instance.run_repeated(&item.input, args.repeat);
        let trap;
        let end = match &result {
            Ok(outcome) => {
                saved.keep(&item, outcome);
                End::Returned(outcome)
            }
            Err(RunError::Input(e)) => End::Refused(e),
            Err(RunError::Trap(trapped)) => {
                trap = TrapReport::new(trapped);
                End::Trapped(&trap)
            }
            Err(e) => return Err(Failure::failed("the run failed").because(e.to_string())),
        };
        if result.is_err() {
            exit = Exit::Failed;
        }
        show(out, &mut *report, &subject, args, &instance, &item, end)?;
    }
    report.end(out, &subject)?;
    saved.write()?;
    Ok(exit)
}

/// How far the program is trusted, in a word.
fn trust(args: &RunArgs, module: &Module) -> &'static str {
    match module.trust() {
        Trust::Verified if args.check_facts => "verified, facts checked",
        Trust::Verified if args.caged => "verified, caged",
        Trust::Verified => "verified",
        _ => "not verified",
    }
}

fn show(
    out: &mut dyn Write,
    report: &mut dyn Report,
    subject: &Subject<'_>,
    args: &RunArgs,
    instance: &Instance,
    item: &Item,
    end: End<'_>,
) -> Result<(), Failure> {
    let events = instance.drain_events();
    let trace = instance.drain_trace();
    let maps = args.dump_maps.then(|| MapContents::read_all(instance));
    let run = Run { item, end, events: &events, trace: &trace, maps: maps.as_deref() };
    Ok(report.run(out, subject, &run)?)
}

fn engine(args: &RunArgs) -> Result<Engine, Failure> {
    let mut builder = object::engine(args.btf.as_deref())?.kernel(args.kernel);
    if let Some(path) = &args.env {
        builder = builder.environment(env::read(path)?);
    }
    if let Some(budget) = args.budget {
        builder = builder.budget(budget);
    }
    if args.caged {
        builder = builder.caged();
    }
    if args.check_facts {
        builder = builder.check_facts();
    }
    match (args.engine, Jit::new()) {
        // Only the interpreter looks.
        _ if args.check_facts => {}
        (Some(EngineChoice::Interp), _) | (None, Err(_)) => {}
        (Some(EngineChoice::Jit) | None, Ok(jit)) => builder = builder.executor(Arc::new(jit)),
        (Some(EngineChoice::Jit), Err(unsupported)) => {
            let note = crate::style::NOTE;
            writeln!(
                anstream::stderr(),
                "{note}note:{note:#} {unsupported}; it runs this program"
            )?;
        }
    }
    Ok(builder.build())
}

/// What `--data-out` and `--ctx-out` write in the end.
struct Saved {
    data: Option<(PathBuf, Data)>,
    ctx: Option<(PathBuf, Vec<u8>)>,
}

/// Packets as their file will have them.
enum Data {
    Last(Vec<u8>),
    Capture(CaptureWriter),
}

impl Saved {
    /// # Errors
    /// All packets of a capture would go into a file that holds one.
    fn new(args: &RunArgs, inputs: &Inputs) -> Result<Self, Failure> {
        let to_capture = |path: &Path| path.extension().is_some_and(|e| e == "pcap");
        let several = "a capture's packets do not fit into one file of bytes";
        if inputs.is_capture() && args.ctx_out.is_some() {
            return Err(Failure::unusable(several).hint("--ctx-out needs a --ctx of one packet"));
        }
        let data = match &args.data_out {
            Some(path) if to_capture(path) => {
                Some((path.clone(), Data::Capture(CaptureWriter::default())))
            }
            Some(_) if inputs.is_capture() => {
                return Err(Failure::unusable(several).hint("give --data-out a name in .pcap"));
            }
            Some(path) => Some((path.clone(), Data::Last(Vec::new()))),
            None => None,
        };
        let ctx = args.ctx_out.clone().map(|path| (path, Vec::new()));
        Ok(Self { data, ctx })
    }

    fn keep(&mut self, item: &Item, outcome: &Outcome) {
        if let (Some((_, kept)), Some(packet)) = (&mut self.data, &outcome.output.data) {
            match kept {
                Data::Last(last) => last.clone_from(packet),
                Data::Capture(writer) => {
                    let time = item.captured.map(|c| c.since_first).unwrap_or_default();
                    writer.push(time, packet);
                }
            }
        }
        if let (Some((_, kept)), Some(ctx)) = (&mut self.ctx, &outcome.output.ctx) {
            kept.clone_from(ctx);
        }
    }

    fn write(self) -> Result<(), Failure> {
        if let Some((path, data)) = self.data {
            let bytes = match data {
                Data::Last(packet) => packet,
                Data::Capture(writer) => writer.into_bytes(),
            };
            files::write(&path, &bytes)?;
        }
        if let Some((path, ctx)) = self.ctx {
            files::write(&path, &ctx)?;
        }
        Ok(())
    }
}
