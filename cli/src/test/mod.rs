//! `ubpf test`: unit tests for BPF programs, written in TOML. Each test has a world of its own.

mod suite;

use crate::args::TestArgs;
use crate::env;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::fill;
use crate::input::{fields, hex};
use crate::object::{self, Source};
use crate::style::{self, BAD, DIM, GOOD, HEADING};
use serde_json::{Map, Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use suite::{Case, Expect, Suite};
use ubpf::abi::prog_type::InputKind;
use ubpf::{Engine, Input, Instance, Module, Outcome, RunError};

/// Bytes that a packet may have.
const MAX_PACKET_BYTES: u64 = 1 << 20;

/// Runs the command.
///
/// # Errors
/// A file cannot be used; that a test fails is none.
pub fn run(args: &TestArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let (mut passed, mut failed) = (0_u64, 0_u64);
    for file in &args.files {
        let name = files::name(file);
        let text = files::read_text(file, files::MAX_TEXT_BYTES)?;
        let suite: Suite = toml::from_str(&text).map_err(|e| {
            let line = e.span().and_then(|span| text.get(..span.start));
            let line = line.map_or(1, |before| before.matches('\n').count() + 1);
            Failure::unusable(format!("{name} holds no tests"))
                .because(format!("line {line}: {}", e.message()))
        })?;
        let runner = Runner::new(args, file, &suite)?;
        if !args.json {
            writeln!(out, "{HEADING}{name}{HEADING:#}  {DIM}{}{DIM:#}", runner.source.name())?;
        }
        let wanted = |case: &&Case| args.only.as_ref().is_none_or(|text| case.name.contains(text));
        for case in suite.tests.iter().filter(wanted) {
            let start = Instant::now();
            let complaints = runner.test(case)?;
            let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if complaints.is_empty() {
                passed += 1;
            } else {
                failed += 1;
            }
            show(args, out, &name, case, &complaints, took)?;
        }
    }
    if !args.json {
        let color = if failed == 0 { GOOD } else { BAD };
        writeln!(out, "\n{color}{passed} passed, {failed} failed{color:#}")?;
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn show(
    args: &TestArgs,
    out: &mut dyn Write,
    file: &str,
    case: &Case,
    complaints: &[String],
    took: u64,
) -> std::io::Result<()> {
    let Case { name, .. } = case;
    if args.json {
        let passed = complaints.is_empty();
        let verdict = json!({"file": file, "test": name, "passed": passed, "failures": complaints});
        return writeln!(out, "{verdict}");
    }
    if complaints.is_empty() {
        return writeln!(
            out,
            "  {GOOD}ok{GOOD:#}    {name}  {DIM}{}{DIM:#}",
            style::duration(took)
        );
    }
    writeln!(out, "  {BAD}FAIL{BAD:#}  {name}")?;
    complaints.iter().try_for_each(|complaint| writeln!(out, "        {complaint}"))
}

/// What the tests of a file have in common.
struct Runner<'a> {
    suite: &'a Suite,
    /// Where the files are that it names.
    folder: PathBuf,
    engine: Engine,
    source: Source,
}

impl<'a> Runner<'a> {
    fn new(args: &TestArgs, file: &Path, suite: &'a Suite) -> Result<Self, Failure> {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let mut builder = object::engine(args.btf.as_deref())?;
        if let Some(path) = &suite.env {
            builder = builder.environment(env::read(&folder.join(path))?);
        }
        if let Some(budget) = suite.budget {
            builder = builder.budget(budget);
        }
        let engine = builder.build();
        let source = Source::load(&engine, &folder.join(&suite.object))?;
        Ok(Self { suite, folder, engine, source })
    }

    /// Runs a test, and says what is not as it shall be.
    fn test(&self, case: &Case) -> Result<Vec<String>, Failure> {
        let in_test = |e: Failure| e.within(&format!("test `{}`", case.name));
        let prog_type = self.suite.prog_type.as_deref().map(object::prog_type).transpose()?;
        let program = case.program.as_deref().or(self.suite.program.as_deref());
        let module = self.source.module(&self.engine, program, prog_type).map_err(in_test)?;
        let module = match self.verified(module, &case.expect) {
            Ok(module) => module,
            Err(complaints) => return Ok(complaints),
        };
        let instance = self.engine.instantiate(&module);
        let mut instance = instance.map_err(|e| object::cannot_run(&self.source, e))?;
        for (map, entries) in &case.maps {
            let entries = fill::entries(&instance, map, &table(entries)).map_err(in_test)?;
            let handle = instance.open_map(map).map_err(|e| Failure::unusable(e.to_string()))?;
            for (key, value) in entries {
                handle.insert(&key, &value).map_err(|e| {
                    in_test(Failure::unusable(format!("map {map} takes no such entry")).because(e))
                })?;
            }
        }
        let input = self.input(case, &instance).map_err(in_test)?;
        let result = instance.run_repeated(&input, case.repeat);
        self.judge(case, &instance, &input, &result).map_err(in_test)
    }

    /// The module as far as it can be trusted, or how the test ends here.
    fn verified(&self, module: Module, expect: &Expect) -> Result<Module, Vec<String>> {
        let verdict = match self.suite.verify || expect.rejected.is_some() {
            true => self.engine.verify_module(&module),
            false => return Ok(module),
        };
        match (verdict, &expect.rejected) {
            (Ok(verified), None) => Ok(verified),
            (Ok(_), Some(_)) => Err(vec!["verifier  accepts the program".to_owned()]),
            (Err(rejection), Some(words)) if rejection.to_string().contains(words) => Err(vec![]),
            (Err(rejection), None) if rejection.is_unsupported() => Ok(module),
            (Err(rejection), _) => Err(vec![format!("verifier  {rejection}")]),
        }
    }

    fn input(&self, case: &Case, instance: &Instance) -> Result<Input, Failure> {
        let decl = &instance.prog_type().decl;
        let data = self.bytes(case.packet.as_deref(), case.packet_hex.as_deref())?;
        if data.is_none() && matches!(decl.input, InputKind::Packet { .. }) {
            return Err(Failure::unusable(format!("{} programs need a packet", decl.prog_type)));
        }
        let ctx = case.ctx.as_ref().map(|ctx| fields::one(ctx, &decl.ctx)).transpose();
        let ctx = ctx.map_err(|e| Failure::unusable("`ctx` is no context").because(e))?;
        let number = |(name, value): (&String, &Json)| {
            let value = value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
            value
                .map(|value| (name.clone(), value))
                .ok_or_else(|| Failure::unusable(format!("`fields.{name}` is no number")))
        };
        let ctx_fields = case.fields.iter().map(number).collect::<Result<_, _>>()?;
        Ok(Input { data: data.unwrap_or_default(), ctx, ctx_fields, ..Input::default() })
    }

    fn bytes(&self, file: Option<&Path>, text: Option<&str>) -> Result<Option<Vec<u8>>, Failure> {
        match (file, text) {
            (Some(file), _) => files::read(&self.folder.join(file), MAX_PACKET_BYTES).map(Some),
            (None, Some(text)) => hex::parse(text)
                .map(Some)
                .map_err(|e| Failure::unusable("`packet_hex` is not hex text").because(e)),
            (None, None) => Ok(None),
        }
    }

    fn judge(
        &self,
        case: &Case,
        instance: &Instance,
        input: &Input,
        result: &Result<Outcome, RunError>,
    ) -> Result<Vec<String>, Failure> {
        let expect = &case.expect;
        let mut complaints = Vec::new();
        match (result, &expect.trap) {
            (Ok(outcome), None) => {
                self.judge_outcome(expect, instance, input, outcome, &mut complaints)?;
            }
            (Ok(_), Some(_)) => complaints.push("trap    none".to_owned()),
            (Err(e), Some(words)) if e.to_string().contains(words) => {}
            (Err(e), _) => complaints.push(format!("ended   {e}")),
        }
        let trace = instance.drain_trace();
        if let Some(expected) = expect.trace.as_ref().filter(|expected| **expected != trace) {
            complaints.push(format!("trace   {trace:?}, expected {expected:?}"));
        }
        let events = instance.drain_events().len();
        if let Some(expected) = expect.events.filter(|&expected| expected != events) {
            complaints.push(format!("events  {events}, expected {expected}"));
        }
        for (name, entries) in &expect.maps {
            self.judge_map(instance, name, entries, &mut complaints)?;
        }
        Ok(complaints)
    }

    fn judge_outcome(
        &self,
        expect: &Expect,
        instance: &Instance,
        input: &Input,
        outcome: &Outcome,
        complaints: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let retval = outcome.output.retval;
        let name = instance.prog_type().decl.verdicts.name(retval);
        let as_expected = match &expect.retval {
            None => true,
            Some(Json::String(expected)) => name.as_deref() == Some(expected),
            Some(expected) => {
                let number = expected.as_i64().map(|n| n as u32);
                number == Some(retval)
            }
        };
        if let (false, Some(expected)) = (as_expected, &expect.retval) {
            let expected = expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
            let name = name.map_or_else(|| retval.to_string(), |name| format!("{name} ({retval})"));
            complaints.push(format!("return  {name}, expected {expected}"));
        }
        let expected = self.bytes(expect.packet.as_deref(), expect.packet_hex.as_deref())?;
        let expected = if expect.unchanged { Some(input.data.clone()) } else { expected };
        let packet = outcome.output.data.as_deref().unwrap_or_default();
        if let Some(expected) = expected.filter(|expected| expected != packet) {
            let at = packet.iter().zip(&expected).take_while(|(a, b)| a == b).count();
            complaints.push(format!(
                "packet  differs from byte {at} on: {} bytes, expected {}",
                packet.len(),
                expected.len()
            ));
        }
        Ok(())
    }

    fn judge_map(
        &self,
        instance: &Instance,
        name: &str,
        entries: &Json,
        complaints: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let expected = fill::entries(instance, name, &table(entries))?;
        let map = instance.open_map(name).map_err(|e| Failure::unusable(e.to_string()))?;
        for (key, value) in expected {
            let found = map.get(&key).ok().flatten();
            if found.as_ref() != Some(&value) {
                let found = found.map_or_else(|| "nothing".to_owned(), |found| hex::encode(&found));
                let (key, value) = (hex::encode(&key), hex::encode(&value));
                complaints.push(format!("map     {name}[{key}] = {found}, expected {value}"));
            }
        }
        Ok(())
    }
}

/// Entries in the shape of a file that fills a map.
fn table(entries: &Json) -> Json {
    Json::Object(Map::from_iter([("entry".to_owned(), entries.clone())]))
}
