//! Runs for machines: one JSON object a run, one a line. Parts that a run does not have are left
//! out.

use super::{End, Report, Run, Subject};
use crate::contents::{Entry, MapContents, Value};
use crate::input::hex;
use serde::Serialize;
use serde_json::{Map as JsonMap, json};
use std::borrow::Cow;
use std::io::{self, Write};

/// Writes runs as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[derive(Serialize)]
struct RunObject<'a> {
    object: &'a str,
    program: &'a str,
    #[serde(rename = "type")]
    prog_type: &'static str,
    engine: &'static str,
    #[serde(rename = "return")]
    retval: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_name: Option<Cow<'static, str>>,
    r0: u64,
    duration_ns: u64,
    insns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx_out: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<JsonMap<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventObject<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    trace: &'a [String],
}

#[derive(Serialize)]
struct EventObject<'a> {
    map: &'a str,
    cpu: u32,
    data: String,
}

impl Report for Json {
    fn begin(&mut self, _: &mut dyn Write, _: &Subject<'_>) -> io::Result<()> {
        Ok(())
    }

    fn run(&mut self, out: &mut dyn Write, subject: &Subject<'_>, run: &Run<'_>) -> io::Result<()> {
        match run.end {
            End::Returned(outcome) => {
                let object = RunObject {
                    object: subject.object,
                    program: &subject.program.name,
                    prog_type: subject.program.prog_type.name(),
                    engine: subject.engine,
                    retval: outcome.output.retval,
                    return_name: subject.return_name(outcome.output.retval),
                    r0: outcome.r0,
                    duration_ns: outcome.mean_ns(),
                    insns: outcome.insns,
                    data_out: outcome.output.data.as_deref().map(hex::encode),
                    ctx_out: outcome.output.ctx.as_deref().map(hex::encode),
                    maps: run.maps.map(maps),
                    events: run.events.iter().map(EventObject::of).collect(),
                    trace: run.trace,
                };
                serde_json::to_writer(&mut *out, &object)?;
                writeln!(out)
            }
            End::Refused(e) => {
                let error = json!({"errno": e.errno.0, "message": e.message});
                writeln!(out, "{}", json!({ "error": error }))
            }
            End::Trapped(trap) => writeln!(out, "{}", json!({ "error": trap.to_json() })),
        }
    }

    fn end(&mut self, _: &mut dyn Write, _: &Subject<'_>) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> EventObject<'a> {
    fn of(event: &'a ubpf::Event) -> Self {
        Self { map: &event.map, cpu: event.cpu, data: hex::encode(&event.data) }
    }
}

fn maps(maps: &[MapContents]) -> JsonMap<String, serde_json::Value> {
    let entries = |map: &MapContents| map.entries.iter().map(entry).collect();
    maps.iter().map(|map| (map.name().to_owned(), entries(map))).collect()
}

fn entry(entry: &Entry) -> serde_json::Value {
    let key = hex::encode(&entry.key);
    match &entry.value {
        Value::Shared(value) => json!({"key": key, "value": hex::encode(value)}),
        Value::PerCpu(values) => {
            let values: Vec<String> = values.iter().map(|value| hex::encode(value)).collect();
            json!({"key": key, "value": values})
        }
    }
}
