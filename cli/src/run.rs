//! `ubpf run`: load, make a world, and run a program on its inputs.

use crate::args::{EngineChoice, RunArgs};
use crate::contents::MapContents;
use crate::env;
use crate::failure::{Exit, Failure};
use crate::fill;
use crate::input::capture::Progress;
use crate::input::{Inputs, Item};
use crate::object::{self, Source};
use crate::output::Outputs;
use crate::progress;
use crate::report::{Detail, End, Json, PacketTable, Report, Run, Subject, TrapReport};
use crate::style;
use crate::trust;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use ubpf::{Engine, Instance, Jit, Module, RunError, Trust};

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
    let mut outputs = Outputs::open(args, &inputs, &decl)?;
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
        (false, true) => Box::new(PacketTable::new(args.summary)),
        (false, false) => Box::new(Detail::default()),
    };
    let mut exit = Exit::Done;
    report.begin(out, &subject)?;
    // A table that scrolls by leaves no place for a bar.
    let shown = args.summary || !std::io::stdout().is_terminal();
    let bar = progress::bar(inputs.progress().filter(|_| shown));
    let mut runs: u64 = 0;
    let damaged = loop {
        let item = match inputs.next_item(&args.ctx_fields) {
            Ok(Some(item)) => item,
            Ok(None) => break None,
            // What was read is reported all the same.
            Err(damaged) => break Some(damaged),
        };
        runs += 1;
        if runs.is_multiple_of(4096) {
            bar.set_position(inputs.progress().map_or(0, Progress::read));
            bar.set_message(style::count(runs, "packet"));
        }
        let result = instance.run_repeated(&item.input, args.repeat);
        let trap;
        let end = match &result {
            Ok(outcome) => {
                outputs.keep(&item, &instance, outcome)?;
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
    };
    bar.finish_and_clear();
    report.end(out, &subject)?;
    outputs.finish()?;
    damaged.map_or(Ok(exit), Err)
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
            let note = style::NOTE;
            writeln!(
                anstream::stderr(),
                "{note}note:{note:#} {unsupported}; it runs this program"
            )?;
        }
    }
    Ok(builder.build())
}
